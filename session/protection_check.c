// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "session/protection_check.h"

#include <stdio.h>
#include <string.h>

#include "key/key_domain.h"
#include "key/key_ring.h"
#include "key/key_slot.h"
#include "session/leg_fail.h"

static uint32_t find_domain_key_scope(
	const struct sessions *sessions, const char *domain, uint32_t id)
{
	uint32_t scope = keystore_domain_find(sessions->keys, domain);
	const struct key_slot *key = scope ? keystore_find(sessions->keys, scope, id) : NULL;
	return key && key->installed ? scope : 0;
}

// Whether it is one of the session's own keys.
static bool session_has_key(
	const struct sessions *sessions, const struct session *session, uint32_t id)
{
	const struct key_slot *slot = keystore_find(sessions->keys, session->scope, id);
	bool has = slot && slot->installed;
	for (uint32_t k = 0; !has && k < session->n_keys; k++)
		has = session->key_ids[k] == id; // it was revoked
	return has;
}

// Where a key is that a leg names: in the domain that it names, else among the session's own, else
// in the session's domain. 0: nowhere.
static uint32_t find_key_scope(const struct sessions *sessions, const struct session *session,
	const struct session_spec *spec, const char *domain, uint32_t id)
{
	uint32_t scope = 0;
	if (domain)
		scope = find_domain_key_scope(sessions, domain, id);
	for (uint32_t k = 0; scope == 0 && k < spec->n_keys; k++)
		if (spec->keys[k].id == id)
			scope = session->scope;
	if (scope == 0 && spec->keeps_keys && session_has_key(sessions, session, id))
		scope = session->scope;
	if (scope == 0 && !domain)
		scope = find_domain_key_scope(sessions, spec->domain, id);
	return scope;
}

// Where a key was that is gone, when the session was stated in an earlier life of the relay.
static uint32_t gone_key_scope(const struct sessions *sessions, const struct session *session,
	const struct session_spec *spec, const char *domain, uint32_t id)
{
	char text[9];
	snprintf(text, sizeof(text), "%08x", id);
	if (!domain && json_object_get(sessions->gone_keys, text))
		return session->scope;
	return keystore_domain_scope(sessions->keys, domain ? domain : spec->domain);
}

// Names the place where the key was looked for. A domain without keys is not quoted: it may be a
// key.
static void fail_key(struct sessions *sessions, const struct session_spec *spec,
	const struct leg_spec *leg, const char *domain, const struct key_ref *ref, const char *path,
	const char *member, struct rpc_error *error)
{
	const char *searched = domain ? domain : spec->domain;
	bool known = keystore_domain_find(sessions->keys, searched) != 0;
	leg_fail(error, RPC_NOT_FOUND, path, leg, member,
		"%08x is no key of the session's own `keys`, nor installed in %s%s%s; accepted: an "
		"id that is",
		ref->id, known ? "domain \"" : "its domain, which has no keys",
		known ? searched : "", known ? "\"" : "");
}

// Finds one of the keys of a leg.
static void check_key_ref(struct sessions *sessions, const struct session *session,
	const struct session_spec *spec, const struct leg_spec *leg, const char *domain,
	struct key_ref *ref, const char *path, const char *member, struct rpc_error *error)
{
	ref->scope = find_key_scope(sessions, session, spec, domain, ref->id);
	if (ref->scope == 0 && sessions->gone_keys)
		ref->scope = gone_key_scope(sessions, session, spec, domain, ref->id);
	if (ref->scope == 0)
		fail_key(sessions, spec, leg, domain, ref, path, member, error);
}

// GMK and PCK protect media (TS 33.180 7.4), all others SRTCP only (9.4.6, E.4). RTCP that is muxed
// with media is under the media's key if no other is named.
static const char *purpose_objection(
	const struct leg_spec *leg, unsigned protocol, enum key_type type)
{
	bool for_media = type == KEY_GMK || type == KEY_PCK;
	if (protocol == SRTP_RTP && !leg->control && !for_media)
		return "protects SRTCP only; accepted for media: a gmk or pck";
	if (protocol == SRTP_RTCP && leg->control && for_media)
		return "protects media; accepted for control traffic: a csk, spk, mkfc, mscck or "
		       "musik";
	return NULL;
}

static bool uris_have(const json_t *uris, const char *uri)
{
	size_t i;
	json_t *item;
	json_array_foreach ((json_t *)(uintptr_t)uris, i, item)
		if (strcmp(json_string_value(item), uri) == 0)
			return true;
	return json_array_size(uris) == 0;
}

// Whether a key that a leg names is one of the session's group, as far as both are stated.
static bool key_fits_group(const struct sessions *sessions, const struct session *session,
	const struct session_spec *spec, const struct key_ref *ref)
{
	if (!spec->group)
		return true;
	for (uint32_t k = 0; ref->scope == session->scope && k < spec->n_keys; k++)
		if (spec->keys[k].id == ref->id && spec->keys[k].groups)
			return uris_have(spec->keys[k].groups, spec->group);
	const struct key_slot *slot = keystore_find(sessions->keys, ref->scope, ref->id);
	return !slot || key_is_of_group(slot, spec->group);
}

// The suite in which a leg uses its key: its own, or the key's.
static enum srtp_suite protection_suite(const struct sessions *sessions,
	const struct session *session, const struct session_spec *spec,
	const struct protection_spec *protection)
{
	const struct key_ref *ref = &protection->key;
	if (protection->has_suite)
		return protection->profile.suite;
	for (uint32_t k = 0; ref->scope == session->scope && k < spec->n_keys; k++)
		if (spec->keys[k].id == ref->id)
			return spec->keys[k].profile.suite;
	const struct key_slot *key = keystore_find(sessions->keys, ref->scope, ref->id);
	return key ? key->profile.suite : protection->profile.suite;
}

// The key that a leg names is what its traffic and the session need.
static void check_key_use(const struct sessions *sessions, const struct session *session,
	const struct session_spec *spec, const struct leg_spec *leg, unsigned protocol,
	const char *path, const char *member, struct rpc_error *error)
{
	const struct protection_spec *protection = &leg->protection[protocol];
	enum key_type type = key_id_type(protection->key.id);
	char full[64];
	const char *objection = purpose_objection(leg, protocol, type);
	snprintf(full, sizeof(full), "%s.key", member);
	if (objection)
		leg_fail(error, RPC_KEY_REFUSED, path, leg, full, "%s", objection);
	if (!key_fits_group(sessions, session, spec, &protection->key))
		leg_fail(error, RPC_KEY_REFUSED, path, leg, full,
			"is for other groups than the session's `group`; accepted: a key whose "
			"`groups` have it");
	snprintf(full, sizeof(full), "%s.profile.roc_rate", member);
	if (protection->has_roc_rate && protection->profile.roc_rate != 0 &&
		!srtp_suite_is_aead(protection_suite(sessions, session, spec, protection)))
		leg_fail(error, RPC_INVALID_PARAMS, path, leg, full,
			"is not 0; accepted: 0, mode 3 of RFC 4771 is for the suites of AES-GCM");
	snprintf(full, sizeof(full), "%s.role", member);
	if (type == KEY_PCK && protection->role == ROLE_NONE)
		leg_fail(error, RPC_INVALID_PARAMS, path, leg, full,
			"is missing; accepted: \"initiator\" or \"receiver\", a pck has one key "
			"for each");
	for (uint32_t i = 0; i < protection->n_accept; i++) {
		snprintf(full, sizeof(full), "%s.accept[%u]", member, i);
		if (key_id_type(protection->accept[i].id) != type)
			leg_fail(error, RPC_KEY_REFUSED, path, leg, full,
				"has another purpose tag than `key`; accepted: the same");
	}
}

// Finds the keys of a leg, and checks that they suit its protection.
void protection_check(struct sessions *sessions, const struct session *session,
	const struct session_spec *spec, struct leg_spec *leg, unsigned protocol, const char *path,
	struct rpc_error *error)
{
	bool same = protocol == SRTP_RTCP && leg->same_protection;
	const char *member = protocol == SRTP_RTP || same ? "protection" : "rtcp_protection";
	struct protection_spec *protection = &leg->protection[protocol];
	if (!protection->has_key)
		return;
	char full[64];
	snprintf(full, sizeof(full), "%s.key", member);
	check_key_ref(sessions, session, spec, leg, protection->domain, &protection->key, path,
		full, error);
	for (uint32_t i = 0; i < protection->n_accept; i++) {
		snprintf(full, sizeof(full), "%s.accept[%u]", member, i);
		check_key_ref(sessions, session, spec, leg, protection->domain,
			&protection->accept[i], path, full, error);
	}
	check_key_use(sessions, session, spec, leg, protocol, path, member, error);
}
