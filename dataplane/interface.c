// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "dataplane/interface.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FDS_MAX = 4096 }; // of file descriptors, those of the ports are among the first

static bool interface_ask(unsigned index, unsigned long question, struct ifreq *answer)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool answered = index != 0 && if_indextoname(index, answer->ifr_name) &&
			ioctl(fd, question, answer) == 0;
	if (fd >= 0)
		close(fd);
	return answered;
}

uint32_t interface_mtu(unsigned index)
{
	struct ifreq answer = {};
	return interface_ask(index, SIOCGIFMTU, &answer) ? (uint32_t)answer.ifr_mtu : UINT32_MAX;
}

struct interface *interface_open(unsigned index)
{
	struct interface *interface = calloc(1, sizeof(*interface));
	if (!interface)
		return NULL;
	interface->index = index;
	interface->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (interface->fd >= 0 && if_indextoname(index, interface->name))
		return interface;
	int error = errno;
	interface_close(interface);
	errno = error;
	return NULL;
}

void interface_close(struct interface *interface)
{
	if (!interface)
		return;
	if (interface->fd >= 0)
		close(interface->fd);
	free(interface);
}

int interface_take_multicast(const struct interface *interface)
{
	struct packet_mreq membership = {
		.mr_ifindex = (int)interface->index, .mr_type = PACKET_MR_ALLMULTI};
	int rc = setsockopt(
		interface->fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &membership, sizeof(membership));
	return rc == 0 ? 0 : -errno;
}

bool interface_is_running(const struct interface *interface)
{
	struct ifreq answer;
	memcpy(answer.ifr_name, interface->name, sizeof(answer.ifr_name));
	if (ioctl(interface->fd, SIOCGIFFLAGS, &answer) != 0) {
		// It has another name by now, or is gone.
		answer.ifr_ifindex = (int)interface->index;
		if (ioctl(interface->fd, SIOCGIFNAME, &answer) != 0 ||
			ioctl(interface->fd, SIOCGIFFLAGS, &answer) != 0)
			return false;
	}
	return (answer.ifr_flags & IFF_UP) && (answer.ifr_flags & IFF_RUNNING);
}

// Whether it is a socket through which a driver sees the interface's frames.
static bool socket_is_bound(int fd, unsigned index)
{
	struct sockaddr_ll address = {};
	socklen_t size = sizeof(address);
	return getsockname(fd, (struct sockaddr *)&address, &size) == 0 &&
	       address.sll_family == AF_PACKET && address.sll_ifindex == (int)index;
}

int interface_cut_service_tags(unsigned index)
{
	struct sock_filter instructions[] = {
		BPF_STMT(
			BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 3, 0),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_VLAN_TPID)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_8021Q, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, ETH_HLEN), // octets that stay, the tag beside them
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
	};
	struct sock_fprog filter = {
		.len = sizeof(instructions) / sizeof(instructions[0]), .filter = instructions};
	for (int fd = 0; fd < FDS_MAX; fd++)
		if (socket_is_bound(fd, index) &&
			setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)) != 0)
			return -errno;
	return 0;
}
