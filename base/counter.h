// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

// A number that one thread writes and others read at any time, each by itself: no order among several
// of them. Plain accesses would be data races (C17, 5.1.2.4); these compile to the same moves. The
// writer may read its own plainly.

#define counter_read(counter) __atomic_load_n((counter), __ATOMIC_RELAXED)

#define counter_set(counter, value) __atomic_store_n((counter), (value), __ATOMIC_RELAXED)

#define counter_add(counter, n) __atomic_store_n((counter), *(counter) + (n), __ATOMIC_RELAXED)
