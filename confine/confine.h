// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stddef.h>

// Takes from the process, in every thread and for good, what it needed to start only: capabilities,
// ways to new privileges, system calls. devices are the n ports' as the configuration has them.
// After ports are open, workers run and sockets listen; what comes later runs with what is left.
// 0, or -errno with a sentence in why: then the process must not go on. Main thread, once.
int confine(const char *const devices[], unsigned n, char *why, size_t why_size);
