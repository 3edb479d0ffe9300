# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""A host in a VLAN, made by hand, so that the tests need no VLAN devices of the kernel."""

import socket
import struct

SOL_PACKET, PACKET_AUXDATA = 263, 8
AUXDATA = struct.Struct("@IIIHHHH")  # struct tpacket_auxdata
TP_STATUS_VLAN_VALID = 0x10


class TaggedHost:
    """10.77.1.2 in one VLAN: answers ARP, sends and receives UDP from port 5000."""

    def __init__(self, lab, vlan):
        side = lab.sides["ran"]
        self.vlan = vlan
        self.mac = bytes.fromhex(side.mac.replace(":", ""))
        self.relay_mac = bytes.fromhex("027700000101")
        self.address, self.relay = socket.inet_aton(side.host4), socket.inet_aton(side.relay4)
        self.socket = lab.socket("ran", socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.socket.bind(("eth0", 3))
        self.socket.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)

    def close(self):
        self.socket.close()

    def send_frame(self, to, ethertype, body, vlan=None, tag_type=0x8100):
        vlan = self.vlan if vlan is None else vlan
        tag = struct.pack(">HH", tag_type, vlan) if vlan else b""
        self.socket.send(to + self.mac + tag + struct.pack(">H", ethertype) + body)

    def receive_frame(self):
        """The next frame from the relay: (VLAN or 0, ethertype, body). The kernel moves a tag to the side."""
        while True:
            frame, ancillary, _, _ = self.socket.recvmsg(4096, 128)
            if frame[6:12] == self.mac:
                continue
            vlan = 0
            for level, kind, data in ancillary:
                if (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
                    fields = AUXDATA.unpack(data[:AUXDATA.size])
                    if fields[0] & TP_STATUS_VLAN_VALID:
                        vlan = fields[5] & 0xfff
            return vlan, struct.unpack_from(">H", frame, 12)[0], frame[14:]

    def send(self, port, packet, **tag):
        udp = struct.pack(">HHHH", 5000, port, 8 + len(packet), 0) + packet
        header = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(udp), 1, 0x4000, 64, 17, 0) + self.address + self.relay
        total = sum(struct.unpack(">10H", header))
        total = (total & 0xffff) + (total >> 16)
        total = (total & 0xffff) + (total >> 16)
        header = header[:10] + struct.pack(">H", ~total & 0xffff) + header[12:]
        self.send_frame(self.relay_mac, 0x0800, header + udp, **tag)

    def receive(self):
        """The next UDP payload; answers ARP until it comes. Every frame must carry the tag."""
        while True:
            vlan, ethertype, body = self.receive_frame()
            assert vlan == self.vlan, f"a frame with VLAN {vlan}"
            if ethertype == 0x0806 and body[6:8] == b"\0\1" and body[24:28] == self.address:
                self.send_frame(body[8:14], 0x0806, struct.pack(">HHBBH", 1, 0x0800, 6, 4, 2)
                                + self.mac + self.address + body[8:18])
            if ethertype == 0x0800 and body[9] == 17:
                length = struct.unpack_from(">H", body, 24)[0]
                return body[28:20 + length]
