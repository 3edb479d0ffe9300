// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "bench/gen/histogram.h"

// Below 2^HISTOGRAM_STEPS_LOG2 each value has its bucket; above, each power of two has as many.
static unsigned bucket_of(uint64_t ns)
{
	if (ns >> HISTOGRAM_STEPS_LOG2 == 0)
		return (unsigned)ns;
	unsigned shift = 63U - (unsigned)__builtin_clzll(ns) - HISTOGRAM_STEPS_LOG2;
	return (shift << HISTOGRAM_STEPS_LOG2) + (unsigned)(ns >> shift);
}

uint64_t histogram_bucket_end(unsigned bucket)
{
	if (bucket >> (HISTOGRAM_STEPS_LOG2 + 1) == 0)
		return bucket;
	unsigned shift = (bucket >> HISTOGRAM_STEPS_LOG2) - 1;
	uint64_t first = bucket - ((uint64_t)shift << HISTOGRAM_STEPS_LOG2);
	return ((first + 1) << shift) - 1;
}

void histogram_add(struct histogram *histogram, uint64_t ns)
{
	if (histogram->n++ == 0 || ns < histogram->min)
		histogram->min = ns;
	if (ns > histogram->max)
		histogram->max = ns;
	histogram->buckets[bucket_of(ns)]++;
}

uint64_t histogram_quantile(const struct histogram *histogram, double share)
{
	uint64_t wanted = (uint64_t)((double)histogram->n * share), seen = 0;
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		seen += histogram->buckets[i];
		uint64_t end = histogram_bucket_end(i);
		if (seen > 0 && seen >= wanted)
			return end < histogram->max ? end : histogram->max;
	}
	return histogram->max;
}
