// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "dataplane/port_mtu.h"

#include <rte_ethdev.h>

#include "base/devargs.h"
#include "dataplane/interface.h"

// In a ring of net_af_packet the kernel puts its own header and that of Ethernet in front of a packet and cuts off
// what goes beyond the frame (packet(7), tpacket_rcv() of Linux).
enum {
	AF_PACKET_HEAD_LEN = 80
}; // struct tpacket2_hdr, struct sockaddr_ll and 16 octets, in steps of 16

// As rte_eth_dev_configure() counts: what the driver says of frames and of packets tells its overhead.
static uint32_t driver_limit(const struct rte_eth_dev_info *info)
{
	uint32_t overhead = RTE_ETHER_HDR_LEN + RTE_ETHER_CRC_LEN;
	if (info->max_mtu != UINT16_MAX && info->max_rx_pktlen > info->max_mtu)
		return info->max_mtu;
	uint32_t frame = info->max_rx_pktlen > overhead ? info->max_rx_pktlen - overhead : 0;
	return RTE_MIN((uint32_t)info->max_mtu, frame);
}

uint32_t port_mtu_limit(const char *device, const struct rte_eth_dev_info *info, const char **whose)
{
	uint32_t limit = driver_limit(info);
	*whose = "its driver takes no longer frames";
	uint32_t frame_size = devargs_frame_size(device);
	if (frame_size != 0 && frame_size < limit + AF_PACKET_HEAD_LEN) {
		limit = frame_size > AF_PACKET_HEAD_LEN ? frame_size - AF_PACKET_HEAD_LEN : 0;
		*whose = "no more has room in its framesz";
	}
	uint32_t interface = interface_mtu(info->if_index);
	if (interface < limit) {
		limit = interface;
		*whose = "that is the MTU of its interface";
	}
	return limit;
}
