// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stdint.h>

struct worker;

// Work that a leg can cause without authentication (derivations, plain streams) costs it a token:
// the cost before a tag verified is bounded per source (docs/security.md, invariant 5).

enum {
	LEG_TOKENS = 64,            // at once
	LEG_TOKENS_PER_SECOND = 64, // in the long run
};

// False if there is none.
bool leg_token_take(struct worker *worker, uint32_t leg);

// For what can do without: half of the tokens stay for what cannot.
bool leg_token_take_spare(struct worker *worker, uint32_t leg);
