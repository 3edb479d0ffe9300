# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""UDP ports that the relay picks for legs whose local address is left open."""

import pytest

import mcx
from lab import Lab, Relay, RpcError, apply

FORMS = ["address", "bracket", "family"]


def open_local(client, form):
    """`local` of a leg of the client, without UDP port."""
    if form == "family":
        return {"port": client.side.name, "family": client.family}
    return f"[{client.relay_host}]" if form == "bracket" and client.family == 6 else client.relay_host


def take(client, local):
    """The client talks to the address that was picked, which is one that can be."""
    host, _, port = local.rpartition(":")
    assert host.strip("[]") == client.relay_host and int(port) % 2 == 0
    client.relay_port = int(port)
    return int(port)


def shown(relay, name):
    return {leg["id"]: leg["local"] for leg in relay.call("session.get", {"id": name})["legs"]}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("family", [4, 6])
def test_picked_port_is_told_and_works(relay, clients, name, family, form):
    a, b = clients("ran", family), clients("core", family)
    answer = apply(relay, name, [a.leg("a", local=open_local(a, form)), b.leg("b", local=open_local(b, form))])
    assert answer["created"] and [leg["id"] for leg in answer["legs"]] == ["a", "b"]
    ranges = relay.call("relay.info")["limits"]["ports"]
    for client, leg in zip((a, b), answer["legs"]):
        first, last = ranges[client.side.name]
        assert first <= take(client, leg["local"]) <= last
    assert shown(relay, name) == {leg["id"]: leg["local"] for leg in answer["legs"]}
    a.send(mcx.rtp(1, 1, b"there"))
    assert b.recv() == mcx.rtp(1, 1, b"there")
    b.send(mcx.rtp(2, 1, b"and back"))
    assert a.recv() == mcx.rtp(2, 1, b"and back")


@pytest.mark.parametrize("form", FORMS)
def test_restatements_keep_it(relay, clients, name, form):
    """Identical, changed, with others, by leg.apply, stated whole, and open again in another form."""
    a, b = clients("ran"), clients("ran")
    leg = a.leg("a", local=open_local(a, form))
    [picked] = apply(relay, name, [leg])["legs"]
    assert apply(relay, name, [leg]) == {"created": False, "legs": [picked]}
    other = b.leg("b", local=open_local(b, form))
    both = apply(relay, name, [other, leg | {"receive": False}])["legs"]
    assert both[1] == picked and both[0]["local"] != picked["local"]
    muted = {"session": name, "legs": [leg | {"dscp": 46}]}
    assert relay.call("leg.apply", muted) == {"applied": 1, "legs": [picked]}
    assert apply(relay, name, [leg | {"local": picked["local"]}, other]) == {"created": False, "legs": both[:1]}
    assert apply(relay, name, [leg | {"local": a.relay_host}, other])["legs"] == [picked, both[0]]


def test_leg_that_stated_its_port_keeps_it(relay, clients, name):
    a = clients("ran")
    assert apply(relay, name, [a.leg("a")]) == {"created": True}
    assert apply(relay, name, [a.leg("a", local=a.relay_host)])["legs"] == [{"id": "a", "local": a.local}]


def test_another_address_is_another_port(relay, clients, name):
    """What the leg has does not fit what is stated any more."""
    a, b, six = clients("ran"), clients("core"), clients("ran", 6)
    apply(relay, name, [a.leg("a", local=open_local(a, "family"))])
    for client, form in ((b, "family"), (a, "address"), (six, "family"), (six, "address")):
        [picked] = apply(relay, name, [client.leg("a", local=open_local(client, form))])["legs"]
        take(client, picked["local"])


def test_several_servers(relay, clients, name):
    """None asks another; none gets what another one has, nor what one of them states itself."""
    a = clients("ran")
    taken = []
    with relay.connect() as one, relay.connect() as other:
        for n in range(20):
            for server in (one, other):
                legs = [a.leg("a", local=open_local(a, "address")), a.leg("b", local=open_local(a, "family"))]
                answer = apply(server, f"{name}-{n}-{server is one}", legs)
                taken += [leg["local"] for leg in answer["legs"]]
        assert len(taken) == len(set(taken)) == 80
        with pytest.raises(RpcError) as caught:
            apply(other, name, [a.leg("a", local=taken[0])])
        assert caught.value.code == 2


@pytest.fixture(scope="module")
def small():
    """A relay that has few ports to pick from: 30002 and 30004 of ran, 30006 of core."""
    with Lab() as lab, Relay(lab, limits={"ports": "{ ran = [ 30001, 30005 ]; core = [ 30006, 30007 ]; }"}) as made:
        yield made


def test_ranges_are_those_of_the_configuration(small):
    assert small.call("relay.info")["limits"]["ports"] == {"ran": [30001, 30005], "core": [30006, 30007]}


@pytest.mark.parametrize("form", FORMS[::2])
def test_used_up(small, clients, form):
    """Refused as a whole, and nothing is gone by it; what is free again can be picked."""
    a, b = clients("ran"), clients("core")
    legs = [a.leg(str(n), local=open_local(a, form)) for n in range(3)]
    for _ in range(3):
        with pytest.raises(RpcError) as caught:
            apply(small, "full", legs)
        assert (caught.value.code, caught.value.path) == (3, "params.session.legs[2].local")
        assert "30001 to 30005, by limits.ports" in str(caught.value)
    answer = apply(small, "full", legs[:2] + [b.leg("b", local=open_local(b, form))])
    assert sorted(take_port(leg) for leg in answer["legs"]) == [30002, 30004, 30006]
    # the same again needs no more
    assert apply(small, "full", legs[:2] + [b.leg("b", local=open_local(b, form))])["legs"] == answer["legs"]
    with pytest.raises(RpcError) as caught:
        small.call("leg.apply", {"session": "full", "legs": [legs[2]]})
    assert (caught.value.code, caught.value.path) == (3, "params.legs[0].local")
    small.call("leg.remove", {"session": "full", "ids": ["0"]})
    [picked] = small.call("leg.apply", {"session": "full", "legs": [legs[2]]})["legs"]
    assert picked["local"] == answer["legs"][0]["local"]
    small.call("session.remove", {"ids": ["full"]})


def take_port(leg):
    return int(leg["local"].rpartition(":")[2])


def test_what_others_of_the_request_state_is_not_picked(small, clients):
    a = clients("ran")
    legs = [a.leg("open", local=a.relay_host), a.leg("stated", local=f"{a.relay_host}:30002")]
    for order in (legs, legs[::-1]):
        assert [take_port(leg) for leg in apply(small, "mixed", order)["legs"]] == [30004]
    small.call("session.remove", {"ids": ["mixed"]})


def test_the_port_given_back_last_comes_last(small, clients):
    """Packets for the leg that had it may still be under way."""
    a = clients("ran")
    picked = []
    for _ in range(4):
        picked += [take_port(leg) for leg in apply(small, "turns", [a.leg("a", local=a.relay_host)])["legs"]]
        small.call("session.remove", {"ids": ["turns"]})
    assert picked[::2] == [picked[0]] * 2 and picked[1::2] == [picked[1]] * 2 and picked[0] != picked[1]


@pytest.mark.parametrize("local, member", [
    ("10.77.1.9", ""), ("0.0.0.0", ""), ("[10.77.1.1]", ""), ("fd77:1::9", ""), ("10.77.1.1:", ""), ("10.77.1.1:0", ""),
    ("", ""), ("[]", ""), ("[fd77:1::1", ""), ("localhost", ""), (7, ""), (None, ""), ([], ""), ({}, ".port"),
    ({"port": "ran"}, ".family"), ({"port": "ran", "family": 5}, ".family"), ({"port": "ran", "family": "4"}, ".family"),
    ({"port": "moon", "family": 4}, ".port"), ({"port": "core", "family": 4}, ".port"), ({"family": 4}, ".port"),
    ({"port": "ran", "family": 4, "udp": 1}, ".udp")], ids=str)
def test_bad_local(relay, clients, name, local, member):
    with pytest.raises(RpcError) as caught:
        apply(relay, name, [clients("ran").leg("a", local=local, remote=None, receive=False)])
    assert (caught.value.code, caught.value.path) == (-32602, "params.session.legs[0].local" + member)


def test_address_on_the_link_of_the_remote(clients, name):
    """Of several of a family, and the next one when its ports are used up."""
    more = {"ran": {"addresses": ["10.78.1.1/24", "fe80::78/64"]}, "core": {"addresses": ["10.78.2.1/24"]}}
    with Lab() as lab, Relay(lab, ports=more, limits={"ports": "[ 30000, 30001 ]"}) as relay:
        def host(number, remote, family=4, port="ran"):
            leg = {"id": str(number), "port": port, "local": {"port": port, "family": family}, "remote": remote,
                   "protection": {"mode": "opaque"}}
            [picked] = relay.call("leg.apply", {"session": name, "legs": [leg]})["legs"]
            return picked["local"].rpartition(":")[0]
        apply(relay, name, [])
        assert host(1, "10.78.1.2:5000") == "10.78.1.1"
        assert host(2, "10.78.1.3:5000") == "10.77.1.1"
        assert host(3, "10.77.2.3:5000", port="core") == "10.77.2.1"
        assert host(4, "[fe80::2]:5000", 6) == "[fe80::78]"
        assert host(5, "[fd77:1::2]:5000", 6) == "[fd77:1::1]"
        with pytest.raises(RpcError) as caught:
            host(6, "[fd77:1::3]:5000", 6)
        assert caught.value.code == 3
