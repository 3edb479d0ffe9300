# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""The state directory over lives of the relay: what becomes of its files, no index comes again on the wire."""

import contextlib
import os
import pathlib
import pwd
import random
import shutil
import signal
import subprocess

import pytest

import lab as lab_module
import mcx
from lab import Client, Relay, apply, install
from tap import Tap
from test_invariants import GATEWAY, Floor, Nonces
from test_programs import config_text, contents, program

FILES = ("ssrc", "srtcp")
USER = "nobody"


@pytest.fixture(scope="module")
def own_lab():
    with lab_module.Lab() as lab:
        yield lab


class Speakers:
    """Control that is re-encrypted, and media that enters in plain, under keys that outlive the relay."""

    def __init__(self, lab, new_key):
        self.lab, self.floor, self.gmk = lab, Floor(lab, new_key), new_key()
        self.nonces, self.sent = Nonces(), 0

    def speak(self, relay, tap):
        install(relay, *self.floor.keys, self.gmk)
        self.floor.speak(relay, tap, [0, 1] * 5)
        context = self.gmk.group(GATEWAY)
        with Client(self.lab, "core") as lmr, Client(self.lab, "ran") as radio:
            apply(relay, "media", [lmr.leg("lmr", "plain", protection={"user": GATEWAY}),
                                   radio.leg("radio", "srtp", self.gmk)])
            for seq in range(10):
                self.sent += 1
                lmr.send(mcx.rtp(0x77, seq, b"%d" % self.sent))
            for packet in tap.payloads(radio.relay_port):
                plain = mcx.srtp_unprotect(context, packet)
                self.nonces.add(plain.ssrc, plain.index, packet)
                if plain.payload == b"%d" % self.sent:
                    break
            relay.call("session.remove", {"ids": ["media"]})

    @property
    def last_index(self):
        return max(index for _, index in self.floor.nonces.seen)

    @property
    def first_index(self):
        return min(index for _, index in self.floor.nonces.seen)


def state_of(relay):
    return relay.directory / "state"


def flip(path, generator):
    octets = bytearray(path.read_bytes())
    octets[generator.randrange(len(octets))] ^= 1 << generator.randrange(8)
    path.write_bytes(octets)


def end(relay, number):
    assert relay._end(number) == (0 if number == signal.SIGTERM else -number)


# What one file stands for both after.
ONE_FILE = {
    "nothing": lambda state, generator: None,
    "flip ssrc": lambda state, generator: flip(state / "ssrc", generator),
    "flip srtcp": lambda state, generator: flip(state / "srtcp", generator),
    "cut": lambda state, generator: os.truncate(state / generator.choice(FILES), generator.randrange(100)),
    "delete ssrc": lambda state, generator: (state / "ssrc").unlink(),
    "delete srtcp": lambda state, generator: (state / "srtcp").unlink(),
    "delete both": lambda state, generator: [(state / name).unlink() for name in FILES],
    "delete the directory": lambda state, generator: shutil.rmtree(state),
}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_nothing_comes_again_whatever_is_lost(own_lab, new_key, number):
    """The relay starts each time, and says so where it misses something."""
    speakers, generator = Speakers(own_lab, new_key), random.Random(number)
    with Relay(own_lab) as relay, Tap(own_lab, "ran") as tap:
        speakers.speak(relay, tap)
        for how, become in ONE_FILE.items():
            end(relay, number)
            before = contents(state_of(relay))
            become(state_of(relay), generator)
            relay.start_again()
            speakers.speak(relay, tap)
            assert set(contents(state_of(relay))) == set(before) == set(FILES)
            says = {"nothing": "", "delete both": "state_begun", "delete the directory": "state_begun"}
            assert says.get(how, "state_repaired") in relay.log_text(), how
        assert tap.lost() == 0


def test_one_file_of_an_older_generation(own_lab, new_key):
    speakers = Speakers(own_lab, new_key)
    with Relay(own_lab) as relay, Tap(own_lab, "ran") as tap:
        for name in FILES:
            speakers.speak(relay, tap)
            relay.kill9()
            old = (state_of(relay) / name).read_bytes()
            relay.start_again()
            speakers.speak(relay, tap)
            relay.kill9()
            (state_of(relay) / name).write_bytes(old)
            relay.start_again()
            assert f"state_repaired path=\"{state_of(relay)}\" file={name} reason=\"it was restored" in \
                relay.log_text()
        speakers.speak(relay, tap)
        assert tap.lost() == 0


def refused(relay, *says):
    """It ends with one line that says why and what to do, and touches nothing."""
    before = contents(state_of(relay))
    done = program("-c", str(relay.directory / "mcxrelay.conf"), lab=relay.lab)
    lines = [line for line in done.stderr.splitlines() if line.startswith("error ")]
    assert done.returncode == 1 and "forwards" not in done.stdout, done
    assert len(lines) == 1 and "--new-state" in lines[0], done
    for text in says:
        assert text in lines[0], lines[0]
    assert contents(state_of(relay)) == before


def restore_over(state, backup):
    for name, octets in backup.items():
        (state / name).write_bytes(octets)


def restore_anew(state, backup):
    shutil.rmtree(state)
    state.mkdir()
    restore_over(state, backup)


def move_to_another_directory(state, backup):
    shutil.copytree(state, state.with_name("copy"))
    shutil.rmtree(state)
    state.with_name("copy").rename(state)


@pytest.mark.parametrize("put_back", [restore_over, restore_anew, move_to_another_directory],
                         ids=lambda how: how.__name__)
def test_directory_put_back(own_lab, new_key, put_back):
    """Refused until an operator begins a new state, which is above the old one."""
    speakers = Speakers(own_lab, new_key)
    with Relay(own_lab) as relay, Tap(own_lab, "ran") as tap:
        speakers.speak(relay, tap)
        end(relay, signal.SIGTERM)
        backup = contents(state_of(relay))
        relay.start_again()
        speakers.speak(relay, tap)
        end(relay, signal.SIGTERM)
        put_back(state_of(relay), backup)
        refused(relay, f"{state_of(relay)}/ssrc was restored or copied", "/srtcp was restored or copied")
        check = program("--check", "-c", str(relay.directory / "mcxrelay.conf"))
        assert check.returncode == 1 and "was restored or copied" in check.stderr, check
        used = speakers.last_index
        done = program("--new-state", "-c", str(relay.directory / "mcxrelay.conf"))
        assert (done.returncode, done.stderr) == (0, "") and str(state_of(relay)) in done.stdout, done
        speakers.floor.nonces.seen, before = {}, speakers.floor.nonces.seen
        relay.start_again()
        speakers.speak(relay, tap)
        assert speakers.first_index > used + (1 << 26) - (1 << 16)
        assert not before.keys() & speakers.floor.nonces.seen.keys()
        assert tap.lost() == 0


def test_both_files_damaged(own_lab):
    with Relay(own_lab, anchored=False) as relay:
        relay.kill9()
        good = contents(state_of(relay))
        for name, octets in good.items():
            (state_of(relay) / name).write_bytes(octets[:-1])
        refused(relay, f"{state_of(relay)}/ssrc is damaged, {state_of(relay)}/srtcp is damaged")
        restore_over(state_of(relay), good)  # the files are still those that it wrote
        relay.start_again()


def test_stop_and_start_waste_no_index(own_lab, new_key):
    speakers = Speakers(own_lab, new_key)
    with Relay(own_lab) as relay, Tap(own_lab, "ran") as tap:
        for _ in range(4):
            speakers.speak(relay, tap)
            end(relay, signal.SIGTERM)
            relay.start_again()
        assert tap.lost() == 0
    indices = sorted({index for _, index in speakers.floor.nonces.seen})
    assert indices == list(range(indices[0], indices[-1] + 1))


def test_crash_wastes_no_more_than_a_block(own_lab, new_key):
    speakers = Speakers(own_lab, new_key)
    with Relay(own_lab) as relay, Tap(own_lab, "ran") as tap:
        for _ in range(4):
            speakers.speak(relay, tap)
            relay.kill9()
            relay.start_again()
        assert tap.lost() == 0
    assert speakers.last_index - speakers.first_index < 4 * 16384


def test_older_version_is_taken_over_once(own_lab, new_key):
    """Its files: a magic and a number, the one of SSRCs with a key."""
    speakers = Speakers(own_lab, new_key)
    with Relay(own_lab) as relay, Tap(own_lab, "ran") as tap:
        relay.kill9()
        old = {"ssrc": b"mcxssrc1" + bytes(range(32)) + (5 * 4096).to_bytes(4, "big"),
               "srtcp": b"mcxsrtcp" + (3 * 65536 + 1).to_bytes(4, "big")}
        restore_anew(state_of(relay), old)
        relay.start_again()
        assert "state_taken_over" in relay.log_text()
        speakers.speak(relay, tap)
        assert speakers.first_index == 3 * 65536 + 1
        relay.kill9()
        (state_of(relay) / "ssrc").write_bytes(old["ssrc"])
        relay.start_again()
        speakers.speak(relay, tap)
        relay.kill9()
        (state_of(relay) / "ssrc").write_bytes(old["ssrc"])
        (state_of(relay) / "srtcp").unlink()
        refused(relay, "/ssrc is an older version's", "/srtcp is missing")
        assert program("--new-state", "-c", str(relay.directory / "mcxrelay.conf")).returncode == 0
        relay.start_again()
        assert tap.lost() == 0


def test_state_of_a_service_is_required(own_lab, monkeypatch):
    """As the unit has it: a lost directory is no first start."""
    with Relay(own_lab, anchored=False) as relay:
        monkeypatch.setenv("MCXRELAY_STATE", "required")
        relay.kill9()
        relay.start_again()
        relay.kill9()
        for lose in (lambda state: None, pathlib.Path.mkdir):
            shutil.rmtree(state_of(relay))
            lose(state_of(relay))
            refused(relay, "/ssrc is missing")
        assert program("--new-state", "-c", str(relay.directory / "mcxrelay.conf")).returncode == 0
        relay.start_again()


def test_new_state_is_the_directorys_owners(own_lab, tmp_path):
    """Root begins it for the user that the service runs as."""
    file = tmp_path / "mcxrelay.conf"
    owner = pwd.getpwnam(USER)
    tmp_path.chmod(0o755)
    for more in ("", f'user = "{USER}";\n'):
        file.write_text(config_text(tmp_path) + more)
        if not more:
            (tmp_path / "state").mkdir(0o700)
            os.chown(tmp_path / "state", owner.pw_uid, owner.pw_gid)
        done = program("--new-state", "-c", str(file))
        assert done.returncode == 0, done
        found = [(tmp_path / "state").stat(), *((tmp_path / "state" / name).stat() for name in FILES)]
        assert {(s.st_uid, s.st_gid) for s in found} == {(owner.pw_uid, owner.pw_gid)}
        assert [s.st_mode & 0o777 for s in found] == [0o700, 0o600, 0o600]
        shutil.rmtree(tmp_path / "state")


def test_new_state_while_it_runs(own_lab):
    with Relay(own_lab, anchored=False) as relay:
        before = contents(state_of(relay))
        done = program("--new-state", "-c", str(relay.directory / "mcxrelay.conf"))
        assert done.returncode == 1 and "in use" in done.stderr, done
        assert contents(state_of(relay)) == before


@pytest.mark.parametrize("arguments", [("--new-state", "--check", "-c", "/dev/null"), ("--new-state", "more")])
def test_new_state_and_more(arguments):
    done = program(*arguments)
    assert done.returncode == 1 and "Usage:" in done.stderr, done


def test_check_says_what_state_there_is(own_lab, tmp_path):
    file = tmp_path / "mcxrelay.conf"
    file.write_text(config_text(tmp_path))
    done = program("--check", "-c", str(file))
    assert done.returncode == 0 and "No such file" in done.stdout, done
    (tmp_path / "state").mkdir()
    assert "has no state" in program("--check", "-c", str(file)).stdout
    assert program("--new-state", "-c", str(file)).returncode == 0
    assert "is good" in program("--check", "-c", str(file)).stdout.splitlines()[1]
    before = contents(tmp_path)
    for name in FILES:
        (tmp_path / "state" / name).write_bytes(b"")
    done = program("--check", "-c", str(file))
    assert done.returncode == 1 and "/ssrc is damaged" in done.stderr, done
    assert before.keys() == contents(tmp_path).keys()


@pytest.mark.parametrize("mount, says", [
    ("-o ro", "Read-only file system"), ("-o size=4096", "No space left on device")], ids=["read-only", "full"])
def test_disk_that_takes_nothing(own_lab, tmp_path, mount, says):
    file, state = tmp_path / "mcxrelay.conf", tmp_path / "state"
    state.mkdir()
    file.write_text(config_text(tmp_path))
    fill = f"; head -c 4096 /dev/zero >{state}/fill" if "size" in mount else ""
    done = subprocess.run(["ip", "netns", "exec", own_lab.namespace("relay"), "unshare", "--mount", "sh", "-c",
                           f'mount -t tmpfs {mount} none {state}{fill}; exec "$@"', "sh",
                           lab_module.build_directory() / "mcxrelay", "-c", file], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=lab_module.START_SECONDS)
    lines = [line for line in done.stderr.splitlines() if line.startswith("error ")]
    assert done.returncode == 1 and len(lines) == 1, done
    assert says in lines[0] and str(state) in lines[0] and "accepted: " in lines[0], lines


def test_killed_again_and_again(own_lab, new_key):
    """Also while it starts and while it stops."""
    speakers, generator = Speakers(own_lab, new_key), random.Random(7)
    with Relay(own_lab) as relay, Tap(own_lab, "ran") as tap:
        for _ in range(4):
            speakers.speak(relay, tap)
            relay.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                relay.process.wait(generator.random() / 10)
            relay.kill9()
            for _ in range(3):
                command = ["ip", "netns", "exec", own_lab.namespace("relay"),
                           lab_module.build_directory() / "mcxrelay", "-c", relay.directory / "mcxrelay.conf"]
                with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as starting:
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        starting.wait(0.1 + generator.random() / 2)
                    starting.kill()
            relay.start_again()
        speakers.speak(relay, tap)
        assert tap.lost() == 0
