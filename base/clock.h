// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdint.h>

// The monotonic clock: time since some point before the process began. Any thread.

uint64_t clock_now_ms(void);
uint64_t clock_now_ns(void);
