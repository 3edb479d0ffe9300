// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "session/session_types.h"

// How what is sent under a protection is protected, whatever becomes of its keys: legs with equal rules
// get the same octets. Control thread.

struct protection_rule {
	uint8_t mode; // enum leg_mode; of a rule without key this is all
	uint8_t role; // enum leg_role, of a PCK
	bool has_key, encrypt, has_suite, has_mki_len, has_roc_rate;
	struct key_profile profile;
	struct key_ref key, accept[FANOUT_ACCEPT_MAX];
	uint32_t n_accept;
};

struct protection_rule protection_rule_of(const struct protection_spec *spec);
bool protection_rules_equal(const struct protection_rule *a, const struct protection_rule *b);
