// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "control/message_order.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/rand.h>

#include "base/secmem.h"
#include "control/message_answer.h"
#include "crypto/mcdata.h"
#include "crypto/mcx_uid.h"
#include "identity/identity_read.h"
#include "identity/kms_read.h"
#include "identity/pseudo.h"
#include "key/key_domain.h"
#include "key/key_read.h"
#include "key/key_ring.h"
#include "key/key_slot.h"
#include "mikey/authority.h"
#include "mikey/ntp.h"

enum {
	NEW_KEY_LEN = SAKKE_SSV_LEN,
	NEW_RAND_LEN = 16,
	ID_TRIES = 64, // of 28 random bits, until one is free
};

// What is made here: no MKFC (H.1), and an SPK is provisioned (5.5).
static const char *const type_names[] = {"gmk", "pck", "csk", "mscck", "musik", NULL};
static const enum mikey_type types[] = {MIKEY_GMK, MIKEY_PCK, MIKEY_CSK, MIKEY_MSCCK, MIKEY_MUSIK};

static const char *const algorithm_names[] = {"dp-aes-128-gcm", "dp-aes-256-gcm", NULL};
static const uint8_t algorithms[] = {MCDATA_DP_AES_128_GCM, MCDATA_DP_AES_256_GCM};

static struct mikey_octets octets_of(const char *text)
{
	return (struct mikey_octets){(const uint8_t *)text, strlen(text)};
}

// --- the initiator

static bool period_find(const struct kms *kms, uint64_t time, uint64_t *period_no)
{
	return mcx_uid_period_no(kms->facts.period, kms->facts.offset, time + MIKEY_NTP_UNIX,
		       period_no) == MCX_UID_OK;
}

static void initiator_pin(struct message_order *o, struct kms *kms)
{
	struct mikey_named *named = &o->letter.initiator;
	o->initiator_kms = kms;
	kms->pins++;
	memcpy(o->kpak, kms->facts.kpak, sizeof(o->kpak));
	named->uid = o->set->uid;
}

// The key set that the initiator signs with.
static struct key_set *set_find(const struct message_order *o, const struct kms *kms)
{
	const struct identity *identity = o->identity;
	uint64_t period_no;
	if (!period_find(kms, o->letter.time, &period_no))
		return NULL;
	for (size_t i = 0; i < identity->local.n_sets; i++)
		if (identity->sets[i]->period_no == period_no)
			return identity->sets[i];
	return NULL;
}

static struct kms *initiator_kms_read(struct reader *r, struct message_order *o)
{
	struct mikey_fault fault;
	const char *uri = kms_uri_read(r, "initiator_kms", READER_REQUIRED);
	struct kms *kms = uri ? kms_find(o->api->kmss, uri, strlen(uri)) : NULL;
	if (uri && !kms)
		reader_fail(r, RPC_NOT_FOUND, "initiator_kms",
			"is no KMS that is installed; accepted: a uri that kms.list shows");
	if (kms && !mikey_kms_usable(&kms->facts, o->letter.time, "this", 0, &fault))
		message_refuse_at("params.initiator_kms", &fault, r->error);
	if (kms)
		o->letter.initiator.kms_uri = octets_of(uri);
	return kms;
}

static void initiator_is_keyless(struct rpc_error *error)
{
	struct mikey_fault fault;
	mikey_fail(&fault, MIKEY_NO_KEY_MATERIAL, 0,
		"has no key set for the key period of now; accepted: an identity with one");
	message_refuse_at("params.initiator", &fault, error);
}

static void signer_derive(struct reader *r, struct message_order *o, const struct kms *kms)
{
	uint64_t period_no;
	if (!period_find(kms, o->letter.time, &period_no))
		return;
	o->set = pseudo_signer_make(kms, &o->letter.initiator.uri, period_no);
	if (!o->set)
		rpc_fail_memory(r->error, "params.initiator");
}

static void initiator_read(struct reader *r, struct message_order *o)
{
	struct kms *kms = initiator_kms_read(r, o);
	const char *uri = kms_uri_read(r, "initiator", READER_REQUIRED);
	if (!kms || !uri || r->error->code != RPC_OK)
		return;
	o->letter.initiator.uri = octets_of(uri);
	o->identity = identity_find(o->api->identities, &kms->facts.uri, uri);
	bool derived =
		!o->identity && kms->pseudo && pseudo_kms_serves(kms, &o->letter.initiator.uri);
	if (!o->identity && !derived) {
		reader_fail(r, RPC_NOT_FOUND, "initiator",
			"is no identity of this relay under that KMS; accepted: a uri that "
			"identity.list shows");
		return;
	}
	if (derived)
		signer_derive(r, o, kms);
	else if ((o->set = set_find(o, kms)) != NULL)
		key_set_pin(o->set);
	if (o->set)
		initiator_pin(o, kms);
	else if (r->error->code == RPC_OK)
		initiator_is_keyless(r->error);
}

// --- the key

static void fresh_id_draw(struct reader *r, struct message_order *o)
{
	uint32_t scope = keystore_domain_find(o->api->keys, o->spec.domain), random;
	uint8_t tombstone[MIKEY_DIGEST_LEN];
	for (unsigned i = 0; i < ID_TRIES; i++) {
		if (RAND_bytes((uint8_t *)&random, sizeof(random)) != 1)
			break;
		o->spec.id = (uint32_t)o->letter.type << 28 | (random & 0x0fffffff);
		opened_tombstone(o->spec.domain, o->spec.id, tombstone);
		if ((scope == 0 || !keystore_find(o->api->keys, scope, o->spec.id)) &&
			!opened_find(o->api->opened, tombstone))
			return;
	}
	reader_fail(r, RPC_BUSY, "key", "finds no free key id; accepted: later");
}

static void known_key_take(
	struct reader *key, struct message_order *o, uint32_t id, const char *domain)
{
	const struct keystore *keys = o->api->keys;
	uint32_t scope = keystore_domain_find(keys, domain);
	const struct key_slot *slot = scope ? keystore_find(keys, scope, id) : NULL;
	if (!slot || !slot->installed) {
		reader_fail(key, RPC_NOT_FOUND, "id",
			"is no key that is installed in that domain; accepted: one that key.list "
			"shows");
		return;
	}
	const struct key_secret *secret = &keys->secrets[slot->index];
	if ((unsigned)slot->type != (unsigned)o->letter.type)
		reader_fail(key, RPC_KEY_REFUSED, "id", "is a %s; accepted: a %s, as type says",
			key_type_names[slot->type], mikey_type_name(o->letter.type));
	else if (slot->state == KEY_EXPIRED)
		reader_fail(key, RPC_KEY_REFUSED, "id", "has expired; accepted: another key");
	else if (secret->value_len != SAKKE_SSV_LEN)
		reader_fail(key, RPC_KEY_REFUSED, "id",
			"has %u octets; accepted: a key of 16, which SAKKE can transport (E.1.1)",
			secret->value_len);
	o->spec.id = id;
	o->spec.secret = *secret;
	o->spec.activation = slot->activation;
	o->spec.expiry = slot->expiry;
	o->spec.profile = slot->profile;
	o->serial = slot->serial;
}

// As keys have it that come in a message: which GMS they are from.
static void source_note(struct message_order *o)
{
	const struct mikey_named *gms = &o->letter.initiator;
	if (o->letter.type != MIKEY_GMK || !o->initiator_kms)
		return;
	snprintf(o->source, sizeof(o->source), "%s of %s", (const char *)gms->uri.octets,
		(const char *)gms->kms_uri.octets);
	o->spec.source = o->source;
}

static void key_read_name(struct reader *r, struct message_order *o)
{
	struct reader key;
	const char *domain = o->identity ? o->identity->domain : "home";
	if (!o->identity && o->initiator_kms)
		domain = o->initiator_kms->pseudo->domain;
	uint32_t id = 0;
	if (!reader_object(r, "key", READER_REQUIRED, &key))
		return;
	reader_bool(&key, "new", &o->fresh);
	bool named = key_id_read(&key, "id", READER_OPTIONAL, &id);
	key_domain_read(&key, &domain);
	if (r->error->code == RPC_OK && named == o->fresh)
		reader_fail(&key, RPC_INVALID_PARAMS, "id",
			"is %s; accepted: the id of a key, or new: true",
			named ? "stated for a new key" : "missing");
	if (!reader_close(&key))
		return;
	memcpy(o->spec.domain, domain, strlen(domain) + 1);
	o->spec.type = (enum key_type)o->letter.type;
	o->spec.profile = key_profile_default(o->spec.type);
	source_note(o);
	if (o->fresh)
		fresh_id_draw(r, o);
	else
		known_key_take(&key, o, id, domain);
}

bool message_order_draw(struct message_order *order)
{
	struct key_secret *secret = &order->spec.secret;
	secret->value_len = NEW_KEY_LEN;
	secret->rand_len = NEW_RAND_LEN;
	return RAND_priv_bytes(secret->value, NEW_KEY_LEN) == 1 &&
	       RAND_bytes(secret->rand, NEW_RAND_LEN) == 1;
}

// --- key parameters

static void groups_read(struct reader *r, struct message_order *o)
{
	struct mikey_key_parameters *p = &o->parameters;
	const enum mikey_type type = o->letter.type;
	const json_t *list = NULL;
	if (!reader_array(r, "groups", READER_OPTIONAL, &list))
		return;
	size_t n = json_array_size(list);
	if (n > 0 && type != MIKEY_GMK && type != MIKEY_MUSIK)
		reader_fail(r, RPC_INVALID_PARAMS, "groups",
			"are of a gmk or a musik, this is a %s; accepted: none",
			mikey_type_name(type));
	if (n > MIKEY_GROUPS_MAX)
		reader_fail(r, RPC_INVALID_PARAMS, "groups",
			"has %zu elements; accepted: at most %d", n, MIKEY_GROUPS_MAX);
	for (size_t i = 0; i < n && r->error->code == RPC_OK; i++) {
		const json_t *item = json_array_get(list, i);
		const char *text = json_string_value(item);
		char path[128];
		reader_element_path(r, "groups", i, path);
		p->groups[i] = octets_of(text ? text : "");
		if (!mikey_uri_ok(&p->groups[i]))
			rpc_fail(r->error, RPC_INVALID_PARAMS, path,
				"is no URI; accepted: a string of 1 to %d octets", MIKEY_ID_MAX);
	}
	p->n_groups = (unsigned)n;
	if (r->error->code == RPC_OK && n > 0)
		o->spec.groups = list;
}

static void status_read(struct reader *r, const struct message_order *o, uint32_t *status)
{
	struct reader s;
	bool revoked = false,
	     gateway = o->initiator_kms && o->initiator_kms->facts.security_gateway;
	if (reader_object(r, "status", READER_OPTIONAL, &s)) {
		reader_bool(&s, "revoked", &revoked);
		reader_bool(&s, "security_gateway", &gateway);
		if (revoked && o->fresh)
			reader_fail(&s, RPC_INVALID_PARAMS, "revoked",
				"is true of a new key; accepted: false");
		reader_close(&s);
	}
	*status = (revoked ? 0 : MIKEY_STATUS_NOT_REVOKED) |
		  (gateway ? MIKEY_STATUS_SECURITY_GATEWAY : 0);
}

static void times_read(struct reader *r, struct message_order *o)
{
	struct mikey_key_parameters *p = &o->parameters;
	p->activation = (uint64_t)o->spec.activation;
	p->expiry = (uint64_t)o->spec.expiry;
	reader_uint(r, "activation", 0, MIKEY_KEY_TIME_MAX, &p->activation);
	reader_uint(r, "expiry", 0, MIKEY_KEY_TIME_MAX, &p->expiry);
	uint64_t from = p->activation > o->letter.time ? p->activation : o->letter.time;
	if (p->expiry != 0 && p->expiry <= from)
		reader_fail(r, RPC_KEY_REFUSED, "expiry",
			"is %llu, not after activation and now, %llu; accepted: 0 for never, or a "
			"later time in Unix seconds",
			(unsigned long long)p->expiry, (unsigned long long)from);
	if (!o->fresh)
		return;
	o->spec.activation = (time_t)p->activation;
	o->spec.expiry = (time_t)p->expiry;
}

static void parameters_read(struct reader *r, struct message_order *o)
{
	struct mikey_key_parameters *p = &o->parameters;
	struct reader parameters;
	const char *text = "";
	if (!reader_object(r, "key_parameters", READER_OPTIONAL, &parameters))
		return;
	status_read(&parameters, o, &p->status);
	times_read(&parameters, o);
	if (reader_string(&parameters, "text", READER_OPTIONAL, &text) &&
		strlen(text) > MIKEY_TEXT_MAX)
		reader_fail(&parameters, RPC_INVALID_PARAMS, "text",
			"has %zu octets; accepted: at most %d", strlen(text), MIKEY_TEXT_MAX);
	p->text = octets_of(text);
	groups_read(&parameters, o);
	if (reader_close(&parameters))
		o->letter.parameters = p;
}

// --- how the message is written

// A list of some of the names; *bits: which.
static void names_read(
	struct reader *r, const char *name, const char *const names[2], unsigned *bits)
{
	const json_t *list = NULL;
	reader_array(r, name, READER_OPTIONAL, &list);
	if (json_array_size(list) > 2)
		reader_fail(r, RPC_INVALID_PARAMS, name, "has %zu elements; accepted: at most %d",
			json_array_size(list), 2);
	for (size_t i = 0; r->error->code == RPC_OK && i < json_array_size(list); i++) {
		const char *text = json_string_value(json_array_get(list, i));
		char path[128];
		reader_element_path(r, name, i, path);
		if (text && strcmp(text, names[0]) == 0)
			*bits |= 1;
		else if (text && strcmp(text, names[1]) == 0)
			*bits |= 2;
		else
			rpc_fail(r->error, RPC_INVALID_PARAMS, path,
				"is not known; accepted: %s, %s", names[0], names[1]);
	}
}

static void form_read(struct reader *r, struct message_order *o)
{
	static const char *const parties[] = {"initiator", "receiver"};
	static const char *const services[] = {"mcptt", "mcvideo"};
	unsigned hidden = 0, algorithm;
	bool to_self = false;
	names_read(r, "hide", parties, &hidden);
	names_read(r, "services", services, &o->letter.services);
	o->letter.initiator.hidden = hidden & 1;
	o->hide_receivers = hidden & 2;
	reader_bool(r, "to_self", &to_self);
	if (to_self && o->initiator_kms)
		o->letter.initiator_kms = o->initiator_kms->sakke;
	o->spec.has_profile = key_profile_read(r, "profile", o->spec.type, &o->spec.profile);
	o->letter.profile = (struct mikey_profile){.suite = (enum srtp_suite)o->spec.profile.suite,
		.roc_rate = o->spec.profile.roc_rate};
	o->letter.mki_len = o->spec.profile.mki_len;
	if (!reader_choice(r, "signalling_algorithm", READER_OPTIONAL, algorithm_names, &algorithm))
		return;
	if ((o->letter.type != MIKEY_CSK && o->letter.type != MIKEY_MUSIK) || !o->letter.parameters)
		reader_fail(r, RPC_INVALID_PARAMS, "signalling_algorithm",
			"has no place here; accepted: with the key_parameters of a csk or a musik "
			"(5.8.1)");
	o->letter.signalling_algorithm = algorithms[algorithm];
}

// --- receivers

static bool receiver_authorized(const struct message_order *o, struct order_receiver *receiver,
	const char *path, struct rpc_error *error)
{
	struct mikey_fault fault;
	const struct mikey_delivery delivery = {.type = o->letter.type,
		.kms = &o->initiator_kms->facts,
		.initiator = o->letter.initiator.uri,
		.receiver = mikey_role_of(&receiver->kms->facts, &receiver->uri, o->letter.type)};
	if (mikey_kms_usable(&receiver->kms->facts, o->letter.time, "its KMS", 0, &fault) &&
		mikey_authority_ok(&delivery, &fault) &&
		(period_find(receiver->kms, o->letter.time, &receiver->period_no) ||
			mikey_fail(
				&fault, MIKEY_KMS_NOT_VALID, 0, "its KMS has no key period yet")))
		return true;
	message_refuse_at(path, &fault, error);
	return false;
}

static void receiver_read(struct message_order *o, struct order_receiver *receiver,
	const json_t *value, const char *path)
{
	struct reader r;
	struct rpc_error *error = &receiver->error;
	reader_open(&r, value, path, error);
	const char *uri = kms_uri_read(&r, "uri", READER_REQUIRED);
	struct kms *kms = identity_kms_read(&r, o->api->kmss, READER_OPTIONAL);
	if (!reader_close(&r))
		return;
	receiver->uri = octets_of(uri);
	receiver->kms_uri = o->letter.initiator.kms_uri;
	const json_t *kms_uri = json_object_get(value, "kms");
	if (kms)
		receiver->kms_uri = octets_of(json_string_value(kms_uri));
	receiver->kms = kms ? kms : o->initiator_kms;
	if (!receiver_authorized(o, receiver, path, error)) {
		receiver->kms = NULL;
		return;
	}
	receiver->kms->pins++;
	receiver->period = receiver->kms->facts.period;
	receiver->offset = receiver->kms->facts.offset;
	receiver->sakke = receiver->kms->sakke;
}

static void receivers_read(const struct reader *r, struct message_order *o, const json_t *list)
{
	size_t n = json_array_size(list);
	o->receivers = calloc(n, sizeof(*o->receivers));
	if (!o->receivers) {
		rpc_fail_memory(r->error, "params.receivers");
		return;
	}
	o->n_receivers = n;
	for (size_t i = 0; i < n; i++) {
		char path[128];
		reader_element_path(r, "receivers", i, path);
		receiver_read(o, &o->receivers[i], json_array_get(list, i), path);
	}
}

// --- all of it

static void members_read(struct reader *r, struct message_order *o)
{
	const json_t *receivers = NULL;
	unsigned type;
	if (!reader_choice(r, "type", READER_REQUIRED, type_names, &type))
		return;
	o->letter.type = types[type];
	initiator_read(r, o);
	key_read_name(r, o);
	parameters_read(r, o);
	form_read(r, o);
	reader_array(r, "receivers", READER_REQUIRED, &receivers);
	size_t n = json_array_size(receivers);
	if (receivers && (n == 0 || n > ORDER_RECEIVERS_MAX))
		reader_fail(r, RPC_INVALID_PARAMS, "receivers",
			"has %zu elements; accepted: 1 to %d", n, ORDER_RECEIVERS_MAX);
	if (reader_close(r))
		receivers_read(r, o, receivers);
}

static bool key_check(struct message_order *o, struct rpc_error *error)
{
	if (o->fresh && !message_order_draw(o))
		rpc_fail(error, RPC_BUSY, "params.key", "finds no random octets; accepted: later");
	struct keystore *keys = o->api->keys;
	uint32_t scope = keystore_domain_find(keys, o->spec.domain);
	const char *group, *path = "params.key";
	if (!o->fresh)
		path = key_groups_collide(keys, scope, &o->spec, &group)
			       ? "params.key_parameters.groups"
			       : "params.profile";
	return error->code == RPC_OK && key_admit(keys, scope, &o->spec, false, path, error);
}

struct message_order *message_order_read(
	const struct api *api, const json_t *params, struct rpc_error *error)
{
	struct reader r;
	struct message_order *o = secmem_malloc(sizeof(*o));
	if (!o) {
		rpc_fail_memory(error, "params");
		return NULL;
	}
	memset(o, 0, sizeof(*o));
	o->api = api;
	o->params = json_incref((json_t *)(uintptr_t)params);
	o->letter.time = (uint64_t)time(NULL);
	reader_open(&r, params, "params", error);
	if (message_clock_ok(api->mikey, o->letter.time, "params", error))
		members_read(&r, o);
	if (error->code == RPC_OK && key_check(o, error)) {
		o->listed = !o->fresh;
		if (o->listed)
			LIST_INSERT_HEAD(api->orders, o, next);
		return o;
	}
	message_order_free(o);
	return NULL;
}

void message_orders_withdraw(const struct api *api, const char *domain, uint32_t id)
{
	struct message_order *order;
	LIST_FOREACH (order, api->orders, next)
		if (order->spec.id == id && strcmp(order->spec.domain, domain) == 0)
			order->withdrawn = true;
}

void message_order_signed(struct message_order *order)
{
	if (order->set)
		key_set_unpin(order->api->identities, order->set);
	order->set = NULL;
	order->letter.initiator.uid = NULL;
	if (order->listed)
		LIST_REMOVE(order, next);
	order->listed = false;
	if (!order->fresh)
		secmem_wipe(&order->spec.secret, sizeof(order->spec.secret));
}

void message_order_free(struct message_order *order)
{
	for (size_t i = 0; i < order->n_receivers; i++) {
		if (order->receivers[i].kms)
			order->receivers[i].kms->pins--;
		free(order->receivers[i].message);
	}
	free(order->receivers);
	message_order_signed(order);
	if (order->initiator_kms)
		order->initiator_kms->pins--;
	json_decref(order->params);
	secmem_free(order);
}
