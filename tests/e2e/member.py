# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""A host that is a member of a multicast group."""

import socket

from lab import address_text, in_namespace


class Member:
    """A socket of this side's host that takes what is sent to the group and port."""

    def __init__(self, lab, side, group, port):
        self.address = address_text(group, port)
        family = socket.AF_INET6 if ":" in group else socket.AF_INET
        self.socket = lab.socket(side, family, socket.SOCK_DGRAM)
        self.socket.bind((group, port))
        packed = socket.inet_pton(family, group)
        if family == socket.AF_INET:
            host = socket.inet_aton(lab.sides[side].host4)
            self.socket.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, packed + host)
            return
        index = in_namespace(lab.namespace(side), lambda: socket.if_nametoindex("eth0"))
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, packed + index.to_bytes(4, "little"))

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.socket.close()

    def recv(self):
        return self.socket.recv(1 << 16)
