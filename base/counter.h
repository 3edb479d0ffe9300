// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

// A number that one thread writes and others read at any time, each by itself: no order among several
// of them. Aligned and of a machine word, so that a reader sees the value before or after a change.

#define counter_read(counter) __atomic_load_n((counter), __ATOMIC_RELAXED)

#define counter_set(counter, value) __atomic_store_n((counter), (value), __ATOMIC_RELAXED)

// The writer's own. A relaxed store would keep gcc from adding to memory at once, or to two counters together, 2 % of
// a packet's time; ThreadSanitizer gets one, to see the other accesses.
#ifdef __SANITIZE_THREAD__
#define counter_add(counter, n) __atomic_store_n((counter), *(counter) + (n), __ATOMIC_RELAXED)
#else
#define counter_add(counter, n) (*(counter) += (n))
#endif
