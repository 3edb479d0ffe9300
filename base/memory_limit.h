// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stddef.h>
#include <stdint.h>

// What keeps this process from more memory. errno says the same of each: these look for the limit.
// root stands in front of /proc and /sys, "" but in tests.

enum { MEMORY_REASON_SIZE = 160 }; // octets with NUL, enough for any

// Octets that the control groups of the process allow it, the least of them all; UINT64_MAX: no limit. Who uses more
// is killed, and is not told before.
uint64_t memory_cgroup_limit(const char *root);

// Octets of the hugepages that nobody uses, of all sizes.
uint64_t memory_hugepages_free(const char *root);

// Writes why a mapping of so many octets was refused, as a clause; error is errno.
void memory_refusal(uint64_t octets, int error, char *reason, size_t reason_size);
