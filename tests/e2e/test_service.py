# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""mcxrelay as a service: what it may do after the start, its user, its unit, its installation."""

import json
import os
import pathlib
import pwd
import re
import shutil
import socket
import subprocess

import pytest

import lab as lab_module
import mcx
import process
import test_programs
import unit_file

USER = "nobody"  # stands for the service's own
CAPABILITY_SETS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
WATCHDOG_MS = 4000
EXPOSURE_MAX = 25  # tenths, as systemd-analyze security --threshold counts

confined = pytest.mark.skipif(lab_module.sanitized(), reason="a build with sanitizers is not confined")


def statuses(pid):
    """/proc/PID/task/TID/status of every thread, as {name: value}."""
    found = [dict(line.split(":\t", 1) for line in (task / "status").read_text().splitlines() if ":\t" in line)
             for task in pathlib.Path(f"/proc/{pid}/task").iterdir()]
    assert len(found) > 2, "where are the workers and DPDK's own threads?"
    return found


def assert_confined(pid):
    for status in statuses(pid):
        assert {name: int(status[name], 16) for name in CAPABILITY_SETS} == dict.fromkeys(CAPABILITY_SETS, 0), status
        assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2"), status


def log_of_start(relay):
    """All that it logged before somebody could connect."""
    return lab_module.wait_for(relay.log_text, lambda log: "client.connected" in log, "the first client")


@pytest.fixture
def lab_of_its_own():
    with lab_module.Lab() as made:
        yield made


# What is left after the start

@confined
@pytest.mark.parametrize("workers", [1, 2])
def test_no_privilege_in_any_thread(lab_of_its_own, workers):
    with lab_module.Relay(lab_of_its_own, workers=workers, anchored=False) as relay:
        assert_confined(relay.process.pid)
        test_programs.pass_through(relay)


@confined
def test_telemetry_of_dpdk(lab_of_its_own):
    """A client of DPDK's telemetry costs the EAL a new thread, which is confined, too."""
    class Told(lab_module.Relay):
        def config_text(self):
            return super().config_text().replace(
                ', "--no-telemetry"', f', "--file-prefix", "{self.directory.name}", "--no-shconf"')
    with Told(lab_of_its_own, anchored=False) as relay, socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
        client.settimeout(lab_module.PATIENCE)
        client.connect(f"/var/run/dpdk/{relay.directory.name}/dpdk_telemetry.v2")
        assert "version" in json.loads(client.recv(1024))
        client.send(b"/ethdev/list")
        assert json.loads(client.recv(1024)) == {"/ethdev/list": [0, 1]}
        assert_confined(relay.process.pid)
    shutil.rmtree(f"/var/run/dpdk/{relay.directory.name}", ignore_errors=True)


@confined
def test_eal_with_files(lab_of_its_own):
    """With memory that DPDK's own tools may look at; the EAL ends a thread of its own and removes files."""
    class Shared(lab_module.Relay):
        def config_text(self):
            return super().config_text().replace(
                ', "--no-telemetry"', f', "--no-telemetry", "--file-prefix", "{self.directory.name}"')
    with Shared(lab_of_its_own, anchored=False) as relay:
        # DPDK 22.11's name of the thread, and that since 23.11.
        assert any(process.threads(relay.process.pid, name) for name in ("rte_mp_handle", "mp-msg"))
        directory = pathlib.Path("/var/run/dpdk") / relay.directory.name
        assert (directory / "config").exists()
        assert_confined(relay.process.pid)
    shutil.rmtree(directory, ignore_errors=True)


def test_not_confined_when_told(lab_of_its_own):
    options = "" if lab_module.sanitized() else "confine = false;\n"
    with lab_module.Relay(lab_of_its_own, anchored=False, options=options) as relay:
        status = statuses(relay.process.pid)[0]
        assert (status["NoNewPrivs"], status["Seccomp"]) == ("0", "0")
        assert int(status["CapEff"], 16) != 0
        assert "warning not_confined setting=confine" in log_of_start(relay)


DRIVERS = ["net_ring0", "net_null0,no-rx=1", "net_tap0,iface=mcxtap0", "net_memif0,role=server,socket={}/memif"]


@confined
@pytest.mark.parametrize("device", DRIVERS, ids=lambda device: "-".join(device.split(",")[:2]))
def test_port_drivers(lab_of_its_own, tmp_path, device):
    """Each starts, serves its control socket and ends under confinement."""
    class OfOnePort(lab_module.Relay):
        def config_text(self):
            return test_programs.config_text(self.directory, device=device.format(tmp_path))
    with OfOnePort(lab_of_its_own, anchored=False) as relay:
        assert_confined(relay.process.pid)
        assert [port["name"] for port in relay.call("relay.info")["ports"]] == ["core"]
        relay.call("relay.stats")


@confined
def test_af_xdp_starts_again(tmp_path):
    """Without capabilities it cannot take its program off the interface; the next relay finds it, and works."""
    test_programs.need_af_xdp()
    with lab_module.Lab() as lab:
        for _ in range(3):
            with test_programs.XdpRelay(lab, anchored=False) as relay:
                assert_confined(relay.process.pid)
                test_programs.pass_through(relay)


# The user

class RelayOfUser(lab_module.Relay):
    """Root starts it, in a directory that the user owns."""

    def config_text(self):
        text = super().config_text()
        self.directory.chmod(0o755)
        state, run = self.directory / "state", self.directory / "run"
        if state.exists() and not any(state.iterdir()):
            state.rmdir()  # it makes its own
        self.socket_path = str(run / "control.sock")
        return text.replace(f'{self.directory}/control.sock', self.socket_path) + f'user = "{USER}";\n'


def test_user(lab_of_its_own):
    user = pwd.getpwnam(USER)
    with RelayOfUser(lab_of_its_own) as relay:
        for status in statuses(relay.process.pid):
            assert status["Uid"].split() == [str(user.pw_uid)] * 4 and status["Gid"].split() == [str(user.pw_gid)] * 4
            assert int(status["CapPrm"], 16) == int(status["CapEff"], 16) == 0
        for name, mode in (("run", 0o755), ("run/control.sock", 0o600), ("state", 0o700), ("state/ssrc", 0o600),
                           ("state/srtcp", 0o600)):
            stat = (relay.directory / name).stat()
            assert (stat.st_uid, stat.st_gid, stat.st_mode & 0o777) == (user.pw_uid, user.pw_gid, mode), name
        assert "keys_may_be_swapped" not in log_of_start(relay)
        test_programs.pass_through(relay)
        relay.kill9()
        relay.start_again()
        test_programs.pass_through(relay)


def refuses(lab, directory, options, says):
    """With these options: exit status 1 and one line."""
    file = directory / "mcxrelay.conf"
    file.write_text(test_programs.config_text(directory) + options)
    done = test_programs.program("-c", str(file), lab=lab)
    lines = [line for line in done.stderr.splitlines() if line.startswith("error ")]
    assert done.returncode == 1 and len(lines) == 1 and says in lines[0], done.stderr
    assert "forwards" not in done.stdout


def test_user_that_is_not_known(lab_of_its_own, tmp_path):
    refuses(lab_of_its_own, tmp_path, 'user = "no-such-user";\n', "no-such-user")
    refuses(lab_of_its_own, tmp_path, f'user = "{USER}"; group = "no-such-group";\n', "no-such-group")
    assert {path.name for path in tmp_path.iterdir()} == {"mcxrelay.conf"}


def test_state_of_another_user(lab_of_its_own, tmp_path):
    """Never silently as root."""
    tmp_path.chmod(0o755)
    (tmp_path / "state").mkdir(0o700)
    refuses(lab_of_its_own, tmp_path, f'user = "{USER}";\n', str(tmp_path / "state"))


@confined
def test_state_out_of_reach_later(lab_of_its_own, tmp_path):
    """Root without capabilities is not allowed everything: said at the start, not when indices are used up."""
    (tmp_path / "state").mkdir()
    os.chown(tmp_path / "state", pwd.getpwnam(USER).pw_uid, -1)
    refuses(lab_of_its_own, tmp_path, "", f'state_not_writable path="{tmp_path / "state"}"')


class RelayInDirectoryOfUser(lab_module.Relay):
    """The state is root's, the socket in a directory of somebody else."""

    def config_text(self):
        text, old = super().config_text(), self.socket_path
        (self.directory / "run").mkdir(exist_ok=True)
        os.chown(self.directory / "run", pwd.getpwnam(USER).pw_uid, -1)
        self.socket_path = str(self.directory / "run" / "control.sock")
        return text.replace(old, self.socket_path)


@confined
def test_socket_file_out_of_reach_later(lab_of_its_own):
    """It stays behind, and the next start takes it away."""
    relay = RelayInDirectoryOfUser(lab_of_its_own, anchored=False)
    for _ in range(2):
        lab_module.wait_for(relay.log_text, lambda log: "warning socket_file_will_stay" in log, "the warning")
        assert relay.call("relay.info")["api"] == 1
        relay.process.terminate()
        assert relay.process.wait(lab_module.STOP_SECONDS) == 0 and os.path.exists(relay.socket_path)
        relay.kill9()
        relay.start_again()
    relay.kill9()
    shutil.rmtree(relay.directory)


# The unit

@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """What ninja install puts where, under a directory."""
    root = tmp_path_factory.mktemp("installed")
    subprocess.run(["meson", "install", "-C", str(lab_module.build_directory()), "--no-rebuild", "--quiet",
                    "--destdir", str(root)], check=True, stdout=subprocess.DEVNULL)
    return root


def installed_unit(installed):
    return next(installed.rglob("mcxrelay.service"))


class Notified:
    """The service manager's end of NOTIFY_SOCKET."""

    def __init__(self, directory):
        self.path = str(directory / "notify.sock")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        os.chmod(self.path, 0o666)
        self.socket.settimeout(lab_module.PATIENCE)

    def close(self):
        self.socket.close()

    def read(self):
        return self.socket.recv(4096).decode()

    def drain(self):
        """What waits now."""
        found = []
        self.socket.setblocking(False)
        try:
            while True:
                found.append(self.read())
        except BlockingIOError:
            return found
        finally:
            self.socket.settimeout(lab_module.PATIENCE)


class NotifyingRelay(lab_module.Relay):
    """With a service manager that listens, and that wants to hear from it."""

    def __init__(self, lab, watchdog_ms=None):
        self.watchdog_ms, self.notified = watchdog_ms, None
        super().__init__(lab)

    def config_text(self):
        text = super().config_text()
        self.notified = Notified(self.directory)
        self.environment = {"NOTIFY_SOCKET": self.notified.path}
        if self.watchdog_ms:
            self.environment["WATCHDOG_USEC"] = str(1000 * self.watchdog_ms)
        return text

    def stop(self):
        super().stop()
        self.notified.close()


class Service(NotifyingRelay):
    """Under the restrictions of the unit."""

    USER = USER

    def __init__(self, lab, *unit):
        self.unit = ":".join(map(str, unit))
        super().__init__(lab)

    def config_text(self):
        text = super().config_text()
        user = pwd.getpwnam(self.USER)
        for path in (self.directory, self.directory / "state"):  # RuntimeDirectory=, StateDirectory=
            os.chown(path, user.pw_uid, user.pw_gid)
        self.environment |= {"RUNTIME_DIRECTORY": str(self.directory)}
        self.LAUNCHER = ("/usr/bin/python3", unit_file.__file__, self.unit, str(self.directory), self.USER)
        return text


@confined
def test_call_under_the_unit(lab_of_its_own, installed, new_key):
    key = new_key("gmk")
    with Service(lab_of_its_own, installed_unit(installed)) as relay:
        assert relay.notified.read() == "READY=1"
        assert "keys_may_be_swapped" not in log_of_start(relay)
        for status in statuses(relay.process.pid):
            assert int(status["CapPrm"], 16) == int(status["CapEff"], 16) == int(status["CapAmb"], 16) == 0
            assert status["Seccomp_filters"] == "2" and status["NoNewPrivs"] == "1"
            assert int(status["CapBnd"], 16) & ~(1 << unit_file.CAP_IPC_LOCK) == 1 << 12 | 1 << 13
        protected_call(relay, key)
        relay.process.terminate()
        assert relay.process.wait(lab_module.STOP_SECONDS) == 0
        assert "STOPPING=1" in relay.notified.drain()


class XdpService(Service, test_programs.XdpRelay):
    USER = "root"


@confined
def test_af_xdp_under_the_unit(lab_of_its_own, installed):
    """With its drop-in, twice."""
    test_programs.need_af_xdp()
    drop_in = next(installed.rglob("mcxrelay.service.d-af_xdp.conf"))
    for _ in range(2):
        with XdpService(lab_of_its_own, installed_unit(installed), drop_in) as relay:
            for status in statuses(relay.process.pid):
                assert int(status["CapPrm"], 16) == int(status["CapEff"], 16) == int(status["CapAmb"], 16) == 0
            test_programs.pass_through(relay)


def protected_call(relay, key):
    """What a radio says in SRTP the unprotected side hears in plain, and the other way round."""
    radio, lmr = "sip:radio@example.org", "sip:lmr@example.org"
    with lab_module.Client(relay.lab, "ran") as ran, lab_module.Client(relay.lab, "core") as core:
        lab_module.install(relay, key)
        lab_module.apply(relay, "call", [ran.leg("ran", "srtp", key, protection={"user": radio}),
                                         core.leg("core", "plain", protection={"user": lmr})])
        ran.send(mcx.SrtpSender(key.group(radio), 0x51).protect(b"from the radio"))
        assert core.recv()[12:] == b"from the radio"
        core.send(mcx.rtp(0x52, 1, b"to the radio"))
        assert mcx.SrtpReceiver(key.group(lmr)).unprotect(ran.recv()).payload == b"to the radio"


def test_watchdog_while_workers_move(lab_of_its_own):
    with NotifyingRelay(lab_of_its_own, watchdog_ms=WATCHDOG_MS) as relay:
        assert relay.notified.read() == "READY=1"
        for _ in range(3):
            assert relay.notified.read() == "WATCHDOG=1"
        worker = process.workers(relay.process.pid)[0]
        with process.frozen(worker):
            lab_module.wait_for(relay.log_text, lambda log: "error worker_stands_still worker=0" in log, "the log line")
            relay.notified.drain()
            relay.notified.socket.settimeout(WATCHDOG_MS / 1000)
            with pytest.raises(TimeoutError):
                relay.notified.read()
            assert relay.call("relay.info")["api"] == 1, "the control thread stood still"
        relay.notified.socket.settimeout(lab_module.PATIENCE)
        assert relay.notified.read() == "WATCHDOG=1"
        lab_module.wait_for(relay.log_text, lambda log: "warning worker_moves_again worker=0" in log, "the log line")


def test_unit_is_sound(installed, tmp_path):
    """systemd-analyze, which needs no running systemd."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is missing: package systemd")
    unit = tmp_path / "mcxrelay.service"
    text = installed_unit(installed).read_text()
    program = re.search(r"^ExecStart=(\S+) -c (\S+)$", text, re.MULTILINE)
    assert (installed / program[1][1:]).exists() and (installed / program[2][1:]).exists()
    unit.write_text(re.sub(r"^Documentation=.*\n", "", text, flags=re.MULTILINE).replace(
        program[1], str(installed / program[1][1:])))
    verify = subprocess.run(["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True)
    assert (verify.returncode, verify.stderr) == (0, ""), verify
    security = subprocess.run(["systemd-analyze", "security", "--offline=yes", f"--threshold={EXPOSURE_MAX}",
                               "--no-pager", str(unit)], capture_output=True, text=True)
    assert security.returncode == 0, security.stdout


# The installation

def test_everything_is_installed(installed):
    found = {str(path.relative_to(installed)) for path in installed.rglob("*") if path.is_file()}
    for name in ("sbin/mcxrelay", "bin/mcxctl", "man/man1/mcxctl.1", "man/man8/mcxrelay.8",
                 "man/man5/mcxrelay.conf.5", "system/mcxrelay.service", "sysusers.d/mcxrelay.conf",
                 "etc/mcxrelay/mcxrelay.conf", "examples/af_packet.conf", "examples/af_xdp.conf",
                 "examples/pci.conf", "examples/control.py", "examples/group_call.py", "examples/private_call.py",
                 "examples/roll_over.py", "completions/mcxctl", "share/mcxrelay/control-api.json",
                 "share/mcxrelay/grafana/mcxrelay.json", "share/mcxrelay/prometheus/mcxrelay.rules.yml"):
        assert [path for path in found if path.endswith(name)], f"{name} is not in {sorted(found)}"
    done = subprocess.run([next(installed.rglob("sbin/mcxrelay")), "--check", "-c",
                           next(installed.rglob("mcxrelay/mcxrelay.conf"))], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, ""), done


@pytest.mark.parametrize("page", sorted((lab_module.ROOT / "docs" / "man").iterdir()), ids=lambda page: page.name)
def test_man_pages(page):
    """Formatted without a warning."""
    if shutil.which("man") is None:
        pytest.skip("man is missing: package man-db")
    done = subprocess.run(["man", "-l", "--warnings", "-E", "UTF-8", "-Tutf8", str(page)], capture_output=True,
                          text=True, env=os.environ | {"MANROFFSEQ": "", "MANWIDTH": "80", "GROFF_NO_SGR": "1", "LC_ALL": "C.UTF-8"})
    assert (done.returncode, done.stderr) == (0, ""), done
    assert "\nNAME\n" in re.sub(".\x08", "", done.stdout), done.stdout
