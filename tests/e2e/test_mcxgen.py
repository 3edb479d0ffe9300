# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""mcxgen, the load generator: against a relay over net_memif, on veth, and as a maker of captures."""

import collections
import contextlib
import json
import pathlib
import re
import socket
import struct
import subprocess

import pytest

import lab as lab_module
import test_programs
from lab import wait_for

PROGRAM = lab_module.build_directory() / "mcxgen"
REPLAY_LIST = 1024  # packets that the relay remembers of a stream
pytestmark = pytest.mark.skipif(not PROGRAM.exists(), reason="mcxgen is not built: no libsrtp2")


class MemifRelay(lab_module.Relay):
    """Its ports are shared memory, which mcxgen has the other end of."""

    RINGS = ""

    def config_text(self):
        text = super().config_text()
        for n, side in enumerate(self.lab.sides):
            old = f"net_af_packet{n},iface=veth-{side}"
            assert text.count(old) == 1
            text = text.replace(old, self.device(n, side, "server"))
        return text

    def device(self, n, side, role):
        return f"net_memif{n},role={role},id={n},socket={self.directory}/{side},socket-abstract=no"


class VhostRelay(MemifRelay):
    def device(self, n, side, role):
        name = "net_vhost{},iface=" if role == "server" else "net_virtio_user{},path="
        return f"{name.format(n)}{self.directory}/{side}"


def af_xdp_device(interface):
    """As config/af_xdp.conf has it."""
    return re.search(r'"(net_af_xdp0,[^"]*)"', (lab_module.ROOT / "config" / "af_xdp.conf").read_text())[1].replace(
        "eth1", interface)


@contextlib.contextmanager
def generate(relay, *options, meanwhile=lambda: None):
    """The result of a run, during which meanwhile is called. mcxgen keeps its ports until the relay has ended."""
    ports = [f"--{way}={side}={relay.device(n, side, 'client')}"
             for n, (way, side) in enumerate(zip(("in", "out"), relay.lab.sides))]
    process = subprocess.Popen([PROGRAM, "--control", relay.socket_path, "--keep", "--stay", *ports, *options],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        meanwhile()
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line == "}\n":
                break
        assert lines, process.stderr.read()
        yield json.loads("".join(lines))
        relay.stop()
        _, errors = process.communicate(timeout=lab_module.PATIENCE)
        assert process.returncode == 0, errors
        assert not any(mark in errors for mark in lab_module.SANITIZER_MARKS), errors
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def relay_to_be_ended(kind, lab):
    """By the test."""
    relay = kind(lab, anchored=False)
    try:
        yield relay
    finally:
        if relay.process is not None:
            relay.kill9()


@pytest.fixture
def memif_relay(lab):
    with relay_to_be_ended(MemifRelay, lab) as relay:
        yield relay


def leg_counts(relay, groups):
    """Packets taken from the legs that speak, packets sent to those that hear, drops."""
    received = sent = 0
    drops = collections.Counter()
    for group in range(groups):
        session = relay.call("session.get", {"id": f"mcxgen-{group}"})
        for leg in session["legs"]:
            received += leg["statistics"]["receive"]["packets"]
            sent += leg["statistics"]["send"]["packets"]
            drops.update(leg["statistics"]["receive"]["drops"])
            drops.update(leg["statistics"]["send"]["drops"])
    return received, sent, +drops


def leg_packets(relay, leg, way):
    """Packets of a leg of the first session so far; 0 before there is one."""
    with contextlib.suppress(lab_module.RpcError):
        [found] = [one for one in relay.call("session.get", {"id": "mcxgen-0"})["legs"] if one["id"] == leg]
        return found["statistics"][way]["packets"]
    return 0


def wait_for_media(relay, packets):
    return wait_for(lambda: leg_packets(relay, "in", "receive"), lambda n: n >= packets, f"{packets} packets")


def check_latency(result):
    """Quantiles in their order, and a histogram of all that arrived that agrees with them."""
    latency = result["latency_ns"]
    assert 0 < latency["min"] <= latency["p50"] <= latency["p99"] <= latency["p99.9"] <= latency["max"]
    ends = [int(end) for end in result["latency_histogram"]]
    assert ends == sorted(ends) and latency["min"] <= ends[0] and latency["max"] <= ends[-1]
    assert sum(result["latency_histogram"].values()) == result["received"]
    within = sum(n for end, n in result["latency_histogram"].items() if int(end) <= latency["p50"])
    assert within >= result["received"] // 2 or latency["p50"] == latency["max"]


CALLS = {
    "group": ("--from", "gmk", "--to", "gmk", "--streams", "6", "--groups", "2", "--receivers", "3"),
    "forwarded": ("--from", "gmk", "--to", "same", "--streams", "4"),
    "private": ("--from", "pck", "--to", "pck", "--streams", "4", "--groups", "4"),
    "to-plain": ("--from", "gmk", "--to", "plain", "--streams", "4"),
    "from-plain": ("--from", "plain", "--to", "gmk", "--streams", "4"),
    "opaque": ("--from", "opaque", "--to", "opaque", "--streams", "4"),
    "aes-cm": ("--from", "pck", "--to", "same", "--suite", "aes-cm-128-hmac-sha1-80", "--streams", "4"),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_nothing_is_lost(memif_relay, call):
    """What mcxgen says agrees with what the relay says."""
    with generate(memif_relay, *call, "--rate", "2000", "--seconds", "1", "--size", "40:2,160:4,1200:1") as result:
        receivers, groups = result["receivers"], result["groups"]
        assert result["sent"] > 0 and result["expected"] == result["sent"] * receivers
        assert result["received"] == result["expected"]
        for member in ("lost", "lost_by_seq", "reordered", "duplicates", "auth_failed", "unknown"):
            assert result[member] == 0, result
        check_latency(result)
        assert result["relay"]["drops"] == {}
        speaking = result["warmed_up"] + result["sent"]
        received, sent, drops = leg_counts(memif_relay, groups)
        unresolved = drops.pop("next_hop_unresolved", 0)  # before measuring began: relay.stats said so
        assert (received, sent + unresolved, drops) == (speaking, speaking * receivers, {})


def test_over_virtio_user(lab):
    with relay_to_be_ended(VhostRelay, lab) as relay, \
            generate(relay, *CALLS["group"], "--rate", "1000", "--seconds", "1") as result:
        # Its ring is short: who is not on a CPU for a while finds it full.
        assert result["lost"] == result["expected"] - result["received"] == result["relay"]["drops"].get("tx_full", 0)
        assert result["received"] > 0 and result["auth_failed"] == result["unknown"] == 0
        check_latency(result)


@pytest.mark.parametrize("device", ["net_af_packet0,iface=eth0,framecnt=4096", af_xdp_device("eth0")])
def test_over_a_kernel_interface(device, tmp_path, monkeypatch):
    """On a veth, under an address that the kernel at mcxgen's end does not have; out where it goes in."""
    if device.startswith("net_af_xdp"):
        test_programs.need_af_xdp()
        test_programs.suppress_libxdps_leak(tmp_path, monkeypatch)
    with lab_module.Lab() as lab, lab_module.Relay(lab, anchored=False) as relay:
        ran = lab.sides["ran"]
        result = json.loads(lab.execute(
            "ran", str(PROGRAM), "--control", relay.socket_path, "--in", f"ran={device}",
            "--in-address", ran.host4.rsplit(".", 1)[0] + ".77", "--in-relay", ran.relay4,
            "--streams", "4", "--rate", "500", "--seconds", "1"))
        assert relay.call("session.list")["sessions"] == relay.call("key.list", {})["keys"] == []
    assert result["sent"] > 400 and result["received"] == result["expected"] == result["sent"]
    for member in ("lost", "lost_by_seq", "duplicates", "auth_failed", "unknown"):
        assert result[member] == 0, result
    check_latency(result)


def test_loss_is_seen(memif_relay):
    """A leg that may not hear for a while misses as many packets as the relay did not send, and as many SEQs."""
    def mute_for_a_while():
        wait_for_media(memif_relay, 1000)
        session = memif_relay.call("session.get", {"id": "mcxgen-0"})
        [leg] = [one for one in session["legs"] if one["id"] == "out0"]
        del leg["statistics"]
        memif_relay.call("leg.apply", {"session": "mcxgen-0", "legs": [leg | {"send": False}]})
        wait_for_media(memif_relay, leg_packets(memif_relay, "in", "receive") + 500)
        memif_relay.call("leg.apply", {"session": "mcxgen-0", "legs": [leg]})
        heard = leg_packets(memif_relay, "out0", "send")
        wait_for(lambda: leg_packets(memif_relay, "out0", "send"), lambda n: n > heard, "media")

    with generate(memif_relay, "--streams", "3", "--rate", "5000", "--seconds", "3",
                  meanwhile=mute_for_a_while) as result:
        received, sent, drops = leg_counts(memif_relay, 1)
        assert result["lost"] >= 400 and result["lost"] == received - sent - drops["next_hop_unresolved"], drops
        assert result["lost_by_seq"] == result["lost"]
        assert result["auth_failed"] == result["unknown"] == 0


def test_failed_authentication_is_seen(memif_relay):
    """The relay protects with another key than the receivers have."""
    def replace_key():
        wait_for_media(memif_relay, 1000)
        [key] = [key for key in memif_relay.call("key.list", {})["keys"] if key["id"] == "10b00000"]
        other = {"id": key["id"], "domain": key["domain"], "value": "5c" * 16, "rand": "a3" * 16}
        assert memif_relay.call("key.install", {"keys": [other], "replace": True})["installed"] == 1
        wait_for_media(memif_relay, leg_packets(memif_relay, "in", "receive") + 500)

    with generate(memif_relay, "--to", "pck", "--streams", "3", "--rate", "5000", "--seconds", "2",
                  meanwhile=replace_key) as result:
        assert result["auth_failed"] >= 400
        assert result["lost"] == result["auth_failed"] + sum(result["relay"]["drops"].values())


def test_a_wrong_command_is_explained():
    for arguments, says in ((["--from", "csk"], '"csk" is not accepted; accepted: gmk, pck, plain, opaque'),
                            (["--in", "ran"], '"ran" is not accepted; accepted: PORT=DEVICE'),
                            (["--in", "ran=x", "--size", "23"], '"23" is not accepted; accepted: octets'),
                            (["--in", "ran=x", "--streams", "1.5"], '"1.5" is not accepted; accepted: a whole'),
                            (["--in", "ran=x", "--rate", "0%"], '"0%" is not accepted; accepted: more than 0%'),
                            (["--in", "ran=x", "--from", "plain", "--to", "opaque"], "accepted: opaque on both sides"),
                            ([], "accepted: --in PORT=DEVICE")):
        done = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True)
        assert done.returncode == 1 and done.stdout == "" and says in done.stderr, (arguments, done)


# Captures

def make_capture(directory, packets, *options):
    """Path of a capture, and the params that set the relay up for it."""
    pcap, prefix = directory / "media.pcap", directory / "setup"
    subprocess.run([PROGRAM, "--in", "ran=unused", "--out", "core=unused", "--pcap", pcap, "--packets", str(packets),
                    "--write", prefix, *options], check=True)
    return pcap, prefix


def frames_of(pcap):
    """The frames of a capture with times in nanoseconds."""
    octets = pathlib.Path(pcap).read_bytes()
    magic, major, minor, _, _, _, link_type = struct.unpack_from("<IHHiIII", octets)
    assert (magic, major, minor, link_type) == (0xa1b23c4d, 2, 4, 1)
    at, frames = 24, []
    while at < len(octets):
        _, _, captured, length = struct.unpack_from("<IIII", octets, at)
        assert captured == length
        frames.append(octets[at + 16:at + 16 + captured])
        at += 16 + captured
    assert at == len(octets)
    return frames


def test_tshark_reads_a_capture(tmp_path):
    users, packets = 3, 3 * (REPLAY_LIST + 400)
    pcap, _ = make_capture(tmp_path, packets, "--streams", str(users), "--rate", "1000", "--seed", "1")
    fields = [f"-e{name}" for name in ("frame.time_epoch", "rtp.ssrc", "rtp.seq", "ip.checksum.status")]
    output = lab_module.run("tshark", "-r", str(pcap), "-o", "ip.check_checksum:TRUE", "-d", "udp.port==20001,rtp",
                            "-Tfields", *fields)
    streams = collections.defaultdict(list)
    times = []
    for line in output.splitlines():
        time, ssrc, seq, checksum = line.split("\t")
        times.append(float(time))
        streams[ssrc].append(int(seq))
        assert checksum in ("1", "Good"), line
    assert len(times) == packets and times == sorted(times) and times[-1] == pytest.approx((packets - 1) / 1000)
    assert len(streams) == users
    for seqs in streams.values():
        assert len(seqs) > REPLAY_LIST and seqs == list(range(len(seqs)))


def test_the_relay_takes_all_of_a_capture(relay, lab, tmp_path):
    """More packets of each user than the replay list has. The same once more is all dropped."""
    users, packets = 2, 2 * (REPLAY_LIST + 200)
    ran, core = lab.sides["ran"], lab.sides["core"]
    [mac] = [link["address"] for link in json.loads(lab.ip("relay", "-j", "link", "show", "veth-ran"))]
    pcap, prefix = make_capture(tmp_path, packets, "--streams", str(users), "--in-mac", mac,
                                "--in-address", ran.host4, "--in-relay", ran.relay4,
                                "--out-address", core.host4, "--out-relay", core.relay4)
    for method in ("key.install", "session.apply"):
        relay.call(method, json.loads(pathlib.Path(f"{prefix}-{method}-0.json").read_text()))
    frames = frames_of(pcap)
    assert len(frames) == packets
    with lab.socket("core", socket.AF_INET, socket.SOCK_DGRAM) as receiver, \
            lab.socket("ran", socket.AF_PACKET, socket.SOCK_RAW) as sender:
        receiver.bind((core.host4, 6000))
        sender.bind(("eth0", 0))
        before = relay.drops()
        for frame in frames:
            sender.send(frame)
            receiver.recv(2048)
        assert leg_counts(relay, 1) == (packets, packets, {})
        assert relay.refused_since(before) == {}
        for frame in frames[:64]:
            sender.send(frame)
        wait_for(lambda: sum(relay.refused_since(before).values()), lambda n: n == 64, "64 drops")
        assert leg_counts(relay, 1)[:2] == (packets, packets)
