// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "base/alloc.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

void alloc_failed(const char *function, size_t octets)
{
	log_error("out_of_memory in=%s octets=%zu", function, octets);
	abort();
}

static void *alloc_check(void *p, const char *function, size_t n, size_t size)
{
	size_t octets;
	if (!p)
		alloc_failed(
			function, __builtin_mul_overflow(n, size, &octets) ? SIZE_MAX : octets);
	return p;
}

void *alloc_zero_in(const char *function, size_t n, size_t size)
{
	n = n > 0 ? n : 1;
	return alloc_check(calloc(n, size), function, n, size);
}

void *alloc_resize_in(const char *function, void *p, size_t n, size_t size)
{
	n = n > 0 ? n : 1;
	return alloc_check(reallocarray(p, n, size), function, n, size);
}

char *alloc_string_in(const char *function, const char *text)
{
	return alloc_check(strdup(text), function, strlen(text) + 1, 1);
}
