#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors
#
# DPDK 22.11 (Debian 12), net_af_packet: rte_dev_probe() answers -1 for an interface that does not exist. It is
# documented to return a negative errno; read so, -1 is EPERM, "Operation not permitted", and whoever runs the program
# looks for a missing capability, as root, too. Without hugepages rte_eal_init() sets rte_errno to EACCES, "Permission
# denied", in the same way.
#
# What happens here: as root, the EAL starts without hugepages, which it is not told of; then, with --no-huge, a port of
# an interface that is not there is probed. An empty folder stands where the kernel tells of hugepages.
#
# What follows: a negative result of a driver says that it failed, not why. Look for the cause: if_nametoindex(), the
# hugepages that are free.

. "$(dirname "$(readlink -f "$0")")/root.sh"

version=22.11.11-0+deb12u1
finding_root bookworm librte-ethdev23=$version librte-net-af-packet23=$version gcc libc6-dev

cat >"$root/tmp/probe.c" <<'END'
#include <stdio.h>
#include <string.h>

int rte_eal_init(int argc, char **argv);
int rte_dev_probe(const char *device);
extern __thread int per_lcore__rte_errno;

int main(int argc, char **argv)
{
	if (rte_eal_init(argc, argv) < 0) {
		printf("rte_eal_init: %s\n", strerror(per_lcore__rte_errno));
		return 0;
	}
	int rc = rte_dev_probe("net_af_packet0,iface=nosuch0");
	printf("rte_dev_probe: %d, %s\n", rc, strerror(-rc));
	return 0;
}
END

# inside: in a mount namespace of its own.
inside() {
	for dir in dev proc sys; do
		mount --rbind "/$dir" "$root/$dir"
	done
	mount -t tmpfs none "$root/sys/kernel/mm/hugepages"
	chroot "$root" /tmp/probe --no-pci --no-telemetry --in-memory
	chroot "$root" /tmp/probe --no-pci --no-telemetry --no-huge -m 64
}
export -f inside
export root
lib=/usr/lib/x86_64-linux-gnu
chroot "$root" gcc -o /tmp/probe /tmp/probe.c $lib/librte_eal.so.23
unshare --mount bash -c inside 2>/dev/null | finding_expect "rte_eal_init: Permission denied
rte_dev_probe: -1, Operation not permitted"
