// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stdint.h>

struct worker;

// Takes one of the leg's tokens; false if there is none. Invariant 5: what costs the relay
// something before a tag verified is bounded per source.
bool leg_token_take(struct worker *worker, uint32_t leg);

// The same for what can do without: half of the tokens stay for what cannot.
bool leg_token_take_spare(struct worker *worker, uint32_t leg);
