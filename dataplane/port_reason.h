// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stddef.h>

// Why a port of the kernel's interfaces (net_af_packet, net_af_xdp) does not open. Its drivers return
// -1 or -EINVAL, whatever the cause, so the causes are looked for here.

enum { PORT_REASON_SIZE = 128 }; // octets with NUL, enough for any

// Writes the cause as a clause. error is what DPDK returned, negative. Main thread.
void port_reason(const char *device, int error, char *reason, size_t reason_size);
