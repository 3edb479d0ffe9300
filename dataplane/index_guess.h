// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

struct packet;
struct worker;

// Fills in the packet's index and carried_index, from what is known of its stream and what it carries. A carried ROC is
// a hint: who is in sync ignores it (RFC 4771 2.1), unless the tag says otherwise (stage_unprotect).
void index_guess(const struct worker *worker, struct packet *p);
