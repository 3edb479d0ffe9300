// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "base/alloc.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"

static void *alloc_check(void *p)
{
	if (!p) {
		log_error("out_of_memory");
		abort();
	}
	return p;
}

void *alloc_zero(size_t n, size_t size)
{
	return alloc_check(calloc(n > 0 ? n : 1, size));
}

void *alloc_resize(void *p, size_t n, size_t size)
{
	return alloc_check(reallocarray(p, n > 0 ? n : 1, size));
}

char *alloc_string(const char *text)
{
	return alloc_check(strdup(text));
}
