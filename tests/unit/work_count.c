// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "tests/unit/work_count.h"

#include <stddef.h>

struct work work;

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);

static void work_count(size_t octets)
{
	work.allocs++;
	work.octets += octets;
}

void *__wrap_malloc(size_t size)
{
	work_count(size);
	return __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	work_count(n * size);
	return __real_calloc(n, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
	work_count(size);
	return __real_aligned_alloc(alignment, size);
}
