# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors

"""Fixtures: one lab and one relay for all tests that do not ask for their own."""

import itertools
import os

import pytest

import lab as lab_module
import mcx

_key_numbers = itertools.count(0x01000000, 0x101)
_session_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def lab():
    with lab_module.Lab() as made:
        yield made


@pytest.fixture(scope="session")
def shared_relay(lab):
    with lab_module.Relay(lab) as made:
        yield made


@pytest.fixture
def relay(shared_relay):
    """The shared relay, empty but for its anchors. A test that ends it fails, and the next one gets it anew."""
    if shared_relay.process is None or shared_relay.process.poll() is not None:
        shared_relay.kill9()
        shared_relay.start_again()
    yield shared_relay
    assert shared_relay.process.poll() is None, f"the relay ended; its log:\n{shared_relay.log_text()}"
    shared_relay.clear()


@pytest.fixture
def clients(lab, request):
    """Makes clients that are closed after the test: clients(side, family)."""
    made = []

    def make(side="ran", family=4, **more):
        made.append(lab_module.Client(more.pop("lab", lab), side, family, **more))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture
def new_key():
    """Makes fresh root keys: new_key("gmk", suite=..., roc_rate=...)."""
    def make(kind="gmk", **more):
        number = next(_key_numbers) & 0x0fffffff | mcx.PURPOSE_TAGS[kind] << 28
        size = mcx.KEY_LEN[more.get("suite", mcx.GCM_128)]
        return mcx.RootKey(kind, number, os.urandom(size), os.urandom(16), **more)
    return make


@pytest.fixture
def name():
    """A session id nobody used."""
    return f"call-{next(_session_numbers)}"
