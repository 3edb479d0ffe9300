# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""Where a leg's packets go to and come from: what a server states, and what authentic packets say since."""

import pytest

import mcx
from lab import RpcError, apply, fence, install, wait_for

ALICE = "sip:alice@mcptt.example.org"
GATEWAY = "sip:gateway@lmr.example.org"
SSRC = 0x11223344


def remote_of(relay, name, leg="radio"):
    return {leg["id"]: leg for leg in relay.call("session.get", {"id": name})["legs"]}[leg]["remote"]


class Roaming:
    """A radio that is learnt at another address than was stated, and a gateway that speaks to it."""

    def __init__(self, relay, clients, name, new_key, family=4, **members):
        self.relay, self.name = relay, name
        gmk = new_key()
        install(relay, gmk)
        self.context = gmk.group(ALICE)
        self.sender = mcx.SrtpSender(self.context, SSRC)
        self.receiver = mcx.SrtpReceiver(gmk.group(GATEWAY))
        self.stated, self.radio, self.lmr = clients("ran", family), clients("ran", family), clients("core", family)
        self.radio.relay_port = self.stated.relay_port
        self.leg = self.stated.leg("radio", "srtp", gmk, learn="authenticated", **members)
        self.others = [self.lmr.leg("lmr", "plain", protection={"user": GATEWAY})]
        self.seq = 0

    def apply(self, **members):
        return apply(self.relay, self.name, [self.leg | members, *self.others])

    def leg_apply(self, **members):
        return self.relay.call("leg.apply", {"session": self.name, "legs": [self.leg | members]})

    def wait_learned(self, client):
        wait_for(lambda: remote_of(self.relay, self.name), lambda remote: remote == client.address, "a learnt address")

    def heard_by(self, client):
        """The gateway's next packet reaches the radio there."""
        self.seq += 1
        self.lmr.send(mcx.rtp(5, self.seq, b"%d" % self.seq))
        assert self.receiver.unprotect(client.recv()).payload == b"%d" % self.seq

    def learn(self, client):
        """One packet from there, which is relayed."""
        client.send(self.sender.protect(b"here"))
        assert self.lmr.recv() == self.sender.last_plain
        self.wait_learned(client)


@pytest.fixture(params=[4, 6])
def roaming(relay, clients, name, new_key, request):
    call = Roaming(relay, clients, name, new_key, request.param)
    call.apply()
    call.learn(call.radio)
    return call


# A learnt address stays until another remote is stated

@pytest.mark.parametrize("change", [{}, {"receive": False}, {"dscp": 46}, {"to": []}, {"clock_rate": 8000}],
                         ids=lambda change: "".join(change) or "identical")
@pytest.mark.parametrize("method", ["apply", "leg_apply"])
def test_learnt_address_survives_what_states_the_same_remote(roaming, method, change):
    getattr(roaming, method)(**change)
    assert remote_of(roaming.relay, roaming.name) == roaming.radio.address
    roaming.heard_by(roaming.radio)
    assert roaming.stated.drain() == []


def test_learnt_address_survives_floor_changes_and_other_legs(roaming, clients):
    other = clients("ran", roaming.stated.family)
    for _ in range(3):
        roaming.leg_apply(receive=False)
        roaming.leg_apply()
    roaming.relay.call("leg.apply", {"session": roaming.name, "legs": [other.leg("other", "plain")]})
    roaming.relay.call("leg.remove", {"session": roaming.name, "ids": ["other"]})
    roaming.heard_by(roaming.radio)


def test_learnt_address_survives_where_none_was_stated(relay, clients, name, new_key):
    call = Roaming(relay, clients, name, new_key, remote=None)
    call.apply()
    call.learn(call.radio)
    call.apply()
    call.leg_apply(receive=False)
    call.heard_by(call.radio)


def test_session_get_tells_what_was_stated(roaming):
    def shown():
        return roaming.relay.call("session.get", {"id": roaming.name})["legs"][0]
    assert (shown()["remote"], shown()["stated_remote"]) == (roaming.radio.address, roaming.stated.address)
    # who states what he was shown states another remote, at which the radio is
    roaming.apply(remote=shown()["remote"])
    assert shown()["remote"] == roaming.radio.address and "stated_remote" not in shown()
    roaming.heard_by(roaming.radio)


def test_another_remote_that_is_stated_replaces_the_learnt_one(roaming, clients):
    third = clients("ran", roaming.stated.family)
    third.relay_port = roaming.stated.relay_port
    roaming.apply(remote=third.address)
    roaming.heard_by(third)
    assert roaming.radio.drain() == roaming.stated.drain() == []


@pytest.mark.parametrize("change", [{"learn": "never"}, {"remote": None}], ids=lambda change: "".join(change))
def test_what_is_stated_holds_again(roaming, change):
    """A leg that no longer learns is where it was stated; with null nothing is sent."""
    roaming.leg_apply(**change)
    assert remote_of(roaming.relay, roaming.name) == (roaming.leg | change)["remote"]


def test_learnt_address_goes_with_its_family(relay, clients, name, new_key):
    """The leg is stated anew at an address of the other family, again without remote."""
    call = Roaming(relay, clients, name, new_key, remote=None)
    call.apply()
    call.learn(call.radio)
    six = clients("ran", 6)
    call.apply(local=six.local)
    assert remote_of(relay, name) is None
    call.learn(six)
    call.heard_by(six)


# A leg that may not speak is followed all the same

def test_muted_listener_is_followed(roaming, clients):
    """It is heard nowhere, and hears where it went."""
    before = roaming.relay.drops()
    third = clients("ran", roaming.stated.family)
    third.relay_port = roaming.stated.relay_port
    roaming.leg_apply(receive=False)
    third.send(roaming.sender.protect(b"muted"))
    roaming.wait_learned(third)
    roaming.heard_by(third)
    roaming.relay.wait_drops(before, leg_muted=1)
    assert roaming.lmr.drain() == roaming.radio.drain() == []
    roaming.leg_apply()
    third.send(roaming.sender.protect(b"heard again"))
    assert roaming.lmr.recv() == roaming.sender.last_plain


def test_forged_and_replayed_packets_do_not_move_a_muted_listener(roaming, clients):
    before = roaming.relay.drops()
    thief = clients("ran", roaming.stated.family)
    thief.relay_port = roaming.stated.relay_port
    roaming.leg_apply(receive=False)
    said = roaming.sender.protect(b"muted")
    roaming.radio.send(said)
    roaming.relay.wait_drops(before, leg_muted=1)
    thief.send(said)
    thief.send(mcx.flipped(roaming.sender.protect(b"forged"), 13))
    roaming.relay.wait_drops(before, leg_muted=1, replayed=1, auth_fail=1)
    roaming.heard_by(roaming.radio)


def test_statistics_of_a_muted_listener(roaming):
    """What it says is verified, and no media of the call: neither its packets nor last_seen count."""
    def received():
        return roaming.relay.call("session.get", {"id": roaming.name})["legs"][0]["statistics"]["receive"]
    roaming.leg_apply(receive=False)
    before, drops = received(), roaming.relay.drops()
    roaming.radio.send(roaming.sender.protect(b"muted"))
    roaming.relay.wait_drops(drops, leg_muted=1)
    after = received()
    assert (after["packets"], after["octets"], after["last_seen"]) == \
        (before["packets"], before["octets"], before["last_seen"])
    assert after["drops"] == {"leg_muted": 1} and after["lost"] == 0


@pytest.mark.parametrize("receive", [True, False])
@pytest.mark.parametrize("family", [4, 6])
def test_control_leg_is_followed_by_its_rtcp(relay, clients, name, new_key, family, receive):
    csk = new_key("csk")
    install(relay, csk)
    stated, radio, server = clients("ran", family), clients("ran", family), clients("core", family)
    radio.relay_port = stated.relay_port
    apply(relay, name, [stated.leg("radio", "srtp", csk, traffic="control", learn="authenticated", receive=receive),
                        server.leg("server", "plain", traffic="control")])
    radio.send(mcx.SrtcpSender(csk.control()).protect(mcx.floor_request(SSRC, ALICE)))
    wait_for(lambda: remote_of(relay, name), lambda remote: remote == radio.address, "a learnt address")
    server.send(mcx.app(1, 1))
    assert mcx.SrtcpReceiver(csk.control()).unprotect(radio.recv()) == mcx.app(1, 1)
    assert len(server.drain()) == receive


# One address for two flows, and signalling that is newer than packets

@pytest.fixture(params=[4, 6])
def muxed(relay, clients, name, new_key, request):
    """A radio that was not heard yet, whose RTCP is under a CSK beside its media."""
    csk = new_key("csk")
    install(relay, csk)
    call = Roaming(relay, clients, name, new_key, request.param,
                   rtcp_protection={"mode": "srtp", "key": csk.id_text, "domain": "home"})
    call.others[0]["rtcp_protection"] = {"mode": "plain"}
    call.rtcp = mcx.SrtcpSender(csk.control())
    return call


def report(call, client):
    """RTCP from there, which is relayed. What it says of the address has been read then."""
    client.send(call.rtcp.protect(mcx.rr(SSRC)))
    assert call.lmr.recv()
    return remote_of(call.relay, call.name)


def test_rtcp_from_another_port_does_not_move_media(muxed, clients):
    """Neither before nor after media was heard, neither what was stated nor what was learnt."""
    rtcp_port = clients("ran", muxed.stated.family)
    rtcp_port.relay_port = muxed.stated.relay_port
    muxed.apply()
    assert report(muxed, rtcp_port) == muxed.stated.address
    muxed.heard_by(muxed.stated)
    muxed.learn(muxed.radio)
    for _ in range(3):
        assert report(muxed, rtcp_port) == muxed.radio.address
    muxed.leg_apply(receive=False)
    rtcp_port.send(muxed.rtcp.protect(mcx.rr(SSRC)))
    muxed.heard_by(muxed.radio)
    assert rtcp_port.drain() == []


@pytest.fixture
def second_host(lab, clients, muxed):
    """Another address of the radio."""
    host = lab.sides["ran"].host_address(muxed.stated.family) + "2"
    prefix = "64" if muxed.stated.family == 6 else "24"
    lab.ip("ran", "addr", "add", f"{host}/{prefix}", "dev", "eth0", *["nodad"][:muxed.stated.family == 6])
    yield clients("ran", muxed.stated.family, host=host, relay_port=muxed.stated.relay_port)
    lab.ip("ran", "addr", "del", f"{host}/{prefix}", "dev", "eth0")


def test_listener_who_muxes_is_followed_to_another_port(muxed, clients):
    """A NAT gave a new port to who sends nothing but RTCP, from where media is received."""
    muxed.apply()
    assert report(muxed, muxed.stated) == muxed.stated.address
    assert report(muxed, muxed.radio) == muxed.radio.address
    muxed.heard_by(muxed.radio)


def test_rtcp_from_where_the_leg_was_before_shows_no_muxing(muxed, clients, second_host):
    rtcp_port = clients("ran", muxed.stated.family, relay_port=muxed.stated.relay_port)
    muxed.apply()
    for _ in range(2):
        assert report(muxed, second_host) == second_host.address
    muxed.leg_apply(remote=muxed.radio.address)
    for _ in range(2):
        assert report(muxed, rtcp_port) == muxed.radio.address
    muxed.heard_by(muxed.radio)


def test_rtcp_from_another_host_does_not_move_media_that_is_heard(muxed, second_host):
    muxed.apply(remote=muxed.radio.address)
    muxed.radio.send(muxed.sender.protect(b"here"))
    assert muxed.lmr.recv() == muxed.sender.last_plain
    assert report(muxed, second_host) == muxed.radio.address
    muxed.heard_by(muxed.radio)


def test_listener_who_sends_rtcp_only_is_followed(muxed, clients, second_host):
    """Where nothing better is known: another host than was stated, then any port of it. Media knows better."""
    moved = clients("ran", muxed.stated.family, relay_port=muxed.stated.relay_port)
    muxed.apply()
    assert report(muxed, second_host) == second_host.address
    assert report(muxed, moved) == moved.address
    muxed.learn(muxed.radio)
    assert report(muxed, moved) == report(muxed, second_host) == muxed.radio.address


def test_rtcp_tells_where_no_address_is_known(muxed):
    muxed.apply(remote=None)
    assert report(muxed, muxed.radio) == muxed.radio.address
    muxed.heard_by(muxed.radio)


@pytest.mark.parametrize("method", ["apply", "leg_apply"])
def test_late_packets_do_not_move_it_back(roaming, clients, method):
    """Those from where it was before another remote was stated; those from anywhere else do."""
    third, fourth = (clients("ran", roaming.stated.family, relay_port=roaming.stated.relay_port) for _ in range(2))
    getattr(roaming, method)(remote=third.address)
    getattr(roaming, method)(remote=third.address, dscp=1)
    for _ in range(3):
        roaming.radio.send(roaming.sender.protect(b"late"))
        assert roaming.lmr.recv() == roaming.sender.last_plain
    assert remote_of(roaming.relay, roaming.name) == third.address
    roaming.heard_by(third)
    roaming.learn(fourth)
    roaming.heard_by(fourth)
    assert roaming.radio.drain() == []


def test_who_goes_on_from_where_it_was_is_followed_in_the_end(roaming, clients):
    third = clients("ran", roaming.stated.family)
    roaming.apply(remote=third.address)

    def say():
        roaming.radio.send(roaming.sender.protect(b"still here"))
        assert roaming.lmr.recv() == roaming.sender.last_plain
        return remote_of(roaming.relay, roaming.name)
    assert say() == third.address
    wait_for(say, lambda remote: remote == roaming.radio.address, "a learnt address")


# A gateway that sends from another address than it receives at

@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("mode", ["plain", "opaque"])
def test_source_is_where_packets_come_from(relay, clients, name, mode, family):
    receives, sends, other = clients("ran", family), clients("ran", family), clients("core", family)
    sends.relay_port = receives.relay_port
    apply(relay, name, [receives.leg("gateway", mode, source=sends.address), other.leg("other", mode)])
    assert relay.call("session.get", {"id": name})["legs"][0]["source"] == sends.address
    before = relay.drops()
    receives.send(mcx.rtp(1, 1, b"from where it receives"))
    sends.send(mcx.rtp(1, 2, b"from where it sends"))
    assert other.recv() == mcx.rtp(1, 2, b"from where it sends")
    relay.wait_drops(before, source_mismatch=1)
    sends.send(mcx.rr(1))
    assert other.recv() == mcx.rr(1)
    other.send(mcx.rtp(2, 1, b"to where it receives"))
    assert receives.recv() == mcx.rtp(2, 1, b"to where it receives")
    assert sends.drain() == []
    apply(relay, name, [receives.leg("gateway", mode), other.leg("other", mode)])
    receives.send(mcx.rtp(1, 3, b"symmetric again"))
    assert other.recv() == mcx.rtp(1, 3, b"symmetric again")


def test_source_without_remote(relay, clients, name):
    """A leg that is only heard."""
    camera, listener = clients("ran"), clients("core")
    apply(relay, name, [camera.leg("camera", "plain", remote=None, source=camera.address), listener.leg("l", "plain")])
    camera.send(mcx.rtp(1, 1, b"seen"))
    assert listener.recv() == mcx.rtp(1, 1, b"seen")


def test_source_of_plain_rtcp_beside_protected_media(relay, clients, name, new_key):
    """The tag tells who sends media, the address who sends RTCP."""
    gmk = new_key()
    install(relay, gmk)
    radio, sends, lmr = clients("ran"), clients("ran"), clients("core")
    sends.relay_port = radio.relay_port
    apply(relay, name, [radio.leg("radio", "srtp", gmk, source=sends.address, rtcp_protection={"mode": "plain"}),
                        lmr.leg("lmr", "plain", protection={"user": GATEWAY})])
    sender, before = mcx.SrtpSender(gmk.group(ALICE), SSRC), relay.drops()
    radio.send(sender.protect(b"by its tag"))
    assert lmr.recv() == sender.last_plain
    radio.send(mcx.rr(SSRC))
    sends.send(mcx.rr(SSRC))
    assert lmr.recv()
    relay.wait_drops(before, source_mismatch=1)


def test_source_of_a_group(relay, lab, clients, name):
    """Whoever else speaks to the group does not speak into the call."""
    speaker, stranger, listener = clients("ran"), clients("ran"), clients("core")
    group = "239.77.0.21:7000"
    apply(relay, name, [speaker.leg("group", "plain", remote=group, source=speaker.address), listener.leg("l", "plain")])
    before = relay.drops()
    for client in (stranger, speaker):
        client.relay_host, client.relay_port = group.split(":")[0], 7000
    stranger.send(mcx.rtp(1, 1, b"stranger"))
    assert fence(speaker, mcx.rtp(1, 2, b"speaker"), listener) == [mcx.rtp(1, 2, b"speaker")]
    relay.wait_drops(before, source_mismatch=1)


@pytest.mark.parametrize("source", ["10.77.1.2", "nowhere", 7, "[fd77:1::2]:5000", "239.1.2.3:5000", "10.77.1.1:5000",
                                    "127.0.0.1:5000", "0.0.0.0:5000", "10.77.1.2:0"])
def test_bad_source(relay, clients, name, source):
    with pytest.raises(RpcError) as caught:
        apply(relay, name, [clients("ran").leg("a", "plain", source=source)])
    assert (caught.value.code, caught.value.path) == (-32602, "params.session.legs[0].source")
