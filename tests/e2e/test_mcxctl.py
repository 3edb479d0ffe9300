# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""The program mcxctl: what it derives, what it calls, what it says when it is used wrongly."""

import base64
import contextlib
import datetime
import itertools
import json
import os
import re
import socket
import subprocess
import time

import pytest

import lab as lab_module
import mcx
from test_mcx import sections

KEY = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
RAND = "b0b1b2b3b4b5b6b7b8b9babbbcbdbebf"
DERIVE = {"--key": KEY, "--csb-id": "0a1b2c3d", "--cs-id": "4", "--rand": RAND}
GUK_ID = {"--key": KEY, "--key-id": "0a1b2c3d", "--user": "sip:alice@mcptt.example.org"}
README = (lab_module.ROOT / "README.md").read_text()


def mcxctl(*arguments, stdin=""):
    return subprocess.run([lab_module.build_directory() / "mcxctl", *arguments], input=stdin, capture_output=True,
                          text=True, timeout=lab_module.START_SECONDS)


def words(options):
    return [word for pair in options.items() for word in pair]


def answer(*arguments, **more):
    done = mcxctl(*arguments, **more)
    assert done.returncode == 0 and done.stderr == "", done
    return json.loads(done.stdout)


def refused(*arguments, **more):
    """Exit status 1 and nothing on stdout. Returns what it says on stderr."""
    done = mcxctl(*arguments, **more)
    assert done.returncode == 1 and done.stdout == "", done
    assert "Sanitizer" not in done.stderr and done.stderr.strip(), done
    return done.stderr


def derive(key, cs_id, csb_id, rand, suite=None):
    options = {"--key": key, "--csb-id": csb_id, "--cs-id": str(cs_id), "--rand": rand}
    return answer("derive", *words(options), *(["--suite", suite] if suite else []))


# derive, guk-id

def test_derive_mikey_vectors():
    found = [(name, v) for name, v in sections("mikey_prf") if name.startswith("own_")]
    assert len(found) >= 6
    for name, v in found:
        got = derive(v["tgk"], int(v["cs_id"], 16), v["csb_id"], v["rand"])
        assert (got["master_key"], got["master_salt"]) == (v["master_key"], v["master_salt"]), name


def test_derive_packet_vectors():
    """Group, private and floor control keys of the example packets, and the answer's exact members."""
    roots = {"gmk": "guk_id", "pck": "pck_id", "csk": "csk_id"}
    names = {"session_key": ("srtp", "session_key"), "session_salt": ("srtp", "session_salt"),
             "srtcp_key": ("srtcp", "session_key"), "srtcp_salt": ("srtcp", "session_salt")}
    checked = {member: 0 for member in names} | dict.fromkeys(roots, 0)
    for name, v in sections("e2e_packets") + sections("floor_control"):
        kind = next((kind for kind, csb_id in roots.items() if kind in v and csb_id in v and "cs_id" in v), None)
        if kind is None:
            continue
        got = derive(v[kind], int(v["cs_id"], 16), v[roots[kind]], v["rand"])
        assert got.keys() == {"master_key", "master_salt", "srtp", "srtcp"}, name
        assert (got["master_key"], got["master_salt"]) == (v["master_key"], v["master_salt"]), name
        checked[kind] += 1
        for member, (protocol, what) in names.items():
            if member in v:
                is_srtcp = member.startswith("session") and "srtcp" in v and "srtp" not in v
                assert got["srtcp" if is_srtcp else protocol][what] == v[member], (name, member)
                checked[member] += 1
    assert all(checked.values()), checked


@pytest.mark.parametrize("suite, key_len", [(mcx.GCM_128, 16), (mcx.GCM_128, 32), (mcx.GCM_256, 16), (mcx.GCM_256, 32),
                                            (mcx.CM_80, 16), (mcx.CM_32, 32)])
@pytest.mark.parametrize("rand_len", [16, 17, 64])
def test_derive_suites(suite, key_len, rand_len):
    value, rand = os.urandom(key_len), os.urandom(rand_len)
    master = (mcx.master_key(value, 255, 0xfedcba98, rand, suite),
              mcx.master_salt(value, 255, 0xfedcba98, rand, mcx.salt_len(suite)))
    context = mcx.context_of_master(*master, suite=suite)
    expected = {
        "master_key": master[0].hex(), "master_salt": master[1].hex(),
        "srtp": {"session_key": context.session_key.hex(), "session_salt": context.session_salt.hex()},
        "srtcp": {"session_key": context.srtcp_key.hex(), "session_salt": context.srtcp_salt.hex()}}
    if suite in mcx.AES_CM:
        expected["srtp"]["auth_key"] = context.auth_key.hex()
        expected["srtcp"]["auth_key"] = context.srtcp_auth_key.hex()
    assert derive(value.hex(), 255, "fedcba98", rand.hex(), suite) == expected


def test_guk_id_vectors():
    found = sections("gukid")
    assert found
    for name, v in found:
        got = answer("guk-id", "--key", v["gmk"], "--key-id", v["gmk_id"], "--user", v["uri_ascii"])
        assert got == {"guk_id": v["guk_id"], "mki": v["gmk_id"] + v["guk_id"]}, name


def test_guk_id_and_mki_of_packets():
    found = [(name, v) for name, v in sections("e2e_packets") if "tx_uri" in v and len(v.get("mki", "")) == 16]
    assert found
    for name, v in found:
        got = answer("guk-id", "--key", v["gmk"], "--key-id", v["gmk_id"], "--user", v["tx_uri"])
        assert got == {"guk_id": v["guk_id"], "mki": v["mki"]}, name


# uid

NTP_UNIX = 2208988800


def known_uids():
    """(identity, KMS, period, offset, number of a period, UID) of the vectors, where the period begins after 1970."""
    found = [(v["identifier"], v["kms"], int(v["period"]), int(v["offset"]), int(v["period_no"]), v["uid"])
             for _, v in sections("uid")]
    keys = dict(sections("imessage_more"))["keys"]
    for key, uid in keys.items():
        match = re.fullmatch(r"id_(\w+)_(\d+)_uid", key)
        if match:
            kms = f"kms_{keys[f'id_{match[1]}_kms']}"
            found.append((keys[f"id_{match[1]}_uri"], keys[f"{kms}_uri"], int(keys[f"{kms}_user_key_period"]),
                          int(keys[f"{kms}_user_key_offset"]), int(match[2]), uid))
    return [known for known in found if 0 <= known[3] + known[4] * known[2] - NTP_UNIX < 1 << 32]


def test_uid_vectors():
    """From the first second of the key period to its last one."""
    known = known_uids()
    assert len(known) > 10
    for uri, kms, period, offset, number, uid in known:
        options = {"--uri": uri, "--kms": kms, "--period": str(period), "--offset": str(offset)}
        start = offset + number * period - NTP_UNIX
        expected = {"uid": uid, "uid_base64": base64.b64encode(bytes.fromhex(uid)).decode(), "period_no": number,
                    "from": start, "to": start + period}
        for moment in (start, start + period - 1):
            assert answer("uid", *words(options | {"--time": str(moment)})) == expected, uri
        other = answer("uid", *words(options | {"--time": str(start + period)}))
        assert other["uid"] != uid and other["period_no"] == number + 1, uri


def test_uid_without_options_is_of_now():
    got = answer("uid", "--uri", "sip:alice@example.org", "--kms", "kms.example.org")
    assert got["to"] - got["from"] == 2592000 and got["from"] <= time.time() < got["to"] + 60
    same = answer("uid", "-j", "--uri", "sip:alice@example.org", "--kms", "kms.example.org", "--time",
                  datetime.datetime.fromtimestamp(got["from"], datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"))
    assert same == got


UID = {"--uri": "sip:alice@example.org", "--kms": "kms.example.org"}


@pytest.mark.parametrize("option, value, says", [
    ("--uri", "", "identifier"), ("--kms", "", "KMS"), ("--uri", "s" * 256, "identifier"), ("--period", "3599", "3,600"),
    ("--period", "x", "--period"), ("--offset", "-1", "--offset"), ("--offset", "2592000", "offset"),
    ("--time", "now", "--time"), ("--time", "2026-11-28", "--time"), ("--time", "2026-11-28T22:00:00+01:00", "--time"),
    ("--time", "", "--time"), ("--colour", "red", "--colour")])
def test_uid_refuses_a_wrong_value(option, value, says):
    assert says in refused("uid", *words(UID | {option: value}))


@pytest.mark.parametrize("missing", UID)
def test_uid_needs(missing):
    assert missing in refused("uid", *words({k: v for k, v in UID.items() if k != missing}))
    assert "argument" in refused("uid", *words(UID), "more")


# message show

def messages():
    return [(name, v) for name, v in sections("imessage_more") if "message" in v]


def message_show(octets, *options):
    done = subprocess.run([lab_module.build_directory() / "mcxctl", *options, "message", "show", "-"], input=octets,
                          capture_output=True, timeout=lab_module.START_SECONDS)
    assert b"Sanitizer" not in done.stderr, done.stderr
    return done


def test_messages_that_are_taken_are_message_show():
    """Payloads lie behind each other from the first octet to the last one; what is signed ends within SIGN."""
    checked = warned = 0
    for name, v in messages():
        if v["expect"] != "accept":
            continue
        octets = bytes.fromhex(v["message"])
        got = json.loads(message_show(octets, "-j").stdout)
        ends = [p["octet"] + p["length"] for p in got["payloads"]]
        assert [p["octet"] for p in got["payloads"]] == [0, *ends[:-1]] and ends[-1] == got["length"] == len(octets), name
        assert [p["payload"] for p in got["payloads"]][::len(ends) - 1] == ["HDR", "SIGN"], name
        assert got["signed"] == int(v["signed_len"]) and got["csb_id"] == v["csb_id"], name
        assert len(got["crypto_sessions"]) == int(v["cs_count"]) and got["type"] == v["type"], name
        # Options are those of a departure: what the decoder takes by one is warned of.
        assert "options" in v or not [w for w in got["warnings"] if "taken only" in w], name
        warned += bool(got["warnings"])
        checked += 1
    assert checked > 50 and warned


def test_a_message_in_every_form(tmp_path):
    octets = bytes.fromhex(dict(messages())["pck_default"]["message"])
    text = base64.b64encode(octets).decode()
    lines = "\r\n ".join(text[i:i + 64] for i in range(0, len(text), 64))
    table = message_show(octets).stdout.decode()
    assert table.splitlines()[0].split() == ["OCTET", "LENGTH", "PAYLOAD", "CONTENT"]
    assert "IDRi sip:ingrid@mcptt.blue-light.example" in table
    for form in (text, lines + "\n", f"mikey {text}", f"a=key-mgmt:mikey {text}\r\n"):
        assert mcxctl("message", "show", stdin=form).stdout == table
    file = tmp_path / "message"
    file.write_bytes(octets)
    assert mcxctl("message", "show", str(file)).stdout == table


def test_hidden_identities_are_shown_as_uids():
    v = dict(messages())["pck_both_hidden"]
    got = json.loads(message_show(bytes.fromhex(v["message"]), "-j").stdout)
    assert len(got["initiator_uid"]) == len(got["receiver_uid"]) == 64 and "initiator" not in got


def test_no_message_is_message_show(tmp_path):
    """Every beginning of one, and what is none: what is wrong, and where."""
    octets = bytes.fromhex(dict(messages())["pck_default"]["message"])
    for n in range(1, len(octets), 37):
        done = message_show(octets[:n])
        assert done.returncode == 1 and not done.stdout and f"of {n}\n" in done.stderr.decode(), done
    assert "trailing-octets" in message_show(octets + b"\0").stderr.decode()
    assert "version" in message_show(b"\2" + octets[1:]).stderr.decode()
    assert "no I_MESSAGE" in message_show(b"hello").stderr.decode()
    assert "no I_MESSAGE" in message_show(b"").stderr.decode()
    assert str(tmp_path) in refused("message", "show", str(tmp_path / "none"))
    for arguments in ((), ("sing",), ("show", "a", "b")):
        assert "message" in refused("message", *arguments)


# Wrong options. None of these has a key in a wrong place: see below for that.

@pytest.mark.parametrize("option, value", [
    ("--key", ""), ("--key", "xyz"), ("--key", KEY[:-1]), ("--key", KEY[:-2]), ("--key", KEY + "00"),
    ("--key", KEY[:-1] + "g"), ("--key", KEY * 2 + "00"), ("--key", "0x" + KEY[2:]), ("--key", " " + KEY[1:]),
    ("--csb-id", ""), ("--csb-id", "0a1b2c3"), ("--csb-id", "0a1b2c3d4"), ("--csb-id", "0a1b2c3g"),
    ("--cs-id", ""), ("--cs-id", "256"), ("--cs-id", "-1"), ("--cs-id", "0x4"), ("--cs-id", "4.0"),
    ("--cs-id", "99999999999999999999"), ("--cs-id", "4 "), ("--cs-id", " -4"),
    ("--rand", ""), ("--rand", RAND[:-2]), ("--rand", RAND[:-1]), ("--rand", RAND[:-1] + "x"), ("--rand", "00" * 65),
    ("--suite", ""), ("--suite", "aes-cm-256-hmac-sha1-80"), ("--suite", "AEAD-AES-128-GCM"),
])
def test_derive_refuses_a_wrong_value(option, value):
    assert option in refused("derive", *words(DERIVE | {option: value}))


@pytest.mark.parametrize("option, value", [
    ("--key", KEY[:-2]), ("--key", "xyz"), ("--key-id", "0a1b2c3"), ("--key-id", "0a1b2c3dd"), ("--user", ""),
])
def test_guk_id_refuses_a_wrong_value(option, value):
    assert option in refused("guk-id", *words(GUK_ID | {option: value}))


def test_guk_id_refuses_a_long_user():
    """The KDF has 16 bits for the length of a parameter (TS 33.220 B.2)."""
    assert "too long" in refused("guk-id", *words(GUK_ID | {"--user": "sip:" + "x" * 70000}))


@pytest.mark.parametrize("command, options, missing",
                         [("derive", DERIVE, option) for option in DERIVE]
                         + [("guk-id", GUK_ID, option) for option in GUK_ID])
def test_missing_option(command, options, missing):
    assert missing in refused(command, *words({k: v for k, v in options.items() if k != missing}))


@pytest.mark.parametrize("command, options", [("derive", DERIVE), ("guk-id", GUK_ID)])
def test_missing_value_and_strangers(command, options):
    assert "--key" in refused(command, *words(options), "--key")
    assert "--colour" in refused(command, *words(options), "--colour")
    assert "argument" in refused(command, *words(options), "more")


@pytest.mark.parametrize("arguments", [(), ("decide",), ("--colour",), ("call",), ("call", "relay.info", "{}", "{}")])
def test_wrong_command_line(arguments):
    assert "mcxctl" in refused(*arguments)


@pytest.mark.parametrize("arguments", [
    pytest.param(("derive", *words(DERIVE | {option: KEY})), id=f"derive {option}")
    for option in ("--csb-id", "--cs-id", "--suite")] + [
    pytest.param(("derive", *words(DERIVE | {option: KEY + "f"})), id=f"long {option}")
    for option in ("--key", "--rand")] + [
    pytest.param(("guk-id", *words(GUK_ID | {"--key-id": KEY})), id="guk-id --key-id"),
    pytest.param(("derive", *words(DERIVE), KEY), id="extra argument"),
    pytest.param(("derive", *words(DERIVE), f"--kye={KEY}"), id="misspelt option"),
    pytest.param((f"--key={KEY}", "derive"), id="option before its command"),
    pytest.param(("call", "key.install", f'{{"keys": [{{"value": "{KEY}"'), id="broken JSON"),
    pytest.param(("call", "key.install", f'"{KEY}'), id="broken JSON text"),
    pytest.param(("call", "key.install", KEY), id="no JSON"),
])
def test_a_key_in_the_wrong_place_is_not_repeated(arguments):
    said = refused(*arguments)
    assert KEY[2:30] not in said, "the key is in the message"


# call

def test_call_params(relay, tmp_path):
    """As an argument, from a file, from stdin, and none."""
    key = {"keys": [{"id": "00112233", "value": KEY, "rand": RAND}]}
    file = tmp_path / "params.json"
    file.write_text(json.dumps({"keys": [{"domain": "home", "id": "00112233"}]}))
    call = "-s", relay.socket_path, "call"
    assert answer(*call, "key.install", json.dumps(key)) == {"installed": 1, "rejected": []}
    assert answer(*call, "key.revoke", f"@{file}") == {"revoked": 1}
    assert answer(*call, "key.install", "-", stdin=json.dumps(key))["installed"] == 1
    assert [k["id"] for k in answer("--socket", relay.socket_path, "call", "key.list")["keys"]] == ["00112233"]
    assert answer(*call, "relay.info") == relay.call("relay.info") | {"uptime": answer(*call, "relay.info")["uptime"]}


def test_call_error(relay):
    """The error object goes to stderr, and is JSON, too."""
    call = "-s", relay.socket_path, "call"
    error = json.loads(refused(*call, "session.get", '{"id": "nobody"}'))
    assert error["code"] == 1 and error["data"]["path"] == "params.id" and "session" in error["message"]
    assert json.loads(refused(*call, "relay.dance"))["code"] == -32601
    error = json.loads(refused(*call, "key.install", json.dumps({"keys": 5})))
    assert error["code"] == -32602 and error["data"]["path"] == "params.keys"


def test_call_long_answer(relay):
    """An answer of many reads."""
    users = [f"sip:user{n:05}@{'x' * 60}.example.org" for n in range(200)]
    key = {"keys": [{"id": f"0{n:07x}", "value": KEY, "rand": RAND, "users": users} for n in range(50)]}
    call = "-s", relay.socket_path, "call"
    assert answer(*call, "key.install", "-", stdin=json.dumps(key))["installed"] == 50
    assert len(answer(*call, "key.list")["keys"]) == 50


def test_call_without_a_relay(tmp_path):
    path = str(tmp_path / "control.sock")
    assert path in refused("-s", path, "call", "relay.info")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    listener.close()
    assert path in refused("-s", path, "call", "relay.info")
    assert "longer" in refused("-s", "/" + "x" * 200, "call", "relay.info")


def test_call_of_what_cannot_be_read(tmp_path):
    file = tmp_path / "none.json"
    for arguments in (("call", "relay.info", f"@{file}"), ("install-keys", str(file))):
        assert refused(*arguments) == f"mcxctl: cannot read {file}: No such file or directory\n"
    assert "params: no JSON at line 1, column 1" in refused("call", "relay.info", "{")
    assert "stdin: no JSON at line 2, column 4" in refused("call", "relay.info", "-", stdin='{"a":\n 1 2}')
    assert "stdin: no JSON" in refused("call", "relay.info", "-", stdin='{"a": 1, "a": 2}')
    file.write_text("[")
    assert f"{file}: no JSON at line 1" in refused("install-keys", str(file))


@pytest.mark.parametrize("answered", [b"", b"no JSON\n", b'{"jsonrpc": "2.0", "id": 1}\n', b'{"result": '])
def test_call_of_something_else(tmp_path, answered):
    """What listens is no relay."""
    path = str(tmp_path / "control.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(path)
        listener.listen()
        listener.settimeout(lab_module.PATIENCE)
        process = subprocess.Popen([lab_module.build_directory() / "mcxctl", "-s", path, "call", "relay.info"],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        peer = listener.accept()[0]
        with peer:
            assert peer.recv(1 << 16).endswith(b"\n")
            peer.sendall(answered)
        out, said = process.communicate(timeout=lab_module.PATIENCE)
    assert process.returncode == 1 and out == "" and said.startswith("mcxctl: the relay"), said


@pytest.mark.parametrize("option, start", [("--help", "Usage: mcxctl"), ("-h", "Usage: mcxctl"),
                                           ("--version", "mcxctl "), ("-V", "mcxctl ")])
def test_help_and_version(option, start):
    done = mcxctl(option)
    assert done.returncode == 0 and done.stderr == "" and done.stdout.startswith(start)


# The README's example

class ExampleRelay(lab_module.Relay):
    """On the lab's interfaces by the very file that the README names."""

    def config_text(self):
        text = (lab_module.ROOT / "config" / "af_packet.conf").read_text()
        for old, new in (("iface=eth1", "iface=veth-ran"), ("iface=eth2", "iface=veth-core"),
                         ("/run/mcxrelay/control.sock", self.socket_path)):
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        confine = "confine = false;\n" if lab_module.sanitized() else ""
        return text + f'state_directory = "{self.directory}/state";\n{confine}'


def readme_calls():
    """[[METHOD, params as they stand there]] of section "Drive it"."""
    section = README.split("## Drive it")[1].split("\n## ")[0]
    calls = [[m[1], m[2]] for m in re.finditer(r"^ +build/mcxctl call (\S+)(?: '([^']*)')?$", section, re.MULTILINE)]
    assert [method for method, _ in calls] == ["key.install", "session.apply", "session.get", "relay.stats"]
    return calls


def crosses(sender, receiver, make):
    """Sends packet after packet until one arrives: the relay has to find its next hops. Returns it."""
    for _ in range(50):
        sender[0].sendto(make(), sender[1])
        receiver[0].settimeout(lab_module.PATIENCE / 50)
        with contextlib.suppress(TimeoutError):
            packet, source = receiver[0].recvfrom(1 << 16)
            assert source == receiver[1]
            return packet
    raise AssertionError(f"nothing came from {receiver[1]}")


def test_readme_example():
    calls = readme_calls()
    key = json.loads(calls[0][1])["keys"][0]
    legs = {leg["id"]: leg for leg in json.loads(calls[1][1])["session"]["legs"]}

    def address(text):
        host, port = text.rsplit(":", 1)
        return host, int(port)

    with contextlib.ExitStack() as stack:
        lab = stack.enter_context(lab_module.Lab())
        ends = {}
        for name, leg in legs.items():
            host, port = address(leg["remote"])
            if host != lab.sides[leg["port"]].host4:
                lab.ip(leg["port"], "addr", "add", f"{host}/24", "dev", "eth0")
            end = stack.enter_context(lab.socket(leg["port"], socket.AF_INET, socket.SOCK_DGRAM))
            end.bind((host, port))
            ends[name] = end, address(leg["local"])
        relay = stack.enter_context(ExampleRelay(lab, anchored=False))
        results = [answer("-s", relay.socket_path, "call", method, *([params] if params else []))
                   for method, params in calls]
        assert results[0] == {"installed": 1, "rejected": []} and results[1] == {"created": True}
        assert {leg["id"] for leg in results[2]["legs"]} == set(legs) and "drops" in results[3]

        gmk = mcx.RootKey("gmk", int(key["id"], 16), bytes.fromhex(key["value"]), bytes.fromhex(key["rand"]))
        alice = mcx.SrtpSender(gmk.group(legs["alice"]["protection"]["user"]), 0x1234)
        plain = crosses(ends["alice"], ends["lmr"], lambda: alice.protect(b"first words"))
        assert plain[12:] == b"first words" and mcx.parse_rtp(plain).ssrc == 0x1234
        lmr = mcx.PlainSender(0x5678)
        heard = crosses(ends["lmr"], ends["alice"], lambda: lmr.protect(b"the answer"))
        context = gmk.group(legs["lmr"]["protection"]["user"])
        assert mcx.SrtpReceiver(context).unprotect(heard).payload == b"the answer"


# Commands for people

def shown(relay, *arguments, **more):
    done = mcxctl("-s", relay.socket_path, *arguments, **more)
    assert done.returncode == 0 and done.stderr == "", done
    return done.stdout


def rows(text):
    """Words of each line; the first one is the titles."""
    lines = text.splitlines()
    return lines[0].split(), [line.split() for line in lines[1:]]


def has_session(relay, clients, *names, family=4):
    a, b = clients("ran", family), clients("core", family)
    for name in names:
        lab_module.apply(relay, name, [a.leg("a"), b.leg("b")] if name == names[0] else [])
    return a, b


def test_show_sessions(relay, clients):
    has_session(relay, clients, "call b", "call a")
    titles, lines = rows(shown(relay, "show", "sessions"))
    assert titles == ["SESSION", "SERVICE", "TYPE", "DOMAIN", "LEGS", "KEYS", "TIMEOUT"]
    assert lines[-2:] == [["call", "a", "mcptt", "group", "home", "0", "0", "0"],
                          ["call", "b", "mcptt", "group", "home", "2", "0", "0"]]
    ids = [s["id"] for s in json.loads(shown(relay, "-j", "show", "sessions"))["sessions"]]
    assert ids == sorted(ids) and ids[-2:] == ["call a", "call b"]


@pytest.mark.parametrize("family", [4, 6])
def test_show_session(relay, clients, family):
    a, b = has_session(relay, clients, "call", family=family)
    a.send(mcx.rtp(1, 1, b"hello"))
    b.recv()
    text = shown(relay, "show", "session", "call").splitlines()
    assert text[0] == "id=call  service=mcptt  type=group  domain=home  timeout=0  keys=0"
    assert [line.split()[:7] for line in text[2:]] == [
        ["a", "ran", a.local, a.address, "opaque", "-", "1"], ["b", "core", b.local, b.address, "opaque", "-", "0"]]
    starts = {line.index(word) for line, word in zip(text[1:], ("LOCAL", a.local, b.local))}
    assert len(starts) == 1, "columns are not aligned"
    assert json.loads(shown(relay, "show", "session", "call", "-j"))["id"] == "call"


def test_show_keys(relay):
    keys = [{"id": number, "value": KEY, "rand": RAND, "domain": domain, "expiry": 4102444800}
            for number, domain in (("00112233", "other"), ("20112233", "home"))]
    lab_module.install(relay, *keys)
    assert rows(shown(relay, "show", "keys"))[1] == [
        ["20112233", "home", "csk", "active", "-", "2100-01-01T00:00:00Z", "0", "0"],
        ["00112233", "other", "gmk", "active", "-", "2100-01-01T00:00:00Z", "0", "0"]]
    assert KEY not in shown(relay, "show", "keys", "-j")


def test_show_the_relay(relay):
    assert [row[0] for row in rows(shown(relay, "show", "ports"))[1]] == ["ran", "core"]
    ports = json.loads(shown(relay, "-j", "show", "ports"))
    assert {"name", "mac", "mtu", "link", "rx_packets", "tx_errors"} <= ports[0].keys()
    titles, [worker] = rows(shown(relay, "show", "workers"))
    shown_of = dict(zip(titles, worker))
    assert shown_of["WORKER"] == "0" and 0 <= float(shown_of["BUSY%"]) <= 100 and int(shown_of["CYCLES/PACKET"]) > 0
    worker = json.loads(shown(relay, "-j", "show", "workers"))[0]
    assert 0 < worker["busy_cycles"] < worker["cycles"] and worker["busy_loops"] < worker["loops"]
    stats = {row[0]: row[1] for row in rows(shown(relay, "show", "stats"))[1]}
    assert stats["sessions"] == "2" and int(stats["rx_packets"]) > 0
    assert json.loads(shown(relay, "-j", "show", "stats"))["sessions"] == 2


def test_show_drops(relay, clients):
    before = relay.drops()
    clients("ran").send(mcx.rtp(1, 1, b"nobody is there"))
    relay.wait_drops(before, no_leg=1)
    line = next(line for line in shown(relay, "show", "drops").splitlines() if " no_leg " in line)
    assert "no leg on this address and port" in line and line.split()[0] == str(relay.drops()["no_leg"])
    assert json.loads(shown(relay, "-j", "show", "drops"))["no_leg"] == relay.drops()["no_leg"]


def test_a_terminal_is_not_steered(relay):
    lab_module.apply(relay, "red\x1b[31m\x9b", [])
    text = shown(relay, "show", "sessions")
    assert "red\\x1b[31m\\x9b" in text and "\x1b" not in text and "\x9b" not in text


def test_top(relay, clients):
    """Rates of the second between two answers, which packets flow in."""
    a, b = has_session(relay, clients, "busy", "idle")
    with subprocess.Popen([lab_module.build_directory() / "mcxctl", "-s", relay.socket_path, "-j", "top", "-n", "2"],
                          stdout=subprocess.PIPE, text=True) as top:
        n = 0
        while top.poll() is None:
            a.send(mcx.rtp(1, n & 0xffff, b"word"))
            b.recv()
            n += 1
        answers = [json.loads(line) for line in top.stdout]
    assert len(answers) == 2 and top.returncode == 0
    for answer_ in answers:
        first = answer_["sessions"][0]
        assert first["id"] == "busy" and first["rates"]["received_packets"] > 0 < first["rates"]["sent_packets"]
        assert answer_["n_sessions"] == 4 and first["lost"] == first["drops"] == 0
    text = shown(relay, "top", "-n", "1").splitlines()
    assert text[0] == "4 sessions" and text[1].split()[:4] == ["SESSION", "SERVICE", "TYPE", "LEGS"]
    assert "\x1b" not in "".join(text) and len(text) == 6
    assert len(relay.call("session.top", {"limit": 1})["sessions"]) == 1
    for limit in (0, 101):
        with pytest.raises(lab_module.RpcError):
            relay.call("session.top", {"limit": limit})


def test_watch_events(relay, clients):
    """Text and JSON. When they have subscribed nobody else knows: media starts again and again until both have told."""
    command = [lab_module.build_directory() / "mcxctl", "-s", relay.socket_path, "watch", "events", "-n", "1"]
    watches = [subprocess.Popen([*command, *more, "media.started"], stdout=subprocess.PIPE, text=True)
               for more in ([], ["-j"])]
    numbers = itertools.count()

    def start():
        has_session(relay, clients, f"call-{next(numbers)}")[0].send(mcx.rtp(1, 1, b"hello"))
        return [watch.poll() for watch in watches]

    lab_module.wait_for(start, lambda ended: None not in ended, "event")
    text, raw = (watch.communicate()[0] for watch in watches)
    assert [watch.returncode for watch in watches] == [0, 0]
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z media.started session=call-\d+ leg=a\n", text)
    event = json.loads(raw)
    assert event["type"] == "media.started" and event["session"].startswith("call-") and event["leg"] == "a"
    assert "accepted: media.started" in refused("-s", relay.socket_path, "watch", "events", "media.stopped")


def test_install_keys(relay, tmp_path):
    file = tmp_path / "keys.json"
    keys = [{"id": f"1{n:07x}", "value": KEY, "rand": RAND} for n in range(9000)]
    file.write_text(json.dumps(keys))
    assert shown(relay, "install-keys", str(file)) == "9000 of 9000 keys installed\n"
    assert relay.call("relay.stats")["keys"] == 9000
    keys[8000]["value"], keys[3]["id"] = KEY[:-1], "nonsense"
    file.write_text(json.dumps(keys))
    done = mcxctl("-s", relay.socket_path, "install-keys", str(file))
    assert done.returncode == 1 and done.stdout == "8998 of 9000 keys installed\n"
    said = done.stderr.splitlines()
    assert len(said) == 2 and "key 3: id" in said[0] and "key 8000: value" in said[1] and KEY[:-1] not in done.stderr
    done = mcxctl("-s", relay.socket_path, "-j", "install-keys", "-", stdin=file.read_text())
    assert done.returncode == 1 and [r["index"] for r in json.loads(done.stdout)["rejected"]] == [3, 8000]
    file.write_text(json.dumps([keys[0] | {"value": "11" * 16}]))
    assert mcxctl("-s", relay.socket_path, "install-keys", str(file)).returncode == 1
    assert shown(relay, "install-keys", "--replace", str(file)) == "1 of 1 keys installed\n"
    file.write_text(json.dumps({"keys": keys}))
    assert "array" in mcxctl("-s", relay.socket_path, "install-keys", str(file)).stderr


@pytest.mark.parametrize("arguments", [
    ("show",), ("show", "nothing"), ("show", "session"), ("show", "sessions", "more"), ("top", "more"), ("watch",),
    ("watch", "keys"), ("install-keys",), ("top", "--replace"), ("top", "-n", "x"), ("show", "--colour")])
def test_wrong_command_for_people(arguments):
    assert "mcxctl" in refused(*arguments)


@pytest.mark.parametrize("arguments", [("show", "sessions"), ("top", "-n", "1"), ("watch", "events")])
def test_no_relay_for_people(tmp_path, arguments):
    said = refused("-s", str(tmp_path / "none.sock"), *arguments)
    assert str(tmp_path / "none.sock") in said and "is mcxrelay running?" in said


def test_show_what_is_not_there(relay):
    assert "is no session" in refused("-s", relay.socket_path, "show", "session", "nobody")


def completions(*line):
    """What bash offers for the last word."""
    script = (f". {lab_module.ROOT}/completions/mcxctl; COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); _mcxctl;"
              " printf '%s\\n' \"${COMPREPLY[@]}\"")
    path = f"{lab_module.build_directory()}:{os.environ['PATH']}"
    done = subprocess.run(["bash", "-uc", script, "bash", "mcxctl", *line], capture_output=True, text=True,
                          env=os.environ | {"PATH": path})
    assert done.returncode == 0 and done.stderr == "", done
    return done.stdout.split()


def test_completion(relay, clients):
    has_session(relay, clients, "call-one", "call-two")
    assert {"call", "show", "top", "watch", "install-keys", "derive", "guk-id", "uid", "message", "kms", "identity"} <= set(completions(""))
    assert completions("sh") == ["show"] and completions("show", "session") == ["sessions", "session"]
    assert completions("-s", relay.socket_path, "show", "session", "call-") == ["call-one", "call-two"]
    assert completions("watch", "events", "key.") == ["key.activated", "key.expired", "key.unknown", "key.opened"]
    assert completions("uid", "--p") == ["--period"] and completions("message", "") == ["show", "open", "make"]
    assert completions("kms", "") == ["list", "create", "certificate"] and completions("identity", "") == ["list"]
    assert "--csb-id" in completions("derive", "--c") and completions("top", "-n", "1", "") == ["-j", "-n"]


def test_completion_knows_all_methods_and_types(relay):
    """As the relay itself names them."""
    methods = re.findall(r'^\t\{"([a-z.]+)",', (lab_module.ROOT / "control/methods.c").read_text(), re.MULTILINE)
    assert len(methods) > 10 and sorted(completions("call", "")) == sorted(methods)
    with pytest.raises(lab_module.RpcError) as error:
        relay.call("events.subscribe", {"types": ["nonsense"]})
    types = re.search(r"accepted: ([a-z. ]+)", str(error.value))[1].split()
    assert completions("watch", "events", "") == types
