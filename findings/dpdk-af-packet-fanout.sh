#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors
#
# DPDK 22.11 (Debian 12), net_af_packet: with one queue pair, too, the driver joins a packet fanout group, with
# defragmentation. So the kernel reassembles IPv4 datagrams before the program gets them: frames are larger than the
# interface's MTU, or lost where they do not fit a frame of the ring, and a test in which fragments arrive proves
# nothing for the same program on a NIC, where they stay fragments.
#
# What happens here: testpmd counts what it receives of one ping of 4,000 octets, which is three fragments on the wire.
#
# What follows: send fragments through a NIC's driver, or net_pcap, before saying that they are handled.

. "$(dirname "$(readlink -f "$0")")/root.sh"

finding_root bookworm dpdk-dev=22.11.11-0+deb12u1 librte-net-af-packet23=22.11.11-0+deb12u1 iproute2 iputils-ping

# inside: in namespaces of its own; "sent" is what the other end of the wire counts, "received" what testpmd does.
inside() {
	local testpmd="dpdk-testpmd -l 0,1 --no-huge -m 512 --no-pci --no-telemetry"
	for dir in dev proc; do
		mount --rbind "/$dir" "$root/$dir"
	done
	mount -t sysfs sysfs "$root/sys"
	chroot "$root" sh -ec 'ip link add near type veth peer name far
		echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6
		ip link set near up; ip link set far up; ip addr add 192.0.2.1/24 dev far
		ip neigh add 192.0.2.2 lladdr 02:00:00:00:00:02 dev far'
	{
		echo 'set fwd rxonly'
		echo start
		until [ "$(chroot "$root" cat /sys/class/net/near/flags)" = 0x1103 ]; do :; done # promiscuous: testpmd has it
		chroot "$root" ping -q -c 1 -W 1 -s 4000 192.0.2.2 >/dev/null
		printf '%s\n' 'show port stats 0' stop quit
	} | chroot "$root" $testpmd --vdev net_af_packet0,iface=near,framesz=8192,blocksz=8192 -- -i \
		--total-num-mbufs=8192 --mbuf-size=9000 2>&1 | sed -nE 's/^ *(RX-packets: [0-9]+).*(RX-bytes: *[0-9]+).*/received: \1 \2/p' | head -n 1
	echo "sent: $(chroot "$root" cat /sys/class/net/far/statistics/tx_packets) frames"
}
export -f inside
export root
unshare --net --mount bash -c inside | finding_expect "received: RX-packets: 1 RX-bytes:  4042
sent: 3 frames"
