// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "dataplane/interface.h"

#include <arpa/inet.h>
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

// What a packet socket is bound to: its interface is -1 if that is gone. False if it is no packet socket.
static bool socket_address(int fd, struct sockaddr_ll *address)
{
	socklen_t size = sizeof(*address);
	*address = (struct sockaddr_ll){};
	return getsockname(fd, (struct sockaddr *)address, &size) == 0 &&
	       address->sll_family == AF_PACKET;
}

// The kernel requires no privilege to move a packet socket.
static int socket_bind(int fd, unsigned index, uint16_t protocol)
{
	struct sockaddr_ll address = {.sll_family = AF_PACKET,
		.sll_protocol = htons(protocol),
		.sll_ifindex = (int)index};
	return bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 ? 0 : -errno;
}

static void sockets_find(struct interface *interface)
{
	struct sockaddr_ll address;
	for (int fd = 0; fd < FDS_MAX && interface->n_sockets < INTERFACE_SOCKETS_MAX; fd++)
		if (socket_address(fd, &address) && address.sll_protocol != 0 &&
			address.sll_ifindex == (int)interface->index)
			interface->sockets[interface->n_sockets++] = fd;
}

struct interface *interface_open(unsigned index)
{
	struct interface *interface = calloc(1, sizeof(*interface));
	if (!interface)
		return NULL;
	interface->index = index;
	sockets_find(interface);
	interface->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (interface->fd >= 0 && socket_bind(interface->fd, index, 0) == 0 &&
		if_indextoname(index, interface->name))
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

int interface_take_multicast(struct interface *interface)
{
	struct packet_mreq membership = {
		.mr_ifindex = (int)interface->index, .mr_type = PACKET_MR_ALLMULTI};
	int rc = setsockopt(
		interface->fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &membership, sizeof(membership));
	interface->takes_multicast = rc == 0;
	return rc == 0 ? 0 : -errno;
}

// By its number: another one may have its name by now.
static bool interface_tell(
	const struct interface *interface, unsigned long question, struct ifreq *answer)
{
	*answer = (struct ifreq){.ifr_ifindex = (int)interface->index};
	return ioctl(interface->fd, SIOCGIFNAME, answer) == 0 &&
	       ioctl(interface->fd, question, answer) == 0;
}

static bool flags_run(const struct ifreq *answer)
{
	return (answer->ifr_flags & IFF_UP) && (answer->ifr_flags & IFF_RUNNING);
}

bool interface_is_gone(const struct interface *interface)
{
	struct sockaddr_ll address;
	return !socket_address(interface->fd, &address) ||
	       address.sll_ifindex != (int)interface->index;
}

// Moves a socket of the driver's. What was left in its ring leaves, which also wakes a worker that waits for room there.
static int socket_move(int fd, unsigned index)
{
	int error;
	socklen_t size = sizeof(error);
	int rc = socket_bind(fd, index, ETH_P_ALL);
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size); // ENETDOWN of the one before
	send(fd, NULL, 0, MSG_DONTWAIT);
	return rc;
}

int interface_find_again(struct interface *interface)
{
	struct ifreq answer = {};
	memcpy(answer.ifr_name, interface->name, sizeof(answer.ifr_name));
	if (ioctl(interface->fd, SIOCGIFINDEX, &answer) != 0)
		return -ENODEV;
	unsigned index = (unsigned)answer.ifr_ifindex;
	int rc = interface->n_sockets > 0 ? 0 : -EOPNOTSUPP;
	for (unsigned i = 0; rc == 0 && i < interface->n_sockets; i++)
		rc = socket_move(interface->sockets[i], index);
	if (rc == 0)
		rc = socket_bind(interface->fd, index, 0);
	if (rc != 0)
		return ioctl(interface->fd, SIOCGIFFLAGS, &answer) == 0 && flags_run(&answer)
			       ? rc
			       : -ENODEV;
	interface->index = index;
	return interface->takes_multicast ? interface_take_multicast(interface) : 0;
}

bool interface_mac(const struct interface *interface, uint8_t mac[6])
{
	struct ifreq answer;
	if (!interface_tell(interface, SIOCGIFHWADDR, &answer))
		return false;
	memcpy(mac, answer.ifr_hwaddr.sa_data, 6);
	return true;
}

uint32_t interface_mtu_now(const struct interface *interface)
{
	struct ifreq answer;
	return interface_tell(interface, SIOCGIFMTU, &answer) ? (uint32_t)answer.ifr_mtu
							      : UINT32_MAX;
}

bool interface_is_running(const struct interface *interface)
{
	struct ifreq answer;
	return !interface_is_gone(interface) && interface_tell(interface, SIOCGIFFLAGS, &answer) &&
	       flags_run(&answer);
}

uint64_t interface_missed(struct interface *interface)
{
	for (unsigned i = 0; i < interface->n_sockets; i++) {
		struct tpacket_stats since = {}; // the last question, whoever asked
		socklen_t size = sizeof(since);
		if (getsockopt(interface->sockets[i], SOL_PACKET, PACKET_STATISTICS, &since,
			    &size) == 0)
			interface->missed += since.tp_drops;
	}
	return interface->missed;
}

int interface_cut_service_tags(const struct interface *interface)
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
	for (unsigned i = 0; i < interface->n_sockets; i++)
		if (setsockopt(interface->sockets[i], SOL_SOCKET, SO_ATTACH_FILTER, &filter,
			    sizeof(filter)) != 0)
			return -errno;
	return 0;
}
