// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

// The kernel's interface below a port. Drivers that have one (net_af_packet, net_af_xdp, net_tap,
// those of NVIDIA) report its index; 0: there is none. Control thread.

enum { INTERFACE_SOCKETS_MAX = 64 }; // of a port's queues

// One of which the kernel keeps the driver, so that its state is the kernel's.
struct interface {
	unsigned index;
	int fd; // of a socket that is bound to it and receives nothing
	bool takes_multicast;
	char name[IF_NAMESIZE];
	int sockets[INTERFACE_SOCKETS_MAX]; // packet sockets of its DPDK driver
	unsigned n_sockets;
	uint64_t missed; // of interface_missed()
};

// NULL, with errno, if it cannot be had. interface_close() takes NULL, too. Before confine(), with the driver's sockets
// open.
struct interface *interface_open(unsigned index);
void interface_close(struct interface *interface);

// Whether the kernel has it no more: it was deleted, or is another network namespace's. One that was made again since is
// another one, whatever its name and number.
bool interface_is_gone(const struct interface *interface);

// Takes the one that has the name now in place of one that is gone: the driver's sockets, with their rings, and what was
// taken of multicast. 0; -ENODEV: there is none yet; or another -errno: it runs, and the driver's sockets cannot be
// moved to it (they share frames between several queues, or there are none).
int interface_find_again(struct interface *interface);

// Has the interface receive all multicast as long as it is open. 0 or -errno.
int interface_take_multicast(struct interface *interface);

// Whether the interface sends now: it is up and has a carrier.
bool interface_is_running(const struct interface *interface);

// Its link-layer address. False if it cannot be had.
bool interface_mac(const struct interface *interface, uint8_t mac[6]);

uint32_t interface_mtu_now(const struct interface *interface);

// MTU of the interface in octets; UINT32_MAX if there is none or it is not known. interface_mtu() makes a socket, which
// confine() forbids.
uint32_t interface_mtu(unsigned index);

// Frames that came while the rings of its sockets were full, since it was opened: the kernel discards them, and net_af_packet
// of DPDK 22.11 does not count them.
uint64_t interface_missed(struct interface *interface);

// net_af_packet puts every tag back into its frame as if it were one of IEEE 802.1Q. Has its sockets cut a frame with
// another tag behind that, so that it can be told. 0 or -errno; with none of them 0.
int interface_cut_service_tags(const struct interface *interface);
