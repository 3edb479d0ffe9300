// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Why the relay's memory is not to be had: what was asked for, and which limit there is.

// False with a sentence in why if packet buffers of so many octets would have the process killed by its control group.
bool memory_buffers_fit(uint64_t octets, char *why, size_t why_size);

// Writes why tables, packet buffers of so many octets or rings were refused, as a sentence. error is -errno. Main
// thread, with an initialised EAL, before anything is freed.
void memory_reason(uint64_t buffers, int error, char *why, size_t why_size);
