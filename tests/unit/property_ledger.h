// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "tests/unit/dataplane_lab.h"

// Invariant 1: all that was encrypted in a round, by (session key, SSRC, index), has one plaintext.

void ledger_clear(void);

// Notes a packet that was protected, by whomever. False: what it has under its key, SSRC and index is not what another
// one had.
bool ledger_agrees(struct lab *lab, const struct lab_packet *packet);

// Notes an SRTCP index that the relay sent with. False: it did before, under that key and whatever SSRC.
bool ledger_is_fresh(struct lab *lab, const struct lab_packet *packet);
