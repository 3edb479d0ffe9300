// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "crypto/stack_wipe.h"

#include <stdint.h>

#include "base/secmem.h"

enum { STACK_WIPE_SIZE = 16 * 1024 }; // octets, more than the deepest of the callers' callees uses

__attribute__((noinline)) void stack_wipe(void)
{
	uint8_t frame[STACK_WIPE_SIZE];

	secmem_wipe(frame, sizeof(frame));
}
