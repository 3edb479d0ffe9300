// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "control/methods_make.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "base/secmem.h"
#include "control/install_kind.h"
#include "control/message_answer.h"
#include "control/message_order.h"
#include "control/waiting.h"
#include "crypto/stack_wipe.h"
#include "key/key_domain.h"
#include "key/key_slot.h"

enum {
	PIECE = 16, // messages that the pool makes at once; then others have their turn
	// Messages thrown away because g^r of one has leading zero octets, and the key is drawn anew; for very
	// many receivers there may be no key for which none has.
	THROWN_AWAY_MAX = 512,
};

// An order while the pool makes its messages, in secret memory.
struct message_make {
	struct waiting waiting;
	struct message_order *order;
	size_t next;        // receiver
	size_t thrown_away; // messages
	size_t n_made;
	bool failed;    // no random octets
	bool committed; // the key is installed: the answer is being written
};

static void make_free(struct message_make *m)
{
	message_order_free(m->order);
	secmem_free(m);
}

// --- what the pool does

// Whether the receiver has its message, or an error. False: the key is to be drawn anew.
static bool one_make(struct message_make *m, struct order_receiver *receiver)
{
	const struct message_order *o = m->order;
	struct mikey_letter letter = o->letter;
	const struct mikey_signer signer = {
		.id = {.kpak = o->kpak, .id = o->set->uid, .id_len = sizeof(o->set->uid)},
		.ssk = o->set->ssk,
		.pvt = o->set->pvt};
	const struct mcx_uid_input input = {.identity = receiver->uri.octets,
		.identity_len = receiver->uri.len,
		.kms = receiver->kms_uri.octets,
		.kms_len = receiver->kms_uri.len,
		.period = receiver->period,
		.offset = receiver->offset,
		.period_no = receiver->period_no};
	uint8_t uid[MCX_UID_LEN], octets[MIKEY_MESSAGE_MAX];
	bool short_w = false;
	struct mikey_fault fault;
	letter.key_id = o->spec.id;
	letter.ssv = o->spec.secret.value;
	letter.rand = o->spec.secret.rand;
	letter.rand_len = o->spec.secret.rand_len;
	letter.receiver = (struct mikey_named){.uri = receiver->uri,
		.kms_uri = receiver->kms_uri,
		.uid = uid,
		.hidden = o->hide_receivers};
	letter.receiver_kms = receiver->sakke;
	if (mcx_uid(&input, uid) != MCX_UID_OK ||
		!mikey_make(&letter, &signer, octets, sizeof(octets), &receiver->len,
			&receiver->csb_id, &short_w, &fault)) {
		rpc_fail(&receiver->error, RPC_KEY_REFUSED, "",
			"cannot have a message: a key does not fit its identity, or the key "
			"parameters are too long; accepted: another receiver, or less of them");
		return true;
	}
	if (short_w && o->fresh && m->thrown_away < THROWN_AWAY_MAX)
		return false;
	receiver->message = malloc(receiver->len);
	if (receiver->message)
		memcpy(receiver->message, octets, receiver->len);
	else
		rpc_fail_memory(&receiver->error, "");
	return true;
}

static void begin_anew(struct message_make *m)
{
	struct message_order *o = m->order;
	m->thrown_away += m->next + 1;
	m->next = 0;
	for (size_t i = 0; i < o->n_receivers; i++) {
		struct order_receiver *receiver = &o->receivers[i];
		free(receiver->message);
		receiver->message = NULL;
		if (receiver->kms)
			receiver->error = (struct rpc_error){};
	}
	m->failed = !message_order_draw(o);
}

static void make_some(struct pool_job *job)
{
	struct message_make *m = (struct message_make *)job;
	struct message_order *o = m->order;
	for (unsigned n = 0; n < PIECE && m->next < o->n_receivers && !m->failed; n++) {
		struct order_receiver *receiver = &o->receivers[m->next];
		if (!receiver->kms || one_make(m, receiver))
			m->next++;
		else
			begin_anew(m);
	}
	stack_wipe();
}

// --- what follows from it

// Paths of what failed in the pool.
static void errors_name(struct message_make *m)
{
	struct message_order *o = m->order;
	for (size_t i = 0; i < o->n_receivers; i++) {
		struct rpc_error *error = &o->receivers[i].error;
		if (error->code != RPC_OK && error->path[0] == '\0')
			snprintf(error->path, sizeof(error->path), "params.receivers[%zu]", i);
		m->n_made += o->receivers[i].message != NULL;
	}
}

static void fresh_key_put(const struct message_order *o, struct rpc_error *error)
{
	struct keystore *keys = o->api->keys;
	uint32_t scope = keystore_domain_find(keys, o->spec.domain);
	if (!key_admit(keys, scope, &o->spec, false, "params.key", error))
		return;
	scope = keystore_domain_scope(keys, o->spec.domain);
	if (scope == 0)
		rpc_fail(error, RPC_LIMIT, "params.key", "is of the %dth domain; accepted: %d",
			KEY_DOMAINS_MAX + 1, KEY_DOMAINS_MAX);
	else {
		key_install(keys, scope, &o->spec);
		retire_poll(o->api->retire);
	}
}

// Others ran meanwhile.
static void known_key_check(const struct message_order *o, struct rpc_error *error)
{
	const struct keystore *keys = o->api->keys;
	uint32_t scope = keystore_domain_find(keys, o->spec.domain);
	const struct key_slot *slot = scope ? keystore_find(keys, scope, o->spec.id) : NULL;
	if (o->withdrawn || !slot || !slot->installed || slot->serial != o->serial)
		rpc_fail(error, RPC_NOT_FOUND, "params.key.id",
			"was taken away meanwhile; accepted: a key that key.list shows");
}

static void commit(struct message_make *m, struct rpc_error *error)
{
	const struct message_order *o = m->order;
	errors_name(m);
	if (m->failed)
		rpc_fail(error, RPC_BUSY, "params.key", "finds no random octets; accepted: later");
	else if (!o->fresh)
		known_key_check(o, error);
	else if (m->n_made > 0)
		fresh_key_put(o, error);
	struct identity *identity = identity_find(o->api->identities, &o->letter.initiator.kms_uri,
		(const char *)o->letter.initiator.uri.octets);
	if (error->code == RPC_OK && identity)
		identity->made += m->n_made;
	m->committed = true;
}

// --- the answer

static json_t *one_show(const struct message_order *o, const struct order_receiver *receiver)
{
	char text[(MIKEY_MESSAGE_MAX + 2) / 3 * 4 + 1];
	EVP_EncodeBlock((uint8_t *)text, receiver->message, (int)receiver->len);
	json_t *shown = json_pack(
		"{s:s,s:s}", "receiver", (const char *)receiver->uri.octets, "message", text);
	if (o->letter.type == MIKEY_GMK)
		json_object_set_new(shown, "guk_id", json_sprintf("%08x", receiver->csb_id));
	return shown;
}

static json_t *key_show_id(const struct message_make *m)
{
	const struct message_order *o = m->order;
	if (o->fresh && m->n_made == 0)
		return json_object();
	return json_pack(
		"{s:o,s:s}", "id", json_sprintf("%08x", o->spec.id), "domain", o->spec.domain);
}

// True if all is written.
static bool answer(struct message_make *m, struct rpc_slice *slice)
{
	const struct message_order *o = m->order;
	if (!slice->list) {
		slice->list = json_array();
		rpc_emit_members(slice, key_show_id(m), "messages");
	}
	for (size_t i = slice->next; i < o->n_receivers; i++) {
		const struct order_receiver *receiver = &o->receivers[i];
		if (rpc_slice_expired(slice, i))
			return false;
		if (receiver->message)
			rpc_emit(slice, "messages", one_show(o, receiver));
		else
			json_array_append_new(slice->list, rejected_show(i, &receiver->error));
	}
	rpc_emit_end(slice, json_pack("{s:O}", "rejected", slice->list));
	return true;
}

// Goes on without the request's turns: others wait until the key set is no longer pinned, also when the server
// closes and finishes requests one after the other.
static void piece_ended(struct waiting *waiting)
{
	struct message_make *m = (struct message_make *)waiting;
	struct message_order *o = m->order;
	if (!m->failed && !o->withdrawn && m->next < o->n_receivers &&
		pool_submit(o->api->pool, &waiting->job))
		waiting->ended = false;
	else
		message_order_signed(o);
}

static bool begin(const struct api *api, const json_t *params, struct rpc_slice *slice,
	struct rpc_error *error)
{
	struct message_make *m = secmem_malloc(sizeof(*m));
	if (!m) {
		rpc_fail_memory(error, "params");
		return false;
	}
	memset(m, 0, sizeof(*m));
	m->waiting.then = piece_ended;
	m->order = message_order_read(api, params, error);
	if (m->order && waiting_begin(&m->waiting, api->pool, make_some, slice, error)) {
		slice->state = m;
		return true;
	}
	if (m->order)
		message_order_free(m->order);
	secmem_free(m);
	return false;
}

// True if all messages are made, or with *error set.
static bool made(const struct api *api, struct message_make *m, struct rpc_slice *slice,
	struct rpc_error *error)
{
	if (!waiting_ended(&m->waiting, api->pool, slice))
		return false;
	if (!m->failed && !m->order->withdrawn && m->next < m->order->n_receivers)
		waiting_refuse(error);
	return true;
}

static STACK_WIPED json_t *message_step(const struct api *api, const json_t *params,
	struct rpc_slice *slice, struct rpc_error *error)
{
	if (!slice->state && !begin(api, params, slice, error))
		return NULL;
	struct message_make *m = slice->state;
	if (!m->committed) {
		if (!made(api, m, slice, error))
			return NULL;
		if (error->code == RPC_OK)
			commit(m, error);
	}
	if (error->code == RPC_OK && !answer(m, slice))
		return NULL;
	make_free(m);
	slice->state = NULL;
	return error->code == RPC_OK ? json_object() : NULL;
}

json_t *message_make_method(
	void *arg, const json_t *params, struct rpc_slice *slice, struct rpc_error *error)
{
	json_t *result = message_step(arg, params, slice, error);
	// The key was drawn and copied, through registers that others put aside there.
	stack_wipe();
	return result;
}
