#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors
#
# DPDK 22.11 (Debian 12), net_af_packet: the link of a started port is "up", whatever the kernel interface is. With the
# peer of a veth pair down the kernel says "lowerlayerdown", testpmd says up: a monitor that trusts rte_eth_link_get()
# never sees a cable pulled. Nor has the driver an operation to receive all multicast: rte_eth_allmulticast_enable()
# fails with ENOTSUP, and a program that ignores its result never learns that groups may be filtered away.
#
# What happens here: a namespace with a veth pair, one end a port of testpmd, the other end down.
#
# What follows: read the interface's operstate from the kernel; check the result of every rte_eth_* call.

. "$(dirname "$(readlink -f "$0")")/root.sh"

finding_root bookworm dpdk-dev=22.11.11-0+deb12u1 librte-net-af-packet23=22.11.11-0+deb12u1 iproute2

# inside: in namespaces of its own, prints what the kernel and what testpmd say of the interface.
inside() {
	local testpmd="dpdk-testpmd -l 0,1 --no-huge -m 512 --no-pci --no-telemetry --vdev net_af_packet0,iface=near"
	for dir in dev proc; do
		mount --rbind "/$dir" "$root/$dir"
	done
	mount -t sysfs sysfs "$root/sys"
	chroot "$root" sh -c 'ip link add near type veth peer name far && ip link set near up &&
		echo "operstate: $(cat /sys/class/net/near/operstate)"'
	printf '%s\n' 'set allmulti 0 on' 'show port info 0' quit |
		chroot "$root" $testpmd -- -i --total-num-mbufs=8192 2>&1 |
		grep -oE '^Error during enabling .*|^Link status: .*|^Allmulticast mode: .*'
}
export -f inside
export root
unshare --net --mount bash -c inside | finding_expect "operstate: lowerlayerdown
Error during enabling all-multicast mode for port 0: Operation not supported
Link status: up
Allmulticast mode: disabled"
