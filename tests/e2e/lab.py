# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""Network namespaces, the relay under test and the radios around it.

    namespace ran            namespace relay              namespace core
    eth0 10.77.1.2  ─────── veth-ran      veth-core ─────── eth0 10.77.2.2
         fd77:1::2          (no addresses: DPDK owns them)       fd77:2::2

The kernel says nothing in the relay's namespace, so every frame there is the relay's.
"""

import atexit
import collections
import contextlib
import ctypes
import itertools
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

import schema

CLONE_NEWNET = 0x40000000
SO_RCVBUFFORCE = 33  # Python names neither
START_SECONDS = 20
STOP_SECONDS = 20
PATIENCE = 20.0  # seconds that anything expected may take; nothing waits this long unless it fails
ROOT = pathlib.Path(__file__).resolve().parents[2]
CIPHER = os.environ.get("MCXRELAY_CIPHER", "auto")
IDLE_SLEEP_US = int(os.environ.get("MCXRELAY_IDLE_SLEEP_US", "0"))
SANITIZER_MARKS = ("AddressSanitizer", "LeakSanitizer", "UndefinedBehaviorSanitizer", "ThreadSanitizer",
                   "runtime error:")

STRAY = ("ethertype", "ip_protocol", "not_local")  # reasons of frames that are not for the relay

_libc = ctypes.CDLL(None, use_errno=True)
_serial = itertools.count()


def build_directory():
    return ROOT / os.environ.get("MCXRELAY_BUILD", "build")


def sanitized():
    """Whether the build has sanitizers: it is slower, larger, and its search for leaks needs what confine forbids."""
    options = json.loads((build_directory() / "meson-info" / "intro-buildoptions.json").read_text())
    return any(option["name"] == "b_sanitize" and option["value"] != "none" for option in options)


def run(*command, check=True):
    done = subprocess.run(command, capture_output=True, text=True)
    if check and done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def remove_leftovers():
    """Deletes the namespaces of labs whose process is gone."""
    for line in run("ip", "netns", "list").splitlines():
        match = re.match(r"mcx-(\d+)-", line)
        if match and not pathlib.Path(f"/proc/{match[1]}").exists():
            run("ip", "netns", "del", line.split()[0], check=False)


def in_namespace(name, function):
    """Runs function in a thread that entered the namespace, so that no other thread notices."""
    result = []

    def enter():
        try:
            with open(f"/run/netns/{name}") as namespace:
                if _libc.setns(namespace.fileno(), CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), f"setns {name}")
            result.append((function(), None))
        except Exception as error:
            result.append((None, error))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    value, error = result[0]
    if error is not None:
        raise error
    return value


class Side:
    """One of the relay's ports and the host behind it."""

    def __init__(self, name, number, vlan=0):
        self.name, self.number, self.vlan = name, number, vlan
        self.relay4, self.host4 = f"10.77.{number}.1", f"10.77.{number}.2"
        self.relay6, self.host6 = f"fd77:{number}::1", f"fd77:{number}::2"
        self.mac = f"02:77:00:00:{number:02x}:02"

    def relay_address(self, family):
        return self.relay6 if family == 6 else self.relay4

    def host_address(self, family):
        return self.host6 if family == 6 else self.host4


class Lab:
    """The namespaces. A context manager; torn down at exit whatever happens.

    With vlan the relay's port ran is tagged, and the kernel of namespace ran has no addresses.
    """

    def __init__(self, vlan=0):
        remove_leftovers()
        self.prefix = f"mcx-{os.getpid()}-{next(_serial)}"
        self.sides = {"ran": Side("ran", 1, vlan), "core": Side("core", 2)}
        self.far = False  # there is a namespace behind a host
        self.open = False
        self._ports = itertools.count(20000, 2)
        atexit.register(self.close)
        try:
            self._build()
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def namespace(self, name):
        return f"{self.prefix}-{name}"

    def _build(self):
        self.open = True
        for name in ("relay", *self.sides):
            run("ip", "netns", "add", self.namespace(name))
            self.ip(name, "link", "set", "lo", "up")
        self.sysctl("relay", "net.ipv4.ip_forward=0", "net.ipv6.conf.all.disable_ipv6=1",
                    "net.ipv6.conf.default.disable_ipv6=1")
        for side in self.sides.values():
            self._build_side(side)

    def _build_side(self, side):
        run("ip", "link", "add", f"veth-{side.name}", "netns", self.namespace("relay"), "address",
            f"02:77:00:00:{side.number:02x}:01", "type", "veth", "peer", "name", "eth0",
            "netns", self.namespace(side.name), "address", side.mac)
        if side.vlan:  # a test that speaks tagged frames is the host itself; the kernel would speak untagged ones
            self.sysctl(side.name, "net.ipv6.conf.eth0.disable_ipv6=1")
        self.ip("relay", "link", "set", f"veth-{side.name}", "up")
        self.ip(side.name, "link", "set", "eth0", "up")
        if side.vlan:
            return
        self.ip(side.name, "addr", "add", f"{side.host4}/24", "dev", "eth0")
        self.ip(side.name, "addr", "add", f"{side.host6}/64", "dev", "eth0", "nodad")

    def build_hop(self, side, mtu):
        """Makes the side's host a router, and behind it, on a link of that MTU, a namespace "far": 192.0.2.10 and
        2001:db8::10. The relay's gateways are the side's host."""
        self.far = True
        run("ip", "netns", "add", self.namespace("far"))
        run("ip", "link", "add", "hop", "netns", self.namespace(side), "type", "veth", "peer", "name", "eth0",
            "netns", self.namespace("far"))
        self.sysctl(side, "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        for name, device, end in ((side, "hop", 1), ("far", "eth0", 10)):
            self.ip(name, "link", "set", device, "mtu", str(mtu), "up")
            self.ip(name, "addr", "add", f"192.0.2.{end}/24", "dev", device)
            self.ip(name, "addr", "add", f"2001:db8::{end}/64", "dev", device, "nodad")
        self.ip("far", "route", "add", "default", "via", "192.0.2.1")
        self.ip("far", "-6", "route", "add", "default", "via", "2001:db8::1")

    def close(self):
        if not self.open:
            return
        self.open = False
        atexit.unregister(self.close)
        for name in ("relay", *self.sides, *(["far"] if self.far else [])):
            run("ip", "netns", "del", self.namespace(name), check=False)

    def ip(self, name, *command):
        return run("ip", "-n", self.namespace(name), *command)

    def sysctl(self, name, *settings):
        self.execute(name, "sysctl", "-q", "-w", *settings)

    def execute(self, name, *command):
        return run("ip", "netns", "exec", self.namespace(name), *command)

    def socket(self, name, family, kind, protocol=0):
        """An ordinary socket that lives in the namespace."""
        made = in_namespace(self.namespace(name), lambda: socket.socket(family, kind, protocol))
        made.settimeout(PATIENCE)
        return made

    def local_port(self):
        """A UDP port of the relay that no leg of this lab had before."""
        return next(self._ports)


def address_text(host, port):
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class RpcError(Exception):
    def __init__(self, code, message, data):
        super().__init__(f"{code} {message} ({data.get('path')})")
        self.code, self.message, self.path, self.data = code, message, data.get("path"), data


class Control:
    """A connection to the control socket: one JSON text a line."""

    TIMEOUT = 60  # seconds

    def __init__(self, path):
        self.path = path  # of the socket; of TLS: address and port
        self._ids = itertools.count(1)
        self.open()

    def open(self):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(self.TIMEOUT)
        self.socket.connect(self.path)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        self.socket.close()

    def send_line(self, line):
        self.socket.sendall(line + b"\n")

    def read_line(self):
        pieces = [self.buffer]
        try:
            while b"\n" not in pieces[-1]:
                pieces.append(self.socket.recv(1 << 16))
                if not pieces[-1]:
                    raise ConnectionError("the relay closed the control connection")
        finally:  # once: a list of a hundred thousand sessions comes in many pieces
            self.buffer = b"".join(pieces)
        line, _, self.buffer = self.buffer.partition(b"\n")
        return json.loads(line)

    def exchange(self, line):
        self.send_line(line)
        try:
            return self.read_line()
        except TimeoutError:  # an answer that comes yet would be taken for that of the next request
            self.close()
            self.open()
            raise

    def call(self, method, params=None):
        request = {"jsonrpc": "2.0", "id": next(self._ids), "method": method}
        if params is not None:
            request["params"] = params
        response = self.exchange(json.dumps(request).encode())
        assert response["jsonrpc"] == "2.0" and response["id"] == request["id"], response
        schema.check_exchange(request, response)
        if "error" in response:
            error = response["error"]
            raise RpcError(error["code"], error["message"], error.get("data") or {})
        return response["result"]

    def call_many(self, method, many, size=1000):
        """One call for each of many params, as JSON-RPC batches of this size. Every one must succeed."""
        many = list(many)
        for start in range(0, len(many), size):
            batch = [{"jsonrpc": "2.0", "id": n, "method": method, "params": many[n]}
                     for n in range(start, min(start + size, len(many)))]
            responses = self.exchange(json.dumps(batch, separators=(",", ":")).encode())
            failed = [response for response in responses if "result" not in response]
            assert not failed, failed[:3]
            assert [response["id"] for response in responses] == [request["id"] for request in batch]
            schema.check_exchange(batch[0], responses[0])


class Relay:
    """The program under test, running in the lab's relay namespace.

    anchored: sessions that name every host stay in place, so that next hops are known before a test speaks;
    in these families. ports: more settings of a port by its name; `addresses` there come on top of its two, `arguments`
    at the end of its device, whose `interface` is veth-SIDE otherwise.
    """

    ANCHORS = ("anchor4", "anchor6")
    LAUNCHER = ("setpriv", "--pdeathsig", "KILL")  # what starts the program
    RINGS = ",framecnt=2048"  # more than a test sends at once, as a worker may have to wait for a CPU meanwhile
    environment = {}  # beyond that of the tests
    pass_fds = ()

    def __init__(self, lab, workers=1, cipher=CIPHER, limits=None, ports=None, options="", anchored=True,
                 families=(4, 6), idle_sleep_us=None):
        self.lab, self.workers, self.cipher = lab, workers, cipher
        self.idle_sleep_us = IDLE_SLEEP_US if idle_sleep_us is None else idle_sleep_us
        self.limits, self.port_settings, self.options = limits or {}, ports or {}, options
        self.anchored, self.families, self._anchors = anchored, families, []
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="mcx-"))
        self.socket_path = str(self.directory / "control.sock")
        self.log, self.process, self.control = [], None, None
        self._forwards = threading.Event()
        try:
            self._start()
        except BaseException:
            self._clean()
            print(f"relay's log:\n{self.log_text()}")
            raise

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is None:
            self.stop()
        else:
            self.kill9()
            print(f"relay's log:\n{self.log_text()}")
            self._clean()

    def config_text(self):
        vdevs, qpairs = [], f",qpairs={self.workers}" if self.workers > 1 else ""
        for n, side in enumerate(self.lab.sides.values()):
            settings = dict(self.port_settings.get(side.name, {}))
            addresses = [f"{side.relay4}/24", f"{side.relay6}/64", *settings.pop("addresses", [])]
            arguments = f"{self.RINGS}{qpairs}{settings.pop('arguments', '')}"
            interface = settings.pop("interface", f"veth-{side.name}")
            more = "".join(f" {k} = {json.dumps(v)};" for k, v in settings.items())
            vdevs.append(f'{{ name = "{side.name}"; device = "net_af_packet{n},iface={interface}{arguments}"; '
                         f'addresses = {json.dumps(addresses)}; vlan = {side.vlan};{more} }}')
        limits = "".join(f" {name} = {value};" for name, value in self.limits.items())
        state = self.directory / "state"
        state.mkdir(exist_ok=True)
        lines = [f"workers = {self.workers};",
                 f"idle_sleep_us = {self.idle_sleep_us};",
                 f'eal = [ "--no-huge", "-m", "{1024 if self.cipher.startswith("cryptodev:") else 256}", '
                 '"--no-telemetry" ];',
                 f'cipher = "{self.cipher}";',
                 "ports = (\n  " + ",\n  ".join(vdevs) + "\n);",
                 f'control = {{ unix = "{self.socket_path}"; }};',
                 f'state_directory = "{state}";',
                 'log = { level = "debug"; };']
        if sanitized():
            lines.append("confine = false;")
        if limits:
            lines.append(f"limits = {{{limits} }};")
        return "\n".join(lines) + "\n" + self.options

    def _start(self):
        program = build_directory() / "mcxrelay"
        if not program.exists():
            raise FileNotFoundError(f"{program}: build the relay, or name its directory in MCXRELAY_BUILD")
        config = self.directory / "mcxrelay.conf"
        config.write_text(self.config_text())
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", self.lab.namespace("relay"), *self.LAUNCHER, str(program), "-c", str(config)],
            env=os.environ | self.environment, pass_fds=self.pass_fds,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace")
        self._readers = [threading.Thread(target=self._read, args=(stream, is_out), daemon=True)
                         for stream, is_out in ((self.process.stdout, True), (self.process.stderr, False))]
        for reader in self._readers:
            reader.start()
        if not self._forwards.wait(START_SECONDS) or self.process.poll() is not None:
            raise RuntimeError(f"the relay does not forward after {START_SECONDS} s or ended "
                               f"({self.process.poll()}); its log:\n{self.log_text()}")
        self.control = Control(self.socket_path)
        if self.anchored:
            for family in self.families:
                self._anchor(f"anchor{family}", family)

    def _anchor(self, name, family):
        """Both hosts of a family in one session, until packets cross in both directions."""
        ends = [Client(self.lab, side, family) for side in self.lab.sides]
        self._anchors += ends
        apply(self, name, [end.leg(end.side.name) for end in ends])
        for sender, receiver in (ends, reversed(ends)):
            packet = bytes.fromhex("8078") + bytes(20)
            deadline = time.monotonic() + PATIENCE
            while True:
                sender.send(packet)
                with contextlib.suppress(TimeoutError):
                    assert receiver.recv(0.1) == packet
                    break
                assert time.monotonic() < deadline, f"nothing gets from {sender.address} to {receiver.address}"
        for end in ends:
            end.drain()

    def _read(self, stream, is_out):
        for line in stream:
            self.log.append(line)
            # DPDK speaks on stdout as well
            if is_out and "forward" in line.lower():
                self._forwards.set()
        if is_out:
            with contextlib.suppress(ChildProcessError):  # its output has ended, and who waits for it is another one
                os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOWAIT)
            self._forwards.set()

    def log_text(self):
        return "".join(self.log)

    def _end(self, number):
        if self.control is not None:
            self.control.close()
            self.control = None
        for end in self._anchors:
            end.close()
        self._anchors = []
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            code = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
            code = f"killed after {STOP_SECONDS} s"
        for reader in self._readers:
            reader.join()
        self.process.stdout.close()
        self.process.stderr.close()
        self.process = None
        return code

    def _clean(self):
        self._end(signal.SIGKILL)
        shutil.rmtree(self.directory, ignore_errors=True)

    def clear(self):
        """Removes all sessions but the anchors, and all keys."""
        names = [s["id"] for s in self.call("session.list", {})["sessions"]]
        self.call("session.remove", {"ids": [name for name in names if name not in self.ANCHORS]})
        keys = self.call("key.list", {})["keys"]
        self.call("key.revoke", {"keys": [{"domain": k["domain"], "id": k["id"]} for k in keys]})

    def stop(self):
        """SIGTERM; the relay must leave in peace."""
        code = self._end(signal.SIGTERM)
        log, left = self.log_text(), os.path.exists(self.socket_path)
        self._clean()
        assert code == 0, f"exit status {code}; log:\n{log}"
        marks = [mark for mark in SANITIZER_MARKS if mark in log]
        assert not marks, log
        assert not left, "the control socket is still there"

    def kill9(self):
        """A crash. State and configuration stay, for start_again()."""
        self._end(signal.SIGKILL)

    def start_again(self):
        self._forwards, self.log = threading.Event(), []
        self._start()

    def call(self, method, params=None):
        return self.control.call(method, params)

    def connect(self):
        """One more control connection."""
        return Control(self.socket_path)

    def drops(self):
        return collections.Counter(self.call("relay.stats")["drops"])

    def drops_since(self, before):
        return +(self.drops() - before)

    def refused_since(self, before):
        """The same without frames that were no packets of a call: hosts speak MLD and the like when they please."""
        return collections.Counter({reason: n for reason, n in self.drops_since(before).items() if reason not in STRAY})

    def wait_drops(self, before, **expected):
        """Waits until each named reason (dataplane/drop.h) grew by its number, and demands that it is this number."""
        def grown():
            new = self.drops_since(before)
            return {reason: new[reason] for reason in expected}
        got = wait_for(grown, lambda found: all(found[r] >= n for r, n in expected.items()), f"drops {expected}")
        assert got == expected, f"drops: {expected} expected, {got} counted"


def wait_for(read, good, what):
    """Reads until good says yes; for what the relay tells only when asked."""
    deadline = time.monotonic() + PATIENCE
    while True:
        value = read()
        if good(value):
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come; last seen {value}")
        time.sleep(0.005)


class Client:
    """The UDP socket of one radio, talking to one leg. Checks that answers come from that leg's address."""

    def __init__(self, lab, side="ran", family=4, host=None, relay_host=None, relay_port=None, namespace=None):
        self.lab, self.side, self.family = lab, lab.sides[side], family
        self.relay_host = relay_host or self.side.relay_address(family)
        self.relay_port = relay_port or lab.local_port()
        self.socket = lab.socket(namespace or side, socket.AF_INET6 if family == 6 else socket.AF_INET,
                                 socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
        self.socket.bind((host or self.side.host_address(family), 0))
        self.host, self.port = self.socket.getsockname()[:2]

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        self.socket.close()

    @property
    def address(self):
        """As the control API writes it: the leg's remote."""
        return address_text(self.host, self.port)

    @property
    def local(self):
        """The leg's local."""
        return address_text(self.relay_host, self.relay_port)

    def leg(self, name, mode="opaque", key=None, **more):
        """The Leg that serves this client. more overrides or adds; members of Protection go by protection={}."""
        protection = {"mode": mode} | more.pop("protection", {})
        if key is not None:
            protection["key"] = key.id_text
            protection.setdefault("domain", key.domain)
        return {"id": name, "port": self.side.name, "local": self.local, "remote": self.address,
                "protection": protection} | more

    def send(self, packet):
        self.socket.sendto(packet, (self.relay_host, self.relay_port))

    def recv(self, timeout=PATIENCE):
        self.socket.settimeout(timeout)
        packet, source = self.socket.recvfrom(1 << 16)
        assert source[:2] == (self.relay_host, self.relay_port), f"from {source}, not from {self.local}"
        return packet

    def recv_many(self, count):
        return [self.recv() for _ in range(count)]

    def drain(self):
        """What waits in the socket now. Proves nothing about what is still under way: see fence()."""
        packets = []
        self.socket.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                packets.append(self.socket.recv(1 << 16))
        return packets


def fence(sender, packet, *receivers):
    """Proves silence: sends a packet that must arrive, and demands that it is the next one at every receiver.

    The relay keeps the order of one stream, so what was sent before and is not here by then was dropped.
    Returns the packet as each receiver got it; the caller checks that it is this one.
    """
    sender.send(packet)
    return [receiver.recv() for receiver in receivers]


def session(name, legs, service="mcptt", kind="group", **more):
    return {"id": name, "service": service, "type": kind, "legs": legs} | more


def apply(relay, *args, **more):
    return relay.call("session.apply", {"session": session(*args, **more)})


def install(relay, *keys, **more):
    """Installs RootKeys or ready Key objects; every one must be taken."""
    objects = [key if isinstance(key, dict) else key.rpc() for key in keys]
    result = relay.call("key.install", {"keys": objects} | more)
    assert result["installed"] == len(objects) and not result["rejected"], result
    return result
