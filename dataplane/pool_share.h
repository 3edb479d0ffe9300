// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdint.h>

// How much of a pool one of its users may have: half of what is left, so that however many come, the next has some; and
// never more than most.
static inline uint32_t pool_share(uint32_t size, uint32_t used, uint32_t most)
{
	uint32_t left = size > used ? size - used : 0;
	uint32_t half = left - left / 2;
	return half < most ? half : most;
}
