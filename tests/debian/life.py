#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""The life of the installed package, in a root that systemd runs: life.py ROOT ARCHIVES.

ROOT has /packages/mcxrelay.deb and /packages/next.deb, ARCHIVES what apt fetched of their dependencies. The root is
booted in the relay's namespace of the end-to-end tests' lab, so that the radios around it are those of the tests.
"""

import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))
import lab as lab_module
import mcx

ALICE = "sip:alice@mcptt.example.org"
GATEWAY = "sip:gateway@lmr.example.org"
BOOT_SECONDS = 120
UNIT = "mcxrelay.service"
CONFIG = "etc/mcxrelay/mcxrelay.conf"
STATE = "/var/lib/mcxrelay"
EXAMPLES = ("af_packet", "af_xdp", "pci")
# What an operator writes into the shipped configuration: interfaces and addresses of their own.
EDITS = (("iface=eth1", "iface=veth-ran"), ("iface=eth2", "iface=veth-core"),
         ('"192.0.2.1/24", "2001:db8:1::1/64"', '"10.77.1.1/24", "fd77:1::1/64"'),
         ('"198.51.100.1/24"', '"10.77.2.1/24"'), ('"192.0.2.254"', '"10.77.1.254"'),
         ('"2001:db8:1::fe"', '"fd77:1::fe"'), ('"198.51.100.254"', '"10.77.2.254"'))


class Container:
    """The booted root. A context manager; its end is the end of all that runs in it."""

    def __init__(self, root, archives, lab):
        self.root = root
        with tempfile.TemporaryDirectory(prefix="mcx-") as directory, \
                socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notified:
            path = f"{directory}/notify"
            notified.bind(path)
            notified.settimeout(BOOT_SECONDS)
            self.process = subprocess.Popen(
                ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--boot", "--notify-ready=yes",
                 "--console=read-only", "--directory", root, "--machine", lab.prefix, "--bind",
                 f"{archives}:/var/cache/apt/archives", "--network-namespace-path",
                 f"/run/netns/{lab.namespace('relay')}", "--capability=CAP_NET_ADMIN"],
                env=os.environ | {"NOTIFY_SOCKET": path}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            try:
                self.leader = self._await_boot(notified)
            except BaseException:
                self.close()
                raise

    @staticmethod
    def _await_boot(notified):
        leader, said = None, ""
        while not re.search(r"^READY=1$", said, re.MULTILINE):
            said = notified.recv(4096).decode()
            if found := re.search(r"^X_NSPAWN_LEADER_PID=(\d+)$", said, re.MULTILINE):
                leader = found[1]
        assert leader, "systemd-nspawn did not say who the leader is"
        return leader

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if exc[0]:
            print(self.run("journalctl", "--no-pager", "-n", "60", check=False))
        self.close()

    def close(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()

    def run(self, *command, check=True):
        done = subprocess.run(
            ["nsenter", "--all", "--root", "--wd", "--target", self.leader, "/usr/bin/env", "-i",
             "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8", *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert not check or done.returncode == 0, f"{' '.join(command)}: {done.returncode}\n{done.stdout}"
        return done.stdout

    def apt(self, *what):
        return self.run("apt-get", "-q", "-y", "--no-install-recommends", *what)

    def property(self, name):
        return self.run("systemctl", "show", "--property", name, "--value", UNIT).strip()

    def states(self):
        """Whether it runs, and whether it would after a boot."""
        return self.property("ActiveState"), self.property("UnitFileState")

    def path(self, name):
        """Of a file as the container's own processes see it."""
        return f"/proc/{self.leader}/root/{name}"


class Call:
    """Alice under a GMK on the radio side, an unprotected system on the other; both hear each other."""

    def __init__(self, container, lab, key):
        self.socket_path = container.path("run/mcxrelay/control.sock")
        self.key = key
        self.radio, self.core = lab_module.Client(lab, "ran"), lab_module.Client(lab, "core")
        self.questions, self.answers = mcx.SrtpSender(key.group(ALICE), 0xa11ce), mcx.PlainSender(0xb0b)
        self.receiver = mcx.SrtpReceiver(key.group(GATEWAY))

    def hold(self):
        """The relay is told all of it, as by an MCX server, and forwards in both directions."""
        with lab_module.Control(self.socket_path) as control:
            lab_module.install(control, self.key)
            lab_module.apply(control, "call", [self.radio.leg("radio", "srtp", self.key),
                                               self.core.leg("core", "plain", protection={"user": GATEWAY})])
        self.go_on()

    def go_on(self):
        """It forwards in both directions; nobody tells it anything. The first ones may wait for the hosts' addresses."""
        got = self._cross(lambda: self.radio.send(self.questions.protect(b"question")), self.core)
        assert mcx.parse_rtp(got).payload == b"question"
        got = self._cross(lambda: self.core.send(self.answers.protect(b"answer")), self.radio)
        assert self.receiver.unprotect(got).payload == b"answer"

    @staticmethod
    def _cross(send, receiver):
        receiver.drain()

        def attempt():
            send()
            try:
                return receiver.recv(0.2)
            except TimeoutError:
                return None
        return lab_module.wait_for(attempt, bool, "a packet of the call")


def configure(container):
    file = pathlib.Path(container.path(CONFIG))
    text = file.read_text()
    for old, new in EDITS:
        assert old in text, f"{old} is not in the shipped configuration"
        text = text.replace(old, new)
    file.write_text(text)
    return text


def live(container, lab):
    print("== Installed: nothing runs before the operator says so")
    container.apt("install", "/packages/mcxrelay.deb")
    assert container.states() == ("inactive", "disabled"), container.states()
    for name in EXAMPLES:
        container.run("mcxrelay", "--check", "-c", f"/usr/share/doc/mcxrelay/examples/{name}.conf")
    container.run("mcxctl", "guk-id", "--key", "0f1e2d3c4b5a69788796a5b4c3d2e1f0", "--key-id", "0a1b2c3d", "--user",
                  ALICE)
    container.run("test", "-f", "/usr/share/bash-completion/completions/mcxctl")
    assert container.run("stat", "-c", "%U %a", STATE, f"{STATE}/ssrc", f"{STATE}/srtcp").split("\n")[:3] == \
        ["mcxrelay 700", "mcxrelay 600", "mcxrelay 600"]

    print("== Started: a call")
    config = configure(container)
    container.run("systemctl", "enable", "--now", UNIT)
    assert container.states() == ("active", "enabled"), container.states()
    call = Call(container, lab, mcx.RootKey("gmk", 0x0a1b2c3d, os.urandom(16), os.urandom(16)))
    call.hold()

    for end in (("systemctl", "restart", UNIT), ("systemctl", "kill", "--signal", "KILL", UNIT)):
        print(f"== {' '.join(end)}: another process, the call goes on")
        old = container.property("MainPID")
        container.run(*end)
        lab_module.wait_for(lambda: (container.property("MainPID"), container.property("ActiveState")),
                            lambda now: now[0] not in (old, "0") and now[1] == "active", "another process")
        call.go_on()

    print("== Its state is lost: it does not start before the operator says so")
    container.run("systemctl", "stop", UNIT)
    container.run("rm", "-r", STATE)
    container.run("systemctl", "start", UNIT, check=False)
    assert container.property("ActiveState") != "active"
    container.run("systemctl", "stop", UNIT)
    assert "mcxrelay --new-state" in container.run("journalctl", "--no-pager", "-u", UNIT)
    container.run("mcxrelay", "--new-state", "-c", f"/{CONFIG}")
    container.run("systemctl", "reset-failed", UNIT)
    container.run("systemctl", "start", UNIT)
    call.hold()

    print("== Upgraded while it runs: another process, the call goes on")
    old = container.property("MainPID")
    container.apt("install", "/packages/next.deb")
    assert container.run("dpkg-query", "-W", "-f", "${Version}", "mcxrelay").endswith("+next")
    assert container.states() == ("active", "enabled"), container.states()
    assert container.property("MainPID") not in (old, "0")
    assert pathlib.Path(container.path(CONFIG)).read_text() == config
    call.go_on()

    print("== Upgraded while it does not run: it does not run")
    container.run("systemctl", "stop", UNIT)
    container.apt("install", "--allow-downgrades", "/packages/mcxrelay.deb")
    assert container.states() == ("inactive", "enabled"), container.states()

    print("== Removed while it runs: it does not run, the configuration stays; purged: nothing is left")
    container.run("systemctl", "start", UNIT)
    call.hold()
    process = container.path("proc/" + container.property("MainPID"))
    assert os.path.exists(process), process
    container.apt("remove", "mcxrelay")
    assert container.property("ActiveState") == "inactive", container.property("ActiveState")
    assert not os.path.exists(process) and not os.path.exists(call.socket_path)
    assert os.path.exists(container.path(CONFIG))
    container.apt("purge", "mcxrelay")
    assert not os.path.exists(container.path(CONFIG))


def main():
    root, archives = sys.argv[1:]
    with lab_module.Lab() as lab, Container(root, archives, lab) as container:
        live(container, lab)


if __name__ == "__main__":
    main()
