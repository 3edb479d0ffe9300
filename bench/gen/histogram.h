// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdint.h>

// Times in nanoseconds, with a relative error of 1/32 at most. Zeroed memory is an empty histogram.

enum {
	HISTOGRAM_STEPS_LOG2 = 5, // steps of each power of two
	HISTOGRAM_BUCKETS = (64 - HISTOGRAM_STEPS_LOG2 + 1) << HISTOGRAM_STEPS_LOG2,
};

struct histogram {
	uint64_t n, min, max;
	uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *histogram, uint64_t ns);

// The longest time that a bucket counts.
uint64_t histogram_bucket_end(unsigned bucket);

// The time that a share (0 to 1) of all were within; 0 of an empty one.
uint64_t histogram_quantile(const struct histogram *histogram, double share);
