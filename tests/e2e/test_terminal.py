# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""mcxctl on a terminal: what top and watch draw, that they fit and follow its size, and how they leave it.

The terminal is a pseudo terminal of the kernel's, whose other end these tests read and press keys at.
"""

import fcntl
import json
import os
import pty
import select
import signal
import socket
import struct
import subprocess
import termios

import pytest

import lab as lab_module
import mcx
import pki
import process
import test_tls
from lab import PATIENCE, Client, Relay, apply, wait_for

CLEAR = "\x1b[H\x1b[J"
CTRL_C = b"\x03"
MANAGEMENT = "10.99.0.1", "10.99.0.2"           # the relay's, and the other host's
SMALL = {"keys": 1000, "sessions": 100, "legs": 100, "streams": 1000}


class Terminal:
    """mcxctl, and the terminal that it controls."""

    def __init__(self, *arguments, rows=24, columns=80, prefix=()):
        self.keyboard, self.device = pty.openpty()
        self.columns, self.heard = columns, b""
        self.resize(rows, columns)
        self.modes = termios.tcgetattr(self.device)
        self.process = subprocess.Popen(
            [*prefix, lab_module.build_directory() / "mcxctl", *arguments], stdin=self.device, stdout=self.device,
            stderr=self.device, start_new_session=True, preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.keyboard)
        os.close(self.device)

    def resize(self, rows, columns):
        self.rows, self.columns = rows, columns
        fcntl.ioctl(self.keyboard, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def press(self, keys):
        os.write(self.keyboard, keys)

    def text(self):
        """All that was written so far."""
        while select.select([self.keyboard], [], [], 0)[0]:
            self.heard += os.read(self.keyboard, 1 << 16)
        return self.heard.decode(errors="replace").replace("\r\n", "\n")

    def screen(self):
        """Lines of the last picture, as far as they are ended; None if there is none yet."""
        pictures = self.text().split(CLEAR)
        return pictures[-1].split("\n")[:-1] if len(pictures) > 1 else None

    def shows(self, good, what):
        return wait_for(self.screen, lambda lines: lines is not None and good(lines), what)

    def fits(self, n_sessions):
        """Waits for a whole picture of so many sessions that goes into the terminal with room for the cursor."""
        wanted = min(n_sessions, max(self.rows - 3, 1)) + 2
        lines = self.shows(lambda lines: len(lines) == wanted and max(map(len, lines)) <= self.columns,
                           f"a picture of {wanted} lines of up to {self.columns} characters")
        assert lines[0] == f"{n_sessions} sessions" and lines[1].startswith("SESSION")
        return lines

    def end(self):
        """Its exit status; the terminal is as it was."""
        status = self.process.wait(PATIENCE)
        assert termios.tcgetattr(self.device) == self.modes
        return status

    def is_raw(self):
        return not termios.tcgetattr(self.device)[3] & (termios.ICANON | termios.ECHO)


def top(relay, **more):
    return Terminal("-s", relay.socket_path, "top", **more)


@pytest.fixture(scope="module")
def many():
    """A relay with more sessions than a screen has lines; their names are long."""
    with lab_module.Lab() as lab, Relay(lab, limits=SMALL, anchored=False) as relay:
        for n in range(40):
            apply(relay, f"call-{n:02}-" + "x" * n, [])
        apply(relay, "\u00e9" * 100 + "\x1b[2J", [])
        yield relay


# What it draws

@pytest.mark.parametrize("rows, columns", [(24, 80), (10, 40), (50, 200), (24, 72), (24, 71), (3, 12), (1, 1), (60, 9)])
def test_top_fits(many, rows, columns):
    with top(many, rows=rows, columns=columns) as terminal:
        lines = terminal.fits(41) if columns > 11 else terminal.shows(
            lambda lines: len(lines) > 1 and max(map(len, lines[1:])) <= columns, "a narrow picture")
        if columns >= 40:
            titles = ["SESSION", "SERVICE", "TYPE", "LEGS", "RX/s", "RX", "kbit/s", "TX/s", "LOST", "DROPS"]
            assert lines[1].split() == (titles if columns >= 72 else [titles[n] for n in (0, 4, 7, 8, 9)])
            assert lines[1].endswith("DROPS") and all(line.endswith("0") for line in lines[2:])
        terminal.press(b"q")
        assert terminal.end() == 0


def test_top_cuts_long_names(many):
    """By characters, with a mark; the numbers stay."""
    with top(many, rows=60, columns=40) as terminal:
        lines = terminal.fits(41)
        cut = [line.split()[0] for line in lines if "~" in line]
        assert cut and all(word.endswith("~") for word in cut) and any(word[0] == "\u00e9" for word in cut)
        assert "\x1b" not in "".join(lines) and "\ufffd" not in "".join(lines)


def test_top_shows_rates(relay, clients, name):
    a, b = clients("ran"), clients("core")
    apply(relay, name, [a.leg("a"), b.leg("b")])
    numbers = iter(range(1 << 16))

    def speak_and_look():
        a.send(mcx.rtp(1, next(numbers), b"word"))
        b.recv()
        return terminal.screen() or []

    with top(relay) as terminal:
        rows = wait_for(speak_and_look, lambda lines: [line for line in lines if line.startswith(name)
                                                       and int(line.split()[4]) > 0], "a rate")
        assert rows[2].split()[:4] == [name, "mcptt", "group", "2"]     # the busiest one is the first
        terminal.press(b"q")
        assert terminal.end() == 0


class StandIn:
    """Answers session.top as a relay would, when it is told to."""

    def __init__(self, path, n_sessions):
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(path)
        self.listener.listen()
        self.answer = {"n_sessions": n_sessions, "sessions": [
            {"id": f"s{n}", "service": "mcptt", "type": "group", "n_legs": 2, "lost": 0, "drops": 0,
             "rates": {"received_packets": 1, "received_octets": 2, "sent_packets": 3}} for n in range(n_sessions)]}
        self.peer = None

    def __enter__(self):
        self.listener.settimeout(PATIENCE)
        return self

    def __exit__(self, *exc):
        if self.peer is not None:
            self.peer.close()
        self.listener.close()

    def turn(self):
        """Reads one request and answers it."""
        if self.peer is None:
            self.peer = self.listener.accept()[0]
            self.peer.settimeout(PATIENCE)
        assert b"session.top" in self.peer.recv(1 << 16)
        self.peer.sendall(json.dumps({"jsonrpc": "2.0", "id": 1, "result": self.answer}).encode() + b"\n")


def test_top_follows_the_size(tmp_path):
    """At once, with the answer that it has: the next one does not come before."""
    path = str(tmp_path / "control.sock")
    with StandIn(path, 30) as relay, Terminal("-s", path, "top") as terminal:
        relay.turn()
        relay.turn()
        terminal.fits(30)
        for rows, columns in ((10, 40), (40, 120), (24, 80)):
            terminal.resize(rows, columns)
            terminal.fits(30)
            assert len(terminal.screen()) == min(30, rows - 3) + 2
            relay.turn()
        terminal.press(b"xyq")
        assert terminal.end() == 0


# How it ends

READ = "0"                                          # number of read(2), on x86-64


def call_of(pid):
    """Number of the system call that it is in (proc(5), syscall)."""
    with open(f"/proc/{pid}/syscall") as file:
        return file.read().split()[0]


@pytest.mark.parametrize("keys, status", [(b"q", 0), (CTRL_C, 0)])
def test_top_leaves_the_terminal_as_it_was(many, keys, status):
    with top(many) as terminal:
        terminal.fits(41)
        assert terminal.is_raw()
        terminal.press(keys)
        assert terminal.end() == status and "mcxctl" not in terminal.text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_top_that_is_ended_leaves_the_terminal_as_it_was(many, number):
    with top(many) as terminal:
        terminal.fits(41)
        terminal.process.send_signal(number)
        assert terminal.end() == -number


def test_top_ends_when_the_relay_hangs(many):
    """Ctrl-C while it waits for an answer."""
    with top(many) as terminal:
        terminal.fits(41)
        with process.frozen(many.process.pid):
            terminal.press(b"x" * 10)               # nothing, but it does not hurry either
            wait_for(lambda: call_of(terminal.process.pid), lambda call: call == READ, "a request under way")
            terminal.resize(10, 40)                 # does not end it
            terminal.press(CTRL_C)
            assert terminal.end() == 0 and "mcxctl" not in terminal.text()


@pytest.fixture(scope="module")
def ending():
    with lab_module.Lab() as lab, Relay(lab, limits=SMALL, anchored=False) as relay:
        yield relay


@pytest.mark.parametrize("command", [("top",), ("watch", "events")])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_relay_ends_meanwhile(ending, command, number):
    """A clear message on a line of its own, and a status that scripts notice."""
    with Terminal("-s", ending.socket_path, *command) as terminal:
        if command == ("top",):
            terminal.fits(0)
        wait_for(ending.log_text, lambda log: f"client.connected pid={terminal.process.pid} " in log, "its connection")
        ending.process.send_signal(number)
        assert terminal.end() == 1
        said = terminal.text().splitlines()[-1]
        assert said.startswith("mcxctl: ") and said.endswith("the relay closed the connection"), said
    ending.kill9()
    ending.start_again()


def test_watch(relay, clients, name):
    """One line each, from when it has subscribed; Ctrl-C ends it as it ends any program."""
    a, b = clients("ran"), clients("core")
    with Terminal("-s", relay.socket_path, "watch", "events", "media.started", rows=10, columns=40) as terminal:
        names = iter(f"{name}-{n}\x1b[31m" for n in range(10000))

        def start():
            apply(relay, next(names), [])
            apply(relay, name, [])
            apply(relay, name, [a.leg("a"), b.leg("b")])
            a.send(mcx.rtp(1, 1, b"hello"))
            b.recv()
            return terminal.text()

        text = wait_for(start, lambda text: "media.started" in text, "an event")
        line = text.splitlines()[0].split()
        assert line[1:] == ["media.started", f"session={name}", "leg=a"] and "\x1b" not in text
        assert not terminal.is_raw()
        terminal.press(CTRL_C)
        assert terminal.end() == -signal.SIGINT


# From another host

@pytest.fixture(scope="module")
def remote(tmp_path_factory):
    """(lab, relay, mcxctl's options): a relay by TLS on a management network, and who may come from the host there."""
    with lab_module.Lab() as lab:
        lab_module.run("ip", "link", "add", "mgmt0", "netns", lab.namespace("relay"), "type", "veth", "peer", "name", "mgmt0",
                       "netns", lab.namespace("ran"))
        for where, address in zip(("relay", "ran"), MANAGEMENT):
            lab.ip(where, "addr", "add", f"{address}/24", "dev", "mgmt0")
            lab.ip(where, "link", "set", "mgmt0", "up")
        own = test_tls.Pki(tmp_path_factory.mktemp("remote"))
        credentials = own.relays.issue("managed", pki.SERVER, addresses=MANAGEMENT[:1])
        address = MANAGEMENT[0], 7443
        with test_tls.TlsRelay(lab, credentials, own.clients.ca_file, address, limits=SMALL, anchored=False) as relay:
            yield lab, relay, test_tls.tls_options(own, address=lab_module.address_text(*address))


def elsewhere(lab):
    """What a command on the other host begins with."""
    return "ip", "netns", "exec", lab.namespace("ran")


def test_mcxctl_from_another_host(remote):
    lab, relay, options = remote
    program = [*elsewhere(lab), lab_module.build_directory() / "mcxctl"]
    done = subprocess.run([*program, *options, "call", "relay.info"], capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0 and json.loads(done.stdout)["api"] == 1, done
    apply(relay, "seen-from-afar", [])
    done = subprocess.run([*program, *options, "show", "sessions"], capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0 and "seen-from-afar" in done.stdout
    relay.call("session.remove", {"ids": ["seen-from-afar"]})
    assert f"client.connected address={MANAGEMENT[1]}:" in relay.log_text()


def test_top_from_another_host(remote):
    """It follows the size while it waits for an answer, too, and ends when the relay hangs."""
    lab, relay, options = remote
    with Terminal(*options, "top", prefix=elsewhere(lab)) as terminal:
        terminal.fits(0)
        with process.frozen(relay.process.pid):
            wait_for(lambda: call_of(terminal.process.pid), lambda call: call == READ, "a request under way")
            terminal.resize(10, 40)
        terminal.shows(lambda lines: len(lines) == 2 and "LEGS" not in lines[1], "a narrow picture")
        terminal.press(CTRL_C)
        assert terminal.end() == 0


def test_watch_from_another_host(remote):
    lab, relay, options = remote
    with Terminal(*options, "watch", "events", "media.started", prefix=elsewhere(lab)) as terminal, \
            Client(lab, "ran") as a, Client(lab, "core") as b:
        def start():
            apply(relay, "afar", [])
            apply(relay, "afar", [a.leg("a"), b.leg("b")])
            a.send(mcx.rtp(1, 1, b"hello"))
            return terminal.text()
        wait_for(start, lambda text: "media.started session=afar leg=a" in text, "an event")
        terminal.press(CTRL_C)
        assert terminal.end() == -signal.SIGINT
