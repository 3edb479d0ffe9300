// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stddef.h>

// Small allocations in the middle of a change that can no longer be refused. Memory that is not to be
// had ends the process, after one line that says in which function and how many octets: half a change
// is worse than a restart. What can be refused calls malloc() or secmem_malloc(), and refuses.

#define alloc_zero(n, size)      alloc_zero_in(__func__, n, size)
#define alloc_resize(p, n, size) alloc_resize_in(__func__, p, n, size)
#define alloc_string(text)       alloc_string_in(__func__, text)

void *alloc_zero_in(const char *function, size_t n, size_t size);
void *alloc_resize_in(const char *function, void *p, size_t n, size_t size);
char *alloc_string_in(const char *function, const char *text);

// Ends the process for other memory that was not to be had.
__attribute__((noreturn)) void alloc_failed(const char *function, size_t octets);
