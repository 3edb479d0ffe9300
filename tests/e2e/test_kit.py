# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""The test kit against itself and against libsrtp2 and GStreamer, without the relay."""

import os
import pathlib
import socket
import struct
import subprocess
import threading

import pytest

import gstreamer
import lab as lab_module
import libsrtp
import mcx
from vlan import TaggedHost

USER = "sip:alice@mcptt.example.org"


def test_libsrtp_reads_ours_and_we_read_libsrtp(new_key):
    for suite in mcx.KEY_LEN:
        for mki_length in (4, 8):
            gmk = new_key("gmk", suite=suite, mki_length=mki_length)
            context = gmk.group(USER)
            ours = mcx.SrtpSender(context, 0xcafe, seq=65530, roc=3)
            receiver = mcx.SrtpReceiver(context, roc=3)  # AES-CM does not carry it
            with libsrtp.group_peer(gmk, USER, 0xcafe, roc=3) as theirs:
                for n in range(12):
                    packet = ours.protect(b"%d" % n, csrc=[7], extension=(0xbede, b"\x10\1\0\0"))
                    assert theirs.unprotect(packet) == ours.last_plain
                    assert receiver.unprotect(theirs.protect(ours.last_plain)).packet == ours.last_plain


def test_libsrtp_srtcp(new_key):
    for suite in mcx.KEY_LEN:
        csk = new_key("csk", suite=suite)
        ours, receiver = mcx.SrtcpSender(csk.control()), mcx.SrtcpReceiver(csk.control())
        with libsrtp.control_peer(csk, 0xcafe) as theirs:
            for n in range(4):
                plain = mcx.sr(0xcafe, packets=n) + mcx.sdes(0xcafe, "alice") + mcx.floor_request(0xcafe, USER)
                assert theirs.unprotect_rtcp(ours.protect(plain)) == plain
                assert receiver.unprotect(theirs.protect_rtcp(plain)) == plain


def test_libsrtp_names_its_errors(new_key):
    gmk = new_key("gmk")
    ours = mcx.SrtpSender(gmk.group(USER), 0xcafe)
    with libsrtp.group_peer(gmk, USER, 0xcafe) as theirs:
        packet = ours.protect(b"x")
        with pytest.raises(libsrtp.LibsrtpError, match="auth_fail"):
            theirs.unprotect(mcx.flipped(packet, 13))
        theirs.unprotect(packet)
        with pytest.raises(libsrtp.LibsrtpError, match="replay_fail"):
            theirs.unprotect(packet)


def bridged(lab):
    """Joins the relay's two ports by the kernel: what a relay that forwards everything would look like."""
    lab.ip("relay", "link", "add", "br0", "type", "bridge")
    for side in lab.sides:
        lab.ip("relay", "link", "set", f"veth-{side}", "master", "br0")
    lab.ip("relay", "link", "set", "br0", "up")
    lab.ip("ran", "addr", "add", "10.77.9.1/24", "dev", "eth0")
    lab.ip("core", "addr", "add", "10.77.9.2/24", "dev", "eth0")


@pytest.fixture
def bridged_lab():
    with lab_module.Lab() as lab:
        bridged(lab)
        yield lab


def test_client_to_client_through_namespaces(bridged_lab, new_key):
    context = new_key("gmk").group(USER)
    sender, receiver = mcx.SrtpSender(context, 1), mcx.SrtpReceiver(context)
    with lab_module.Client(bridged_lab, "core", host="10.77.9.2", relay_host="10.77.9.1", relay_port=1) as core:
        with lab_module.Client(bridged_lab, "ran", host="10.77.9.1", relay_host="10.77.9.2",
                               relay_port=core.port) as ran:
            core.relay_port = ran.port
            ran.send(sender.protect(b"hello"))
            assert receiver.unprotect(core.recv()).payload == b"hello"
            assert core.drain() == []


def test_relay_namespace_is_silent():
    """The kernel answers nothing for the relay: no ARP, no Neighbour Advertisement, no multicast of its own."""
    with lab_module.Lab() as lab:
        side = lab.sides["ran"]
        assert "inet" not in lab.ip("relay", "addr", "show", "dev", "veth-ran")  # nor a link-local one
        tap = lab.socket("ran", socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        tap.bind(("eth0", 3))
        for family in (4, 6):
            with lab_module.Client(lab, "ran", family) as client:
                client.send(b"anyone?")
        marker = bytes.fromhex("ffffffffffff 027700000199 88b5".replace(" ", "")) + bytes(46)
        injector = lab.socket("relay", socket.AF_PACKET, socket.SOCK_RAW)
        injector.bind(("veth-ran", 0))
        injector.send(marker)
        own = bytes.fromhex(side.mac.replace(":", ""))
        heard = []
        while marker not in heard:
            heard.append(tap.recv(2048))
        assert [frame for frame in heard if frame[6:12] != own] == [marker]
        assert len(heard) > 1, "the host itself asked nothing"
        tap.close()
        injector.close()


def test_tagged_host():
    """Sees tags, sends tags, answers ARP."""
    with lab_module.Lab(vlan=77) as lab:
        host = TaggedHost(lab, 77)
        peer = lab.socket("relay", socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        peer.bind(("veth-ran", 3))
        host.send(1234, mcx.rtp(1, 1, b"tagged"))
        frame, ancillary, _, _ = peer.recvmsg(2048, 0)
        assert frame.endswith(b"tagged")
        ask = struct.pack(">HHBBH", 1, 0x0800, 6, 4, 1) + host.relay_mac + host.relay + bytes(6) + host.address
        head = host.mac + host.relay_mac + b"\x81\0\0\x4d"
        peer.send(head + b"\x08\x06" + ask)
        udp = struct.pack(">HHHH", 1234, 5000, 8 + 4, 0) + b"data"
        ip = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0) + host.relay + host.address
        peer.send(head + b"\x08\x00" + ip + udp + bytes(14))
        assert host.receive() == b"data"
        while (frame := peer.recv(2048))[-22:-20] != b"\0\2":
            pass
        assert frame[-20:] == host.mac + host.address + host.relay_mac + host.relay
        host.close()
        peer.close()


def test_leftovers_are_removed():
    process = subprocess.run(["/usr/bin/python3", "-c",
                              "import lab, os, atexit; made = lab.Lab(); print(made.prefix, flush=True); os._exit(0)"],
                             cwd=pathlib.Path(__file__).parent, capture_output=True, text=True, check=True,
                             env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"})
    prefix = process.stdout.strip()
    assert prefix in lab_module.run("ip", "netns", "list")
    lab_module.remove_leftovers()
    assert prefix not in lab_module.run("ip", "netns", "list")


def test_sockets_of_other_threads_stay_where_they_are():
    with lab_module.Lab() as lab:
        stop, wrong = threading.Event(), []

        def watch():
            while not stop.is_set():
                made = lab.socket("core", socket.AF_INET, socket.SOCK_DGRAM)
                try:
                    made.bind(("10.77.2.2", 0))
                except OSError as error:
                    wrong.append(error)
                made.close()

        thread = threading.Thread(target=watch)
        thread.start()
        for _ in range(50):
            made = lab.socket("ran", socket.AF_INET, socket.SOCK_DGRAM)
            made.bind(("10.77.1.2", 0))
            made.close()
        stop.set()
        thread.join()
        assert not wrong


def test_gstreamer_to_client(bridged_lab, new_key):
    """srtpenc speaks; its packets must open under the key it was given."""
    gmk = new_key("gmk", roc_rate=0)
    with lab_module.Client(bridged_lab, "core", host="10.77.9.2", relay_host="10.77.9.1", relay_port=5004) as core:
        pipeline = gstreamer.sender(gmk, USER, "10.77.9.2", core.port, 5004, 4660, 65534, 5)
        bridged_lab.execute("ran", "gst-launch-1.0", "-q", *pipeline.split())
        receiver = mcx.SrtpReceiver(gmk.group(USER))
        indices = [receiver.unprotect(core.recv()).index for _ in range(5)]
        assert indices == list(range(65534, 65539))
