// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "dataplane/interface.h"

#include <net/if.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

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
