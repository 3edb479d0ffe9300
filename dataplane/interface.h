// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdint.h>

// The kernel's interface below a port. Drivers that have one (net_af_packet, net_af_xdp, net_tap,
// those of NVIDIA) report its index; 0: there is none. Control thread.

// MTU of the interface in octets; UINT32_MAX if there is none or it is not known.
uint32_t interface_mtu(unsigned index);

// net_af_packet puts every tag back into its frame as if it were one of IEEE 802.1Q. Has the sockets of this process
// that are bound to the interface cut a frame with another tag behind that, so that it can be told. 0 or -errno; with
// none of them 0.
int interface_cut_service_tags(unsigned index);
