// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

// What the network said, told as notices. Control thread.

struct notices;
struct relay;

// Tells what came since it was called last.
void network_news_tell(struct relay *relay, struct notices *notices);
