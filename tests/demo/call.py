#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors
"""A group call between two protected groups and an unprotected system, over a running relay.

Alice speaks in group one, a user of the unprotected system behind the security gateway answers.

    alice ---- srtp, GMK 1 ----+             +---- srtp, GMK 1 ------ radio1 radio2
                               |             +---- opaque ----------- opaque1 opaque2
                               +--- relay ---+---- opaque ----------- stranger, who has no key
                               |             +---- srtp, GMK 2 ------ group2
    gateway -- plain RTP ------+             +---- plain RTP -------- gateway

Everything that is heard is recorded and compared with what was said.
"""

import argparse
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import speech
from table import Table, counters_of

HERE = Path(__file__).resolve().parent
ALICE = "sip:alice@mcptt.example.org"
GATE_KEEPER = "sip:gate.keeper@lmr.example.org"
GROUP_MCPTT = 4  # CS-ID of MCPTT group media, TS 33.180 table 9.4.6
SESSION = "demo"
DOMAIN = "home"
DEADLINE = 20.0  # seconds for what takes far less than one
RELAY_PORT = 6000
RADIO_PORT = 5000


class Leg:
    """One leg of the session and the radio behind it."""

    def __init__(self, name, port, protection, hears=(), speaks=None, knows=(), to=None, gets=None):
        self.name = name
        self.port = port  # of the relay: ran or core
        self.protection = protection
        self.hears = hears  # the speeches its recording must carry; it must carry no other
        self.gets = hears if gets is None else gets  # the speeches whose packets reach it
        self.speaks = speaks  # the key its radio protects with
        self.knows = knows  # the keys its radio has to unprotect with
        self.to = to


class Mcxctl:
    """The relay as an MCX server sees it."""

    def __init__(self, program, socket):
        self.program = program
        self.socket = socket

    def run(self, what, *args, text=""):
        """Run mcxctl; `what` names it in an error, because the arguments may hold a key."""
        done = subprocess.run(
            [self.program, *args], input=text, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"mcxctl {what}: {done.stderr.strip()}")
        return json.loads(done.stdout)

    def call(self, method, params):
        """Parameters go by standard input: a command line is there for every user to read."""
        return self.run(method, "-s", self.socket, "call", method, "-", text=json.dumps(params))


class Gmk:
    """A group master key as a group management server would make it (TS 33.180 clause 7.3)."""

    def __init__(self):
        # The purpose tag of a GMK is 0, the other 28 bits of its identifier are random (annex G).
        self.id = f"{int.from_bytes(os.urandom(4), 'big') & 0x0FFFFFFF:08x}"
        self.value = os.urandom(16).hex()
        self.rand = os.urandom(16).hex()

    def describe(self):
        """GStreamer knows no ROC transport (RFC 4771), hence the ROC rate of 0."""
        return {
            "id": self.id,
            "type": "gmk",
            "value": self.value,
            "rand": self.rand,
            "domain": DOMAIN,
            "profile": {"roc_rate": 0},
        }

    def derive(self, mcxctl, user):
        """What a radio needs to protect or unprotect what this user says to the group."""
        guk = mcxctl.run(
            "guk-id", "guk-id", "--key", self.value, "--key-id", self.id, "--user", user
        )
        keys = mcxctl.run(
            "derive",
            "derive",
            *("--key", self.value),
            *("--csb-id", guk["guk_id"]),
            *("--cs-id", str(GROUP_MCPTT)),
            *("--rand", self.rand),
        )
        return {"key": keys["master_key"] + keys["master_salt"], "mki": guk["mki"]}


class Radio:
    """The process of radio.py in its network namespace."""

    def __init__(self, name, namespace, listen, to, record, keys):
        self.name = name
        self.record = record
        program = ["ip", "netns", "exec", namespace, "/usr/bin/python3", str(HERE / "radio.py")]
        self.process = subprocess.Popen(
            [*program, "--listen", listen, "--to", to, "--record", record],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self.say(json.dumps(keys))

    def say(self, line):
        try:
            self.process.stdin.write(line + "\n")
        except BrokenPipeError:
            raise RuntimeError(f"radio {self.name} has ended") from None

    def answer(self, member, timeout=DEADLINE):
        """Wait for the answer to what was said."""
        if not select.select([self.process.stdout], [], [], timeout)[0]:
            raise RuntimeError(f"radio {self.name} does not answer")
        line = self.process.stdout.readline()
        answer = json.loads(line) if line else {"error": "has ended"}
        if answer.get("error"):
            raise RuntimeError(f"radio {self.name}: {answer['error']}")
        return answer[member]

    def ask(self, line, member, timeout=DEADLINE):
        self.say(line)
        return self.answer(member, timeout)

    def heard(self):
        return sum(self.ask("count", "heard").values())

    def stop(self):
        self.ask("stop", "stopped")
        self.process.wait()

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def legs_make(one, two):
    """The cast. `one` and `two` are the GMKs with what each user derives from them."""
    group_one = {"mode": "srtp", "key": one["gmk"].id, "domain": DOMAIN}
    group_two = {"mode": "srtp", "key": two["gmk"].id, "domain": DOMAIN}
    opaque = {"mode": "opaque"}
    both = ("question", "answer")
    members = (one["alice"], one["keeper"])
    return [
        Leg("talker", "ran", {**group_one, "user": ALICE}, speaks=one["alice"], knows=members),
        Leg("opaque1", "ran", opaque, hears=both[:1], knows=members),
        Leg("opaque2", "ran", opaque, hears=both[:1], knows=members),
        Leg("stranger", "ran", opaque, gets=both[:1]),
        Leg("radio1", "ran", group_one, hears=both, knows=members),
        Leg("radio2", "ran", group_one, hears=both, knows=members),
        Leg(
            "gateway",
            "core",
            {"mode": "plain", "user": GATE_KEEPER},
            hears=both[:1],
            # The relay has no key for an opaque leg, so what enters in plain cannot go there.
            to=["radio1", "radio2", "group2"],
        ),
        Leg("group2", "core", group_two, hears=both, knows=(two["alice"], two["keeper"])),
    ]


def keys_make(mcxctl):
    gmk = Gmk()
    return {
        "gmk": gmk,
        "alice": gmk.derive(mcxctl, ALICE),
        "keeper": gmk.derive(mcxctl, GATE_KEEPER),
    }


def address_join(host, port):
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Call:
    """The session in the relay, the radios around it, and what came of it."""

    def __init__(self, args):
        self.args = args
        self.mcxctl = Mcxctl(args.mcxctl, args.socket)
        self.speeches = {"question": args.question, "answer": args.answer}
        self.legs = []
        self.radios = {}
        self.sent = {}
        self.missing = []

    def address(self, leg, index):
        """The relay's and the radio's address of a leg."""
        relay, radio = (getattr(self.args, f"{leg.port}_{who}") for who in ("relay", "radio"))
        return address_join(relay, RELAY_PORT + 2 * index), address_join(
            radio, RADIO_PORT + 2 * index
        )

    def leg_describe(self, leg, index):
        local, remote = self.address(leg, index)
        described = {
            "id": leg.name,
            "port": leg.port,
            "local": local,
            "remote": remote,
            "receive": leg.name in ("talker", "gateway"),
            "send": leg.name != "talker",
            "rtcp": "none",
            "protection": leg.protection,
        }
        return described if leg.to is None else {**described, "to": leg.to}

    def establish(self):
        """Two keys, one session, eight radios."""
        one, two = keys_make(self.mcxctl), keys_make(self.mcxctl)
        keys = [group["gmk"].describe() for group in (one, two)]
        result = self.mcxctl.call("key.install", {"keys": keys})
        if result["installed"] != len(keys):
            raise RuntimeError(f"key.install: {result['rejected']}")
        self.legs = legs_make(one, two)
        session = {
            "id": SESSION,
            "service": "mcptt",
            "type": "group",
            "domain": DOMAIN,
            "legs": [self.leg_describe(leg, index) for index, leg in enumerate(self.legs)],
        }
        self.mcxctl.call("session.apply", {"session": session})
        for index, leg in enumerate(self.legs):
            self.radio_start(leg, index)
        for radio in self.radios.values():
            radio.answer("ready")

    def radio_start(self, leg, index):
        relay, own = self.address(leg, index)
        self.radios[leg.name] = Radio(
            leg.name,
            getattr(self.args, f"{leg.port}_namespace"),
            own,
            relay,
            str(Path(self.args.outdir) / f"{leg.name}.wav"),
            {"speak": leg.speaks, "hear": leg.knows},
        )

    def speak(self, name, speech_name):
        """Say it and wait until it has arrived wherever it should, or is overdue.

        The answer is spoken only after that, so that every recording has the same order.
        """
        before = {leg.name: self.radios[leg.name].heard() for leg in self.legs}
        seconds = float(self.args.seconds)
        sent = self.radios[name].ask(
            f"speak {self.speeches[speech_name]}", "spoken", seconds + DEADLINE
        )
        self.sent[speech_name] = sum(sent.values())
        overdue = time.monotonic() + 3
        for leg in self.legs:
            if speech_name not in leg.gets:
                continue
            while self.radios[leg.name].heard() - before[leg.name] < self.sent[speech_name]:
                if time.monotonic() > overdue:
                    break

    def session_get(self):
        return self.mcxctl.call("session.get", {"id": SESSION})

    def counters_check(self, session):
        """The relay's counters must agree with what the radios sent and heard."""
        shown = {leg["id"]: leg for leg in session["legs"]}
        expected = [
            ("talker", "receive", self.sent["question"]),
            ("gateway", "receive", self.sent["answer"]),
        ]
        for leg in self.legs:
            heard = self.radios[leg.name].heard()
            if heard != sum(self.sent[name] for name in leg.gets):
                self.missing.append(f"{leg.name} unprotected {heard} packets")
            expected.append((leg.name, "send", sum(self.sent[name] for name in leg.gets)))
        for name, direction, packets in expected:
            counted, _octets, _drops = counters_of(shown[name], direction)
            if counted != packets:
                self.missing.append(
                    f"leg {name}: {packets} packets to {direction}, the relay counted {counted}"
                )

    def recordings_check(self):
        """Each recording must carry each speech meant for it, and no other."""
        references = {name: speech.wav_read(path) for name, path in self.speeches.items()}
        print(f"    {'recording':<14}" + "".join(f"{name:>24}" for name in references))
        for leg in self.legs:
            recording = speech.wav_read(self.radios[leg.name].record)
            line = f"    {leg.name + '.wav':<14}"
            for name, reference in references.items():
                line += self.recording_judge(leg, name, reference, recording)
            print(line)

    def recording_judge(self, leg, name, reference, recording):
        share, complete = speech.heard_measure(reference, recording)
        if name in leg.hears and not complete:
            self.missing.append(f"{leg.name} did not hear the {name} ({share:.0%} of it)")
        if name not in leg.hears and share > 0:
            self.missing.append(f"{leg.name} heard the {name} ({share:.0%} of it) and must not")
        wanted = "meant for it" if name in leg.hears else "not for it"
        return f"{share:>10.0%} {wanted:>13}"

    def run(self):
        self.establish()
        table = Table(self.session_get)
        table.start()
        self.speak("talker", "question")
        self.speak("gateway", "answer")
        session = table.stop()
        self.counters_check(session)
        for radio in self.radios.values():
            radio.stop()
        print("What was heard:")
        self.recordings_check()

    def end(self):
        for radio in self.radios.values():
            radio.kill()


def arguments_read():
    parser = argparse.ArgumentParser(
        description="hold the demonstration's call over a running relay"
    )
    for name in ("mcxctl", "socket", "outdir", "seconds", "question", "answer"):
        parser.add_argument(f"--{name}", required=True)
    for port in ("ran", "core"):
        for what in ("namespace", "relay", "radio"):
            parser.add_argument(f"--{port}-{what}", required=True)
    return parser.parse_args()


def main():
    # An exit, unlike a signal, ends the radios too.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda caught, _frame: sys.exit(128 + caught))
    call = Call(arguments_read())
    try:
        call.run()
    except RuntimeError as error:
        call.missing.append(str(error))
    finally:
        call.end()
    for missing in call.missing:
        print(f"MISSING: {missing}", file=sys.stderr)
    return 1 if call.missing else 0


if __name__ == "__main__":
    sys.exit(main())
