# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""Several keys of one group at once (TS 33.180 5.7), keys accepted beside the one that is named, keys by purpose."""

import time

import pytest

import mcx
from lab import RpcError, apply, fence, install, wait_for

ALICE = "sip:alice@mcptt.example.org"
GATEWAY = "sip:gateway@lmr.example.org"
GROUP, OTHER = "sip:group-a@mcptt.example.org", "sip:group-b@mcptt.example.org"


class GroupCall:
    """A radio and another member under a group's keys, and the unprotected side."""

    def __init__(self, relay, clients, name, named, **members):
        self.relay, self.name = relay, name
        self.radio, self.member, self.plain = clients("ran"), clients("ran"), clients("core")
        self.members = members
        self.speech = mcx.PlainSender(7)
        self.apply(named)

    def apply(self, named):
        apply(self.relay, self.name, [self.radio.leg("radio", "srtp", named), self.member.leg("member", "srtp", named),
                                      self.plain.leg("plain", "plain", protection={"user": GATEWAY})], **self.members)

    def heard(self, sender):
        """What the radio says reaches the member as it came and the other side in plain."""
        packet = sender.protect(b"from the radio")
        self.radio.send(packet)
        assert self.plain.recv() == sender.last_plain
        assert self.member.recv() == packet

    def key_of_speech(self, *keys):
        """Under which of the keys both radios hear the unprotected side."""
        self.plain.send(self.speech.protect(b"from the plain side"))
        packets = [self.radio.recv(), self.member.recv()]
        assert packets[0] == packets[1]
        [key] = [k for k in keys if packets[0][-12:-8] == k.id.to_bytes(4, "big")]
        assert mcx.srtp_unprotect(key.group(GATEWAY), packets[0]).payload == b"from the plain side"
        return key


def of_group(key, *groups, **members):
    return key.rpc(groups=list(groups), **members)


def test_ring_receives_under_any_and_sends_under_the_last(relay, clients, name, new_key):
    first, second, third = new_key(), new_key(), new_key()
    install(relay, of_group(first, GROUP))
    call = GroupCall(relay, clients, name, first)
    call.heard(mcx.SrtpSender(first.group(ALICE), 1))
    assert call.key_of_speech(first) == first
    install(relay, of_group(second, GROUP))
    assert call.key_of_speech(first, second) == second
    # activated before the second one was installed: known, but not the one to send under
    install(relay, of_group(third, GROUP, activation=int(time.time()) - 1000))
    assert call.key_of_speech(first, second, third) == second
    for n, key in enumerate((first, second, third)):
        call.heard(mcx.SrtpSender(key.group(ALICE), 10 + n))
    relay.call("key.revoke", {"keys": [{"id": second.id_text, "domain": "home"}]})
    assert call.key_of_speech(first, third) == first
    # the session goes on when the key that it names has gone
    relay.call("key.revoke", {"keys": [{"id": first.id_text, "domain": "home"}]})
    assert call.key_of_speech(third) == third
    call.heard(mcx.SrtpSender(third.group(ALICE), 20))


def test_ring_turns_at_activation_and_expiry(relay, clients, name, new_key):
    old, new = new_key(), new_key()
    now = int(time.time())
    install(relay, of_group(old, GROUP, expiry=now + 5), of_group(new, GROUP, activation=now + 3))
    call = GroupCall(relay, clients, name, old)
    seen = []

    def speak():
        seen.append(call.key_of_speech(old, new))
        return seen[-1]

    wait_for(speak, lambda key: key == new, "the new key")
    assert seen[0] == old and seen == [old] * (len(seen) - 1) + [new]
    late = mcx.SrtpSender(old.group(ALICE), 1)
    call.heard(late)
    wait_for(lambda: {k["id"]: k["state"] for k in relay.call("key.list", {})["keys"]}[old.id_text],
             lambda state: state == "expired", "the end of the old key")
    before = relay.drops()
    call.radio.send(late.protect(b"too late"))
    relay.wait_drops(before, unknown_mki=1)
    call.heard(mcx.SrtpSender(new.group(ALICE), 2))


def test_ring_covers_all_groups_of_the_named_key(relay, clients, name, new_key):
    both, one, again = new_key(), new_key(), new_key()
    install(relay, of_group(both, GROUP, OTHER), of_group(one, GROUP))
    call = GroupCall(relay, clients, name, both)
    assert call.key_of_speech(both, one) == both
    before = relay.drops()
    call.radio.send(mcx.SrtpSender(one.group(ALICE), 1).protect(b"of which group?"))
    relay.wait_drops(before, unknown_mki=1)
    install(relay, of_group(again, OTHER, GROUP))
    assert call.key_of_speech(both, one, again) == again
    # a key that is taken out of a group leaves its ring
    install(relay, of_group(again, OTHER))
    assert call.key_of_speech(both, one, again) == both
    # the session may say which group it is for
    call.members = {"group": GROUP}
    call.apply(both)
    assert call.key_of_speech(both, one, again) == one
    call.heard(mcx.SrtpSender(both.group(ALICE), 2))
    call.members = {"group": OTHER}
    with pytest.raises(RpcError) as refused:
        call.apply(one)
    assert (refused.value.code, refused.value.path) == (4, "params.session.legs[0].protection.key")
    call.heard(mcx.SrtpSender(one.group(ALICE), 3))


def test_ring_of_the_sessions_own_keys(relay, clients, name, new_key):
    """Keys of another session for a group of the same name are strangers."""
    mine, mine_too, stranger = new_key(), new_key(), new_key()
    apply(relay, f"{name}-other", [], keys=[of_group(stranger, GROUP)])
    radio, plain = clients("ran"), clients("core")
    leg = radio.leg("radio", "srtp", mine)
    del leg["protection"]["domain"]
    apply(relay, name, [leg, plain.leg("plain", "plain")], keys=[of_group(mine, GROUP), of_group(mine_too, GROUP)])
    before = relay.drops()
    radio.send(mcx.SrtpSender(stranger.group(ALICE), 1).protect(b"stranger"))
    relay.wait_drops(before, unknown_mki=1)
    for n, key in enumerate((mine, mine_too)):
        sender = mcx.SrtpSender(key.group(ALICE), 2 + n)
        radio.send(sender.protect(b"known"))
        assert plain.recv() == sender.last_plain


def test_multicast_signalling_keys_form_rings_too(relay, clients, name, new_key):
    csk, old, new = new_key("csk"), new_key("musik"), new_key("musik")
    install(relay, csk, of_group(old, GROUP))
    server, all_radios = clients("core"), clients("ran")
    apply(relay, name, [server.leg("server", "srtp", csk, traffic="control"),
                        all_radios.leg("all", "srtp", old, traffic="control")])
    sender = mcx.SrtcpSender(csk.control())
    for key in (old, new):
        install(relay, of_group(key, GROUP))
        packet = mcx.floor_request(5, ALICE)
        server.send(sender.protect(packet))
        assert mcx.SrtcpReceiver(key.control()).unprotect(all_radios.recv()) == packet


def test_leg_accepts_a_key_beside_the_named_one(relay, clients, name, new_key):
    """A CSK is renewed: the client may still use the old one, the relay sends under the new one."""
    spk, old, new = new_key("spk"), new_key("csk"), new_key("csk")
    install(relay, spk, old, new)
    radio, server = clients("ran"), clients("core")

    def renew(accept):
        apply(relay, name, [radio.leg("radio", "srtp", new, traffic="control", protection={"accept": accept}),
                            server.leg("server", "srtp", spk, traffic="control")])

    renew([old.id_text])
    downlink = mcx.SrtcpSender(spk.control())
    for n, key in enumerate((old, new)):
        packet = mcx.floor_request(5 + n, ALICE)
        radio.send(mcx.SrtcpSender(key.control()).protect(packet))
        assert mcx.SrtcpReceiver(spk.control()).unprotect(server.recv()) == packet
        server.send(downlink.protect(mcx.floor_request(9, ALICE)))
        assert mcx.SrtcpReceiver(new.control()).unprotect(radio.recv()) == mcx.floor_request(9, ALICE)
    renew([])
    before = relay.drops()
    radio.send(mcx.SrtcpSender(old.control(), 2).protect(mcx.floor_request(5, ALICE)))
    relay.wait_drops(before, unknown_mki=1)
    assert server.drain() == []


class PrivateCall:
    """A caller and a callee who know some PCKs, the first of them to send under."""

    def __init__(self, relay, clients, name):
        self.relay, self.name = relay, name
        self.caller, self.callee = clients("ran"), clients("core")

    def apply(self, key, *accepted, callee_accepts=True):
        legs = []
        for client, role in ((self.caller, "initiator"), (self.callee, "receiver")):
            protection = {"role": role}
            if accepted and (callee_accepts or role == "initiator"):
                protection["accept"] = [k.id_text for k in accepted]
            legs.append(client.leg(role, "srtp", key, protection=protection))
            del legs[-1]["protection"]["domain"]
        apply(self.relay, self.name, legs, kind="private", keys=[k.rpc() for k in (key, *accepted)])


def test_pck_renewed_between_two_clients(relay, clients, name, new_key):
    """The caller goes on under the new key with the SSRC that he has; who accepts the old one gets it as it came."""
    old, new = new_key("pck"), new_key("pck")
    call, sender = PrivateCall(relay, clients, name), mcx.SrtpSender(old.private("initiator"), 7)
    for keys, key in (((old,), old), ((new, old), old), ((new, old), new), ((new,), new)):
        call.apply(*keys)
        sender.context = key.private("initiator")
        packet = sender.protect(b"up")
        call.caller.send(packet)
        assert call.callee.recv() == packet


def test_relay_takes_no_index_that_the_caller_has_under_the_new_key(relay, clients, name, new_key):
    """Invariant 1: under another key of his the caller has his SSRC and indices of his own."""
    old, new = new_key("pck"), new_key("pck")
    call = PrivateCall(relay, clients, name)
    call.apply(new, old)
    for key in (old, new):
        sender = mcx.SrtcpSender(key.private("initiator"))
        for _ in range(3):
            packet = sender.protect(mcx.rr(7, [mcx.report_block(9)]))
            call.caller.send(packet)
            assert call.callee.recv() == packet
    call.apply(new, old, callee_accepts=False)
    before = relay.drops()
    call.caller.send(mcx.SrtcpSender(old.private("initiator"), 9).protect(mcx.rr(7)))
    call.caller.send(mcx.SrtpSender(old.private("initiator"), 7).protect(b"not as somebody else"))
    relay.wait_drops(before, senders_key=2)
    sender = mcx.SrtpSender(new.private("initiator"), 7)
    packet = sender.protect(b"and not silenced")
    call.caller.send(packet)
    assert call.callee.recv() == packet


@pytest.mark.parametrize("accept, code, path", [
    (["0123"], -32602, "accept[0]"), ("2f00ba11", -32602, "accept"), (["2fffffff"], 1, "accept[0]"),
    (["2f00ba11"] * 9, -32602, "accept"), (["gmk"], 4, "accept[0]"),
])
def test_what_accept_takes(relay, clients, name, new_key, accept, code, path):
    csk, gmk = new_key("csk"), new_key()
    install(relay, csk, gmk)
    if accept == ["gmk"]:
        accept = [gmk.id_text]
    with pytest.raises(RpcError) as refused:
        apply(relay, name, [clients().leg("a", "srtp", csk, traffic="control", protection={"accept": accept})])
    assert (refused.value.code, refused.value.path) == (code, f"params.session.legs[0].protection.{path}")


@pytest.mark.parametrize("kind", mcx.PURPOSE_TAGS)
def test_keys_by_purpose(relay, clients, name, new_key, kind):
    """Media takes keys for media, control traffic keys for SRTCP (TS 33.180 7.4, 9.4.6, E.4)."""
    key, gmk = new_key(kind), new_key()
    install(relay, key, gmk)
    role = {"role": "initiator"} if kind == "pck" else {}
    for_media = kind in ("gmk", "pck")
    legs = {"media": clients().leg("a", "srtp", key, protection=role),
            "control": clients().leg("a", "srtp", key, protection=role, traffic="control")}
    good, bad = ("media", "control") if for_media else ("control", "media")
    assert apply(relay, name, [legs[good]]) == {"created": True}
    with pytest.raises(RpcError) as refused:
        apply(relay, name, [legs[bad]])
    assert (refused.value.code, refused.value.path) == (4, "params.session.legs[0].protection.key")
    assert len(relay.call("session.get", {"id": name})["legs"]) == 1
    muxed = {"mode": "srtp", "key": key.id_text, "domain": "home"} | role
    apply(relay, name, [clients().leg("a", "srtp", gmk, rtcp_protection=muxed)])
