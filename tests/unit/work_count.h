// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdint.h>

// What a change costs, counted in memory that is taken: the program is linked with
// --wrap=aligned_alloc,--wrap=calloc,--wrap=malloc. What is retired the program counts itself.
extern struct work {
	uint64_t allocs, octets, retired;
} work;
