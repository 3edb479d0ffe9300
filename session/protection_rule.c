// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "session/protection_rule.h"

#include <string.h>

static void rule_add(struct protection_rule *rule, uint8_t octet)
{
	rule->octets[rule->len++] = octet;
}

static void rule_add_key(struct protection_rule *rule, const struct key_ref *key)
{
	memcpy(rule->octets + rule->len, &key->id, sizeof(key->id));
	memcpy(rule->octets + rule->len + sizeof(key->id), &key->scope, sizeof(key->scope));
	rule->len += PROTECTION_RULE_KEY_LEN;
}

struct protection_rule protection_rule_of(const struct protection_spec *spec)
{
	struct protection_rule rule = {.len = 0};
	rule_add(&rule, spec->mode);
	if (spec->mode != LEG_SRTP || !spec->has_key)
		return rule;
	rule_add(&rule, key_id_type(spec->key.id) == KEY_PCK ? spec->role : ROLE_NONE);
	rule_add(&rule, spec->encrypt);
	rule_add(&rule, spec->has_suite);
	rule_add(&rule, spec->profile.suite);
	rule_add(&rule, spec->has_mki_len);
	rule_add(&rule, spec->profile.mki_len);
	rule_add(&rule, spec->has_roc_rate);
	rule_add(&rule, (uint8_t)(spec->profile.roc_rate >> 8));
	rule_add(&rule, (uint8_t)spec->profile.roc_rate);
	rule_add_key(&rule, &spec->key);
	for (uint32_t i = 0; i < spec->n_accept; i++)
		rule_add_key(&rule, &spec->accept[i]);
	return rule;
}

bool protection_rules_equal(const struct protection_rule *a, const struct protection_rule *b)
{
	return a->len == b->len && memcmp(a->octets, b->octets, a->len) == 0;
}
