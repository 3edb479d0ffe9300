// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "crypto/stack_wipe.h"

#include <stdint.h>

#include "base/secmem.h"

enum { STACK_WIPE_SIZE = 16 * 1024 }; // octets, more than the deepest of the callers' callees uses

// AddressSanitizer would put red zones between the frame and the caller's.
__attribute__((noinline, no_sanitize("address"))) void stack_wipe(void)
{
	uint8_t frame[STACK_WIPE_SIZE];
	secmem_wipe(frame, sizeof(frame));
}
