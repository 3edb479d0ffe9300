// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "control/methods_mcdata.h"

#include <string.h>
#include <time.h>

#include "base/base64.h"
#include "base/hex.h"
#include "base/secmem.h"
#include "control/api.h"
#include "crypto/mcdata.h"
#include "crypto/srtp.h"
#include "key/key_domain.h"
#include "key/key_read.h"
#include "key/key_slot.h"

// Calls under one DPCK, each with a random IV (SP 800-38D 8.3).
#define PROTECTED_MAX (UINT64_C(1) << 32)

enum {
	MESSAGE_MAX = 128 + UINT16_MAX, // octets of a protected message
	OFFERED_MAX = 64,               // names, also of algorithms that are not known here
};

static const char *const algorithm_names[] = {"dp-aes-128-gcm", "dp-aes-256-gcm", NULL};

// The name of a value of enum mcdata_algorithm, as the next.
static const char *algorithm_name(uint8_t algorithm)
{
	return algorithm_names[algorithm - MCDATA_DP_AES_128_GCM];
}

static bool algorithm_read(struct reader *r, const char *name, uint8_t *algorithm)
{
	unsigned choice = 0;
	if (!reader_choice(r, name, READER_OPTIONAL, algorithm_names, &choice))
		return false;
	*algorithm = (uint8_t)(choice + MCDATA_DP_AES_128_GCM);
	return true;
}

// Octets of a base64 member, in secret memory: secmem_free(). NULL with an error set.
static uint8_t *octets_read(struct reader *r, const char *name, size_t max, size_t *len)
{
	const char *text;
	if (!reader_string(r, name, READER_REQUIRED, &text))
		return NULL;
	size_t text_len = strlen(text);
	uint8_t *octets =
		text_len <= base64_len(max) ? secmem_malloc(base64_room(text_len) + 1) : NULL;
	if (octets && base64_decode(text, text_len, octets, len) && *len <= max)
		return octets;
	secmem_free(octets);
	reader_fail(r, RPC_INVALID_PARAMS, name,
		"is no payload; accepted: base64 of at most %zu octets", max);
	return NULL;
}

static json_t *text_of(const uint8_t *octets, size_t len)
{
	char *text = secmem_malloc(base64_len(len) + 1);
	if (!text)
		return NULL;
	base64_encode(octets, len, text);
	json_t *string = json_string(text);
	secmem_free(text);
	return string;
}

// --- keys

static struct key_slot *slot_find(const struct api *api, const char *domain, uint32_t id)
{
	uint32_t scope = keystore_domain_find(api->keys, domain);
	struct key_slot *slot = scope != 0 ? keystore_find(api->keys, scope, id) : NULL;
	return slot && slot->installed ? slot : NULL;
}

// 8.5.2.1: whether the key may be a DPPK now.
static bool slot_ok(
	const struct key_slot *slot, uint32_t id, const char *path, struct rpc_error *error)
{
	if (!slot)
		rpc_fail(error, RPC_NOT_FOUND, path,
			"is under key %08x, which is not installed in the domain; accepted: an id "
			"that is",
			id);
	else if (slot->type == KEY_MKFC || slot->type == KEY_MSCCK)
		rpc_fail(error, RPC_KEY_REFUSED, path,
			"is under a %s; accepted: a gmk, pck, csk, spk, musik",
			key_type_names[slot->type]);
	else if (!key_usable(slot))
		rpc_fail(error, RPC_KEY_REFUSED, path,
			"is under key %08x, which is %s; accepted: an active one", id,
			key_state_name(slot->state));
	return error->code == RPC_OK;
}

// --- protecting

struct protecting {
	struct mcdata_header header;
	const char *domain;
	uint8_t *plaintext; // secret memory
	size_t len;
};

static void type_read(struct reader *r, struct mcdata_header *header)
{
	uint64_t type = 0;
	if (!reader_uint(r, "message_type", 0, UINT8_MAX, &type)) {
		reader_fail(r, RPC_INVALID_PARAMS, "message_type",
			"is missing; accepted: the message type in TS 24.282, with bit 7");
		return;
	}
	header->message_type = (uint8_t)type;
	if (!(type & MCDATA_PROTECTED_BIT))
		reader_fail(r, RPC_INVALID_PARAMS, "message_type",
			"is %u, of a payload that is not protected; accepted: one with bit 7, as "
			"%u",
			(unsigned)type, (unsigned)type | MCDATA_PROTECTED_BIT);
}

static void payload_id_read(struct reader *r, struct mcdata_header *header)
{
	const char *text;
	uint8_t octets[4];
	if (!reader_string(r, "payload_id", READER_OPTIONAL, &text))
		return;
	if (hex_decode(text, octets, sizeof(octets)))
		header->payload_id = srtp_read32(octets);
	else
		reader_fail(r, RPC_INVALID_PARAMS, "payload_id",
			"is no payload ID; accepted: 8 hex digits");
}

static bool protecting_read(
	const struct api *api, const json_t *params, struct protecting *p, struct rpc_error *error)
{
	struct reader r;
	uint64_t sequence = 0;
	*p = (struct protecting){.domain = "home"};
	reader_open(&r, params, "params", error);
	key_id_read(&r, "key", READER_REQUIRED, &p->header.dppk_id);
	key_domain_read(&r, &p->domain);
	type_read(&r, &p->header);
	payload_id_read(&r, &p->header);
	reader_uint(&r, "sequence", 0, UINT8_MAX, &sequence);
	p->header.sequence = (uint8_t)sequence;
	p->header.time = (uint64_t)time(NULL);
	p->header.algorithm = api->mikey->mcdata[0];
	algorithm_read(&r, "algorithm", &p->header.algorithm);
	algorithm_read(&r, "signalling_algorithm", &p->header.signalling_algorithm);
	p->plaintext = octets_read(&r, "plaintext", MCDATA_PLAINTEXT_MAX, &p->len);
	return reader_close(&r);
}

static json_t *protect(const struct api *api, struct protecting *p, struct rpc_error *error)
{
	struct key_slot *slot = slot_find(api, p->domain, p->header.dppk_id);
	if (!slot_ok(slot, p->header.dppk_id, "params.key", error))
		return NULL;
	uint64_t *n = &slot->n_protected[p->header.algorithm - MCDATA_DP_AES_128_GCM];
	if (*n >= PROTECTED_MAX) {
		rpc_fail(error, RPC_LIMIT, "params.key",
			"has protected 4294967296 payloads by this algorithm; accepted: another "
			"key (SP 800-38D 8.3)");
		return NULL;
	}
	const struct key_secret *secret = &api->keys->secrets[slot->index];
	uint8_t octets[MESSAGE_MAX];
	size_t len = 0;
	++*n;
	enum mcdata_status status = mcdata_protect(&p->header, secret->value, secret->value_len,
		p->plaintext, p->len, octets, sizeof(octets), &len);
	if (status == MCDATA_OK)
		return json_pack("{s:o}", "protected", text_of(octets, len));
	rpc_fail(error, RPC_INTERNAL_ERROR, "params", "cannot be protected: %s; accepted: later",
		mcdata_status_text(status));
	return NULL;
}

json_t *mcdata_protect_method(void *arg, const json_t *params, struct rpc_error *error)
{
	const struct api *api = arg;
	struct protecting p;
	json_t *result = protecting_read(api, params, &p, error) ? protect(api, &p, error) : NULL;
	secmem_free(p.plaintext);
	return result;
}

// --- taking protection away

static json_t *payload_show(
	const struct mcdata_header *header, const uint8_t *plaintext, size_t len)
{
	json_t *shown = json_pack("{s:o,s:o,s:i,s:I,s:o,s:i,s:s}", "plaintext",
		text_of(plaintext, len), "key", json_sprintf("%08x", header->dppk_id), "type",
		header->message_type, "time", (json_int_t)header->time, "payload_id",
		json_sprintf("%08x", header->payload_id), "sequence", header->sequence, "algorithm",
		algorithm_name(header->algorithm));
	if (header->signalling_algorithm != MCDATA_NO_ALGORITHM)
		json_object_set_new(shown, "signalling_algorithm",
			json_string(algorithm_name(header->signalling_algorithm)));
	return shown;
}

static void refuse(struct rpc_error *error, const char *reason, enum mcdata_status status)
{
	rpc_fail(error, RPC_MESSAGE_REFUSED, "params.protected", "%s; accepted: another message",
		mcdata_status_text(status));
	error->reason = reason;
}

// Reads the octets in one layout. NULL with *error set.
static json_t *layout_try(const struct api *api, const char *domain, const uint8_t *octets,
	size_t len, bool signalling, struct rpc_error *error)
{
	struct mcdata_message m;
	enum mcdata_status status = mcdata_read(octets, len, signalling, &m);
	if (status == MCDATA_OK && !(m.header.message_type & MCDATA_PROTECTED_BIT))
		status = MCDATA_TYPE;
	if (status != MCDATA_OK) {
		refuse(error, "malformed", status);
		return NULL;
	}
	struct key_slot *slot = slot_find(api, domain, m.header.dppk_id);
	if (!slot_ok(slot, m.header.dppk_id, "params.protected", error))
		return NULL;
	const struct key_secret *secret = &api->keys->secrets[slot->index];
	uint8_t *plaintext = secmem_malloc(m.ciphertext_len + 1);
	status = plaintext ? mcdata_unprotect(&m, secret->value, secret->value_len, plaintext)
			   : MCDATA_LIBRARY;
	json_t *result =
		status == MCDATA_OK ? payload_show(&m.header, plaintext, m.ciphertext_len) : NULL;
	if (status != MCDATA_OK)
		refuse(error, "tag", status);
	secmem_free(plaintext);
	return result;
}

// Nothing says whether there is a signalling algorithm: without, then with. What is told of one that
// is neither is what was met on the way that went furthest.
static json_t *unprotect(const struct api *api, const char *domain, const uint8_t *octets,
	size_t len, struct rpc_error *error)
{
	struct rpc_error without = {}, with = {};
	json_t *result = layout_try(api, domain, octets, len, false, &without);
	if (!result)
		result = layout_try(api, domain, octets, len, true, &with);
	if (!result)
		*error =
			without.reason && strcmp(without.reason, "malformed") == 0 ? with : without;
	return result;
}

json_t *mcdata_unprotect_method(void *arg, const json_t *params, struct rpc_error *error)
{
	const struct api *api = arg;
	struct reader r;
	const char *domain = "home";
	size_t len = 0;
	reader_open(&r, params, "params", error);
	key_domain_read(&r, &domain);
	uint8_t *octets = octets_read(&r, "protected", MESSAGE_MAX, &len);
	json_t *result = reader_close(&r) ? unprotect(api, domain, octets, len, error) : NULL;
	secmem_free(octets);
	return result;
}

// --- choosing

// MCDATA_NO_ALGORITHM of one that this relay does not know: the client may know more of them.
static uint8_t algorithm_of(const char *name)
{
	for (unsigned n = 0; algorithm_names[n]; n++)
		if (strcmp(algorithm_names[n], name) == 0)
			return (uint8_t)(n + MCDATA_DP_AES_128_GCM);
	return MCDATA_NO_ALGORITHM;
}

// Which of the two algorithms the list has: bit n, of the value n.
static unsigned offered_read(struct reader *r, struct rpc_error *error)
{
	const json_t *list = NULL;
	unsigned offered = 0;
	reader_array(r, "offered", READER_REQUIRED, &list);
	if (json_array_size(list) > OFFERED_MAX)
		reader_fail(r, RPC_INVALID_PARAMS, "offered",
			"has %zu elements; accepted: at most %d", json_array_size(list),
			OFFERED_MAX);
	for (size_t i = 0; error->code == RPC_OK && i < json_array_size(list); i++) {
		const char *name = json_string_value(json_array_get(list, i));
		char path[128];
		reader_element_path(r, "offered", i, path);
		if (name)
			offered |= 1U << algorithm_of(name);
		else
			rpc_fail(error, RPC_INVALID_PARAMS, path, "is no name; accepted: a string");
	}
	return offered;
}

json_t *mcdata_select_method(void *arg, const json_t *params, struct rpc_error *error)
{
	const struct config_mikey *mikey = ((const struct api *)arg)->mikey;
	struct reader r;
	uint8_t selected = MCDATA_NO_ALGORITHM;
	reader_open(&r, params, "params", error);
	unsigned offered = offered_read(&r, error);
	const char *name;
	if (reader_string(&r, "selected", READER_OPTIONAL, &name))
		selected = algorithm_of(name);
	if (!reader_close(&r))
		return NULL;
	for (size_t i = 0; i < sizeof(mikey->mcdata) && mikey->mcdata[i] != 0; i++)
		if (offered & 1U << mikey->mcdata[i])
			return json_pack("{s:s,s:b}", "algorithm", algorithm_name(mikey->mcdata[i]),
				"change", mikey->mcdata[i] != selected);
	rpc_fail(error, RPC_CONFLICT, "params.offered",
		"has no algorithm of mikey.mcdata; accepted: a list with one of them");
	return NULL;
}
