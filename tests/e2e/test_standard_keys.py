# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""Each key of TS 33.180 for its purpose: Annex G, table E.1.3-1, clauses 7.4, 9.4, E.2 to E.4 and H.4."""

import dataclasses
import itertools

import pytest

import libsrtp
import mcx
from lab import RpcError, apply, fence, install
from member import Member
from vectors import floor_control, sections

ALICE = "sip:alice@mcptt.example.org"
BOB = "sip:bob@mcptt.example.org"
GATEWAY = "sip:gateway@lmr.example.org"
SSRC = 0x2a331807
MEDIA_KINDS = ["gmk", "pck"]
CONTROL_KINDS = ["csk", "spk", "mkfc", "mscck", "musik"]
KEY_REFUSED = 4
SERVICES = pytest.mark.parametrize("service", ["mcptt", "mcvideo"])
SUITES = pytest.mark.parametrize("suite", [mcx.GCM_128, mcx.GCM_256])


def other(service):
    return {"mcptt": "mcvideo", "mcvideo": "mcptt"}[service]


def opposite(role):
    return {"initiator": "receiver", "receiver": "initiator"}[role]


def refused(relay, method, params, code, path):
    """The request fails with that code, and names the member that is wrong."""
    with pytest.raises(RpcError) as caught:
        relay.call(method, params)
    assert (caught.value.code, caught.value.path) == (code, path), str(caught.value)
    return caught.value


# Known answers

def key_of_vector(v):
    kind, value, number = next((k, v[k], v[f"{k}_id"]) for k in ("gmk", "pck", "csk", "key") if k in v)
    number = int(number, 16)
    kind = next(k for k, tag in mcx.PURPOSE_TAGS.items() if tag == number >> 28)
    return mcx.RootKey(kind, number, bytes.fromhex(value), bytes.fromhex(v["rand"]), mki_length=len(v["mki"]) // 2,
                       roc_rate=int(v.get("rcc_rate", "0")))


@pytest.mark.parametrize("section", [n for n, v in sections("e2e_packets") if "srtp" in v and v["roc"] == "00000000"])
def test_known_media_packets(relay, clients, name, section):
    """7.4.1, 7.4.2, 7.5: packets computed elsewhere open to the octet."""
    v = dict(sections("e2e_packets"))[section]
    key = key_of_vector(v)
    role = {"role": {"00": "initiator", "01": "receiver"}[v["cs_id"]]} if key.type == "pck" else {}
    install(relay, key)
    radio, lmr = clients("ran"), clients("core")
    apply(relay, name, [radio.leg("radio", "srtp", key, protection=role), lmr.leg("lmr", "plain")])
    radio.send(bytes.fromhex(v["srtp"]))
    assert lmr.recv() == bytes.fromhex(v["rtp"])


@pytest.mark.parametrize("section", [n for n, v in sections("e2e_packets") if "srtcp" in v])
def test_known_control_packets(relay, clients, name, section):
    """9.4.6, 9.4.7: SRTCP computed elsewhere opens to the octet, with the E bit and without."""
    v = dict(sections("e2e_packets"))[section]
    key = key_of_vector(v)
    install(relay, key)
    radio, server = clients("ran"), clients("core")
    apply(relay, name, [radio.leg("radio", "srtp", key, traffic="control"),
                        server.leg("server", "plain", traffic="control")])
    radio.send(bytes.fromhex(v["srtcp"]))
    assert server.recv() == bytes.fromhex(v["rtcp"])


# Media keys

@SERVICES
@SUITES
@pytest.mark.parametrize("mki_length", [8, 4])
def test_gmk(relay, clients, name, new_key, service, suite, mki_length):
    """7.4.2, E.2.2: CS-ID 4 or 5, CSB-ID is the talker's GUK-ID, MKI is GMK-ID || GUK-ID or GMK-ID; libsrtp2 is the
    radio in both directions."""
    gmk = new_key("gmk", suite=suite, mki_length=mki_length)
    install(relay, gmk)
    radio, lmr = clients("ran"), clients("core")
    apply(relay, name, [radio.leg("radio", "srtp", gmk, protection={"user": ALICE}),
                        lmr.leg("lmr", "plain", protection={"user": GATEWAY})], service)
    with libsrtp.group_peer(gmk, ALICE, SSRC, service=service) as talker:
        for n in range(5):
            plain = mcx.rtp(SSRC, 65533 + n & 0xffff, b"up %d" % n)
            radio.send(talker.protect(plain))
            assert lmr.recv() == plain
    context = gmk.group(GATEWAY, service)
    peer = None
    for n in range(5):
        lmr.send(mcx.rtp(7, 100 + n, b"down %d" % n))
        packet = radio.recv()
        assert mcx.srtp_split(context, packet)[0] == packet[:-mki_length - 4]
        peer = peer or libsrtp.group_peer(gmk, GATEWAY, int.from_bytes(packet[8:12], "big"), service=service)
        assert peer.unprotect(packet)[12:] == b"down %d" % n
    peer.close()


@SERVICES
@SUITES
@pytest.mark.parametrize("role", ["initiator", "receiver"])
def test_pck(relay, clients, name, new_key, service, suite, role):
    """7.4.1, E.3.2: CS-ID 0 to 3 by service and role, CSB-ID and MKI are the PCK-ID, no ROC; libsrtp2 is the client."""
    pck = new_key("pck", suite=suite)
    client, lmr = clients("ran"), clients("core")
    apply(relay, name, [client.leg("client", "srtp", pck, protection={"role": role}), lmr.leg("lmr", "plain")],
          service, "private", keys=[pck.rpc()])
    with libsrtp.private_peer(pck, role, SSRC, service=service) as talker:
        for n in range(5):
            plain = mcx.rtp(SSRC, 65533 + n & 0xffff, b"up %d" % n)
            client.send(talker.protect(plain))
            assert lmr.recv() == plain
    peer = None
    for n in range(5):
        lmr.send(mcx.rtp(7, 100 + n, b"down %d" % n))
        packet = client.recv()
        assert packet.endswith(pck.id.to_bytes(4, "big")) and len(packet) == 12 + 6 + mcx.TAG_LEN + 4
        peer = peer or libsrtp.private_peer(pck, opposite(role), int.from_bytes(packet[8:12], "big"), service=service)
        assert peer.unprotect(packet)[12:] == b"down %d" % n
    peer.close()


@SERVICES
@pytest.mark.parametrize("kind", MEDIA_KINDS)
def test_media_of_another_crypto_session(relay, clients, name, new_key, service, kind):
    """Table E.1.3-1: what is derived with any other CS-ID under the same key does not verify."""
    key = new_key(kind)
    install(relay, key)
    radio, lmr = clients("ran"), clients("core")
    role = {"role": "receiver"} if kind == "pck" else {}
    apply(relay, name, [radio.leg("radio", "srtp", key, protection=role), lmr.leg("lmr", "plain")], service)
    good = key.group(ALICE, service) if kind == "gmk" else key.private("receiver", service)
    sender = mcx.SrtpSender(good, SSRC)
    radio.send(sender.protect(b"good"))
    assert lmr.recv() == sender.last_plain
    right = mcx.CS_GROUP[service] if kind == "gmk" else mcx.CS_PRIVATE[service, "receiver"]
    csb_id = key.guk_id(ALICE) if kind == "gmk" else key.id
    before = relay.drops()
    for cs_id in set(range(10)) - {right}:
        wrong = mcx.context_of_master(mcx.master_key(key.value, cs_id, csb_id, key.rand),
                                      mcx.master_salt(key.value, cs_id, csb_id, key.rand), good.mki, good.roc_rate)
        radio.send(mcx.SrtpSender(wrong, SSRC + 1 + cs_id).protect(b"wrong"))
    assert fence(radio, sender.protect(b"fence"), lmr) == [sender.last_plain]
    relay.wait_drops(before, auth_fail=9)


@pytest.mark.parametrize("rand_length", [16, 32, 64])
def test_rand_of_the_key(relay, clients, name, new_key, rand_length):
    """7.4.2, standards.md A14: the RAND is that of the message which brought the key, whatever its length."""
    gmk = dataclasses.replace(new_key("gmk"), rand=bytes(range(rand_length)))
    install(relay, gmk)
    radio, lmr = clients("ran"), clients("core")
    apply(relay, name, [radio.leg("radio", "srtp", gmk), lmr.leg("lmr", "plain")])
    sender = mcx.SrtpSender(gmk.group(ALICE), SSRC)
    radio.send(sender.protect(b"voice"))
    assert lmr.recv() == sender.last_plain


# Who speaks under a GMK

def test_talker_by_the_leg_where_the_mki_is_the_gmk_id(relay, clients, name, new_key):
    """7.4.2: with the MKI of 4 octets the GUK-ID comes from the user that is known through other means: the leg's."""
    gmk = new_key("gmk", mki_length=4)
    install(relay, gmk)
    alice, bob, lmr = clients("ran"), clients("ran"), clients("core")
    apply(relay, name, [alice.leg("alice", "srtp", gmk, protection={"user": ALICE}, to=["lmr"]),
                        bob.leg("bob", "srtp", gmk, protection={"user": BOB}, to=["lmr"]),
                        lmr.leg("lmr", "plain", protection={"user": GATEWAY})])
    said = {}
    for client, user, ssrc in ((alice, ALICE, SSRC), (bob, BOB, SSRC)):
        said[user] = mcx.SrtpSender(gmk.group(user), ssrc)
        for n in range(3):
            client.send(said[user].protect(b"%d" % n))
            assert lmr.recv() == said[user].last_plain
    before = relay.drops()
    alice.send(said[BOB].protect(b"Bob's words from Alice's leg"))
    assert fence(alice, said[ALICE].protect(b"fence"), lmr) == [said[ALICE].last_plain]
    relay.wait_drops(before, auth_fail=1)
    lmr.send(mcx.rtp(7, 1, b"to both"))
    for client in (alice, bob):
        assert mcx.SrtpReceiver(gmk.group(GATEWAY)).unprotect(client.recv()).payload == b"to both"


@pytest.mark.parametrize("mki_length", [8, 4])
def test_users_close_a_gmk(relay, clients, name, new_key, mki_length):
    """F.1.3, docs/api.md: only the GUK-IDs of `users` are accepted, and an update of `users` admits another."""
    gmk = new_key("gmk", mki_length=mki_length)
    install(relay, gmk.rpc(users=[ALICE]))
    ends, lmr = {ALICE: clients("ran"), BOB: clients("ran")}, clients("core")
    apply(relay, name, [end.leg(user[4:7], "srtp", gmk, protection={"user": user} if mki_length == 4 else {})
                        for user, end in ends.items()] + [lmr.leg("lmr", "plain")])
    senders = {user: mcx.SrtpSender(gmk.group(user), SSRC) for user in ends}
    ends[ALICE].send(senders[ALICE].protect(b"admitted"))
    assert lmr.recv() == senders[ALICE].last_plain
    before = relay.drops()
    ends[BOB].send(senders[BOB].protect(b"stranger"))
    relay.wait_drops(before, unknown_user=1)
    assert lmr.drain() == []
    assert relay.call("key.install", {"keys": [gmk.rpc(users=[ALICE, BOB])]}) == {"installed": 1, "rejected": []}
    ends[BOB].send(senders[BOB].protect(b"admitted now"))
    assert lmr.recv() == senders[BOB].last_plain


# Control keys

@SERVICES
@SUITES
@pytest.mark.parametrize("kind", CONTROL_KINDS)
def test_control_key(relay, clients, name, new_key, service, suite, kind):
    """9.4.6, E.4.2, H.4, standards.md A11: CS-ID 6 to 9, CSB-ID and MKI are the KFC-ID; in from libsrtp2 and out to it
    under a second key of the kind."""
    keys = [new_key(kind, suite=suite), new_key(kind, suite=suite)]
    install(relay, *keys)
    a, b = clients("ran"), clients("core")
    apply(relay, name, [a.leg("a", "srtp", keys[0], traffic="control"),
                        b.leg("b", "srtp", keys[1], traffic="control")], service)
    with libsrtp.control_peer(keys[0], SSRC, service) as out, libsrtp.control_peer(keys[1], SSRC, service) as into:
        for sample in floor_control().values():
            plain = sample[:4] + SSRC.to_bytes(4, "big") + sample[8:]
            a.send(out.protect_rtcp(plain))
            packet = b.recv()
            assert packet.endswith(keys[1].id.to_bytes(4, "big"))
            assert into.unprotect_rtcp(packet) == plain


@SERVICES
@pytest.mark.parametrize("kind", CONTROL_KINDS)
def test_control_of_another_crypto_session(relay, clients, name, new_key, service, kind):
    """Table E.1.3-1: SRTCP derived with any other CS-ID under the same key does not verify."""
    key, csk = new_key(kind), new_key("csk")
    install(relay, key, csk)
    a, b = clients("ran"), clients("core")
    apply(relay, name, [a.leg("a", "srtp", key, traffic="control"), b.leg("b", "srtp", csk, traffic="control")], service)
    good = mcx.SrtcpSender(key.control(service))
    before = relay.drops()
    for cs_id in set(range(10)) - {mcx.CS_CONTROL[kind, service]}:
        wrong = mcx.context_of_master(mcx.master_key(key.value, cs_id, key.id, key.rand),
                                      mcx.master_salt(key.value, cs_id, key.id, key.rand), good.context.mki)
        a.send(mcx.srtcp_protect(wrong, mcx.floor_request(SSRC, ALICE), 1000 + cs_id))
    [got] = fence(a, good.protect(mcx.app(SSRC, mcx.FLOOR_RELEASE)), b)
    assert mcx.SrtcpReceiver(csk.control(service)).unprotect(got) == mcx.app(SSRC, mcx.FLOOR_RELEASE)
    relay.wait_drops(before, auth_fail=9)


# Purpose tags

@pytest.mark.parametrize("stated, tag", itertools.product(mcx.PURPOSE_TAGS, range(16)))
def test_purpose_tag(relay, stated, tag):
    """Annex G: the top four bits say the type; a type that disagrees is refused, and so are tags without a type."""
    key = {"id": f"{tag << 28 | 0x00180033:08x}", "type": stated, "value": "11" * 16, "rand": "22" * 16}
    result = relay.call("key.install", {"keys": [key]})
    if mcx.PURPOSE_TAGS[stated] == tag:
        assert result == {"installed": 1, "rejected": []}
        [listed] = relay.call("key.list", {})["keys"]
        assert (listed["id"], listed["type"]) == (key["id"], stated)
        return
    assert result["installed"] == 0
    [rejected] = result["rejected"]
    assert (rejected["index"], rejected["code"]) == (0, KEY_REFUSED), rejected
    assert relay.call("key.list", {})["keys"] == []


@pytest.mark.parametrize("kind", mcx.PURPOSE_TAGS)
def test_type_left_out(relay, new_key, kind):
    """Annex G: the purpose tag alone says the type."""
    key = new_key(kind).rpc()
    assert "type" not in key
    install(relay, key)
    assert [listed["type"] for listed in relay.call("key.list", {})["keys"]] == [kind]


# Which key may protect what

def leg_with(client, key, member, **more):
    role = {"role": "initiator"} if key.type == "pck" else {}
    named = {"mode": "srtp", "key": key.id_text, "domain": "home"} | role
    leg = client.leg("leg", "plain", **more)
    leg[member] = named
    return leg


@pytest.mark.parametrize("kind", CONTROL_KINDS)
def test_control_key_never_protects_media(relay, clients, name, new_key, kind):
    """E.4.1: a CSK or MuSiK shall not be used to protect SRTP payloads; Annex G, H.4: neither may their kin."""
    key = new_key(kind)
    install(relay, key)
    client, peer = clients("ran"), clients("core")
    legs = [peer.leg("peer", "plain"), leg_with(client, key, "protection")]
    call = {"session": {"id": name, "service": "mcptt", "type": "group", "legs": legs}}
    error = refused(relay, "session.apply", call, KEY_REFUSED, "params.session.legs[1].protection.key")
    assert "gmk" in str(error) and "pck" in str(error)
    assert name not in [s["id"] for s in relay.call("session.list", {})["sessions"]]
    # the same by leg.apply, and the session stays as it was
    apply(relay, name, legs[:1])
    refused(relay, "leg.apply", {"session": name, "legs": legs[1:]}, KEY_REFUSED, "params.legs[0].protection.key")
    assert [leg["id"] for leg in relay.call("session.get", {"id": name})["legs"]] == ["peer"]


@pytest.mark.parametrize("kind", MEDIA_KINDS)
def test_media_key_never_protects_control(relay, clients, name, new_key, kind):
    """9.4.1 to 9.4.5: on-network, floor and transmission control is under a CSK, SPK, MuSiK, MSCCK or MKFC."""
    key = new_key(kind)
    install(relay, key)
    client, peer = clients("ran"), clients("core")
    legs = [peer.leg("peer", "plain", traffic="control"), leg_with(client, key, "protection", traffic="control")]
    call = {"session": {"id": name, "service": "mcptt", "type": "group", "legs": legs}}
    error = refused(relay, "session.apply", call, KEY_REFUSED, "params.session.legs[1].protection.key")
    assert all(accepted in str(error) for accepted in CONTROL_KINDS)
    apply(relay, name, legs[:1])
    refused(relay, "leg.apply", {"session": name, "legs": legs[1:]}, KEY_REFUSED, "params.legs[0].protection.key")


@pytest.mark.parametrize("kind", MEDIA_KINDS + CONTROL_KINDS)
def test_any_key_protects_muxed_rtcp(relay, clients, name, new_key, kind):
    """9.4.1 and, for the same keys as media, 7.4.2: rtcp_protection of a media leg names any key."""
    gmk, key = new_key("gmk"), new_key(kind)
    install(relay, gmk, key)
    client, peer = clients("ran"), clients("core")
    leg = leg_with(client, key, "rtcp_protection")
    leg["protection"] = client.leg("leg", "srtp", gmk)["protection"]
    apply(relay, name, [leg, peer.leg("peer", "plain")])
    context = {"gmk": lambda: key.group(ALICE), "pck": lambda: key.private("initiator")}.get(kind, key.control)()
    client.send(mcx.SrtcpSender(context).protect(mcx.rr(SSRC)))
    assert peer.recv() == mcx.rr(SSRC)


def test_rtcp_of_an_srtp_leg_is_under_its_own_key_only(relay, clients, name, new_key):
    """9.4.1: where rtcp_protection names a CSK, SRTCP under the media key is not accepted, nor media under the CSK."""
    gmk, csk = new_key("gmk"), new_key("csk")
    install(relay, gmk, csk)
    radio, lmr = clients("ran"), clients("core")
    apply(relay, name, [radio.leg("radio", "srtp", gmk, rtcp_protection={"mode": "srtp", "key": csk.id_text,
                                                                        "domain": "home"}),
                        lmr.leg("lmr", "plain")])
    media, control = mcx.SrtpSender(gmk.group(ALICE), SSRC), mcx.SrtcpSender(csk.control())
    before = relay.drops()
    radio.send(mcx.SrtcpSender(gmk.group(ALICE)).protect(mcx.rr(SSRC)))
    radio.send(mcx.SrtpSender(csk.control(), SSRC).protect(b"media"))
    relay.wait_drops(before, unknown_mki=2)
    radio.send(media.protect(b"media"))
    assert lmr.recv() == media.last_plain
    radio.send(control.protect(mcx.rr(SSRC)))
    assert lmr.recv() == mcx.rr(SSRC)


# Multicast keys on a multicast address

@pytest.mark.parametrize("family, group", [(4, "239.77.18.1"), (6, "ff15::7718:1")])
@pytest.mark.parametrize("kind", ["musik", "mscck", "mkfc"])
def test_multicast_downlink(relay, lab, clients, name, new_key, family, group, kind):
    """9.4.3, H.4: floor control from a server under an SPK reaches everybody under the multicast key."""
    spk, key = new_key("spk"), new_key(kind)
    install(relay, spk, key)
    server, out = clients("core", family), clients("ran", family)
    with Member(lab, "ran", group, 30002) as everybody:
        apply(relay, name, [server.leg("server", "srtp", spk, traffic="control"),
                            out.leg("all", "srtp", key, traffic="control", remote=everybody.address, receive=False)])
        sender, receiver = mcx.SrtcpSender(spk.control()), mcx.SrtcpReceiver(key.control())
        for sample in floor_control().values():
            server.send(sender.protect(sample))
            assert receiver.unprotect(everybody.recv()) == sample
