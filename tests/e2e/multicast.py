# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""Hosts that speak to and listen to multicast groups, and IGMP and MLD as tshark reads them."""

import collections
import socket
import subprocess
import threading

from lab import Client, address_text, in_namespace, wait_for

FIELDS = ("frame.interface_name", "eth.src", "eth.dst", "ip.src", "ip.dst", "ip.ttl", "ip.dsfield", "ip.opt.ra",
          "ip.checksum.status", "igmp.type", "igmp.record_type", "igmp.maddr", "igmp.checksum.status", "ipv6.src",
          "ipv6.dst", "ipv6.hlim", "ipv6.opt.router_alert", "icmpv6.type", "icmpv6.mldr.mar.record_type",
          "icmpv6.mldr.mar.multicast_address", "icmpv6.checksum.status")
IS_EXCLUDE, TO_INCLUDE, TO_EXCLUDE = 2, 3, 4
GROUPS = {4: "239.77.1.1", 6: "ff15::77:1"}


class GroupSender:
    """A host that speaks to a group. Its port is any."""

    def __init__(self, lab, group, port, side="ran"):
        self.to = (group, port)
        family = socket.AF_INET6 if ":" in group else socket.AF_INET
        self.socket = lab.socket(side, family, socket.SOCK_DGRAM)
        device = in_namespace(lab.namespace(side), lambda: socket.if_nametoindex("eth0"))
        if family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, device)
            self.socket.bind((lab.sides[side].host6, 0))
        else:
            self.socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(lab.sides[side].host4))
            self.socket.bind((lab.sides[side].host4, 0))

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.socket.close()

    def send(self, packet):
        self.socket.sendto(packet, self.to)


def group_leg(lab, name, group, port, mode="opaque", key=None, side="ran", **more):
    """A leg that receives from a group."""
    with Client(lab, side, 6 if ":" in group else 4) as placeholder:
        return placeholder.leg(name, mode, key, **({"remote": address_text(group, port)} | more))


Report = collections.namedtuple("Report", "source to hops records row")


class Decoder:
    """tshark on a device of a namespace, while it runs. Only what the relay sends of IGMP and MLD counts."""

    def __init__(self, lab, side="ran", device="eth0"):
        self.relay_mac = f"02:77:00:00:{lab.sides[side].number:02x}:01"
        self.rows, self.errors = [], []
        self._started = threading.Event()
        fields = [option for field in FIELDS for option in ("-e", field)]
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", lab.namespace(side), "tshark", "-i", device, "-f", "igmp or ip6", "-l", "-n",
             "--log-level=info",  # of which "Capture started" is since tshark 4.4
             "-o", "ip.check_checksum:TRUE", "-T", "fields", *fields],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self._readers = [threading.Thread(target=read, daemon=True) for read in (self._read_rows, self._read_errors)]
        for reader in self._readers:
            reader.start()

    def __enter__(self):
        wait_for(lambda: any("Capture started" in line for line in self.errors), bool, "tshark")
        return self

    def __exit__(self, *exc):
        self.process.terminate()
        self.process.wait()
        for reader in self._readers:
            reader.join()
        self.process.stdout.close()
        self.process.stderr.close()

    def _read_rows(self):
        for line in self.process.stdout:
            row = dict(zip(FIELDS, line.rstrip("\n").split("\t")))
            if row["eth.src"] == self.relay_mac:
                self.rows.append(row)

    def _read_errors(self):
        for line in self.process.stderr:
            self.errors.append(line)

    def reports(self, family):
        """IGMPv3 or MLDv2 reports so far."""
        found = []
        for row in self.rows:
            if family == 4 and row["igmp.type"] == "0x22":
                kinds, groups = row["igmp.record_type"], row["igmp.maddr"]
                found.append(Report(row["ip.src"], row["ip.dst"], row["ip.ttl"], list(zip(kinds.split(","),
                                                                                      groups.split(","))), row))
            elif family == 6 and row["icmpv6.type"] == "143":
                kinds, groups = (row[f"icmpv6.mldr.mar.{name}"] for name in ("record_type", "multicast_address"))
                found.append(Report(row["ipv6.src"], row["ipv6.dst"], row["ipv6.hlim"],
                                    list(zip(kinds.split(","), groups.split(","))), row))
        return found

    def records(self, family, kind, group):
        """How often a group was reported in that way."""
        return sum((str(kind), group) in report.records for report in self.reports(family))

    def wait(self, family, kind, group, times=1):
        wait_for(lambda: self.records(family, kind, group), lambda n: n >= times,
                 f"record {kind} of {group}, {times} times")
