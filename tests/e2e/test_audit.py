# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""What the log says of requests: who asked for which change, and what came of it; never what is secret. Its level and times."""

import itertools
import os
import re

import pytest

import lab as lab_module
import test_tls
from lab import Relay, RpcError, apply, install, wait_for

KEY = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
RAND = "b0b1b2b3b4b5b6b7b8b9babbbcbdbebf"
WHO = f"pid={os.getpid()} uid={os.getuid()} gid={os.getgid()}"
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
# What it is to see, or to compute what another may have; all else is a change
NO_CHANGE = {"relay.info", "relay.stats", "key.list", "session.get", "session.list", "session.top", "events.subscribe",
             "rpc.discover", "kms.certificate", "kms.list", "identity.list", "message.redirect", "message.redirected",
             "mcdata.protect", "mcdata.unprotect", "mcdata.select"}


@pytest.fixture(scope="module")
def own_lab():
    with lab_module.Lab() as lab:
        yield lab


@pytest.fixture(scope="module")
def audited(own_lab):
    with Relay(own_lab, anchored=False) as relay:
        yield relay


class Told:
    """The lines with that in them that the log gets from now on, without their time. Those before have all arrived."""

    SERIAL = itertools.count()

    def __init__(self, relay, kind=" audit "):
        self.relay, self.kind = relay, kind
        mark = f'"mark-{next(self.SERIAL)}"'
        relay.call("session.remove", {"ids": [mark[1:-1]]})
        self.begin = 1 + wait_for(lambda: [n for n, line in enumerate(relay.log) if mark in line], bool, "the mark")[-1]

    def lines(self):
        return [re.sub(f"^{TIME} ", "", line.rstrip("\n")) for line in self.relay.log[self.begin:]
                if self.kind in line]

    def expect(self, *expected):
        """These and no others."""
        wait_for(self.lines, lambda lines: len(lines) >= len(expected), "lines of the log")
        assert self.lines() == list(expected)


def audit(method, outcome="ok", rest="", who=WHO):
    return f"info audit method={method} {who} outcome={outcome}" + (f" {rest}" if rest else "")


def key(number, **more):
    return {"id": f"{number:08x}", "value": KEY, "rand": RAND, "domain": "home"} | more


def test_keys(audited):
    told = Told(audited)
    install(audited, key(1), key(2))
    answer = audited.call("key.install", {"replace": True, "keys": [key(3), key(0x7a000000), key(1)]})
    assert answer["installed"] == 2
    audited.call("key.revoke", {"keys": [{"domain": "home", "id": "00000001"}]})
    told.expect(audit("key.install", rest='installed=2 n_rejected=0 keys="home/00000001 home/00000002"'),
                audit("key.install", rest='installed=2 n_rejected=1 replace=true keys="home/00000003 home/00000001"'),
                audit("key.install", rest='refused="#1:7a000000"'),
                audit("key.revoke", rest='revoked=1 keys="home/00000001"'))


def test_sessions(audited):
    told = Told(audited)
    with lab_module.Client(audited.lab, "ran") as client:
        apply(audited, "call \"1\"\n", [client.leg("a"), client.leg("b", local=f"{client.side.relay4}:20002")])
        audited.call("leg.apply", {"session": "call \"1\"\n", "legs": [client.leg("c", local=f"{client.side.relay4}:20004")]})
        audited.call("leg.remove", {"session": "call \"1\"\n", "ids": ["a", "b"]})
        with pytest.raises(RpcError):
            audited.call("leg.apply", {"session": "nobody's", "legs": [client.leg("d")]})
        audited.call("session.remove", {"ids": ["call \"1\"\n", "no such"]})
    lines = wait_for(told.lines, lambda lines: len(lines) >= 5, "lines")
    name = r'"call \"1\"\x0a"'
    assert lines == [
        audit("session.apply", rest=f'created=true id={name} type="group" legs="a b"'),
        audit("leg.apply", rest=f'applied=1 session={name} legs="c"'),
        audit("leg.remove", rest=f'removed=2 session={name} ids="a b"'),
        audit("leg.apply", "not_found", 'path="params.session" session="nobody\'s" legs="d"'),
        audit("session.remove", rest=r'removed=1 ids="call \"1\"\x0a no such"')]


def test_subject_of_a_certificate(own_lab, tmp_path):
    own = test_tls.Pki(tmp_path)
    with test_tls.TlsRelay(own_lab, own.relay, own.clients.ca_file, limits=test_tls.SMALL, anchored=False) as relay, \
            test_tls.TlsControl(own_lab, test_tls.client_context(own, own.mcx)) as client:
        told = Told(relay)
        client.call("key.install", {"keys": [key(9)]})
        client.call("key.revoke", {"keys": []})
        [first, second] = wait_for(told.lines, lambda lines: len(lines) == 2, "lines")
        for line in (first, second):
            assert re.search(r' address=127\.0\.0\.1:\d+ subject="CN=mcx .*" outcome=ok ', line), line
        assert 'keys="home/00000009"' in first


def test_what_is_malformed_is_not_repeated(audited):
    """Somebody puts a key where its name belongs."""
    told = Told(audited)
    audited.call("key.install", {"keys": [key(5) | {"id": KEY}, key(6) | {"domain": KEY * 8}]})
    for method, params in (("key.revoke", {"keys": [{"domain": "home", "id": KEY}]}), ("key.revoke", {"keys": KEY}),
                           ("session.apply", {"session": {"id": KEY * 9}}), ("session.remove", {"ids": [KEY], KEY: 1}),
                           ("log.set", {"level": KEY}), ("kms.remove", {"uris": KEY}),
                           ("session.apply", [KEY])):
        with pytest.raises(RpcError):
            audited.call(method, params)
    lines = wait_for(told.lines, lambda lines: len(lines) >= 8, "lines")
    assert audit("key.revoke", "invalid_params", 'path="params.keys[0].id"') in lines
    assert audit("log.set", "invalid_params", 'path="params.level"') in lines
    assert audit("session.apply", "invalid_params", 'path="params"') in lines
    assert not [line for line in lines if KEY[:16] in line.replace(f"params.{KEY}", "")], lines
    assert 'refused="#0 #1:00000006"' in "".join(lines)


def test_secrets_are_not_told(audited):
    everything, told = Told(audited, ""), Told(audited)
    audited.call("session.apply", {"session": {
        "id": "private", "type": "private", "service": "mcptt", "keys": [key(0x10000001)], "legs": []}})
    audited.call("session.remove", {"ids": ["private"]})
    [applied, _] = wait_for(told.lines, lambda lines: len(lines) == 2, "lines")
    assert 'keys="home/10000001"' in applied
    assert not [line for line in everything.lines() if KEY in line or RAND in line]


def test_each_of_many_keys_has_its_place(audited):
    """In several lines, of which there is an end."""
    told = Told(audited)
    names = [{"domain": "home", "id": f"{n:08x}"} for n in range(0x100, 0x100 + 200)]
    audited.call("key.revoke", {"keys": names})
    lines = wait_for(told.lines, lambda lines: sum(line.count("home/") for line in lines) >= 200, "all names")
    assert 1 < len(lines) < 64
    assert [name for line in lines for name in re.search(r'keys="(.*)"', line)[1].split()] == \
        [f"home/{n:08x}" for n in range(0x100, 0x100 + 200)]
    told = Told(audited)
    names = [{"domain": "home", "id": f"{n:08x}"} for n in range(0x100, 0x100 + 5000)]
    audited.call("key.revoke", {"keys": names})
    lines = wait_for(told.lines, lambda lines: lines and " more=" in lines[-1], "the last line")
    more = int(re.search(r" more=(\d+)", lines[-1])[1])
    assert len(lines) == 64 and sum(line.count("home/") for line in lines) + more == 5000


def test_each_method_is_a_change_or_none(audited):
    """Of each that is called, however badly, one line: audit or request."""
    audited.call("log.set", {"level": "debug"})
    methods = {method["name"] for method in audited.call("rpc.discover")["methods"]}
    assert NO_CHANGE < methods
    for method in sorted(methods - NO_CHANGE):
        told = Told(audited)
        with pytest.raises(RpcError):
            audited.call(method, {"no": "such member"})
        [line] = wait_for(told.lines, bool, f"a line of {method}")
        assert line.startswith(audit(method, "invalid_params", "path=")), line


def test_level_is_set(own_lab):
    with Relay(own_lab, anchored=False) as relay:
        assert relay.call("log.set", {"level": "info"}) == {"level": "info", "before": "debug"}
        connected, asked, told = Told(relay, " client.connected "), Told(relay, " method=relay.info "), Told(relay)
        with relay.connect() as one:
            one.call("relay.info")
        assert relay.call("log.set", {"level": "error"}) == {"level": "error", "before": "info"}
        install(relay, key(1))
        assert relay.call("log.set", {"level": "debug"}) == {"level": "debug", "before": "error"}
        told.expect(audit("log.set", rest='level="error" before="info"'),
                    audit("log.set", rest='level="debug" before="error"'))
        assert connected.lines() == asked.lines() == []  # of the one that came and went
        requests, clients = Told(relay, " request "), Told(relay, " client.connected ")
        with relay.connect() as one:
            one.call("relay.info")
        assert f"debug request method=relay.info {WHO} outcome=ok" in \
            wait_for(requests.lines, lambda lines: lines, "a request")
        assert wait_for(clients.lines, lambda lines: lines, "a client") == [f"debug client.connected {WHO}"]


def test_lines_have_times(audited):
    told = Told(audited)
    audited.call("key.revoke", {"keys": []})
    [line] = wait_for(lambda: [line for line in audited.log[told.begin:] if " audit " in line], bool, "a line")
    assert re.match(f"{TIME} info audit method=key.revoke ", line), line
