// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stddef.h>

// Small allocations of the control thread. Memory that is not to be had ends the process: half a
// change is worse than a restart.
void *alloc_zero(size_t n, size_t size);
void *alloc_resize(void *p, size_t n, size_t size);
char *alloc_string(const char *text);
