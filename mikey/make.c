// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "mikey/make.h"

#include <string.h>

#include "crypto/mcdata.h"
#include "crypto/mcx_kdf.h"
#include "mikey/ntp.h"
#include "mikey/writer.h"

// --- payloads (RFC 3830 6, RFC 6043 6.6, RFC 6509 4.2). Each writes its type where the one before it left room

// One of a GENERIC-ID map (RFC 6043 6.1.1): under policy 0, without session data.
static void write_session(
	struct mikey_writer *w, unsigned cs_id, const struct mikey_letter *l, uint32_t csb_id)
{
	mikey_write_number(w, cs_id, 1);
	mikey_write_number(w, 0, 1); // SRTP
	mikey_write_number(w, 1, 1); // policies
	mikey_write_number(w, 0, 1);
	mikey_write_number(w, 0, 2);
	mikey_write_number(w, l->mki_len, 1);
	if (l->mki_len >= 4)
		mikey_write_number(w, l->key_id, 4);
	if (l->mki_len == 8)
		mikey_write_number(w, csb_id, 4);
}

static void write_header(struct mikey_writer *w, const struct mikey_letter *l, uint32_t csb_id)
{
	static const uint8_t head[] = {1, 26}; // version, data type
	const unsigned cs_ids = mikey_cs_ids(l->type, l->services);
	mikey_write(w, head, sizeof(head));
	mikey_write_next(w);
	mikey_write_number(w, 1, 1); // V = 0, PRF = HMAC-SHA-256
	mikey_write_number(w, csb_id, 4);
	mikey_write_number(w, (unsigned)__builtin_popcount(cs_ids), 1);
	mikey_write_number(w, cs_ids ? MIKEY_MAP_GENERIC_ID : MIKEY_MAP_EMPTY, 1);
	for (unsigned i = 0; i < MIKEY_CS_IDS; i++)
		if (cs_ids >> i & 1)
			write_session(w, i, l, csb_id);
}

static void write_t(struct mikey_writer *w, uint64_t time)
{
	mikey_write_payload(w, MIKEY_T);
	mikey_write_number(w, 0, 1); // NTP-UTC
	mikey_write_number(w, (uint32_t)(time + MIKEY_NTP_UNIX), 4);
	mikey_write_number(w, 0, 4);
}

static void write_rand(struct mikey_writer *w, const uint8_t *rand, size_t len)
{
	mikey_write_payload(w, MIKEY_RAND);
	mikey_write_number(w, len, 1);
	mikey_write(w, rand, len);
}

static void write_idr(struct mikey_writer *w, uint8_t role, const void *value, size_t len)
{
	mikey_write_payload(w, MIKEY_IDR);
	mikey_write_number(w, role, 1);
	mikey_write_number(w, 1, 1); // URI
	mikey_write_number(w, len, 2);
	mikey_write(w, value, len);
}

static void write_party(struct mikey_writer *w, const struct mikey_named *named, uint8_t role)
{
	enum { HIDDEN = 7 }; // IDRuidi and IDRuidr are 8 and 9, IDRi and IDRr 1 and 2
	if (named->hidden)
		write_idr(w, role + HIDDEN, named->uid, MIKEY_UID_LEN);
	else
		write_idr(w, role, named->uri.octets, named->uri.len);
}

static void write_sp(struct mikey_writer *w, const struct mikey_profile *profile)
{
	uint8_t parameters[MIKEY_POLICY_MAX];
	size_t len = mikey_profile_write(profile, parameters);
	mikey_write_payload(w, MIKEY_SP);
	mikey_write_number(w, 0, 1); // number
	mikey_write_number(w, 0, 1); // SRTP
	mikey_write_number(w, len, 2);
	mikey_write(w, parameters, len);
}

static bool write_sed(struct mikey_writer *w, const struct sakke_kms *kms, const uint8_t *uid,
	const uint8_t *ssv, bool *short_w)
{
	static const uint8_t head[] = {1, 2}; // parameter set 1, 3GPP MCX hashed UID
	mikey_write(w, head, sizeof(head));
	mikey_write_number(w, MIKEY_SED_LEN, 2);
	uint8_t *sed = mikey_write_room(w, MIKEY_SED_LEN);
	return !sed || sakke_encapsulate(kms, uid, MIKEY_UID_LEN, ssv, sed, short_w) == SAKKE_OK;
}

// E.5: a whole SAKKE payload, whose own "next payload" is 0.
static bool write_to_self(struct mikey_writer *w, const struct mikey_letter *l)
{
	bool ignored;
	mikey_write_payload(w, MIKEY_EXTENSION);
	mikey_write_number(w, MIKEY_EXTENSION_SAKKE_TO_SELF, 1);
	mikey_write_number(w, 5 + MIKEY_SED_LEN, 2);
	mikey_write_number(w, 0, 1);
	return write_sed(w, l->initiator_kms, l->initiator.uid, l->ssv, &ignored);
}

// E.6.1.
static bool write_parameters(struct mikey_writer *w, const struct mikey_letter *l, uint32_t csb_id)
{
	enum { TYPE = 0x43 }; // any with the protected bit (8.5.1)
	uint8_t plaintext[MIKEY_MESSAGE_MAX];
	size_t len = mikey_key_parameters_write(l->parameters, l->type, plaintext);
	struct mcdata_header header = {.time = l->time,
		.dppk_id = csb_id,
		.message_type = TYPE,
		.algorithm = MCDATA_DP_AES_128_GCM,
		.signalling_algorithm = l->signalling_algorithm};
	size_t protected_len = mcdata_protected_len(&header, len);
	mikey_write_payload(w, MIKEY_EXTENSION);
	mikey_write_number(w, MIKEY_EXTENSION_KEY_PARAMETERS, 1);
	mikey_write_number(w, protected_len, 2);
	uint8_t *out = mikey_write_room(w, protected_len);
	return len > 0 && (!out || mcdata_protect(&header, l->ssv, SAKKE_SSV_LEN, plaintext, len,
					   out, protected_len, &protected_len) == MCDATA_OK);
}

// --- what can be wrong with a letter

static bool letter_ok(const struct mikey_letter *l, struct mikey_fault *fault)
{
	if (l->key_id >> 28 != l->type)
		return mikey_fail(fault, MIKEY_PURPOSE_TAG, 0,
			"key id %08x has another purpose tag than a %s; accepted: %u", l->key_id,
			mikey_type_name(l->type), l->type);
	if (l->rand_len < MIKEY_RAND_MIN || l->rand_len > MIKEY_RAND_MAX)
		return mikey_fail(fault, MIKEY_RAND_LENGTH, 0,
			"RAND has %zu octets; accepted: %u to %u", l->rand_len, MIKEY_RAND_MIN,
			MIKEY_RAND_MAX);
	return (mikey_uri_ok(&l->initiator.uri) && mikey_uri_ok(&l->receiver.uri) &&
		       mikey_uri_ok(&l->initiator.kms_uri) && mikey_uri_ok(&l->receiver.kms_uri)) ||
	       mikey_fail(fault, MIKEY_ID_VALUE, 0,
		       "a URI is none; accepted: 1 to %u octets of UTF-8 without NUL",
		       MIKEY_ID_MAX);
}

static bool csb_id_find(const struct mikey_letter *l, uint32_t *csb_id)
{
	*csb_id = l->key_id;
	if (l->type != MIKEY_GMK)
		return true;
	char uri[MIKEY_ID_MAX + 1] = "";
	memcpy(uri, l->receiver.uri.octets, l->receiver.uri.len);
	return mcx_guk_id(l->ssv, SAKKE_SSV_LEN, l->key_id, uri, csb_id) == 0;
}

// --- the message

static bool write_body(
	struct mikey_writer *w, const struct mikey_letter *l, uint32_t csb_id, bool *short_w)
{
	write_header(w, l, csb_id);
	write_t(w, l->time);
	write_rand(w, l->rand, l->rand_len);
	write_party(w, &l->initiator, 1);
	write_party(w, &l->receiver, 2);
	write_idr(w, 6, l->initiator.kms_uri.octets, l->initiator.kms_uri.len);
	write_idr(w, 7, l->receiver.kms_uri.octets, l->receiver.kms_uri.len);
	if (l->services || !mikey_profile_is_default(&l->profile, l->type))
		write_sp(w, &l->profile);
	mikey_write_payload(w, MIKEY_SAKKE);
	return write_sed(w, l->receiver_kms, l->receiver.uid, l->ssv, short_w) &&
	       (!l->initiator_kms || write_to_self(w, l)) &&
	       (!l->parameters || write_parameters(w, l, csb_id));
}

static bool write_signature(struct mikey_writer *w, const struct mikey_signer *signer)
{
	mikey_write_sign(w);
	mikey_write_number(w, 2U << 12 | MIKEY_SIGNATURE_LEN, 2); // S type ECCSI, length
	const size_t signed_len = w->len;
	uint8_t *signature = mikey_write_room(w, MIKEY_SIGNATURE_LEN);
	return !signature || eccsi_sign(&signer->id, signer->ssk, signer->pvt, w->out, signed_len,
				     signature) == ECCSI_OK;
}

bool mikey_make(const struct mikey_letter *letter, const struct mikey_signer *signer, uint8_t *out,
	size_t room, size_t *len, uint32_t *csb_id, bool *short_w, struct mikey_fault *fault)
{
	struct mikey_writer w = {.out = out, .room = room};
	if (!letter_ok(letter, fault))
		return false;
	if (!csb_id_find(letter, csb_id) || !write_body(&w, letter, *csb_id, short_w) ||
		!write_signature(&w, signer))
		return mikey_fail(fault, MIKEY_SAKKE_DATA, 0,
			"the message cannot be made: a key does not fit its identity, key "
			"parameters are too long, or a library failed");
	if (w.len > room)
		return mikey_fail(fault, MIKEY_MALFORMED, 0,
			"the message has %zu octets; accepted: at most %zu", w.len, room);
	*len = w.len;
	return true;
}
