// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stddef.h>

// The system calls that the process may make from now on (seccomp(2)), in every thread; sets
// no-new-privileges. devices are the n ports' as the configuration has them: a port driver may need
// more than the rest. Any other call ends the process by SIGSYS, after one line on stderr that names
// the call. 0, or -errno with a sentence in why. Main thread, once.
int syscall_filter_install(const char *const devices[], unsigned n, char *why, size_t why_size);
