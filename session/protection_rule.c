// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "session/protection_rule.h"

struct protection_rule protection_rule_of(const struct protection_spec *spec)
{
	struct protection_rule rule = {.mode = spec->mode};
	if (spec->mode != LEG_SRTP || !spec->has_key)
		return rule;
	rule.role = key_id_type(spec->key.id) == KEY_PCK ? spec->role : ROLE_NONE;
	rule.has_key = true;
	rule.encrypt = spec->encrypt;
	rule.has_suite = spec->has_suite;
	rule.has_mki_len = spec->has_mki_len;
	rule.has_roc_rate = spec->has_roc_rate;
	rule.profile = spec->profile;
	rule.key = spec->key;
	rule.n_accept = spec->n_accept;
	for (uint32_t i = 0; i < spec->n_accept; i++)
		rule.accept[i] = spec->accept[i];
	return rule;
}

static bool refs_equal(const struct key_ref *a, const struct key_ref *b)
{
	return a->id == b->id && a->scope == b->scope;
}

bool protection_rules_equal(const struct protection_rule *a, const struct protection_rule *b)
{
	bool equal = a->mode == b->mode && a->has_key == b->has_key && a->role == b->role &&
		     refs_equal(&a->key, &b->key) && a->encrypt == b->encrypt &&
		     a->has_suite == b->has_suite && a->has_mki_len == b->has_mki_len &&
		     a->has_roc_rate == b->has_roc_rate && a->profile.suite == b->profile.suite &&
		     a->profile.mki_len == b->profile.mki_len &&
		     a->profile.roc_rate == b->profile.roc_rate && a->n_accept == b->n_accept;
	for (uint32_t i = 0; equal && i < a->n_accept; i++)
		equal = refs_equal(&a->accept[i], &b->accept[i]);
	return equal;
}
