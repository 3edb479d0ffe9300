#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors
#
# DPDK 24.11 (Debian 13), net_af_packet: the kernel takes the outer VLAN tag out of a frame, and tells its TPID with it.
# The driver puts the tag back into the frame with the TPID 0x8100, whatever it was. So a frame of a provider's VLAN
# (802.1ad, 0x88a8) reaches the program as one of the customer's VLAN (802.1Q) of that number, which is another network.
#
# What happens here: a frame of 60 octets with the tag 5 of 802.1ad goes through a veth to testpmd, which writes what it
# receives to a file.
#
# What follows: a program that tells the two kinds of VLAN apart cannot do so on this driver; number the VLANs of both
# kinds apart, or take 802.1ad tags off in the kernel and open the VLAN's interface.

. "$(dirname "$(readlink -f "$0")")/root.sh"

finding_root trixie dpdk-dev=24.11.8-0+deb13u1 librte-net-af-packet25=24.11.8-0+deb13u1 \
	librte-net-pcap25=24.11.8-0+deb13u1 iproute2 python3-minimal tcpdump

# inside: in namespaces of its own.
inside() {
	local testpmd="dpdk-testpmd -l 0,1 --no-huge -m 512 --no-pci --no-telemetry"
	for dir in dev proc; do
		mount --rbind "/$dir" "$root/$dir"
	done
	mount -t sysfs sysfs "$root/sys"
	chroot "$root" sh -ec 'ip link add near type veth peer name far
		echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6
		ip link set near up; ip link set far up'
	{
		echo start
		until [ "$(chroot "$root" cat /sys/class/net/near/flags)" = 0x1103 ]; do :; done # promiscuous: testpmd has it
		chroot "$root" python3 -c 'import socket
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
wire.bind(("far", 0))
wire.send(bytes.fromhex("020000000002 020000000001 88a8 0005 88b5") + bytes(42))'
		until [ "$(stat -c %s "$root/got.pcap")" -gt 24 ]; do :; done
		printf '%s\n' stop quit
	} | chroot "$root" $testpmd --vdev net_af_packet0,iface=near --vdev net_pcap0,tx_pcap=/got.pcap \
		-- -i --total-num-mbufs=8192 >"$root/testpmd.log" 2>&1 || true
	chroot "$root" tcpdump -ner /got.pcap ether src 02:00:00:00:00:01 2>"$root/tcpdump.log" |
		sed -nE 's/.*ethertype (802[^ ]*) .*vlan ([0-9]*).*/received: \1, vlan \2/p'
}
export -f inside
export root
unshare --net --mount bash -c inside | finding_expect "received: 802.1Q, vlan 5"
