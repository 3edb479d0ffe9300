# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""The TLS listener: who gets in, what others learn, reloading, limits, and what is left of keys.

The relay listens on the loopback interface of its namespace; clients are ordinary sockets of that namespace.
"""

import concurrent.futures
import contextlib
import ctypes
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import threading

import pytest

import lab as lab_module
import mcx
import pki
import process
from lab import Client, Control, Relay, address_text, apply, wait_for
from test_invariants import group_octets, halves, in_use
from test_programs import refuses_to_start

ADDRESS = "127.0.0.1", 7443
ANOTHER = "127.0.0.1", 7444                     # for a second relay beside the first
SMALL = {"keys": 1000, "sessions": 100, "legs": 100, "streams": 1000}
CLIENTS_MAX, HANDSHAKES_MAX = 256, 64           # server/server.h
SO_SNDBUFFORCE = 32                             # asm-generic/socket.h
KEY_UPDATES = 3000                              # what fits into a socket
SUBJECT = 'mcx "1", [=\\\n]\u00e9'             # what a line of the log must survive


class TlsRelay(Relay):
    """With control.tls of these credentials and this authority for clients."""

    def __init__(self, lab, relay_credentials, clients_ca, address=ADDRESS, crl=None, **more):
        self.credentials, self.clients_ca, self.address = relay_credentials, clients_ca, address
        self.more = {} if crl is None else {"crl": crl}
        super().__init__(lab, **more)

    def config_text(self):
        text, plain = super().config_text(), f'control = {{ unix = "{self.socket_path}"; }};'
        assert text.count(plain) == 1
        setting = tls_setting(self.credentials, self.clients_ca, address_text(*self.address), **self.more)
        return text.replace(plain, plain[:-2] + setting + "};")


def tls_setting(credentials, ca_file, listen=address_text(*ADDRESS), **other):
    members = {"listen": listen, "certificate": credentials.certificate_file, "key": credentials.key_file,
               "ca": ca_file} | other
    return " tls = { " + "".join(f'{name} = "{value}"; ' for name, value in members.items()) + "}; "


class Pki:
    """Authorities and credentials that a test takes its pick of."""

    def __init__(self, directory):
        self.directory = directory
        self.relays, self.clients, self.others = (pki.Authority(directory, n) for n in ("relays", "clients", "others"))
        self.relay = self.relays.issue("relay", pki.SERVER)
        self.mcx = self.clients.issue(SUBJECT, pki.CLIENT, file="mcx")


@pytest.fixture(scope="module")
def own_lab():
    with lab_module.Lab() as lab:
        yield lab


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def served(own_lab, certificates):
    with TlsRelay(own_lab, certificates.relay, certificates.clients.ca_file, limits=SMALL, families=(4,)) as made:
        yield made


def client_context(certificates, credentials=None, version=ssl.TLSVersion.TLSv1_3):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = context.maximum_version = version
    context.load_verify_locations(certificates.relays.ca_file)
    if credentials is not None:
        context.load_cert_chain(credentials.certificate_file, credentials.key_file)
    return context


def tcp(lab, address=ADDRESS):
    made = lab.socket("relay", socket.AF_INET, socket.SOCK_STREAM)
    made.connect(address)
    return made


class TlsControl(Control):
    """A control connection by TLS."""

    def __init__(self, lab, context, address=ADDRESS):
        self.lab, self.context = lab, context
        super().__init__(address)

    def open(self):
        self.socket = self.context.wrap_socket(tcp(self.lab, self.path), server_hostname=self.path[0])
        self.buffer = b""


@pytest.fixture
def tls_client(own_lab, certificates):
    """Makes control connections of one who may come; closed after the test."""
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(TlsControl(own_lab, client_context(certificates, certificates.mcx)))


def refused(connect, say=b""):
    """Connects, which may seem to succeed: in TLS 1.3 the client is done before the relay has seen its certificate.

    What says so comes with the handshake, while the client speaks, or when it listens.
    """
    with pytest.raises((ssl.SSLError, ConnectionError)), connect() as stranger:
        stranger.sendall(say)
        raise AssertionError(f"it was told {stranger.recv(1)}")


def refused_call(*where):
    """In a thread of its own: ssl of Python 3.13 keeps EPIPE in its thread's error queue for every other socket."""
    def call():
        with TlsControl(*where) as control:
            control.call("relay.info")
    with pytest.raises((ssl.SSLError, ConnectionError)), concurrent.futures.ThreadPoolExecutor() as thread:
        thread.submit(call).result()


def log_has(relay, pattern):
    return wait_for(relay.log_text, lambda text: re.search(pattern, text), f"{pattern} in the log")


# Who gets in

def test_call_by_tls(served, tls_client):
    by_tls, by_socket = tls_client().call("relay.info"), served.call("relay.info")
    assert by_tls | {"uptime": 0} == by_socket | {"uptime": 0}


def test_log_names_the_peers(served, tls_client):
    tls_client().call("relay.info")
    with served.connect() as control:
        control.call("relay.info")
    log_has(served, rf"client\.connected pid={os.getpid()} uid={os.getuid()} gid={os.getgid()}\n")
    # RFC 4514: quotation marks, commas, control characters and what is no ASCII come escaped
    subject = re.escape(r'CN=mcx \"1\"\, [=\\\0A]\C3\A9')
    log_has(served, rf'client\.connected address=127\.0\.0\.1:\d+ subject="{subject}"\n')


def test_it_is_tls_1_3_and_nothing_resumes(own_lab, certificates):
    with TlsControl(own_lab, client_context(certificates, certificates.mcx)) as control:
        control.call("relay.info")
        assert control.socket.version() == "TLSv1.3"
        assert control.socket.session is None or not control.socket.session.has_ticket


def strangers(certificates):
    """Credentials that must not open the door, and what the log says."""
    day = pki.DAY
    return {
        "none": (None, "peer did not return a certificate"),
        "another authority": (certificates.others.issue("other", pki.CLIENT), "unable to get local issuer"),
        "expired": (certificates.clients.issue("expired", pki.CLIENT, since=day * -2, until=day * -1), "expired"),
        "too early": (certificates.clients.issue("early", pki.CLIENT, since=day, until=day * 2), "not yet valid"),
        "a server's": (certificates.clients.issue("server", pki.SERVER), "purpose"),
    }


REQUEST = b'{"jsonrpc": "2.0", "id": 1, "method": "relay.info"}\n'


@pytest.mark.parametrize("kind", ["none", "another authority", "expired", "too early", "a server's"])
def test_stranger_learns_nothing(served, own_lab, certificates, kind):
    credentials, reason = strangers(certificates)[kind]
    before = served.log_text().count("client.refused address")
    context = client_context(certificates, credentials)
    refused(lambda: context.wrap_socket(tcp(own_lab), server_hostname=ADDRESS[0]))
    wait_for(lambda: served.log_text().count("client.refused address"), lambda n: n > before, "a line in the log")
    assert reason in [line for line in served.log_text().splitlines() if "client.refused address" in line][-1]
    served.call("relay.info")


def test_a_request_in_the_same_breath_is_not_answered(served, own_lab, certificates):
    """It is behind a certificate that is not good."""
    credentials = certificates.others.issue("hasty", pki.CLIENT)
    sessions = len(served.call("session.list")["sessions"])
    context = client_context(certificates, credentials)
    remove = {"jsonrpc": "2.0", "id": 1, "method": "session.remove", "params": {"ids": [Relay.ANCHORS[0]]}}
    refused(lambda: context.wrap_socket(tcp(own_lab), server_hostname=ADDRESS[0]), json.dumps(remove).encode() + b"\n")
    assert len(served.call("session.list")["sessions"]) == sessions


def test_no_tls_1_2(served, own_lab, certificates):
    context = client_context(certificates, certificates.mcx, ssl.TLSVersion.TLSv1_2)
    with tcp(own_lab) as plain, pytest.raises(ssl.SSLError, match="alert"):
        context.wrap_socket(plain, server_hostname=ADDRESS[0])


@pytest.mark.parametrize("said", [REQUEST, b"GET /metrics HTTP/1.0\r\n\r\n", b"\0" * 100, b"\x16\x03\x01\x40\x00" * 900,
                                  b"\n"])
def test_who_speaks_no_tls_hears_an_alert_at_most(served, own_lab, said):
    with tcp(own_lab) as stranger:
        heard = b""
        with contextlib.suppress(OSError):                  # the relay may be gone before all is said
            stranger.sendall(said)
            stranger.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionError):
            while octets := stranger.recv(1 << 16):
                heard += octets
    assert heard == b"" or (heard[0] == 21 and len(heard) == 7), heard
    served.call("relay.info")


# Time and number are bounded

def test_handshakes_that_do_not_end_are_ended(served, own_lab):
    hello = bytes.fromhex("16030100c8010000c40303")
    with tcp(own_lab) as silent, tcp(own_lab) as half:
        half.sendall(hello)
        for stranger in (silent, half):
            assert stranger.recv(1) == b""
    log_has(served, "the handshake took too long")


def test_many_strangers_keep_nobody_out(served, own_lab, tls_client):
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(tcp(own_lab)) for _ in range(3 * HANDSHAKES_MAX)]
        served.call("relay.info")
        served.connect().call("relay.info")
        tls_client().call("relay.info")
        assert silent[0].recv(1) == b""                     # the oldest goes first
        log_has(served, "too many handshakes at once")


def test_many_clients_keep_nobody_out_of_the_socket(served, own_lab, certificates):
    context = client_context(certificates, certificates.mcx)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(TlsControl(own_lab, context)) for _ in range(CLIENTS_MAX)]
        for client in clients:
            client.call("relay.info")
        refused_call(own_lab, context)
        with served.connect() as control:
            control.call("relay.info")
        clients[0].call("relay.info")
    def comes_in():
        with contextlib.suppress(ssl.SSLError, ConnectionError), TlsControl(own_lab, context) as control:
            return control.call("relay.info")
        return None
    wait_for(comes_in, bool, "room after the others went")


# As on the socket: lines, order, back-pressure, ends

def test_more_than_the_longest_line_at_once(served, tls_client):
    """Lines of a quarter of a mebibyte, without a pause: every one is answered, in order."""
    client = tls_client()
    for n in range(12):
        client.send_line(json.dumps({"jsonrpc": "2.0", "id": n, "method": "relay.info"}).encode() + b" " * (1 << 18))
    assert [client.read_line()["id"] for _ in range(12)] == list(range(12))


def test_lines_that_share_a_record_with_the_longest(served, tls_client):
    """What OpenSSL has decrypted beyond the relay's bound is not forgotten, though the client says no more."""
    for first in range((1 << 20) - 400, 1 << 20, 100):
        client = tls_client()
        client.socket.sendall(REQUEST[:-1].ljust(first) + b"\n" + REQUEST * 20)
        for _ in range(21):
            assert "result" in client.read_line()


@pytest.mark.parametrize("size", [(1 << 20) - 1, 1 << 20])
def test_the_longest_line(served, tls_client, size):
    client = tls_client()
    client.send_line(REQUEST[:-1].ljust(size))
    if size < 1 << 20:
        assert "result" in client.read_line() and "result" in client.exchange(REQUEST[:-1])
        return
    assert client.read_line()["error"]["code"] == -32600
    with pytest.raises((ConnectionError, ssl.SSLError)):
        client.read_line()


def test_who_does_not_read_waits(served, tls_client):
    """More answers than the relay keeps for a client: it stops to read, and goes on when they are taken."""
    client, other, wanted = tls_client(), tls_client(), 30000
    client.socket.setblocking(False)
    stats = [json.dumps({"jsonrpc": "2.0", "id": n, "method": "relay.stats"}).encode() + b"\n" for n in range(wanted)]
    octets, sent = memoryview(b"".join(stats)), 0
    while sent < len(octets):
        try:
            sent += client.socket.send(octets[sent:sent + (1 << 16)])
        except ssl.SSLWantWriteError:
            break                                           # the relay reads no more
    other.call("relay.info")
    client.socket.settimeout(lab_module.PATIENCE)
    complete = bytes(octets[:sent]).count(b"\n")
    answered = 0
    while answered < complete:
        assert client.read_line()["id"] == answered
        answered += 1
    assert 0 < sent and answered > 0


class KeyUpdater:
    """A client that asks OpenSSL itself for what Python's ssl has not: KeyUpdate (RFC 8446 4.6.3)."""

    def __init__(self, lab, credentials):
        self.library, self.tcp = ctypes.CDLL("libssl.so.3"), tcp(lab)
        self.tcp.setblocking(True)                      # OpenSSL waits by itself
        self.tcp.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, 4 << 20)
        self.context = self.made("SSL_CTX_new", self.made("TLS_client_method"))
        self.done("SSL_CTX_use_certificate_chain_file", self.context, str(credentials.certificate_file).encode())
        self.done("SSL_CTX_use_PrivateKey_file", self.context, str(credentials.key_file).encode(), 1)
        self.ssl = self.made("SSL_new", self.context)
        self.done("SSL_set_fd", self.ssl, self.tcp.fileno())
        self.done("SSL_connect", self.ssl)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.library.SSL_free(self.ssl)
        self.library.SSL_CTX_free(self.context)
        self.tcp.close()

    def made(self, function, *arguments):
        call = self.library[function]
        call.restype = ctypes.c_void_p
        return ctypes.c_void_p(call(*arguments))

    def done(self, function, *arguments):
        assert self.library[function](*arguments) > 0, function

    def update_keys(self, count):
        for _ in range(count):
            self.done("SSL_key_update", self.ssl, 0)
            self.done("SSL_do_handshake", self.ssl)

    def send(self, octets):
        self.done("SSL_write", self.ssl, octets, len(octets))


def test_a_flood_of_key_updates_does_not_delay_others(served, own_lab, certificates, tls_client):
    """Between two of them others are served. In whichever order the relay looks, a flood comes before the other."""
    def apply_line(name):
        return json.dumps({"jsonrpc": "2.0", "id": 1, "method": "session.apply", "params": {
            "session": lab_module.session(name, [])}}).encode() + b"\n"

    names = "flood before", "flood after"
    with KeyUpdater(own_lab, certificates.mcx) as before, KeyUpdater(own_lab, certificates.mcx) as after:
        other = tls_client()
        other.call("relay.info")
        with process.stopped(served.process.pid):
            for flood, name in ((before, names[0]), (after, names[1])):
                if flood is after:
                    other.send_line(b'{"jsonrpc": "2.0", "id": 1, "method": "session.list"}')
                flood.update_keys(KEY_UPDATES)
                flood.send(apply_line(name))
        assert not set(names) & {session["id"] for session in other.read_line()["result"]["sessions"]}
        wait_for(lambda: {session["id"] for session in other.call("session.list")["sessions"]},
                 lambda ids: ids >= set(names), "the end of the floods")
        other.call("session.remove", {"ids": list(names)})


def test_half_closed_clients_get_their_answers(served, own_lab, certificates):
    """RFC 8446 6.1: who has said that it sends no more still reads, here more than a socket takes at once."""
    wanted, context = 4000, client_context(certificates, certificates.mcx)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    end = context.wrap_bio(incoming, outgoing, server_hostname=ADDRESS[0])
    with tcp(own_lab) as plain:
        def until(step):
            while True:
                try:
                    return step()
                except ssl.SSLWantReadError:
                    plain.sendall(outgoing.read())
                    octets = plain.recv(1 << 16)
                    incoming.write(octets) if octets else incoming.write_eof()
        until(end.do_handshake)
        for _ in range(wanted):
            end.write(REQUEST.replace(b"info", b"stats"))
        with contextlib.suppress(ssl.SSLWantReadError):
            end.unwrap()
        heard = b""
        with contextlib.suppress(ssl.SSLZeroReturnError):
            while octets := until(lambda: end.read(1 << 16)):
                heard += octets
    assert heard.count(b'"result"') == wanted and heard.endswith(b"\n")


def test_it_ends_among_requests(own_lab, certificates):
    """SIGTERM comes in the middle of what clients say: nothing of them stays in memory, which sanitizers look for."""
    context = client_context(certificates, certificates.mcx)

    def come_and_go():
        with contextlib.suppress(OSError):              # until the relay has ended
            while True:
                with TlsControl(own_lab, context, ANOTHER) as client:
                    client.socket.sendall(REQUEST * 1000)
                    client.read_line()

    with TlsRelay(own_lab, certificates.relay, certificates.clients.ca_file, ANOTHER, limits=SMALL, anchored=False) as relay:
        clients = [threading.Thread(target=come_and_go) for _ in range(4)]
        for client in clients:
            client.start()
        wait_for(relay.log_text, lambda log: log.count("client.disconnected") > 5, "clients that come and go")
        relay.process.send_signal(signal.SIGTERM)
        for client in clients:
            client.join()
        relay.process.wait(lab_module.PATIENCE)


# Certificates change

def test_reload(own_lab, certificates):
    """Running connections go on; new ones see the new certificate, and are measured by the new authority."""
    directory = certificates.directory
    first = certificates.relays.issue("first", pki.SERVER, file="changing")
    ca = directory / "changing-ca.crt"
    ca.write_text(open(certificates.clients.ca_file).read())

    def serial(control):
        return pki.x509.load_der_x509_certificate(control.socket.getpeercert(True)).serial_number

    context = client_context(certificates, certificates.mcx)
    with TlsRelay(own_lab, first, str(ca), ANOTHER, limits=SMALL, anchored=False) as relay, \
            TlsControl(own_lab, context, ANOTHER) as old:
        assert serial(old) == first.certificate.serial_number
        second = certificates.relays.issue("second", pki.SERVER, file="changing")
        hangup(relay, "tls.reloaded")
        old.call("relay.info")
        with TlsControl(own_lab, context, ANOTHER) as new:
            new.call("relay.info")
            assert serial(new) == second.certificate.serial_number != first.certificate.serial_number
        # bad files, one after the other: what was there stays
        key = open(second.key_file).read()
        for broken in ("", "no key\n", open(certificates.mcx.key_file).read()):
            with open(second.key_file, "w") as file:
                file.write(broken)
            hangup(relay, "tls.not_reloaded")
            old.call("relay.info")
            with TlsControl(own_lab, context, ANOTHER) as new:
                new.call("relay.info")
                assert serial(new) == second.certificate.serial_number
        with open(second.key_file, "w") as file:
            file.write(key)
        ca.unlink()
        hangup(relay, "tls.not_reloaded")
        assert str(ca) in relay.log_text()
        ca.write_text(open(certificates.others.ca_file).read())
        hangup(relay, "tls.reloaded")
        refused_call(own_lab, context, ANOTHER)
        newcomer = certificates.others.issue("newcomer", pki.CLIENT)
        with TlsControl(own_lab, client_context(certificates, newcomer), ANOTHER) as new:
            new.call("relay.info")
        old.call("relay.info")


# Certificates are revoked

def hangup(relay, says):
    before = relay.log_text().count(says)
    relay.process.send_signal(signal.SIGHUP)
    wait_for(lambda: relay.log_text().count(says), lambda n: n > before, says)


@pytest.fixture
def revoking(own_lab, certificates):
    """A relay that asks a list, and the list's file: at first it has nobody."""
    file = certificates.directory / "revoked.pem"
    file.write_text(certificates.clients.crl())
    with TlsRelay(own_lab, certificates.relay, certificates.clients.ca_file, ANOTHER, crl=str(file), limits=SMALL,
                  anchored=False) as relay:
        yield relay, file


def admitted(lab, certificates, credentials):
    with TlsControl(lab, client_context(certificates, credentials), ANOTHER) as control:
        return control.call("relay.info")["api"] == 1


def test_revoked_client_is_refused(revoking, own_lab, certificates):
    """Once the list has it; its connection that is there ends, the others' go on."""
    relay, file = revoking
    lost = certificates.clients.issue("lost-laptop", pki.CLIENT)
    assert admitted(own_lab, certificates, lost)
    with TlsControl(own_lab, client_context(certificates, lost), ANOTHER) as inside, \
            TlsControl(own_lab, client_context(certificates, certificates.mcx), ANOTHER) as other:
        assert inside.call("relay.info") and other.call("relay.info")
        file.write_text(certificates.clients.crl(lost, numbers=range(1000000, 1001000)))
        assert inside.call("relay.info")                    # not before it is read
        hangup(relay, "tls.reloaded")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            inside.call("relay.info")
        assert other.call("relay.info")
    log_has(relay, r'client\.revoked address=127\.0\.0\.1:\d+ subject="CN=lost-laptop"')
    refused_call(own_lab, client_context(certificates, lost), ANOTHER)
    log_has(relay, r'client\.refused address=\S+ reason="certificate revoked"')
    assert admitted(own_lab, certificates, certificates.mcx)
    file.write_text(certificates.clients.crl())             # it was found again
    hangup(relay, "tls.reloaded")
    assert admitted(own_lab, certificates, lost)


def test_expired_list_refuses_all(revoking, own_lab, certificates):
    relay, file = revoking
    file.write_text(certificates.clients.crl(since=pki.DAY * -2, until=pki.DAY * -1))
    hangup(relay, "tls.crl_expired")
    log_has(relay, rf'tls\.crl_expired path="{file}" next_update=20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ consequence=')
    refused_call(own_lab, client_context(certificates, certificates.mcx), ANOTHER)
    log_has(relay, 'client.refused .* reason="CRL has expired"')
    relay.call("relay.info")
    file.write_text(certificates.clients.crl())
    hangup(relay, "tls.reloaded")
    assert admitted(own_lab, certificates, certificates.mcx)


def test_list_that_expires_while_the_relay_runs(own_lab, certificates, tmp_path):
    file = tmp_path / "short.pem"
    file.write_text(certificates.clients.crl(until=pki.datetime.timedelta(seconds=3)))
    with TlsRelay(own_lab, certificates.relay, certificates.clients.ca_file, ANOTHER, crl=str(file), limits=SMALL,
                  anchored=False) as relay:
        def comes_in():
            with contextlib.suppress(ssl.SSLError, ConnectionError):
                return admitted(own_lab, certificates, certificates.mcx)
            return False
        wait_for(comes_in, lambda came: not came, "the end of the list")
        log_has(relay, 'reason="CRL has expired"')


def test_revoked_although_the_list_expired(revoking, own_lab, certificates):
    """Who is connected goes on when a list expires, but not if it is on it."""
    relay, file = revoking
    lost = certificates.clients.issue("lost-again", pki.CLIENT)
    with TlsControl(own_lab, client_context(certificates, lost), ANOTHER) as inside, \
            TlsControl(own_lab, client_context(certificates, certificates.mcx), ANOTHER) as other:
        inside.call("relay.info")
        file.write_text(certificates.clients.crl(lost, since=pki.DAY * -2, until=pki.DAY * -1))
        hangup(relay, "client.revoked")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            inside.call("relay.info")
        assert other.call("relay.info")


def test_lists_of_several_authorities(own_lab, certificates, tmp_path):
    """Each authority of ca needs its list: without one, nothing is loaded."""
    ca, file = tmp_path / "both.crt", tmp_path / "both.pem"
    ca.write_text(open(certificates.clients.ca_file).read() + open(certificates.others.ca_file).read())
    file.write_text(certificates.clients.crl() + certificates.others.crl())
    other = certificates.others.issue("other-client", pki.CLIENT)
    with TlsRelay(own_lab, certificates.relay, str(ca), ANOTHER, crl=str(file), limits=SMALL, anchored=False) as relay:
        assert admitted(own_lab, certificates, other) and admitted(own_lab, certificates, certificates.mcx)
        file.write_text(certificates.others.crl(other))
        hangup(relay, "tls.not_reloaded")
        assert f"crl {file}: has no list of CN=clients" in relay.log_text()
        assert admitted(own_lab, certificates, other)
        file.write_text(certificates.others.crl(other) + certificates.clients.crl(until=pki.DAY * -0.5))
        hangup(relay, "tls.crl_expired")                    # of one of them
        file.write_text(certificates.others.crl(other) + certificates.clients.crl())
        hangup(relay, "tls.reloaded")
        refused_call(own_lab, client_context(certificates, other), ANOTHER)
        assert admitted(own_lab, certificates, certificates.mcx)


def openssl(directory, *arguments):
    subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)


def test_revoked_with_the_openssl_program(own_lab, certificates, tmp_path):
    """An authority, a client and a list as operators make them."""
    (tmp_path / "ca.cnf").write_text(
        "[ca]\ndefault_ca = own\n[own]\ndatabase = index.txt\nserial = serial\nnew_certs_dir = .\n"
        "default_md = sha256\ndefault_days = 1\ndefault_crl_days = 1\npolicy = any\n[any]\ncommonName = supplied\n")
    (tmp_path / "index.txt").write_text("")
    (tmp_path / "serial").write_text("01\n")
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl(tmp_path, "req", "-x509", *curve, "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=own CA")
    openssl(tmp_path, "req", *curve, "-keyout", "a.key", "-out", "a.csr", "-subj", "/CN=a")
    by = ["-config", "ca.cnf", "-cert", "ca.crt", "-keyfile", "ca.key"]
    openssl(tmp_path, "ca", *by, "-batch", "-in", "a.csr", "-out", "a.crt")
    openssl(tmp_path, "ca", *by, "-gencrl", "-out", "crl.pem")
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.load_verify_locations(certificates.relays.ca_file)
    client.load_cert_chain(tmp_path / "a.crt", tmp_path / "a.key")
    with TlsRelay(own_lab, certificates.relay, str(tmp_path / "ca.crt"), ANOTHER, crl=str(tmp_path / "crl.pem"),
                  limits=SMALL, anchored=False) as relay:
        with TlsControl(own_lab, client, ANOTHER) as control:
            control.call("relay.info")
        openssl(tmp_path, "ca", *by, "-revoke", "a.crt")
        openssl(tmp_path, "ca", *by, "-gencrl", "-out", "crl.pem")
        hangup(relay, "tls.reloaded")
        refused_call(own_lab, client, ANOTHER)


def test_hangup_without_tls_changes_nothing(relay):
    relay.process.send_signal(signal.SIGHUP)
    log_has(relay, "tls.not_reloaded")
    relay.call("relay.info")


def passphrase_key(certificates):
    path = certificates.directory / "passphrase.key"
    path.write_bytes(pki.pem_of_key(certificates.relay.key, b"secret"))
    return str(path)


def broken_list(certificates):
    path = certificates.directory / "broken.pem"
    path.write_text(certificates.clients.crl() + certificates.clients.crl().replace("A", "B"))
    return str(path)


def foreign_list(certificates):
    """Of an authority of the same name, and another key."""
    (certificates.directory / "foreign").mkdir(exist_ok=True)
    path = certificates.directory / "foreign.pem"
    path.write_text(pki.Authority(certificates.directory / "foreign", "clients").crl())
    return str(path)


@pytest.mark.parametrize("member, path, says", [
    ("certificate", lambda c: "/nonexistent.crt", "/nonexistent.crt: No such file"),
    ("certificate", lambda c: c.relay.key_file, "certificate "),
    ("key", lambda c: "/nonexistent.key", "/nonexistent.key: No such file"),
    ("key", lambda c: c.mcx.key_file, "mismatch"),
    ("key", passphrase_key, "passphrase.key"),
    ("key", lambda c: "/dev/null", "/dev/null"),
    ("ca", lambda c: "/nonexistent.crt", "/nonexistent.crt: No such file"),
    ("ca", lambda c: c.relay.key_file, "ca "),
    ("crl", lambda c: "/nonexistent.pem", "/nonexistent.pem: No such file"),
    ("crl", lambda c: c.clients.ca_file, "has no list of CN=clients"),
    ("crl", lambda c: "/dev/null", "crl /dev/null: has no list of CN=clients"),
    ("crl", broken_list, "crl "),
    ("crl", foreign_list, "foreign.pem: nobody of ca has signed the list of CN=clients"),
    ("crl", lambda c: "/tmp", "crl /tmp: "),
    ("listen", lambda c: "192.0.2.1:7443", "assign requested address"),
    ("listen", lambda c: address_text(*ADDRESS), "Address already in use"),
])
def test_unusable_files_and_addresses(served, own_lab, certificates, tmp_path, member, path, says):
    setting = tls_setting(certificates.relay, certificates.clients.ca_file, **{member: path(certificates)})
    refuses_to_start(own_lab, tmp_path, says, unix=f'control.sock"; {setting} mode = "0600')


def test_warning_about_an_open_key(own_lab, certificates, tmp_path):
    os.chmod(certificates.relay.key_file, 0o644)
    try:
        with TlsRelay(own_lab, certificates.relay, certificates.clients.ca_file, ANOTHER, limits=SMALL,
                      anchored=False) as relay:
            log_has(relay, rf'tls\.key_open path="{certificates.relay.key_file}" mode=0644')
    finally:
        os.chmod(certificates.relay.key_file, 0o600)


# What is left of keys

def find(relay, patterns):
    return process.memory_find(relay.process.pid, patterns)


def test_no_octet_of_a_key_after_revoke_by_tls(served, own_lab, tls_client, new_key):
    """Installed, used and revoked by TLS: neither the key nor what came of it is left, nor the text that carried it."""
    control, gmk = tls_client(), new_key()
    user = "sip:alice@mcptt.example.org"
    patterns = group_octets(gmk, user)
    assert control.call("key.install", {"keys": [gmk.rpc()]})["installed"] == 1
    with Client(own_lab, "ran") as radio, Client(own_lab, "core") as lmr:
        apply(served, "searched", [radio.leg("radio", "srtp", gmk), lmr.leg("lmr", "plain")])
        sender = mcx.SrtpSender(gmk.group(user), 0x11223344)
        radio.send(sender.protect(b"voice"))
        assert lmr.recv() == sender.last_plain
        in_use(served, patterns)
        assert control.call("key.revoke", {"keys": [{"domain": "home", "id": gmk.id_text}]}) == {"revoked": 1}
        assert find(served, patterns) == set()
        served.call("session.remove", {"ids": ["searched"]})


@pytest.mark.parametrize("many", [1, 20, 400, 5000])
def test_no_text_of_a_key_stays(served, tls_client, new_key, many):
    """Requests of one TLS record and of many; cut off without an end, too."""
    control, keys = tls_client(), [new_key() for _ in range(many)]
    request = {"jsonrpc": "2.0", "id": 1, "method": "key.install", "params": {"keys": [key.rpc() for key in keys]}}
    control.exchange(json.dumps(request).encode())
    patterns = {}
    for n in range(0, many, max(1, many // 8)):
        text = keys[n].value.hex().encode()
        patterns |= halves(f"key {n} in hex", text) | halves(f"key {n} in capital hex", text.upper())
    assert find(served, patterns) == set()
    served.clear()
    half = new_key().value.hex().encode()
    control.socket.sendall(b'{"keys": ["' + half)
    wait_for(lambda: find(served, {"half a request": half}), bool, "half a request")
    control.close()
    wait_for(lambda: find(served, {"half a request": half}), lambda found: not found, "the end of half a request")


def test_no_text_of_the_relays_own_key(served, certificates):
    """Of the file nothing is left; the key itself is where no core dump has it."""
    lines = open(certificates.relay.key_file, "rb").read().splitlines()[1:-1]
    assert find(served, {f"line {n}": line for n, line in enumerate(lines)}) == set()
    number = certificates.relay.key.private_numbers().private_value
    forms = [number.to_bytes(32, order) for order in ("big", "little")]
    assert find(served, dict(enumerate(forms))), "the key is not found: the search sees nothing"
    assert {"dd", "lo"} <= flags_of_mapping_with(served.process.pid, forms)


def flags_of_mapping_with(pid, forms):
    """VmFlags that all mappings have in which one of forms stands (proc(5), smaps)."""
    flags, text = None, open(f"/proc/{pid}/smaps").read()
    entries = re.findall(r"^([0-9a-f]+)-([0-9a-f]+) r.*?^VmFlags: (.*?)$", text, re.MULTILINE | re.DOTALL)
    for start, end, names in entries:
        bounds = int(start, 16), int(end, 16)
        if bounds[1] - bounds[0] >= process.SHADOW:
            continue
        if any(form in piece for piece in process.memory_pieces(pid, [bounds]) for form in forms):
            flags = set(names.split()) & (flags if flags is not None else set(names.split()))
    return flags


# mcxctl

def mcxctl(lab, *arguments):
    return subprocess.run(["ip", "netns", "exec", lab.namespace("relay"), lab_module.build_directory() / "mcxctl",
                           *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          timeout=lab_module.PATIENCE)


def tls_options(certificates, credentials=None, ca_file=None, address=None):
    credentials = credentials or certificates.mcx
    return ["--tls", address or address_text(*ADDRESS), "--cert", credentials.certificate_file, "--key", credentials.key_file,
            "--ca", ca_file or certificates.relays.ca_file]


def test_mcxctl(served, own_lab, certificates):
    done = mcxctl(own_lab, *tls_options(certificates), "call", "relay.info")
    assert done.returncode == 0 and json.loads(done.stdout)["api"] == 1, done
    done = mcxctl(own_lab, *tls_options(certificates), "call", "session.get", '{"id": "nobody"}')
    assert done.returncode == 1 and json.loads(done.stderr)["code"] == 1, done


def test_mcxctl_as_documented(served, own_lab, certificates):
    """The examples of the README and of mcxctl(1), with the files and the address of this test."""
    pages = [(lab_module.ROOT / "README.md").read_text(),
             (lab_module.ROOT / "docs" / "man" / "mcxctl.1").read_text().replace("\\-", "-")]
    own = {"203.0.113.1:7443": address_text(*ADDRESS), "mcx.crt": certificates.mcx.certificate_file,
           "mcx.key": certificates.mcx.key_file, "relays-ca.crt": certificates.relays.ca_file}
    for page in pages:
        [example] = re.findall(r"^ *(?:build/)?mcxctl (--tls \d.*)$", page, re.MULTILINE)
        words = example.split()
        assert set(own) <= set(words)
        done = mcxctl(own_lab, *[own.get(word, word) for word in words])
        assert done.returncode == 0 and json.loads(done.stdout)["api"] == 1, done


def test_mcxctl_refused(served, own_lab, certificates):
    """By the relay; or it refuses the relay: another authority, another name; or the options are wrong."""
    other = certificates.others.issue("mcxctl", pki.CLIENT)
    wrong = {
        "alert": tls_options(certificates, credentials=other),
        "certificate": tls_options(certificates, ca_file=certificates.others.ca_file),
        "Connection refused": tls_options(certificates, address="127.0.0.1:1"),
        "hostname mismatch": tls_options(certificates, address="localhost:7443"),
        "no address": tls_options(certificates, address="127.0.0.1"),
        "--cert, --key and --ca": tls_options(certificates)[:4],
        "No such file": tls_options(certificates, ca_file="/nonexistent.crt"),
    }
    for says, options in wrong.items():
        done = mcxctl(own_lab, *options, "call", "relay.info")
        assert done.returncode == 1 and done.stdout == "" and says in done.stderr, done
