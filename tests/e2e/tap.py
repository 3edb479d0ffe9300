# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""Frames of a namespace, seen and sent on its device."""

import socket
import struct

SO_RCVBUFFORCE = 33  # Python does not name it
SOL_PACKET, PACKET_STATISTICS = 263, 6
ALL = 0x0003  # ETH_P_ALL
IPV4, IPV6, UDP = 0x0800, 0x86dd, 17


def mac_octets(text):
    return bytes.fromhex(text.replace(":", ""))


def checksum(octets):
    """RFC 1071."""
    octets += bytes(len(octets) % 2)
    total = sum(struct.unpack(f">{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def ipv4_header(source, destination, length, protocol=UDP):
    header = struct.pack(">BBHHHBBH", 0x45, 0, 20 + length, 1, 0x4000, 64, protocol, 0)
    header += socket.inet_aton(source) + socket.inet_aton(destination)
    return header[:10] + struct.pack(">H", checksum(header)) + header[12:]


def udp_header(source, destination, length):
    return struct.pack(">HHHH", source, destination, 8 + length, 0)


def ipv6_packet(source, to, protocol, payload, checksum_at, hops=64):
    """An IPv6 packet with the checksum at that place of its payload made right (RFC 8200 8.1)."""
    ends = b"".join(socket.inet_pton(socket.AF_INET6, host) for host in (source, to))
    total = checksum(ends + struct.pack(">II", len(payload), protocol) + payload) or 0xffff
    payload = payload[:checksum_at] + struct.pack(">H", total) + payload[checksum_at + 2:]
    return struct.pack(">IHBB", 6 << 28, len(payload), protocol, hops) + ends + payload


def icmp_error(source, to, kind, code, rest, quote):
    """(EtherType, packet) of an ICMP error of either family; rest is what stands in front of the quote, 4 octets."""
    if ":" in source:
        return IPV6, ipv6_packet(source, to, 58, struct.pack(">BBHI", kind, code, 0, rest) + quote, 2)
    message = struct.pack(">BBHI", kind, code, 0, rest) + quote
    message = message[:2] + struct.pack(">H", checksum(message)) + message[4:]
    return IPV4, ipv4_header(source, to, len(message), 1) + message


def fragmentation_needed(source, to, mtu, packet):
    """That of a router whose next link takes no such packet, of IPv6 Packet Too Big."""
    if ":" in source:
        return icmp_error(source, to, 2, 0, mtu, packet[:1232])
    return icmp_error(source, to, 3, 4, mtu, packet[:548])


class Tap:
    def __init__(self, lab, side):
        self.side = lab.sides[side]
        self.relay_mac = bytes.fromhex(f"02770000{self.side.number:02x}01")
        self.mac = mac_octets(self.side.mac)
        self.socket = lab.socket(side, socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL))
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 32 << 20)
        self.socket.bind(("eth0", ALL))

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        self.socket.close()

    def send(self, ethertype, body):
        """A frame to the relay."""
        self.socket.send(self.relay_mac + self.mac + struct.pack(">H", ethertype) + body)

    def payloads(self, port):
        """UDP payloads over IPv4 that the relay sends from this port of its own, without end."""
        while True:
            frame = self.socket.recv(1 << 16)
            if frame[6:12] != self.relay_mac or frame[12:14] != b"\x08\0" or frame[23] != UDP:
                continue
            head = 14 + 4 * (frame[14] & 15)
            end = 14 + struct.unpack_from(">H", frame, 16)[0]
            if struct.unpack_from(">H", frame, head)[0] == port:
                yield frame[head + 8:end]

    def lost(self):
        """Frames that came while there was no room, since the last question."""
        return struct.unpack("II", self.socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))[1]
