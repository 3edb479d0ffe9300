// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "session/session_types.h"

// How what is sent under a protection is protected, whatever becomes of its keys: legs with equal rules
// get the same octets. Control thread.

enum { PROTECTION_RULE_KEY_LEN = 2 * sizeof(uint32_t) };

// What matters of the protection, as octets: two are equal if these are.
struct protection_rule {
	uint16_t len; // octets
	uint8_t octets[12 + (1 + FANOUT_ACCEPT_MAX) * PROTECTION_RULE_KEY_LEN];
};

struct protection_rule protection_rule_of(const struct protection_spec *spec);
bool protection_rules_equal(const struct protection_rule *a, const struct protection_rule *b);
