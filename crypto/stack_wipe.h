// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

// Overwrites the 16 KiB of stack below the caller's frame, where functions that it called left
// spilled registers and temporaries of secrets. Any thread.
void stack_wipe(void);

// Of a static function that works on secrets for a caller of stack_wipe(): compiled into its caller, it could
// leave them in the frame of that caller, which stack_wipe() does not reach.
#define STACK_WIPED __attribute__((noinline))
