// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/token_bucket.h"

// Work that a leg can cause without authentication costs it a token, so that the cost before a tag verified is bounded
// per leg (docs/security.md, invariant 5). What comes from elsewhere than the leg's own addresses has tokens of its own:
// strangers use up theirs, never those of the client; and what they cost over all legs is bounded for each worker, too.

struct packet;
struct worker;

enum leg_side packet_side(const struct packet *p);

// One token on account of the packet's leg and side. False if there is none.
bool packet_token_take(struct worker *worker, const struct packet *p, enum token_kind kind);

// The same for what can do without: half of those that a leg has at once stay for what cannot.
bool packet_token_take_spare(struct worker *worker, const struct packet *p, enum token_kind kind);

// One of TOKEN_WORK on account of what is heard on a leg without key.
bool leg_token_take(struct worker *worker, uint32_t leg);
bool leg_token_take_spare(struct worker *worker, uint32_t leg);
