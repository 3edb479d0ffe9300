// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "dataplane/port_reason.h"

#include <errno.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dataplane/driver_error.h"

enum {
	AF_PACKET_RINGS_SIZE =
		2 << 20, // octets that the driver locks, a queue: two rings of 512 frames
	AF_XDP_UMEM_SIZE = 32 << 20, // octets: no less than the packet buffers of one worker
};

// The interface that the device string names; false if it names none, or none that can exist.
static bool device_interface(const char *device, char name[IF_NAMESIZE])
{
	const char *value = strstr(device, ",iface=");
	if (!value)
		return false;
	value += strlen(",iface=");
	size_t len = strcspn(value, ",");
	snprintf(name, IF_NAMESIZE, "%.*s", (int)len, value);
	return true;
}

static bool raw_sockets_denied(void)
{
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (fd >= 0)
		close(fd);
	return fd < 0 && errno == EPERM;
}

// Whether its flags may not be set, even to what they are: drivers do that when they start.
static bool interface_change_denied(const char *name)
{
	struct ifreq request = {};
	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool denied = ioctl(fd, SIOCGIFFLAGS, &request) == 0 &&
		      ioctl(fd, SIOCSIFFLAGS, &request) != 0 && errno == EPERM;
	if (fd >= 0)
		close(fd);
	return denied;
}

static bool memory_lock_denied(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0);
	if (memory == MAP_FAILED)
		return errno == EAGAIN || errno == EPERM;
	munmap(memory, size);
	return false;
}

void port_reason(const char *device, int error, char *reason, size_t reason_size)
{
	char interface[IF_NAMESIZE];
	bool named = device_interface(device, interface);
	bool xdp = strncmp(device, "net_af_xdp", strlen("net_af_xdp")) == 0;
	size_t locked = xdp ? AF_XDP_UMEM_SIZE : AF_PACKET_RINGS_SIZE;
	struct rlimit limit;
	if (named && if_nametoindex(interface) == 0) {
		snprintf(reason, reason_size, "there is no interface \"%s\"", interface);
	} else if (named && raw_sockets_denied()) {
		snprintf(reason, reason_size, "it needs CAP_NET_RAW");
	} else if (named && interface_change_denied(interface)) {
		snprintf(reason, reason_size, "it needs CAP_NET_ADMIN");
	} else if (named && memory_lock_denied(locked) && getrlimit(RLIMIT_MEMLOCK, &limit) == 0) {
		snprintf(reason, reason_size,
			"it needs more locked memory than RLIMIT_MEMLOCK allows (%llu KiB), or "
			"CAP_IPC_LOCK",
			(unsigned long long)limit.rlim_cur / 1024);
	} else {
		snprintf(reason, reason_size, "%s%s", driver_error(error),
			xdp && error == -EINVAL ? "; net_af_xdp needs an interface whose driver "
						  "has XDP in native mode"
						: "");
	}
}
