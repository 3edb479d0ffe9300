// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stddef.h>

// From now on the packet sockets that the calling thread makes join no group that shares frames (PACKET_FANOUT), though it
// is told that they did: net_af_packet has every socket join one, which with a single queue serves nothing, and keeps the
// socket from moving to another interface (packet(7)). Sets no-new-privileges. Both end with the thread. 0, or -errno with
// a sentence in why.
int syscall_filter_no_fanout(char *why, size_t why_size);

// The system calls that the process may make from now on (seccomp(2)), in every thread; sets
// no-new-privileges. devices are the n ports' as the configuration has them: a port driver may need
// more than the rest. Any other call ends the process by SIGSYS, after one line on stderr that names
// the call. 0, or -errno with a sentence in why. Main thread, once.
int syscall_filter_install(const char *const devices[], unsigned n, char *why, size_t why_size);
