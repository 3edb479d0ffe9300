// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

// The kernel's interface below a port. Drivers that have one (net_af_packet, net_af_xdp, net_tap,
// those of NVIDIA) report its index; 0: there is none. Control thread.

// One of which the kernel keeps the driver, so that its state is the kernel's.
struct interface {
	unsigned index;
	int fd; // of a socket that receives nothing
	char name[IF_NAMESIZE];
};

// NULL, with errno, if it cannot be had. interface_close() takes NULL, too. Before confine().
struct interface *interface_open(unsigned index);
void interface_close(struct interface *interface);

// Has the interface receive all multicast as long as it is open. 0 or -errno.
int interface_take_multicast(const struct interface *interface);

// Whether the interface sends now: it is up and has a carrier.
bool interface_is_running(const struct interface *interface);

// MTU of the interface in octets; UINT32_MAX if there is none or it is not known.
uint32_t interface_mtu(unsigned index);

// net_af_packet puts every tag back into its frame as if it were one of IEEE 802.1Q. Has the sockets of this process
// that are bound to the interface cut a frame with another tag behind that, so that it can be told. 0 or -errno; with
// none of them 0.
int interface_cut_service_tags(unsigned index);
