# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""The program mcxrelay: its command line, how it refuses to start, how it ends, what it leaves behind."""

import contextlib
import os
import pathlib
import re
import signal
import socket
import subprocess

import pytest

import lab as lab_module
import mcx
from lab import wait_for

EXAMPLES = sorted((lab_module.ROOT / "config").glob("*.conf"))
AF_XDP = "librte_net_af_xdp.so"


def program(*arguments, lab=None):
    """Runs mcxrelay to its end; it must not need long to fail."""
    enter = ["ip", "netns", "exec", lab.namespace("relay")] if lab else []
    return subprocess.run([*enter, lab_module.build_directory() / "mcxrelay", *arguments], capture_output=True,
                          text=True, stdin=subprocess.DEVNULL, timeout=lab_module.START_SECONDS)


def config_text(directory, device="net_af_packet0,iface=veth-core", cipher="auto", state="state",
                unix="control.sock", mtu=1500):
    """A relay of one port, whose files are in directory."""
    return (f'eal = [ "--no-huge", "-m", "256", "--no-telemetry" ];\ncipher = "{cipher}";\n'
            f'ports = ( {{ name = "core"; device = "{device}"; addresses = [ "10.77.2.1/24" ]; mtu = {mtu}; }} );\n'
            f'control = {{ unix = "{directory / unix}"; }};\nstate_directory = "{directory / state}";\n'
            "limits = { keys = 1000; sessions = 100; legs = 1000; streams = 1000; };\n")


def contents(directory):
    """What is in a directory: {name: octets}; but for the list of opened messages, which prevents no reuse."""
    return {str(path.relative_to(directory)): path.read_bytes() if path.is_file() else None
            for path in directory.rglob("*") if path.name != "opened"}


def refuses_to_start(lab, directory, says, settings="", **more):
    """Exit status 1, one line of the relay's own on stderr that has says in it, no crash."""
    file = directory / "mcxrelay.conf"
    file.write_text(config_text(directory, **more) + settings)
    done = program("-c", str(file), lab=lab)
    assert done.returncode == 1, done
    assert not any(mark in done.stderr for mark in lab_module.SANITIZER_MARKS), done.stderr
    assert "forwards" not in done.stdout, done.stdout
    lines = [line for line in done.stderr.splitlines() if line.startswith("error ")]
    assert len(lines) == 1 and says in lines[0], done.stderr


class ShippedRelay(lab_module.Relay):
    """With a file of config/ as it is, but for the names of interfaces and paths, and a group that there is."""

    def __init__(self, lab, path):
        self.path = path
        super().__init__(lab, anchored=False)

    def config_text(self):
        text = self.path.read_text()
        changes = {f"iface=eth{n + 1}": f"iface=veth-{side}" for n, side in enumerate(self.lab.sides)}
        changes |= {'"/run/mcxrelay/control.sock"': f'"{self.socket_path}"', 'group = "mcx";': 'group = "root";'}
        for old, new in changes.items():
            assert text.count(old) == 1 or "group" in old, old
            text = text.replace(old, new)
        state = self.directory / "state"
        state.mkdir(exist_ok=True)
        confine = "confine = false;\n" if lab_module.sanitized() else ""
        return f'{text}state_directory = "{state}";\n{confine}'


def test_a_cpu_that_is_not_there(quiet_lab, tmp_path):
    """The EAL would print its usage, which has no word of the configuration."""
    there = sorted(os.sched_getaffinity(0))
    other = there[-1] + 1
    refuses_to_start(quiet_lab, tmp_path, f'"lcores[1] is {other}; accepted: a CPU that this process may use: {there[0]}',
                     settings=f"lcores = [ {there[0]}, {other} ];\n")


# The command line

@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_check_takes_the_examples(path):
    done = program("--check", "-c", str(path))
    assert done.returncode == 0 and done.stderr == "", done


def test_there_are_examples():
    assert {path.name for path in EXAMPLES} >= {"af_packet.conf", "af_xdp.conf", "pci.conf"}


@pytest.mark.parametrize("old, new, line, setting", [
    ('cipher = "auto"', 'cipher = "rot13"', 2, "cipher"),
    ('10.77.2.1/24', '10.77.2.1/33', 3, "ports[0].addresses[0]"),
    ('name = "core"', 'name = 5', 3, "ports[0].name"),
    ('name = "core"', 'colour = "red"; name = "core"', 3, "ports[0].colour"),
    ('control = { unix', 'control = { mode = "0999"; unix', 4, "control.mode"),
    ('iface=veth-core', 'iface=veth-core,qpairs=0', 3, "ports[0].device"),
    ('keys = 1000', 'keys = -1', 6, "limits.keys"),
    ('keys = 1000', 'keys = 1.5', 6, "limits.keys"),
    ('limits = {', 'limit = {', 6, "limit"),
    ('eal = [', 'eal = [[', 1, "file"),
])
@pytest.mark.parametrize("check", [True, False])
def test_broken_file(tmp_path, old, new, line, setting, check):
    """With --check and without it."""
    file = tmp_path / "mcxrelay.conf"
    text = config_text(tmp_path)
    assert text.count(old) == 1
    file.write_text(text.replace(old, new))
    done = program(*(["--check"] if check else []), "-c", str(file))
    assert done.returncode == 1 and done.stdout == "", done
    assert done.stderr.startswith(f"{file}:{line}: {setting}: "), done.stderr
    assert "accepted: " in done.stderr


def test_several_mistakes_are_all_told(tmp_path):
    file = tmp_path / "mcxrelay.conf"
    file.write_text(config_text(tmp_path, cipher="rot13").replace("keys = 1000", "keys = 0"))
    done = program("--check", "-c", str(file))
    assert done.returncode == 1
    assert [line.split(": ")[1] for line in done.stderr.splitlines()] == ["cipher", "limits.keys"], done.stderr


def test_no_file(tmp_path):
    done = program("--check", "-c", str(tmp_path / "none.conf"))
    assert done.returncode == 1 and str(tmp_path / "none.conf") in done.stderr
    done = program("--check", "-c", str(tmp_path))
    assert done.returncode == 1 and str(tmp_path) in done.stderr


@pytest.mark.parametrize("option, start", [("--help", "Usage: mcxrelay"), ("-h", "Usage: mcxrelay"),
                                           ("--version", "mcxrelay "), ("-V", "mcxrelay ")])
def test_help_and_version(option, start):
    done = program(option)
    assert done.returncode == 0 and done.stderr == "" and done.stdout.startswith(start)


@pytest.mark.parametrize("arguments, says", [
    ((), "--config"), (("--check",), "--config"), (("-c",), "'c'"), (("--colour",), "--colour"),
    (("-c", "/dev/null", "more"), "more"),
])
def test_wrong_command_line(arguments, says):
    done = program(*arguments)
    assert done.returncode == 1 and done.stdout == "" and says in done.stderr and "Usage:" in done.stderr


# What it cannot start with

@pytest.fixture(scope="module")
def quiet_lab():
    """No relay runs in it unless a test starts one."""
    with lab_module.Lab() as made:
        yield made


@pytest.mark.parametrize("device", ["net_af_packet0,iface=nowhere0", "net_nonsense0", "0000:ff:1f.7"])
def test_device_that_does_not_exist(quiet_lab, tmp_path, device):
    refuses_to_start(quiet_lab, tmp_path, device.split(",")[0], device=device)


@pytest.mark.parametrize("device, mtu, interface, limit, whose", [
    ("net_af_packet0,iface=veth-core", 9000, 9000, 1500, "its driver"),
    ("net_af_packet0,iface=veth-core", 1501, 1501, 1500, "its driver"),
    ("net_af_packet0,iface=veth-core", 1500, 1400, 1400, "its interface"),
    ("net_af_packet0,iface=veth-core,framesz=1024", 1280, 1500, 944, "its framesz"),
    ("net_memif0", 2000, 1500, 1500, "its driver"),
])
def test_mtu_that_the_device_does_not_take(quiet_lab, tmp_path, device, mtu, interface, limit, whose):
    quiet_lab.ip("relay", "link", "set", "veth-core", "mtu", str(interface))
    try:
        refuses_to_start(quiet_lab, tmp_path, f"port core: mtu is {mtu}; accepted by device \\\"{device}\\\": "
                         f"no more than {limit}, ", device=device, mtu=mtu)
        refuses_to_start(quiet_lab, tmp_path, whose, device=device, mtu=mtu)
    finally:
        quiet_lab.ip("relay", "link", "set", "veth-core", "mtu", "1500")


@pytest.mark.parametrize("cipher", ["cryptodev:x", "cryptodev:crypto_nosuch0"])
def test_cipher_that_is_not_there(quiet_lab, tmp_path, cipher):
    refuses_to_start(quiet_lab, tmp_path, f"{cipher}: there is no such crypto device; accepted: ", cipher=cipher)
    assert contents(tmp_path).keys() == {"mcxrelay.conf"}


def test_cipher_that_lacks_what_is_needed(quiet_lab, tmp_path):
    refuses_to_start(quiet_lab, tmp_path, "cryptodev:crypto_null0 (driver crypto_null) lacks what is needed: "
                     "AEAD AES-GCM, operations out of place", cipher="cryptodev:crypto_null0")
    assert contents(tmp_path).keys() == {"mcxrelay.conf"}


def test_state_directory_that_is_a_file(quiet_lab, tmp_path):
    (tmp_path / "state").write_text("somebody's")
    refuses_to_start(quiet_lab, tmp_path, str(tmp_path / "state"))
    assert (tmp_path / "state").read_text() == "somebody's"


def test_state_directory_without_its_parent(quiet_lab, tmp_path):
    refuses_to_start(quiet_lab, tmp_path, str(tmp_path / "none/state"), state="none/state")


DAMAGES = {
    "empty": lambda good: b"",
    "cut off": lambda good: good[:-1],
    "too long": lambda good: good + b"\0",
    "another's": lambda good: b"x" * len(good),
}


@pytest.fixture(scope="module")
def good_state(quiet_lab):
    """The files that a relay left: {name: octets}."""
    with lab_module.Relay(quiet_lab, anchored=False) as relay:
        pass_through(relay)
        relay.kill9()
        found = contents(relay.directory / "state")
        relay.start_again()
    assert set(found) == {"ssrc", "srtcp"}, found.keys()
    return found


@pytest.mark.parametrize("damaged", ["ssrc", "srtcp"])
@pytest.mark.parametrize("how", DAMAGES)
def test_damaged_state(quiet_lab, good_state, tmp_path, damaged, how):
    """It must not guess: an index might be used twice. Nothing is changed, so that an operator can look."""
    state = tmp_path / "state"
    state.mkdir()
    for name, octets in good_state.items():
        (state / name).write_bytes(DAMAGES[how](octets) if name == damaged else octets)
    before = contents(state)
    refuses_to_start(quiet_lab, tmp_path, str(state / damaged))
    assert contents(state) == before, "the directory was changed"
    assert not (tmp_path / "control.sock").exists()


def test_state_that_cannot_be_read(quiet_lab, good_state, tmp_path):
    """A directory in the place of a file."""
    for name in good_state:
        state = tmp_path / name / "state"
        state.mkdir(parents=True)
        (state / name).mkdir()
        refuses_to_start(quiet_lab, tmp_path / name, str(state / name))
        assert contents(state) == {name: None}, "the directory was changed"


@pytest.fixture
def running(quiet_lab):
    with lab_module.Relay(quiet_lab) as relay:
        yield relay


def test_state_directory_in_use(running, quiet_lab, tmp_path):
    before = contents(running.directory / "state")
    refuses_to_start(quiet_lab, tmp_path, "in use", state=str(running.directory / "state"))
    assert contents(running.directory / "state") == before
    assert running.call("relay.info")["api"] == 1


def test_control_socket_in_use(running, quiet_lab, tmp_path):
    refuses_to_start(quiet_lab, tmp_path, running.socket_path, unix=running.socket_path)
    with running.connect() as control:
        assert control.call("relay.info")["api"] == 1


def test_control_socket_that_is_a_file(quiet_lab, tmp_path):
    (tmp_path / "control.sock").write_text("somebody's")
    refuses_to_start(quiet_lab, tmp_path, str(tmp_path / "control.sock"))
    assert (tmp_path / "control.sock").read_text() == "somebody's"


# From the start to the end

def pass_through(relay):
    """A packet crosses from ran to core, as soon as the relay knows the next hop."""
    with lab_module.Client(relay.lab, "ran") as ran, lab_module.Client(relay.lab, "core") as core:
        lab_module.apply(relay, "through", [ran.leg("ran"), core.leg("core")])
        for n in range(50):
            packet = mcx.rtp(0x77, n, b"through")
            ran.send(packet)
            with contextlib.suppress(TimeoutError):
                assert core.recv(lab_module.PATIENCE / 50)[12:] == b"through"
                return
    raise AssertionError("nothing gets through")


def test_frames_larger_than_packet_buffers_by_default(quiet_lab):
    with lab_module.Relay(quiet_lab, anchored=False, ports={"core": {"arguments": ",framesz=4096"}}) as relay:
        pass_through(relay)


def test_stale_socket_is_replaced(quiet_lab):
    """What a crash left is in nobody's way."""
    with lab_module.Relay(quiet_lab, anchored=False) as relay:
        relay.kill9()
        assert os.path.exists(relay.socket_path)
        relay.start_again()
        assert relay.call("relay.info")["api"] == 1
        assert os.stat(relay.socket_path).st_mode & 0o777 == 0o600


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_signals_end_it(running, number):
    pass_through(running)
    running.process.send_signal(number)
    assert running.process.wait(lab_module.STOP_SECONDS) == 0
    assert not os.path.exists(running.socket_path)


def test_second_signal_does_not_cut_the_end_short(quiet_lab):
    """Keys are wiped before it ends, whoever is impatient."""
    with lab_module.Relay(quiet_lab, anchored=False) as relay:
        for start in range(0, 30_000, 5000):
            keys = [mcx.RootKey("gmk", start + n + 1, n.to_bytes(16, "big"), bytes(16)).rpc() for n in range(5000)]
            relay.call("key.install", {"keys": keys})
        relay.process.send_signal(signal.SIGTERM)
        wait_for(lambda: os.path.exists(relay.socket_path), lambda there: not there, "the socket's end")
        relay.process.send_signal(signal.SIGTERM)
        assert relay.process.wait(lab_module.STOP_SECONDS) == 0


def test_signal_before_anyone_called(quiet_lab):
    with lab_module.Relay(quiet_lab, anchored=False) as relay:
        relay.process.send_signal(signal.SIGTERM)
        assert relay.process.wait(lab_module.STOP_SECONDS) == 0


def test_two_relays_on_one_machine(running):
    with lab_module.Lab() as other_lab, lab_module.Relay(other_lab) as other:
        pass_through(running)
        pass_through(other)
    pass_through(running)


def test_no_hugepages(running):
    smaps = pathlib.Path(f"/proc/{running.process.pid}/smaps").read_text()
    sizes = {int(size) for size in re.findall(r"^(?:Private|Shared)_Hugetlb: +(\d+)", smaps, re.MULTILINE)}
    assert sizes == {0}
    assert "/rtemap_" not in smaps, "memory is in files"


def test_no_core_dump(running):
    process = running.process
    limits = pathlib.Path(f"/proc/{process.pid}/limits").read_text()
    assert re.search(r"^Max core file size +0 +0 ", limits, re.MULTILINE), limits
    process.send_signal(signal.SIGABRT)
    assert os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT).si_code == os.CLD_KILLED, "it dumped"
    running.kill9()
    running.start_again()


# The shipped configurations: pci.conf needs NICs of its own, test_check_takes_the_examples() is all for it

@pytest.mark.parametrize("name", ["af_packet.conf", "af_xdp.conf"])
def test_example_starts(tmp_path, monkeypatch, name):
    if name == "af_xdp.conf":
        need_af_xdp()
        suppress_libxdps_leak(tmp_path, monkeypatch)
    path = lab_module.ROOT / "config" / name
    with lab_module.Lab() as lab, ShippedRelay(lab, path) as relay:
        info = relay.call("relay.info")
        assert [port["name"] for port in info["ports"]] == ["ran", "core"]
        assert info["workers"] == int(re.search(r"^workers = (\d+);", path.read_text(), re.MULTILINE)[1])
        assert "No legacy callbacks" not in relay.log_text()  # of DPDK's telemetry: no fault


# AF_XDP

def need_af_xdp():
    if not any(AF_XDP in names for path in pathlib.Path("/usr").glob("lib*/*/dpdk/pmds-*")
               for names in [os.listdir(path)]):
        pytest.skip(f"{AF_XDP} is missing: package librte-net-af-xdp*")
    try:
        socket.socket(44, socket.SOCK_RAW).close()  # AF_XDP
    except OSError as error:
        pytest.skip(f"the kernel has no AF_XDP: {error.strerror}")


class XdpRelay(lab_module.Relay):
    """With devices as config/af_xdp.conf has them."""

    RINGS = ""

    def config_text(self):
        text = super().config_text()
        for n, side in enumerate(self.lab.sides):
            old, new = f"net_af_packet{n},iface=veth-{side}", self.device(n, side)
            assert text.count(old) == 1
            text = text.replace(old, new)
        return text

    @staticmethod
    def device(n, side):
        example = (lab_module.ROOT / "config" / "af_xdp.conf").read_text()
        return re.search(rf'"(net_af_xdp{n},[^"]*)"', example)[1].replace(f"iface=eth{n + 1}", f"iface=veth-{side}")


def suppress_libxdps_leak(tmp_path, monkeypatch):
    """The driver leaves libxdp's memory behind when its port is closed."""
    (tmp_path / "suppressions").write_text("leak:libxdp\n")
    monkeypatch.setenv("LSAN_OPTIONS", f"suppressions={tmp_path}/suppressions:print_suppressions=0")


def test_af_xdp(tmp_path, monkeypatch):
    need_af_xdp()
    suppress_libxdps_leak(tmp_path, monkeypatch)
    with lab_module.Lab() as lab, XdpRelay(lab, anchored=False) as relay:
        pass_through(relay)
        for side in lab.sides:
            assert "prog/xdp" in lab.ip("relay", "-d", "link", "show", f"veth-{side}")


# Why a port does not open: DPDK's drivers give the same error for every cause.

NO_LOCKED_MEMORY = ("prlimit", "--memlock=65536", "setpriv", "--bounding-set=-ipc_lock")


@pytest.mark.parametrize("driver", ["net_af_packet", "net_af_xdp"])
@pytest.mark.parametrize("interface, launcher, reason", [
    ("nosuch0", (), 'there is no interface \\"nosuch0\\"'),
    ("veth-core", ("setpriv", "--bounding-set=-net_raw"), "it needs CAP_NET_RAW"),
    ("veth-core", ("setpriv", "--bounding-set=-net_admin"), "it needs CAP_NET_ADMIN"),
    ("veth-core", NO_LOCKED_MEMORY,
     "it needs more locked memory than RLIMIT_MEMLOCK allows (64 KiB), or CAP_IPC_LOCK"),
], ids=["interface", "raw", "admin", "memory"])
def test_says_why_a_port_does_not_open(tmp_path, lab, driver, interface, launcher, reason):
    if driver == "net_af_xdp":
        need_af_xdp()
    config = tmp_path / "mcxrelay.conf"
    config.write_text(config_text(tmp_path, device=f"{driver}0,iface={interface}"))
    ended = subprocess.run(["ip", "netns", "exec", lab.namespace("relay"), *launcher,
                            lab_module.build_directory() / "mcxrelay", "-c", config],
                           capture_output=True, text=True, stdin=subprocess.DEVNULL,
                           timeout=lab_module.START_SECONDS)
    refusal = [line for line in ended.stderr.splitlines() + ended.stdout.splitlines() if "relay_not_opened" in line]
    assert ended.returncode != 0
    assert len(refusal) == 1 and refusal[0].endswith(f': {reason}"'), refusal


# Why there is no memory: errno is the same for every limit.

def over(folder, *commands):
    """A launcher in whose namespace another file system, prepared by commands, is in the place of a folder."""
    script = f"mount -t tmpfs none {folder} && cd {folder} && {' && '.join(commands)} && exec \"$@\""
    return "unshare", "--mount", "sh", "-c", script, "sh"


GROUP_OF_16_MIB = over("/sys/fs/cgroup", "mkdir memory", "echo 16777216 >memory.max",
                       "echo 16777216 >memory/memory.limit_in_bytes")


@pytest.mark.parametrize("eal, launcher, reason", [
    ('"--no-huge", "-m", "16"', (),
     r"no memory for packet buffers of \d\d MiB and rings: DPDK has \d+ of 16 MiB free; accepted: more by the EAL "
     r"argument -m"),
    ('"--no-huge", "-m", "256"', GROUP_OF_16_MIB,
     r"no memory for packet buffers of \d\d MiB: the control group of the process may have 16 MiB"),
    ('"--in-memory"', over("/sys/kernel/mm/hugepages", "true"),
     "no hugepages are free; accepted: vm.nr_hugepages of more, or the EAL argument --no-huge"),
], ids=["dpdk", "group", "hugepages"])
def test_says_why_there_is_no_memory(tmp_path, eal, launcher, reason):
    config = tmp_path / "mcxrelay.conf"
    config.write_text(config_text(tmp_path, device="net_null0").replace('"--no-huge", "-m", "256"', eal))
    ended = subprocess.run([*launcher, lab_module.build_directory() / "mcxrelay", "-c", config], capture_output=True,
                           text=True, stdin=subprocess.DEVNULL, timeout=lab_module.START_SECONDS)
    errors = [line for line in ended.stderr.splitlines() if line.startswith("error ")]
    assert ended.returncode == 1
    assert len(errors) == 1 and re.fullmatch(f'error \\w+ reason="{reason}"', errors[0]), errors
