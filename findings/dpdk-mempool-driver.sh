#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors
#
# DPDK 22.11 (Debian 12; the packages of 24.11 in Debian 13 have the same dependencies): rte_pktmbuf_pool_create() needs
# a driver of mempools, a library of its own that is loaded when the EAL starts. Neither librte-mbuf23 nor
# librte-mempool23 nor a network driver depends on librte-mempool-ring23, and dpkg-shlibdeps does not find it, as
# nothing is linked with it. libdpdk-dev does depend on it. So a program runs where it was built; installed from its
# package elsewhere its first pool fails with EINVAL, which looks like a wrong argument.
#
# What happens here: a program that makes a pool runs with all that its libraries and a network driver depend on, then
# with librte-mempool-ring23 beside them. It declares what it calls, because libdpdk-dev would bring the driver.
#
# What follows: a package of a DPDK program names librte-mempool-ring itself, as it names its network drivers.

. "$(dirname "$(readlink -f "$0")")/root.sh"

version=22.11.11-0+deb12u1
finding_root bookworm librte-mbuf23=$version librte-net-af-packet23=$version gcc libc6-dev

cat >"$root/tmp/pool.c" <<'END'
#include <stdint.h>
#include <stdio.h>
#include <string.h>

int rte_eal_init(int argc, char **argv);
void *rte_pktmbuf_pool_create(const char *name, unsigned n, unsigned cache_size, uint16_t priv_size,
	uint16_t data_room_size, int socket);
extern __thread int per_lcore__rte_errno;

int main(void)
{
	char *argv[] = {"pool", "--no-huge", "--no-pci", "--no-telemetry", "-m", "64", NULL};
	if (rte_eal_init(6, argv) < 0)
		return 1;
	void *pool = rte_pktmbuf_pool_create("packets", 1023, 0, 0, 2176, -1);
	printf("pool: %s\n", pool ? "made" : strerror(per_lcore__rte_errno));
	return 0;
}
END

lib=/usr/lib/x86_64-linux-gnu
chroot "$root" gcc -o /tmp/pool /tmp/pool.c $lib/librte_eal.so.23 $lib/librte_mbuf.so.23

# inside: in a mount namespace of its own.
inside() {
	for dir in dev proc sys; do
		mount --rbind "/$dir" "$root/$dir"
	done
	chroot "$root" /tmp/pool
	chroot "$root" apt-get -q install -y --no-install-recommends librte-mempool-ring23=$version >/dev/null
	chroot "$root" /tmp/pool
}
export -f inside
export root version
unshare --mount bash -c inside 2>/dev/null | finding_expect "pool: Invalid argument
pool: made"
