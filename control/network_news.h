// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdint.h>

// What the network said: of legs for the room of sessions, the rest told as notices. Control thread.

struct notices;
struct sessions;

// Passes on what came since it was called last. now: TSC.
void network_news_tell(struct sessions *sessions, struct notices *notices, uint64_t now);
