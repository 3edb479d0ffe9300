# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""Metrics: their text, what they count, who asks how, and that Prometheus, its rules and the dashboard take them.

The relay serves them on the loopback interface of its namespace.
"""

import contextlib
import datetime
import http.client
import json
import math
import re
import shutil
import signal
import socket
import ssl
import subprocess
import time
import urllib.parse

import prometheus_client.parser
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

import lab as lab_module
import mcx
import pki
import process
import sakke
import test_tls
from lab import Client, Relay, RpcError, apply, install, wait_for
from test_programs import refuses_to_start

ADDRESS = "127.0.0.1", 9177
SECOND = "127.0.0.1", 9178                      # for a second relay beside the first
PROMETHEUS = "127.0.0.1", 9090
CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"
DASHBOARD = lab_module.ROOT / "docs" / "grafana" / "mcxrelay.json"
RULES = lab_module.ROOT / "docs" / "prometheus" / "mcxrelay.rules.yml"
RULE_TESTS = lab_module.ROOT / "tests" / "e2e" / "mcxrelay.rules.test.yml"
CONNECTIONS_MAX = 16                            # control/metrics_server.h
SMALL = {"keys": 1000, "sessions": 100, "legs": 100, "streams": 1000}


@pytest.fixture(scope="module")
def own_lab():
    with lab_module.Lab() as lab:
        yield lab


@pytest.fixture(scope="module")
def measured(own_lab):
    options = f'metrics = {{ listen = "{ADDRESS[0]}:{ADDRESS[1]}"; }};\n'
    with Relay(own_lab, limits=SMALL, families=(4,), options=options) as made:
        yield made


def tcp(lab, address=ADDRESS):
    made = lab.socket("relay", socket.AF_INET, socket.SOCK_STREAM)
    made.connect(address)
    return made


def ask(lab, path="/metrics", method="GET", address=ADDRESS, body=None):
    connection = http.client.HTTPConnection(*address, timeout=lab_module.PATIENCE)
    connection.sock = tcp(lab, address)
    with contextlib.closing(connection):
        connection.request(method, path, body)
        answer = connection.getresponse()
        return answer, answer.read().decode()


class Scrape:
    """One reading, checked as a whole by the parser of the Prometheus project."""

    def __init__(self, lab, address=ADDRESS):
        answer, self.text = ask(lab, address=address)
        assert answer.status == 200 and answer.headers["Content-Type"] == CONTENT_TYPE
        self.families = {f.name: f for f in text_string_to_metric_families(self.text)}
        self.samples = {(s.name, frozenset(s.labels.items())): s.value
                        for f in self.families.values() for s in f.samples}

    def value(self, name, **labels):
        return self.samples.get((name, frozenset(labels.items())), 0)

    def total(self, name):
        return sum(value for (sample, _), value in self.samples.items() if sample == name)


# The text

def test_text_is_open_metrics(measured, own_lab):
    scrape = Scrape(own_lab)
    assert scrape.text.endswith("\n# EOF\n") and scrape.text.count("# EOF") == 1
    names = [line.split()[2] for line in scrape.text.splitlines() if line.startswith("# TYPE ")]
    assert len(names) == len(set(names)) == len(scrape.families)    # each family in one piece
    for name, family in scrape.families.items():
        assert name.startswith("mcxrelay_") or name == "process_start_time_seconds"
        assert family.documentation.endswith("."), name
        assert not family.unit or name.endswith("_" + family.unit)


def test_every_drop_reason_and_port_and_worker(measured, own_lab):
    scrape, stats = Scrape(own_lab), measured.call("relay.stats")
    reasons = {s.labels["reason"] for s in scrape.families["mcxrelay_drops"].samples}
    assert reasons == set(stats["drops"])
    assert {s.labels["port"] for s in scrape.families["mcxrelay_port_rx_packets"].samples} == {"ran", "core"}
    [device] = [s.labels["device"] for s in scrape.families["mcxrelay_port"].samples if s.labels["port"] == "ran"]
    assert device == f"net_af_packet0,iface=veth-ran{measured.RINGS}"
    assert [s.labels["worker"] for s in scrape.families["mcxrelay_worker_loops"].samples] == ["0"]
    assert scrape.value("mcxrelay_port_link_up", port="ran") == 1


def test_process(measured, own_lab):
    scrape = Scrape(own_lab)
    assert abs(time.time() - measured.call("relay.info")["uptime"] - scrape.value("process_start_time_seconds")) < 3
    [build] = scrape.families["mcxrelay_build"].samples
    info = measured.call("relay.info")
    assert build.labels["version"] == info["version"] and build.labels["cipher"] == info["cipher"]


# What they count

def test_packets_and_drops(measured, own_lab, name):
    with Client(own_lab, "ran") as one, Client(own_lab, "core") as other:
        apply(measured, name, [one.leg("one", "plain"), other.leg("other", "plain")])
        one.send(mcx.rtp(1, 0, b"first"))
        other.recv()
        before = Scrape(own_lab)
        for n in range(10):
            one.send(mcx.rtp(1, n + 1, bytes(100)))
            other.recv()
            one.send(b"garbage")
        def grown(sample, **labels):
            return Scrape(own_lab).value(sample, **labels) - before.value(sample, **labels)
        wait_for(lambda: grown("mcxrelay_drops_total", reason="not_rtp"), lambda n: n == 10, "drops")
        after = Scrape(own_lab)
        for sample, least in (("rx_packets", 20), ("tx_packets", 10), ("rx_octets", 20 * 42 + 10 * 112),
                              ("tx_octets", 10 * 154), ("rx_bursts", 2), ("busy_loops", 2), ("loops", 2),
                              ("busy_cycles", 2), ("cycles", 2)):
            sample = f"mcxrelay_worker_{sample}_total"
            assert after.total(sample) - before.total(sample) >= least, sample
        for name in ("loops", "cycles"):
            assert after.total(f"mcxrelay_worker_busy_{name}_total") < after.total(f"mcxrelay_worker_{name}_total")
        assert grown("mcxrelay_port_rx_packets_total", port="ran") >= 20
        assert grown("mcxrelay_port_tx_packets_total", port="core") >= 10
        measured.call("session.remove", {"ids": [name]})


def keys_of(scrape):
    return {(s.labels["type"], s.labels["state"]): s.value
            for s in scrape.families["mcxrelay_keys"].samples if s.value}


def test_keys_by_type_and_state(measured, own_lab, new_key):
    """Installed, again, renewed, replaced by another type's time, activated, expired, revoked; a session's own too."""
    gmk, pck, csk = new_key(), new_key("pck"), new_key("csk")
    assert keys_of(Scrape(own_lab)) == {}
    install(measured, gmk, pck, csk)
    expected = {("gmk", "active"): 1, ("pck", "active"): 1, ("csk", "active"): 1}
    assert keys_of(Scrape(own_lab)) == expected
    install(measured, gmk, pck)                                     # the same again
    assert keys_of(Scrape(own_lab)) == expected
    later = int(time.time()) + 3600
    install(measured, gmk.rpc(activation=later))
    assert keys_of(Scrape(own_lab)) == {("gmk", "pending"): 1, ("pck", "active"): 1, ("csk", "active"): 1}
    install(measured, gmk.rpc(value="5a" * 16), replace=True)
    assert keys_of(Scrape(own_lab)) == expected
    soon = int(time.time()) + 2
    install(measured, csk.rpc(expiry=soon), pck.rpc(activation=soon))
    wait_for(lambda: keys_of(Scrape(own_lab)), lambda found: found == {
        ("gmk", "active"): 1, ("pck", "active"): 1, ("csk", "expired"): 1}, "activation and expiry")
    install(measured, csk)
    assert keys_of(Scrape(own_lab)) == expected
    apply(measured, "own", [], kind="private", service="mcvideo", keys=[new_key("pck").rpc()])
    assert keys_of(Scrape(own_lab))["pck", "active"] == 2
    measured.clear()
    assert keys_of(Scrape(own_lab)) == {}


def sessions_of(scrape):
    return {(s.labels["service"], s.labels["type"]): s.value for s in scrape.families["mcxrelay_sessions"].samples}


def test_sessions_by_service_and_type(measured, own_lab):
    before = sessions_of(Scrape(own_lab))
    legs = Scrape(own_lab).value("mcxrelay_legs")
    with Client(own_lab, "ran") as one:
        apply(measured, "a", [one.leg("one")])
        apply(measured, "b", [], service="mcvideo", kind="private")
        apply(measured, "b", [], service="mcvideo", kind="private")
        scrape = Scrape(own_lab)
        assert sessions_of(scrape) == before | {("mcptt", "group"): before["mcptt", "group"] + 1,
                                                ("mcvideo", "private"): 1}
        assert scrape.value("mcxrelay_legs") == legs + 1
        apply(measured, "b", [], service="mcptt", kind="private")   # it changes its kind
        assert sessions_of(Scrape(own_lab))["mcvideo", "private"] == 0
        assert sessions_of(Scrape(own_lab))["mcptt", "private"] == 1
        with pytest.raises(lab_module.RpcError):
            apply(measured, "c", [one.leg("x"), one.leg("x")])
        measured.clear()
    assert sessions_of(Scrape(own_lab)) == before


def test_streams_contexts_and_limits(measured, own_lab, new_key, name):
    gmk, before = new_key(), Scrape(own_lab)
    install(measured, gmk)
    with Client(own_lab, "ran") as radio, Client(own_lab, "core") as lmr:
        apply(measured, name, [radio.leg("radio", "srtp", gmk), lmr.leg("lmr", "plain")])
        sender = mcx.SrtpSender(gmk.group("sip:alice@mcptt.example.org"), 0x11223344)
        radio.send(sender.protect(b"voice"))
        assert lmr.recv() == sender.last_plain
    after = Scrape(own_lab)
    assert after.value("mcxrelay_streams") > before.value("mcxrelay_streams")
    assert after.value("mcxrelay_key_contexts") == before.value("mcxrelay_key_contexts") + 1
    assert after.total("mcxrelay_worker_held_packets_total") > before.total("mcxrelay_worker_held_packets_total")
    for what, limit in SMALL.items():
        assert after.value(f"mcxrelay_{what}_limit") == limit
    measured.clear()


def test_messages(measured, own_lab):
    """What was opened and what was refused, and how long it took what was computed."""
    kms = sakke.Kms("kms.metrics.example.org")
    uri, alice = "sip:lmr@gw.example.org", sakke.Client("sip:alice@mcptt.example.org", kms)
    measured.call("kms.install", {"kms": [kms.rpc()]})
    measured.call("identity.install", {"identities": [kms.give(uri).rpc()]})
    before = Scrape(own_lab)
    message = alice.message(sakke.new_key("pck"), uri)
    for octets, reason in ((message, None), (message, "replayed"), (message[:-1] + bytes([message[-1] ^ 1]), "replayed"),
                           (alice.message(sakke.new_key("csk"), uri), "not-authorized"), (message[:99], "malformed")):
        if reason is None:
            measured.call("message.open", {"message": sakke.text(octets)})
            continue
        with pytest.raises(RpcError) as caught:
            measured.call("message.open", {"message": sakke.text(octets)})
        assert caught.value.data["reason"] == reason
    after = Scrape(own_lab)

    def more(name, **labels):
        return after.value(name, **labels) - before.value(name, **labels)

    assert more("mcxrelay_messages_opened_total", type="pck") == 1
    assert more("mcxrelay_messages_opened_total", type="gmk") == 0
    for reason, n in (("replayed", 2), ("not-authorized", 1), ("malformed", 1), ("signature", 0)):
        assert more("mcxrelay_messages_refused_total", reason=reason) == n
    assert more("mcxrelay_message_open_duration_seconds_count") == 1
    assert more("mcxrelay_message_open_duration_seconds_bucket", le="+Inf") == 1
    assert more("mcxrelay_message_open_duration_seconds_sum") > 0
    assert (after.value("mcxrelay_message_queue"), after.value("mcxrelay_message_queue_limit")) == (0, 4096)


DURATION = "mcxrelay_control_request_duration_seconds"


def test_requests_by_method_and_outcome(measured, own_lab):
    before = Scrape(own_lab)
    for _ in range(3):
        measured.call("relay.info")
    lines = [b"no JSON", b"[]", b'{"jsonrpc": "1.0"}', b'{"jsonrpc": "2.0", "id": 1, "method": "no.such\\"method"}',
             b'[{"jsonrpc": "2.0", "id": 1, "method": "relay.info", "params": {"x": 1}}, 1]',
             b'{"jsonrpc": "2.0", "id": 1, "method": "session.get", "params": {"id": "nobody"}}']
    for line in lines:
        measured.control.exchange(line)
    after = Scrape(own_lab)

    def new(method, outcome):
        labels = {"method": method, "outcome": outcome}
        return after.value("mcxrelay_control_requests_total", **labels) - before.value(
            "mcxrelay_control_requests_total", **labels)

    assert new("relay.info", "ok") == 3 and new("relay.info", "invalid_params") == 1
    assert new("", "parse_error") == 1 and new("", "invalid_request") == 3 and new("", "method_not_found") == 1
    assert new("session.get", "not_found") == 1
    assert after.total("mcxrelay_control_requests_total") - before.total("mcxrelay_control_requests_total") == 10
    assert after.value(f"{DURATION}_count", method="relay.info") - before.value(
        f"{DURATION}_count", method="relay.info") == 4
    assert after.value(f"{DURATION}_sum", method="relay.info") > before.value(f"{DURATION}_sum", method="relay.info")


def test_long_requests_are_in_high_buckets(measured, own_lab, new_key):
    keys = [new_key() for _ in range(900)]
    before = Scrape(own_lab)
    install(measured, *keys)
    after = Scrape(own_lab)

    def grown(le):
        return after.value(f"{DURATION}_bucket", method="key.install", le=le) - before.value(
            f"{DURATION}_bucket", method="key.install", le=le)

    assert grown("2.5e-05") == 0 and grown("+Inf") == 1
    bounds = [float(s.labels["le"]) for s in after.families[DURATION].samples
              if s.name.endswith("_bucket") and s.labels["method"] == "key.install"]
    assert bounds == sorted(bounds) and bounds[-1] == math.inf
    measured.clear()


def test_connections(measured, own_lab):
    def connected():
        return Scrape(own_lab).value("mcxrelay_control_connections", listener="unix")
    before, accepted = connected(), Scrape(own_lab).value("mcxrelay_control_connections_accepted_total", listener="unix")
    with measured.connect() as control:
        control.call("relay.info")
        assert connected() == before + 1
    wait_for(connected, lambda n: n == before, "the end of the connection")
    assert Scrape(own_lab).value("mcxrelay_control_connections_accepted_total", listener="unix") == accepted + 1
    assert "listener=\"tls\"" not in Scrape(own_lab).text


def value(lab, sample, **labels):
    return Scrape(lab).value(sample, **labels)


def test_silent_sessions(measured, own_lab, name):
    """Whose timeout passed: until media comes again, or they go; not those without a timeout."""
    with Client(own_lab, "ran") as one, Client(own_lab, "core") as other:
        apply(measured, name, [one.leg("one"), other.leg("other")], timeout=1)
        apply(measured, "patient", [])
        wait_for(lambda: value(own_lab, "mcxrelay_sessions_silent"), lambda n: n == 1, "the timeout")
        one.send(mcx.rtp(1, 0, b"hello"))
        other.recv()
        wait_for(lambda: value(own_lab, "mcxrelay_sessions_silent"), lambda n: n == 0, "the media")
        wait_for(lambda: value(own_lab, "mcxrelay_sessions_silent"), lambda n: n == 1, "the timeout again")
        apply(measured, name, [one.leg("one"), other.leg("other")], service="mcvideo", timeout=1)
        assert value(own_lab, "mcxrelay_sessions_silent") == 1
        measured.call("session.remove", {"ids": [name, "patient"]})
        assert value(own_lab, "mcxrelay_sessions_silent") == 0


def test_events_of_subscribers(measured, own_lab):
    """Those that are told, and those that one loses who does not read: as many as it is told."""
    many, domain = 900, "\x01" * 127                                # six octets each as JSON writes them
    before = Scrape(own_lab)
    assert before.value("mcxrelay_event_subscribers") == 0
    with measured.connect() as slow, measured.connect() as deaf:
        slow.call("events.subscribe", {"types": ["key.expired"]})
        deaf.call("events.subscribe", {"types": []})
        assert value(own_lab, "mcxrelay_event_subscribers") == 1
        expiry = int(time.time()) + 2
        install(measured, *({"id": f"1{n:07x}", "value": "0f" * 16, "rand": "0e" * 16, "domain": domain, "expiry": expiry}
                            for n in range(many)))
        def told(sample):
            return value(own_lab, sample) - before.value(sample)
        wait_for(lambda: told("mcxrelay_events_sent_total") + told("mcxrelay_events_lost_total"), lambda n: n == many,
                 "the end of the keys")
        lost = told("mcxrelay_events_lost_total")
        assert 0 < lost < many
        for _ in range(many - int(lost)):
            assert "lost" not in slow.read_line()["params"]
        later = int(time.time()) + 1
        install(measured, {"id": "20000001", "value": "0f" * 16, "rand": "0e" * 16, "expiry": later})
        assert slow.read_line()["params"]["lost"] == lost == told("mcxrelay_events_lost_total")
    wait_for(lambda: value(own_lab, "mcxrelay_event_subscribers"), lambda n: n == 0, "the end of the connection")
    measured.clear()


FAILED = "mcxrelay_control_handshakes_failed_total"


def failures(scrape):
    return {dict(labels)["reason"]: n for (name, labels), n in scrape.samples.items() if name == FAILED}


def hear(connect):
    """Whoever is refused hears so at once, or when it listens."""
    with contextlib.suppress(ssl.SSLError, ConnectionError), connect() as stranger:
        stranger.recv(1)


def test_handshakes_by_reason_and_expiries(measured, own_lab, tmp_path):
    """One of each, beside the relay that is measured."""
    own, day = test_tls.Pki(tmp_path), pki.DAY
    stolen = own.clients.issue("stolen", pki.CLIENT)
    crl = tmp_path / "revoked.pem"
    crl.write_text(own.clients.crl(stolen))
    strangers = {
        "no_certificate": None, "untrusted": own.others.issue("other", pki.CLIENT), "revoked": stolen,
        "expired": own.clients.issue("expired", pki.CLIENT, since=day * -2, until=day * -1),
        "not_yet_valid": own.clients.issue("early", pki.CLIENT, since=day, until=day * 2),
        "purpose": own.clients.issue("server", pki.SERVER)}
    options = f'metrics = {{ listen = "{SECOND[0]}:{SECOND[1]}"; }};\n'
    with test_tls.TlsRelay(own_lab, own.relay, own.clients.ca_file, crl=str(crl), limits=SMALL, anchored=False,
                           options=options) as relay:
        def connect(credentials, context=None):
            context = context or test_tls.client_context(own, credentials)
            return context.wrap_socket(test_tls.tcp(own_lab), server_hostname=test_tls.ADDRESS[0])
        def counted():
            return failures(Scrape(own_lab, SECOND))
        assert set(counted().values()) == {0.0} and set(counted()) > set(strangers)
        for reason, credentials in strangers.items():
            hear(lambda credentials=credentials: connect(credentials))
            wait_for(lambda reason=reason: counted()[reason], lambda n: n == 1, reason)
        hear(lambda: connect(own.mcx, ssl.create_default_context()))        # it does not know the relay's authority
        wait_for(lambda: counted()["alert"], lambda n: n == 1, "an alert of the client's")
        with test_tls.tcp(own_lab) as stranger:
            stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
            wait_for(lambda: counted()["protocol"], lambda n: n == 1, "no TLS")
        test_tls.tcp(own_lab).close()
        wait_for(lambda: counted()["ended"], lambda n: n == 1, "one who goes")
        with test_tls.tcp(own_lab):
            wait_for(lambda: counted()["timeout"], lambda n: n == 1, "one who says nothing")
        assert sum(counted().values()) == len(strangers) + 4
        scrape = Scrape(own_lab, SECOND)
        assert scrape.value("mcxrelay_control_certificate_expiry_timestamp_seconds") == int(
            own.relay.certificate.not_valid_after.replace(tzinfo=datetime.timezone.utc).timestamp())
        until = scrape.value("mcxrelay_control_crl_expiry_timestamp_seconds")
        assert abs(until - time.time() - 24 * 3600) < 120
        crl.write_text(own.clients.crl(until=day * 7) + own.clients.crl(until=day * -0.5))
        test_tls.hangup(relay, "tls.reloaded")
        until = Scrape(own_lab, SECOND).value("mcxrelay_control_crl_expiry_timestamp_seconds")
        assert abs(until - time.time() - 7 * 24 * 3600) < 120               # the later one of an authority counts
        with connect(own.mcx) as client:
            client.sendall(test_tls.REQUEST)
            assert client.recv(1) == b"{"
        assert "tls.crl_expired" not in relay.log_text()


# Who asks how

@pytest.mark.parametrize("path", ["/", "/metrics/", "/metrics.json", "//metrics", "/metrics%00", "*"])
def test_nothing_else_is_there(measured, own_lab, path):
    assert ask(own_lab, path)[0].status in (400, 404)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"])
@pytest.mark.parametrize("path", ["/metrics", "/health", "/ready"])
def test_only_get_and_head(measured, own_lab, method, path):
    answer, text = ask(own_lab, path, method=method)
    assert answer.status == 405 and answer.headers["Allow"] == "GET, HEAD" and "mcxrelay_" not in text
    assert ask(own_lab, "/other", method=method)[0].status == 404


@pytest.mark.parametrize("path, status", [("/metrics", 200), ("/health", 200), ("/ready", 200), ("/other", 404)])
def test_head_is_get_without_content(measured, own_lab, path, status):
    got = ask(own_lab, path)[0]
    head, _, content = exchange(own_lab, f"HEAD {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()).partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    assert got.status == status and head.startswith(f"HTTP/1.1 {status} ".encode()) and content == b""
    assert int(headers["Content-Length"]) > 0 and headers["Content-Type"] == got.headers["Content-Type"]


OPEN, PLAIN = "application/openmetrics-text", "text/plain"


@pytest.mark.parametrize("accept, expected", [
    ("*/*", OPEN), ("", OPEN), ("text/html", OPEN), ("text/plain", PLAIN), ("TEXT/Plain;version=0.0.4", PLAIN), ("text/*", PLAIN),
    (OPEN, OPEN), (f"{OPEN};version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1", OPEN),
    (f"{OPEN};q=0.3, text/plain;q=0.7", PLAIN), (f"{OPEN}; q=0, */*;q=0.1", PLAIN), ("text/plain;q=0, */*", OPEN),
    ("text/*;q=0.4, text/plain;q=0.2, */*;q=0.3", OPEN), (",,;;q=,text/plain;q=1.000,*/*;q=0.999", PLAIN), ("text/plain;q=0.0009", OPEN), ("text/plainer", OPEN)])
def test_who_asks_may_choose_the_format(measured, own_lab, accept, expected):
    connection = http.client.HTTPConnection(*ADDRESS, timeout=lab_module.PATIENCE)
    connection.sock = tcp(own_lab)
    with contextlib.closing(connection):
        connection.request("GET", "/metrics", headers={"Accept": accept})
        answer = connection.getresponse()
        assert answer.status == 200 and answer.headers["Content-Type"].startswith(expected + ";")
        assert answer.headers["Vary"] == "Accept" and (b"# EOF" in answer.read()) == (expected == OPEN)


def plain_text(lab):
    octets = exchange(lab, b"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: text/plain\r\n\r\n")
    return octets.decode().partition("\r\n\r\n")[2]


def test_both_formats_say_the_same(measured, own_lab):
    scrape, text = Scrape(own_lab), plain_text(own_lab)
    families = {f.name: f for f in prometheus_client.parser.text_string_to_metric_families(text)}
    assert {(s.name, frozenset(s.labels)) for f in families.values() for s in f.samples} == \
        {(name, frozenset(dict(labels))) for name, labels in scrape.samples}
    for family in families.values():
        assert family.documentation.endswith(".") and family.type in ("counter", "gauge", "histogram"), family.name
    assert "# UNIT" not in text and "# EOF" not in text


def test_promtool_finds_no_fault(measured, own_lab):
    done = subprocess.run(["promtool", "check", "metrics"], input=plain_text(own_lab), capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_health_and_readiness(own_lab):
    """A worker that stands still is dead; a link that is down only keeps calls away."""
    options = f'metrics = {{ listen = "{SECOND[0]}:{SECOND[1]}"; }};\n'
    with Relay(own_lab, limits=SMALL, families=(4,), options=options, anchored=False) as relay:
        def states():
            return [(answer.status, text) for answer, text in (ask(own_lab, path, address=SECOND) for path in ("/health", "/ready"))]

        wait_for(states, lambda seen: seen == [(200, "ok\n")] * 2, "a relay that is ready")
        own_lab.ip("relay", "link", "set", "veth-core", "down")
        try:
            wait_for(states, lambda seen: seen == [(200, "ok\n"), (503, "port core is down\n")], "a port that is down")
        finally:
            own_lab.ip("relay", "link", "set", "veth-core", "up")
        wait_for(states, lambda seen: seen == [(200, "ok\n")] * 2, "a port that is up again")
        [worker] = process.workers(relay.process.pid)
        with process.frozen(worker):
            wait_for(states, lambda seen: seen == [(503, "worker 0 stands still\n")] * 2, "a worker that stands still")
        wait_for(states, lambda seen: seen == [(200, "ok\n")] * 2, "a worker that goes on")


def test_query_is_ignored_and_body_refused(measured, own_lab):
    assert ask(own_lab, "/metrics?x=1")[0].status == 200
    assert ask(own_lab, body=b"x" * 100)[0].status in (400, 413)


def exchange(lab, octets):
    """Sends it, and reads to the end of the connection."""
    with tcp(lab) as peer:
        heard = b""
        with contextlib.suppress(ConnectionError):
            peer.sendall(octets)
            while more := peer.recv(1 << 16):
                heard += more
        return heard


@pytest.mark.parametrize("octets", [
    b"GARBAGE\r\n\r\n", b"\0" * 1000 + b"\r\n\r\n", b"GET /metrics HTTP/1.1\r\n" + b"X: y\r\n" * 100000,
    b"GET /" + b"x" * 100000 + b" HTTP/1.1\r\n\r\n", b"GET /metrics HTTP/9.9\r\n\r\n",
    b"GET http://[::1 HTTP/1.1\r\n\r\n", b"{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"relay.info\"}\n\r\n\r\n"])
def test_malformed_requests(measured, own_lab, octets):
    heard = exchange(own_lab, octets)
    assert not heard.startswith(b"HTTP/1.1 200") and b"mcxrelay_" not in heard
    measured.call("relay.info")
    Scrape(own_lab)


def test_slow_scrapers_keep_nobody_waiting_for_long(measured, own_lab):
    """More than there is room for, who say nothing, half, or do not read: each is ended, and others have their turn."""
    halves = [b"", b"GET /met", b"GET /metrics HTTP/1.1\r\nX: y\r\n"]
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(tcp(own_lab)) for _ in range(2 * CONNECTIONS_MAX)]
        for n, peer in enumerate(slow):
            peer.sendall(halves[n % len(halves)])
        measured.call("relay.info")                                 # control goes on
        for n in range(100):
            measured.call("relay.stats")
        Scrape(own_lab)                                             # comes after those before it were ended
        for peer in slow:
            with contextlib.suppress(ConnectionError):
                assert peer.recv(1) == b""


def test_a_dripping_request_is_ended(measured, own_lab):
    """An octet now and then does not keep a place."""
    with tcp(own_lab) as peer:
        peer.sendall(b"GET /metrics HTTP/1.1\r\n")
        peer.settimeout(0.2)
        deadline = time.monotonic() + lab_module.PATIENCE
        with contextlib.suppress(ConnectionError):
            while time.monotonic() < deadline:
                peer.sendall(b"x")
                with contextlib.suppress(TimeoutError):
                    assert peer.recv(1) == b""
                    return
            raise AssertionError("it is still served")


def test_many_scrapes(measured, own_lab):
    for _ in range(200):
        assert ask(own_lab)[0].status == 200


# Start

def test_warning_about_an_open_address(own_lab):
    own_lab.ip("relay", "addr", "replace", "192.0.2.77/32", "dev", "lo")
    with Relay(own_lab, limits=SMALL, anchored=False, options='metrics = { listen = "192.0.2.77:9177"; };\n') as relay:
        wait_for(relay.log_text, lambda log: "metrics.open listen=192.0.2.77:9177" in log, "the warning")


@pytest.mark.parametrize("listen, says", [("127.0.0.1:9177", "Address already in use"),
                                          ("192.0.2.78:9177", "Cannot assign requested address")])
def test_address_that_is_not_to_be_had(measured, own_lab, tmp_path, listen, says):
    setting = f'control.sock"; }};\nmetrics = {{ listen = "{listen}'
    refuses_to_start(own_lab, tmp_path, f'metrics.failed listen={listen} reason="{says}', unix=setting)


# Prometheus, its rules, the dashboard

def promtool(*arguments):
    done = subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_rules_are_good():
    assert "SUCCESS" in promtool("check", "rules", RULES)


def test_rules_do_what_they_say(tmp_path):
    for file in (RULES, RULE_TESTS):
        shutil.copy(file, tmp_path)
    promtool("test", "rules", tmp_path / RULE_TESTS.name)


def test_every_alert_has_a_test():
    alerts = set(re.findall(r"^ +- alert: (\w+)$", RULES.read_text(), re.MULTILINE))
    tested = re.findall(r"alertname: (\w+)$", RULE_TESTS.read_text(), re.MULTILINE)
    assert alerts and alerts == set(tested)


def dashboard_expressions():
    dashboard = json.loads(DASHBOARD.read_text())
    found = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    assert len(found) >= 10
    return [expr.replace("$__rate_interval", "1m").replace("$instance", ".*") for expr in found]


def names_in(expression):
    return set(re.findall(r"\b(?:mcxrelay|process)_\w+", expression))


def test_rules_and_dashboard_name_what_there_is(measured, own_lab):
    measured.call("relay.info")
    there = {name for name, _ in Scrape(own_lab).samples} | {
        "mcxrelay_control_certificate_expiry_timestamp_seconds", "mcxrelay_control_crl_expiry_timestamp_seconds",
        FAILED}                                                     # with TLS only
    rules = re.findall(r"^ +expr: (.*)$", RULES.read_text(), re.MULTILINE)
    for expression in [*dashboard_expressions(), *rules]:
        names = names_in(expression)
        assert names <= there and (names or "up{" in expression), expression


class Prometheus:
    """A real one, in the relay's namespace."""

    def __init__(self, lab, directory):
        self.lab = lab
        (directory / "prometheus.yml").write_text(
            "global: { scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }\n"
            f"rule_files: [ '{RULES}' ]\n"
            "scrape_configs:\n  - job_name: mcxrelay\n"
            f"    static_configs: [ {{ targets: [ '{ADDRESS[0]}:{ADDRESS[1]}' ] }} ]\n")
        self.log = open(directory / "prometheus.log", "w+")
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", lab.namespace("relay"), "setpriv", "--pdeathsig", "KILL", "prometheus",
             f"--config.file={directory / 'prometheus.yml'}", f"--storage.tsdb.path={directory / 'data'}",
             f"--web.listen-address={PROMETHEUS[0]}:{PROMETHEUS[1]}"], stderr=self.log, stdout=self.log)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(lab_module.STOP_SECONDS)
        self.log.close()

    def get(self, path, **query):
        try:
            answer, text = ask(self.lab, f"/api/v1/{path}?{urllib.parse.urlencode(query)}", address=PROMETHEUS)
        except ConnectionError:
            return None                                             # it is not up yet
        return json.loads(text)["data"] if answer.status == 200 else None

    def query(self, expression):
        data = self.get("query", query=expression)
        return None if data is None else data["result"]


def test_prometheus_scrapes(measured, own_lab, tmp_path):
    with Prometheus(own_lab, tmp_path) as prometheus:
        targets = wait_for(lambda: prometheus.get("targets"), lambda data: data and data["activeTargets"] and
                           data["activeTargets"][0]["health"] == "up", "a scrape")
        assert len(targets["activeTargets"]) == 1
        scrape = Scrape(own_lab)
        for name in {sample for sample, _ in scrape.samples}:
            assert wait_for(lambda: prometheus.query(name), bool, f"{name} in Prometheus"), name
        kinds = prometheus.get("targets/metadata", metric="mcxrelay_worker_rx_octets")
        assert kinds and kinds[0]["type"] == "counter" and kinds[0]["unit"] == "octets", kinds
        for expression in dashboard_expressions():
            assert prometheus.query(expression) is not None, expression
        rules = prometheus.get("rules")
        loaded = [rule for group in rules["groups"] for rule in group["rules"]]
        wait_for(lambda: [rule for group in prometheus.get("rules")["groups"] for rule in group["rules"]],
                 lambda now: all(rule["health"] == "ok" for rule in now), "rules that are evaluated")
        assert len(loaded) == RULES.read_text().count("- alert:")
