// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "control/methods_message.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include <openssl/evp.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/secmem.h"
#include "control/api.h"
#include "control/message_answer.h"
#include "control/message_order.h"
#include "control/message_redirect.h"
#include "control/message_stats.h"
#include "control/message_tell.h"
#include "control/waiting.h"
#include "crypto/stack_wipe.h"
#include "dataplane/worker.h"
#include "event/notice.h"
#include "identity/kms_read.h"
#include "identity/pseudo.h"
#include "key/key_domain.h"
#include "key/key_slot.h"
#include "server/reader.h"
#include "session/session_follow.h"
#include "session/session_store.h"

enum { BASE64_MAX = (MIKEY_MESSAGE_MAX + 2) / 3 * 4 }; // characters of a message

// A message that is being opened, in secret memory. What the directory may change while the pool
// computes is copied; the receiver's key set is pinned.
struct message_open {
	struct waiting waiting;
	const struct api *api;
	bool install, writes;
	uint8_t octets[BASE64_MAX];
	uint64_t now;
	uint64_t begun_ns;              // of clock_now_ns()
	char uris[4][MIKEY_ID_MAX + 1]; // of initiator, its KMS, receiver, its KMS
	struct mikey_kms initiator_kms, receiver_kms;
	struct mikey_local receiver;
	struct mikey_key_set key_set;
	struct key_set *pinned;
	struct kms *pseudo; // pinned; NULL: the receiver is no user of a pseudo KMS
	struct mikey_opening opening;
	struct mikey_opened opened;
	struct mikey_fault fault;
	bool good;                         // it verified and decrypted: opened is to be freed
	char domain[IDENTITY_DOMAIN_SIZE]; // where its key goes; empty: the identity's
	struct key_spec spec;
	json_t *groups;
	char source[2 * MIKEY_ID_MAX + 8];
	bool revoked;
	struct opened_entry entries[2];
	size_t n_entries;
	int written; // 0 or -errno
};

static void message_free(struct message_open *m)
{
	const struct opened_entry *entry = opened_find(m->api->opened, m->opening.digest);
	if (entry && entry->opened_at == 0)
		opened_release(m->api->opened, m->opening.digest);
	if (m->good)
		mikey_opened_free(&m->opened);
	json_decref(m->groups);
	secmem_free(m);
}

static void keys_unpin(struct message_open *m)
{
	if (m->pseudo) {
		pseudo_receiver_give(m->api->identities, m->pseudo, m->pinned, m->good);
		m->pseudo->pins--;
	} else {
		key_set_unpin(m->api->identities, m->pinned);
	}
}

// --- what the pool does

// The key set of a user of a pseudo KMS: not for a message that nobody signed who may.
static bool receiver_derive(struct message_open *m)
{
	bool ok = mikey_signature_ok(&m->opening, &m->fault) &&
		  (pseudo_receiver_derive(m->pseudo, m->pinned) ||
			  mikey_fail(&m->fault, MIKEY_NO_KEY_MATERIAL, 0,
				  "the receiver can have no key set in that period"));
	stack_wipe();
	return ok;
}

static void compute(struct pool_job *job)
{
	struct message_open *m = (struct message_open *)job;
	if (!key_set_receiver(m->pinned) && !receiver_derive(m))
		return;
	m->key_set.receiver = key_set_receiver(m->pinned);
	m->good = mikey_open_finish(&m->opening, &m->opened, &m->fault);
	stack_wipe();
}

static void computed(struct waiting *waiting)
{
	keys_unpin((struct message_open *)waiting);
}

static void write_down(struct pool_job *job)
{
	struct message_open *m = (struct message_open *)job;
	m->written = opened_write(m->api->opened, m->entries, m->n_entries, m->now);
}

static void opened_tell(const struct message_open *m)
{
	const struct notice_key key = {.id = m->spec.id,
		.scope = keystore_domain_find(m->api->keys, m->domain),
		.type = key_type_names[m->spec.type],
		.domain = m->domain};
	const struct notice what = {.type = NOTICE_KEY_OPENED,
		.key = &key,
		.initiator = m->uris[0],
		.receiver = m->uris[2]};
	m->api->messages->opened[m->opening.type]++;
	if (!m->revoked)
		notice(m->api->keys->notices, &what);
}

// --- steps 1 to 7: what costs microseconds

// Base64 as SDP has it, or behind "mikey " (RFC 4567 3.1).
static bool base64_read(struct reader *r, uint8_t *octets, size_t *len)
{
	static const char prefix[] = "mikey ";
	const char *text;
	if (!reader_string(r, "message", READER_REQUIRED, &text))
		return false;
	if (strncmp(text, prefix, sizeof(prefix) - 1) == 0)
		text += sizeof(prefix) - 1;
	size_t n = strlen(text);
	bool good =
		n <= BASE64_MAX && n % 4 == 0 &&
		strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") +
				2 >=
			n;
	int octets_len = good && n > 0 ? EVP_DecodeBlock(octets, (const uint8_t *)text, (int)n) : 0;
	if (!good || octets_len < 0 || octets_len > MIKEY_MESSAGE_MAX) {
		reader_fail(r, RPC_INVALID_PARAMS, "message",
			"is no I_MESSAGE; accepted: base64 of at most %d octets",
			MIKEY_MESSAGE_MAX);
		return false;
	}
	*len = (size_t)octets_len;
	for (size_t i = n; i > 0 && i + 2 > n && text[i - 1] == '='; i--)
		--*len;
	return true;
}

// The oldest that a message of this purpose tag may be, in seconds; 0: no limit.
static uint64_t age_limit(const struct config_mikey *mikey, const uint8_t *octets, size_t len)
{
	const size_t csb_id_at = 4;
	bool gmk = len > csb_id_at && octets[csb_id_at] >> 4 == MIKEY_GMK;
	return gmk ? mikey->max_age_gmk : mikey->max_age_other;
}

// A client may want messages to be younger than the configuration does, not older: entries of those
// that are too old are forgotten.
static uint64_t age_read(struct reader *r, uint64_t limit)
{
	uint64_t age = limit;
	reader_uint(r, "max_age", 1, limit != 0 ? limit : UINT32_MAX, &age);
	return age;
}

static const struct mikey_kms *kms_lookup(void *arg, const struct mikey_octets *uri)
{
	const struct api *api = ((const struct message_open *)arg)->api;
	const struct kms *kms = kms_find(api->kmss, uri->octets, uri->len);
	return kms ? &kms->facts : NULL;
}

static const struct mikey_local *local_lookup(
	void *arg, const struct mikey_kms *kms, const struct mikey_octets *uri)
{
	struct message_open *m = arg;
	const struct mikey_local *local = identity_local(m->api->identities, kms, uri);
	struct kms *pseudo = local ? NULL : kms_find(m->api->kmss, kms->uri.octets, kms->uri.len);
	if (!pseudo || !pseudo->pseudo || !pseudo_kms_serves(pseudo, uri))
		return local;
	m->receiver = pseudo_local(pseudo, uri, m->opening.type);
	m->pseudo = pseudo;
	return &m->receiver;
}

static const struct mikey_local *hidden_lookup(
	void *arg, const struct mikey_kms *kms, const uint8_t uid[MCX_UID_LEN])
{
	return identity_hidden(((const struct message_open *)arg)->api->identities, kms, uid);
}

static const struct mikey_kms *assumed_lookup(
	void *arg, const struct mikey_octets *uri, const uint8_t uid[MCX_UID_LEN])
{
	return identity_kms_assumed(((const struct message_open *)arg)->api->identities, uri, uid);
}

static bool known_check(const struct message_open *m, struct rpc_error *error)
{
	const struct opened *opened = m->api->opened;
	const struct opened_entry *entry = opened_find(opened, m->opening.digest);
	if (entry && entry->opened_at == 0)
		message_refuse_as(error, "replayed",
			"is being opened for another request; accepted: a message once");
	else if (entry)
		message_refuse_as(error, "replayed",
			"was opened at %llu, with key %08x; accepted: a message once",
			(unsigned long long)entry->opened_at, entry->key_id);
	else if (m->opening.time < opened->not_before)
		message_refuse_as(error, "timestamp-old",
			"was made before %llu, and which messages had been opened by then cannot "
			"be read; accepted: a later one",
			(unsigned long long)opened->not_before);
	else if (!opened_has_room(opened))
		rpc_fail(error, RPC_BUSY, "params.message",
			"comes when %d messages are remembered; accepted: later", OPENED_MAX);
	return error->code == RPC_OK;
}

static void octets_keep(struct mikey_octets *octets, char keep[MIKEY_ID_MAX + 1])
{
	memcpy(keep, octets->octets, octets->len);
	keep[octets->len] = '\0';
	octets->octets = (const uint8_t *)keep;
}

// Pins what the message is opened with. The domain of the receiver; NULL: there is no memory.
static const char *key_set_take(struct message_open *m)
{
	const struct mikey_opening *o = &m->opening;
	if (m->pseudo) {
		m->pinned = pseudo_receiver_take(
			m->api->identities, m->pseudo, &o->receiver->uri, o->receiver_period_no);
		m->key_set = (struct mikey_key_set){.period_no = o->receiver_period_no};
		m->pseudo->pins += m->pinned != NULL;
		return m->pinned ? m->pseudo->pseudo->domain : NULL;
	}
	struct identity *identity = (struct identity *)(uintptr_t)o->receiver;
	m->pinned = identity_set_of(identity, o->key_set);
	m->key_set = *o->key_set;
	key_set_pin(m->pinned);
	return identity->domain;
}

// From here on nothing that others change is needed.
static bool directory_leave(struct message_open *m, struct rpc_error *error)
{
	struct mikey_opening *o = &m->opening;
	const char *domain = key_set_take(m);
	if (!domain) {
		rpc_fail_memory(error, "params.message");
		return false;
	}
	if (m->domain[0] == '\0')
		snprintf(m->domain, sizeof(m->domain), "%s", domain);
	m->initiator_kms = *o->initiator_kms;
	m->receiver_kms = *o->receiver_kms;
	m->receiver = *o->receiver;
	octets_keep(&o->initiator, m->uris[0]);
	octets_keep(&m->initiator_kms.uri, m->uris[1]);
	octets_keep(&m->receiver.uri, m->uris[2]);
	octets_keep(&m->receiver_kms.uri, m->uris[3]);
	o->initiator_kms = &m->initiator_kms;
	o->receiver_kms = &m->receiver_kms;
	o->receiver = &m->receiver;
	o->key_set = &m->key_set;
	return true;
}

static bool message_begin(struct message_open *m, struct mikey_request *request,
	const struct rpc_slice *slice, struct rpc_error *error)
{
	const struct api *api = m->api;
	const struct mikey_directory directory = {.arg = m,
		.kms = kms_lookup,
		.local = local_lookup,
		.hidden = hidden_lookup,
		.assumed = assumed_lookup};
	m->now = request->now = (uint64_t)time(NULL);
	request->octets = m->octets;
	request->ahead = api->mikey->ahead;
	if (!message_clock_ok(api->mikey, m->now, "params.message", error))
		return false;
	if (!mikey_open_begin(request, &directory, &m->opening, &m->fault)) {
		message_refuse(&m->fault, error);
		if (m->fault.reason == MIKEY_UNKNOWN_KMS || m->fault.reason == MIKEY_KMS_REVOKED ||
			m->fault.reason == MIKEY_KMS_NOT_VALID)
			error->redirect = message_redirect_params(api, &m->opening);
		return false;
	}
	if (!known_check(m, error))
		return false;
	if (!directory_leave(m, error))
		return false;
	m->waiting.then = computed;
	if (waiting_begin(&m->waiting, api->pool, compute, slice, error)) {
		opened_reserve(api->opened, m->opening.digest);
		return true;
	}
	keys_unpin(m);
	return false;
}

// The key goes where the legs of that session look for it.
static void session_read(struct reader *r, struct message_open *m)
{
	const char *id;
	if (!reader_string(r, "session", READER_OPTIONAL, &id))
		return;
	const struct session *session = session_find(m->api->sessions, id);
	if (session)
		snprintf(m->domain, sizeof(m->domain), "%s", session->spec.domain);
	else
		reader_fail(r, RPC_NOT_FOUND, "session",
			"is no session; accepted: an id that session.list shows");
}

static bool params_read(const json_t *params, struct message_open *m, struct mikey_request *request,
	struct rpc_error *error)
{
	struct reader r;
	reader_open(&r, params, "params", error);
	m->install = true;
	reader_bool(&r, "install", &m->install);
	const char *initiator = kms_uri_read(&r, "initiator", READER_OPTIONAL);
	if (initiator)
		request->initiator =
			(struct mikey_octets){(const uint8_t *)initiator, strlen(initiator)};
	session_read(&r, m);
	if (base64_read(&r, m->octets, &request->len))
		request->max_age = age_read(&r, age_limit(m->api->mikey, m->octets, request->len));
	return reader_close(&r);
}

static bool begin(const struct api *api, const json_t *params, struct rpc_slice *slice,
	struct rpc_error *error)
{
	struct message_open *m = secmem_malloc(sizeof(*m));
	struct mikey_request request = {};
	if (!m) {
		rpc_fail_memory(error, "params.message");
		return false;
	}
	memset(m, 0, sizeof(*m));
	m->api = api;
	m->begun_ns = clock_now_ns();
	if (params_read(params, m, &request, error)) {
		if (message_begin(m, &request, slice, error)) {
			slice->state = m;
			return true;
		}
		message_refusal_tell(api, &m->opening, &request.initiator, error);
	}
	secmem_free(m);
	return false;
}

// --- steps 12 and 13

static bool key_is_installed(const struct message_open *m)
{
	uint32_t scope = keystore_domain_find(m->api->keys, m->domain);
	const struct key_slot *slot = scope ? keystore_find(m->api->keys, scope, m->spec.id) : NULL;
	return slot && slot->installed;
}

// Whether the key of the message may become what the message says of it.
static bool message_admit(struct message_open *m, struct rpc_error *error)
{
	uint8_t tombstone[MIKEY_DIGEST_LEN];
	struct keystore *keys = m->api->keys;
	bool there = key_is_installed(m);
	m->revoked = m->opened.revoked;
	if (m->revoked && !there && m->opening.quirks & MIKEY_QUIRK_STATUS_ZERO_AT_FIRST) {
		m->revoked = false;
		m->opened.departed |= MIKEY_QUIRK_STATUS_ZERO_AT_FIRST;
	}
	opened_tombstone(m->domain, m->spec.id, tombstone);
	if (m->revoked && !there)
		message_refuse_as(error, "key-revoked",
			"says that key %08x is revoked, which is not installed; accepted: the "
			"status of a key that is",
			m->spec.id);
	else if (!m->revoked && opened_find(m->api->opened, tombstone))
		message_refuse_as(error, "key-revoked",
			"is for key %08x, which a message revoked; accepted: another key",
			m->spec.id);
	else if (!m->revoked)
		key_admit(keys, keystore_domain_find(keys, m->domain), &m->spec, false,
			"params.message", error);
	return error->code == RPC_OK;
}

// Until when a message would be taken if it came again; 0: for ever.
static uint64_t until_of(const struct message_open *m)
{
	const struct config_mikey *mikey = m->api->mikey;
	uint64_t age = m->opening.type == MIKEY_GMK ? mikey->max_age_gmk : mikey->max_age_other;
	uint64_t expiry = m->opened.parameters.expiry;
	return age == 0 ? expiry : m->opening.time + age + 1;
}

static void entries_make(struct message_open *m)
{
	struct opened_entry *entry = &m->entries[m->n_entries++];
	*entry = (struct opened_entry){
		.until = until_of(m), .opened_at = m->now, .key_id = m->spec.id};
	memcpy(entry->digest, m->opening.digest, sizeof(entry->digest));
	if (!m->revoked)
		return;
	struct opened_entry *tombstone = &m->entries[m->n_entries++];
	*tombstone = *entry;
	tombstone->until = m->opened.parameters.expiry;
	opened_tombstone(m->domain, m->spec.id, tombstone->digest);
}

static void key_put(struct message_open *m, struct rpc_error *error)
{
	const struct api *api = m->api;
	uint32_t scope = keystore_domain_scope(api->keys, m->domain);
	if (scope == 0) {
		rpc_fail(error, RPC_LIMIT, "params.message", "is for the %dth domain; accepted: %d",
			KEY_DOMAINS_MAX + 1, KEY_DOMAINS_MAX);
	} else if (m->revoked) {
		key_remove(api->keys, scope, m->spec.id);
		message_orders_withdraw(api, m->domain, m->spec.id);
		// As key.revoke promises: no worker uses it, and its octets are wiped.
		sessions_follow(api->sessions, UINT64_MAX);
		retire_all(api->retire);
	} else {
		key_install(api->keys, scope, &m->spec);
		retire_poll(api->retire);
	}
}

// Keys of groups come from a GMS; of one group in a domain from one (5.7.2).
static void source_note(struct message_open *m)
{
	if (m->opening.type != MIKEY_GMK && m->opening.type != MIKEY_MKFC)
		return;
	snprintf(m->source, sizeof(m->source), "%s of %s", m->uris[0], m->uris[1]);
	m->spec.source = m->source;
}

// What follows from a message that verified. True if it is to be written down first.
static bool message_use(struct message_open *m, struct rpc_slice *slice, struct rpc_error *error)
{
	message_key_spec(&m->opening, &m->opened, m->domain, &m->spec, &m->groups);
	source_note(m);
	if (!message_admit(m, error) || !m->install)
		return false;
	entries_make(m);
	m->waiting.then = NULL;
	m->writes = waiting_begin(&m->waiting, m->api->pool, write_down, slice, error);
	return m->writes;
}

static void message_commit(struct message_open *m, struct rpc_error *error)
{
	if (m->written != 0) {
		rpc_fail(error, RPC_BUSY, "params.message",
			"cannot be remembered: %s; accepted: later, when the state directory can "
			"be "
			"written",
			strerror(-m->written));
		return;
	}
	for (size_t i = 0; i < m->n_entries; i++)
		opened_commit(m->api->opened, &m->entries[i]);
	// Others ran meanwhile.
	if (message_admit(m, error))
		key_put(m, error);
}

// The next step of a message that has been waited for. True if it is to be waited for again.
static bool message_go_on(struct message_open *m, struct rpc_slice *slice, struct rpc_error *error)
{
	if (!m->writes && !m->good)
		message_refuse(&m->fault, error);
	else if (!m->writes)
		return message_use(m, slice, error);
	else
		message_commit(m, error);
	return false;
}

// A KMS's users depart from the standard: said once, when a message came out only because they may.
static void departures_tell(const struct message_open *m)
{
	char quoted[LOG_QUOTED_SIZE];
	for (unsigned quirk = 1; quirk != 0 && quirk <= m->opened.departed; quirk <<= 1) {
		const struct mikey_octets *uri = quirk == MIKEY_QUIRK_KMS_DEFAULTS
							 ? &m->receiver_kms.uri
							 : &m->initiator_kms.uri;
		struct kms *kms = kms_find(m->api->kmss, uri->octets, uri->len);
		if (!(m->opened.departed & quirk) || !kms || kms->departed & quirk)
			continue;
		kms->departed |= quirk;
		log_warning("kms.departure kms=%s accept=%s",
			log_quoted(quoted, (const char *)uri->octets), kms_quirk_name(quirk));
	}
}

static json_t *message_result(struct message_open *m)
{
	departures_tell(m);
	struct identity *identity =
		identity_find(m->api->identities, &m->receiver_kms.uri, m->uris[2]);
	json_t *result = message_answer(&m->opening, &m->opened, &m->spec);
	json_object_set_new(result, "installed", json_boolean(m->writes && !m->revoked));
	json_object_set_new(result, "revoked", json_boolean(m->revoked));
	if (identity && m->writes)
		identity->opened++;
	return result;
}

static STACK_WIPED json_t *message_step(const struct api *api, const json_t *params,
	struct rpc_slice *slice, struct rpc_error *error)
{
	if (!slice->state && !begin(api, params, slice, error))
		return NULL;
	struct message_open *m = slice->state;
	do
		if (!waiting_ended(&m->waiting, api->pool, slice))
			return NULL;
	while (message_go_on(m, slice, error));
	json_t *result = error->code == RPC_OK ? message_result(m) : NULL;
	message_stats_time(api->messages, clock_now_ns() - m->begun_ns);
	if (!result)
		message_refusal_tell(api, &m->opening, &m->opening.initiator, error);
	else if (m->writes)
		opened_tell(m);
	message_free(m);
	slice->state = NULL;
	return result;
}

json_t *message_open_method(
	void *arg, const json_t *params, struct rpc_slice *slice, struct rpc_error *error)
{
	json_t *result = message_step(arg, params, slice, error);
	// The key was copied, through registers that others put aside there.
	stack_wipe();
	return result;
}
