// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "mikey/open.h"

#include <openssl/evp.h>
#include <openssl/sha.h>
#include <string.h>

#include "base/secmem.h"
#include "crypto/mcx_kdf.h"
#include "mikey/authority.h"
#include "mikey/ntp.h"

enum { ALL_QUIRKS = ~0 };

static const struct mikey_octets *party_of(
	const struct mikey_message *message, enum mikey_party party)
{
	return &message->parties[party].value;
}

static size_t octet_of(const struct mikey_message *message, enum mikey_party party)
{
	if (message->parties[party].assumed)
		return 0;
	return (size_t)(party_of(message, party)->octets - message->whole.octets);
}

// For "%.*s".
#define TEXT(octets_) (int)(octets_)->len, (const char *)(octets_)->octets

// --- decoding: what a KMS lets its users depart in is known when the KMS is

static bool uid_decode(const struct mikey_octets *value, uint8_t uid[MCX_UID_LEN])
{
	if (value->len == MCX_UID_LEN) {
		memcpy(uid, value->octets, MCX_UID_LEN);
		return true;
	}
	uint8_t octets[64];
	return EVP_DecodeBlock(octets, value->octets, (int)value->len) == MCX_UID_LEN + 1 &&
	       memcpy(uid, octets, MCX_UID_LEN);
}

// KMSs that a message does not name are that of the receiver here, if it lets its users do so.
static bool kmss_assume(
	const struct mikey_directory *directory, struct mikey_message *m, struct mikey_fault *fault)
{
	const struct mikey_identity *receiver = &m->parties[MIKEY_RECEIVER];
	struct mikey_identity *own = &m->parties[MIKEY_RECEIVER_KMS];
	struct mikey_identity *initiators = &m->parties[MIKEY_INITIATOR_KMS];
	const struct mikey_kms *kms = NULL;
	uint8_t uid[MCX_UID_LEN];
	if (own->value.octets && initiators->value.octets)
		return true;
	if (own->value.octets)
		kms = directory->kms(directory->arg, &own->value);
	else if (!receiver->hidden || uid_decode(&receiver->value, uid))
		kms = directory->assumed(
			directory->arg, receiver->hidden ? NULL : &receiver->value, uid);
	if (!kms || !(kms->quirks & MIKEY_QUIRK_KMS_DEFAULTS))
		return mikey_fail(fault, MIKEY_MISSING_PAYLOAD, m->whole.len, "there is no %s",
			mikey_party_name(initiators->value.octets ? MIKEY_RECEIVER_KMS
								  : MIKEY_INITIATOR_KMS));
	if (!own->value.octets)
		*own = (struct mikey_identity){.value = kms->uri, .assumed = true};
	if (!initiators->value.octets)
		*initiators = (struct mikey_identity){.value = kms->uri, .assumed = true};
	return true;
}

// Reads a message with departures, those of KMSs that are not named among them.
static bool decode_with(const struct mikey_request *request,
	const struct mikey_directory *directory, unsigned quirks, struct mikey_message *m,
	struct mikey_fault *fault)
{
	return mikey_decode(request->octets, request->len, quirks, m, fault) &&
	       kmss_assume(directory, m, fault);
}

// Whose users have sent the message, if it can be read at all with some departure.
static unsigned quirks_accepted(
	const struct mikey_request *request, const struct mikey_directory *directory)
{
	struct mikey_message m;
	struct mikey_fault ignored;
	if (!decode_with(request, directory, (unsigned)ALL_QUIRKS, &m, &ignored))
		return 0;
	const struct mikey_kms *kms =
		directory->kms(directory->arg, party_of(&m, MIKEY_INITIATOR_KMS));
	unsigned assumed =
		m.parties[MIKEY_INITIATOR_KMS].assumed || m.parties[MIKEY_RECEIVER_KMS].assumed
			? MIKEY_QUIRK_KMS_DEFAULTS
			: 0;
	return kms ? (kms->quirks & ~(unsigned)MIKEY_QUIRK_KMS_DEFAULTS) | assumed : assumed;
}

// Of the departures with which a message was read those without which it cannot be.
static unsigned departures_find(const struct mikey_request *request,
	const struct mikey_directory *directory, unsigned quirks)
{
	struct mikey_message m;
	struct mikey_fault ignored;
	unsigned departed = 0;
	for (unsigned quirk = 1; quirk != 0 && quirk <= quirks; quirk <<= 1)
		if (quirks & quirk &&
			!decode_with(request, directory, quirks & ~quirk, &m, &ignored))
			departed |= quirk;
	return departed;
}

static bool message_decode(const struct mikey_request *request,
	const struct mikey_directory *directory, struct mikey_opening *o, struct mikey_fault *fault)
{
	if (mikey_decode(request->octets, request->len, 0, &o->message, fault))
		return true;
	unsigned quirks = quirks_accepted(request, directory);
	if (quirks == 0 || !decode_with(request, directory, quirks, &o->message, fault))
		return false;
	o->departed = departures_find(request, directory, quirks);
	return true;
}

// --- time

static bool time_ok(
	const struct mikey_request *request, struct mikey_opening *o, struct mikey_fault *fault)
{
	o->now = request->now;
	o->time = mikey_unix_time(o->message.ntp_seconds, request->now);
	if (o->time > request->now && o->time - request->now > request->ahead)
		return mikey_fail(fault, MIKEY_TIMESTAMP_FUTURE, 0,
			"made %llu s ahead of this clock, which says %llu; accepted: %llu",
			(unsigned long long)(o->time - request->now),
			(unsigned long long)request->now, (unsigned long long)request->ahead);
	if (request->max_age != 0 && o->time < request->now &&
		request->now - o->time > request->max_age)
		return mikey_fail(fault, MIKEY_TIMESTAMP_OLD, 0,
			"made %llu s ago by this clock, which says %llu; accepted: %llu",
			(unsigned long long)(request->now - o->time),
			(unsigned long long)request->now, (unsigned long long)request->max_age);
	return true;
}

// --- KMSs

static bool kms_find(const struct mikey_directory *directory, const struct mikey_opening *o,
	enum mikey_party party, const struct mikey_kms **out, struct mikey_fault *fault)
{
	const struct mikey_octets *uri = party_of(&o->message, party);
	const size_t octet = octet_of(&o->message, party);
	const struct mikey_kms *kms = directory->kms(directory->arg, uri);
	if (!kms)
		return mikey_fail(fault, MIKEY_UNKNOWN_KMS, octet,
			"%s is %.*s, of which no certificate is installed", mikey_party_name(party),
			TEXT(uri));
	*out = kms;
	return mikey_kms_usable(kms, o->time, mikey_party_name(party), octet, fault);
}

// The number of the key period that the message was made in, by a KMS.
static bool period_find(
	const struct mikey_kms *kms, uint64_t time, uint64_t *period_no, struct mikey_fault *fault)
{
	return mcx_uid_period_no(kms->period, kms->offset, time + MIKEY_NTP_UNIX, period_no) ==
		       MCX_UID_OK ||
	       mikey_fail(fault, MIKEY_KMS_NOT_VALID, 0, "%.*s has no such key period",
		       TEXT(&kms->uri));
}

// --- the receiver

static const struct mikey_local *receiver_find(
	const struct mikey_directory *directory, const struct mikey_opening *o)
{
	const struct mikey_identity *id = &o->message.parties[MIKEY_RECEIVER];
	uint8_t uid[MCX_UID_LEN];
	if (!id->hidden)
		return directory->local(directory->arg, o->receiver_kms, &id->value);
	return uid_decode(&id->value, uid) ? directory->hidden(directory->arg, o->receiver_kms, uid)
					   : NULL;
}

static bool receiver_ok(
	const struct mikey_directory *directory, struct mikey_opening *o, struct mikey_fault *fault)
{
	const size_t octet = octet_of(&o->message, MIKEY_RECEIVER);
	o->receiver = receiver_find(directory, o);
	if (!o->receiver)
		return mikey_fail(fault, MIKEY_NOT_FOR_US, octet,
			"no identity here is the receiver under %.*s", TEXT(&o->receiver_kms->uri));
	if (!period_find(o->receiver_kms, o->time, &o->receiver_period_no, fault))
		return false;
	if (o->receiver->derived)
		return true;
	for (size_t i = 0; i < o->receiver->n_sets; i++)
		if (o->receiver->sets[i].period_no == o->receiver_period_no) {
			o->key_set = &o->receiver->sets[i];
			return true;
		}
	return mikey_fail(fault, MIKEY_NO_KEY_MATERIAL, octet,
		"%.*s has no key set for period %llu", TEXT(&o->receiver->uri),
		(unsigned long long)o->receiver_period_no);
}

// --- the initiator

static bool uid_of(
	const struct mikey_opening *o, const struct mikey_octets *uri, uint8_t uid[MCX_UID_LEN])
{
	const struct mikey_kms *kms = o->initiator_kms;
	struct mcx_uid_input input = {.identity = uri->octets,
		.identity_len = uri->len,
		.kms = kms->uri.octets,
		.kms_len = kms->uri.len,
		.period = kms->period,
		.offset = kms->offset,
		.period_no = o->initiator_period_no};
	return mcx_uid(&input, uid) == MCX_UID_OK;
}

// Whether the URI gives the UID that the message has; then it is the initiator.
static bool initiator_try(
	struct mikey_opening *o, const struct mikey_octets *uri, const uint8_t uid[MCX_UID_LEN])
{
	uint8_t other[MCX_UID_LEN];
	if (!uid_of(o, uri, other) || memcmp(uid, other, MCX_UID_LEN) != 0)
		return false;
	o->initiator = *uri;
	return true;
}

// Who SIP names, else a GMS or an MDSI of the KMS.
static bool initiator_resolve(
	const struct mikey_request *request, struct mikey_opening *o, struct mikey_fault *fault)
{
	const struct mikey_kms *kms = o->initiator_kms;
	if (!uid_decode(party_of(&o->message, MIKEY_INITIATOR), o->initiator_uid))
		return mikey_fail(fault, MIKEY_ID_VALUE, octet_of(&o->message, MIKEY_INITIATOR),
			"IDRi is no base64 of a UID");
	if (request->initiator.octets && initiator_try(o, &request->initiator, o->initiator_uid))
		return true;
	for (size_t i = 0; !request->initiator.octets && i < kms->n_gms; i++)
		if (initiator_try(o, &kms->gms[i], o->initiator_uid))
			return true;
	for (size_t i = 0; !request->initiator.octets && i < kms->n_mdsi; i++)
		if (initiator_try(o, &kms->mdsi[i], o->initiator_uid))
			return true;
	return mikey_fail(fault, MIKEY_INITIATOR_HIDDEN, octet_of(&o->message, MIKEY_INITIATOR),
		"no known URI gives the UID in IDRuidi; accepted: the URI that SIP names, a GMS or "
		"an MDSI of the KMS");
}

static bool initiator_ok(
	const struct mikey_request *request, struct mikey_opening *o, struct mikey_fault *fault)
{
	const struct mikey_identity *id = &o->message.parties[MIKEY_INITIATOR];
	const size_t octet = octet_of(&o->message, MIKEY_INITIATOR);
	if (!period_find(o->initiator_kms, o->time, &o->initiator_period_no, fault))
		return false;
	if (id->hidden)
		return initiator_resolve(request, o, fault);
	if (request->initiator.octets && !mikey_octets_equal(&id->value, &request->initiator))
		return mikey_fail(fault, MIKEY_INITIATOR_OTHER, octet,
			"IDRi is %.*s; accepted: %.*s, as SIP says", TEXT(&id->value),
			TEXT(&request->initiator));
	o->initiator = id->value;
	return uid_of(o, &o->initiator, o->initiator_uid) ||
	       mikey_fail(fault, MIKEY_ID_VALUE, octet, "IDRi gives no UID");
}

static bool authority_ok(const struct mikey_opening *o, struct mikey_fault *fault)
{
	const struct mikey_delivery delivery = {.type = o->type,
		.kms = o->initiator_kms,
		.initiator = o->initiator,
		.receiver = o->receiver->role};
	return mikey_authority_ok(&delivery, fault);
}

bool mikey_open_begin(const struct mikey_request *request, const struct mikey_directory *directory,
	struct mikey_opening *opening, struct mikey_fault *fault)
{
	struct mikey_opening *o = opening;
	const struct mikey_message *m = &o->message;
	*o = (struct mikey_opening){};
	if (!message_decode(request, directory, o, fault) ||
		!mikey_message_type(m, &o->type, fault) ||
		!mikey_profile_read(m, o->type, &o->profile, fault) ||
		!time_ok(request, o, fault) ||
		!kms_find(directory, o, MIKEY_INITIATOR_KMS, &o->initiator_kms, fault) ||
		!kms_find(directory, o, MIKEY_RECEIVER_KMS, &o->receiver_kms, fault) ||
		!receiver_ok(directory, o, fault) || !initiator_ok(request, o, fault) ||
		!authority_ok(o, fault))
		return false;
	o->quirks = o->initiator_kms->quirks;
	SHA256(m->whole.octets, m->signed_len, o->digest);
	return true;
}

// --- signature and key

static bool signature_ok(
	const struct mikey_opening *o, unsigned *departed, struct mikey_fault *fault)
{
	const struct mikey_message *m = &o->message;
	struct eccsi_signer signer = {
		.kpak = o->initiator_kms->kpak, .id = o->initiator_uid, .id_len = MCX_UID_LEN};
	const size_t sign_header_len = 2;
	bool ok = eccsi_verify(&signer, m->whole.octets, m->signed_len, m->signature) == ECCSI_OK;
	if (!ok && o->quirks & MIKEY_QUIRK_SIGNED_WITHOUT_SIGN_HEADER) {
		ok = eccsi_verify(&signer, m->whole.octets, m->signed_len - sign_header_len,
			     m->signature) == ECCSI_OK;
		*departed |= MIKEY_QUIRK_SIGNED_WITHOUT_SIGN_HEADER;
	}
	return ok || mikey_fail(fault, MIKEY_SIGNATURE, m->signed_len,
			     "does not verify under %.*s, period %llu; accepted: a signature of "
			     "the key that this KMS gave this initiator for that period",
			     TEXT(&o->initiator), (unsigned long long)o->initiator_period_no);
}

bool mikey_signature_ok(const struct mikey_opening *opening, struct mikey_fault *fault)
{
	unsigned departed = 0;
	return signature_ok(opening, &departed, fault);
}

// A GMK's CSB-ID is the receiver's GUK-ID (5.2.3), any other key's its id.
static bool key_id_find(
	const struct mikey_opening *o, struct mikey_opened *opened, struct mikey_fault *fault)
{
	opened->key_id = o->message.csb_id;
	if (o->type != MIKEY_GMK)
		return true;
	char uri[MIKEY_ID_MAX + 1] = "";
	memcpy(uri, o->receiver->uri.octets, o->receiver->uri.len);
	return mcx_guk_id(opened->ssv, sizeof(opened->ssv), o->message.csb_id, uri,
		       &opened->key_id) == 0 ||
	       mikey_fail(fault, MIKEY_SAKKE_DATA, 0, "the GMK-ID cannot be derived");
}

// The MKI of packets: the id, of a GMK also with the receiver's GUK-ID behind it; or not given.
static bool spi_ok(const struct mikey_opening *o, const struct mikey_octets *spi, uint32_t key_id)
{
	const uint32_t csb_id = o->message.csb_id;
	const uint8_t mki[8] = {(uint8_t)(key_id >> 24), (uint8_t)(key_id >> 16),
		(uint8_t)(key_id >> 8), (uint8_t)key_id, (uint8_t)(csb_id >> 24),
		(uint8_t)(csb_id >> 16), (uint8_t)(csb_id >> 8), (uint8_t)csb_id};
	return spi->len == 0 || ((spi->len == 4 || (spi->len == 8 && o->type == MIKEY_GMK)) &&
					memcmp(spi->octets, mki, spi->len) == 0);
}

static bool spis_ok(const struct mikey_opening *o, uint32_t key_id, struct mikey_fault *fault)
{
	for (unsigned i = 0; i < o->message.n_cs; i++) {
		const struct mikey_cs *cs = &o->message.cs[i];
		if (!spi_ok(o, &cs->spi, key_id))
			return mikey_fail(fault, MIKEY_SPI, 0,
				"the SPI of crypto session %u does not name the key %08x", cs->id,
				key_id);
	}
	return true;
}

static bool parameters_ok(
	const struct mikey_opening *o, struct mikey_opened *opened, struct mikey_fault *fault)
{
	struct mikey_key_parameters *p = &opened->parameters;
	if (!o->message.key_parameters.octets)
		return true;
	if (!mikey_key_parameters_read(&o->message, o->type, opened->ssv, sizeof(opened->ssv),
		    o->quirks & MIKEY_QUIRK_KEY_TYPE_MISMATCH, p, fault))
		return false;
	if (p->key_type != (uint8_t)o->type)
		opened->departed |= MIKEY_QUIRK_KEY_TYPE_MISMATCH;
	opened->has_parameters = true;
	opened->revoked = !(p->status & MIKEY_STATUS_NOT_REVOKED);
	if (p->expiry != 0 && p->expiry <= o->now)
		return mikey_fail(fault, MIKEY_KEY_EXPIRED, 0, "the key expired at %llu",
			(unsigned long long)p->expiry);
	return true;
}

bool mikey_open_finish(
	const struct mikey_opening *opening, struct mikey_opened *opened, struct mikey_fault *fault)
{
	const struct mikey_opening *o = opening;
	*opened = (struct mikey_opened){.departed = o->departed};
	if (!signature_ok(o, &opened->departed, fault))
		return false;
	const uint8_t *sed = o->message.sed.octets;
	enum sakke_status status = sakke_decapsulate(o->key_set->receiver, sed, false, opened->ssv);
	if (status == SAKKE_TEST && o->quirks & MIKEY_QUIRK_UNPADDED_W) {
		status = sakke_decapsulate(o->key_set->receiver, sed, true, opened->ssv);
		opened->departed |= MIKEY_QUIRK_UNPADDED_W;
	}
	bool ok = status == SAKKE_OK ||
		  mikey_fail(fault, MIKEY_SAKKE_DATA,
			  (size_t)(o->message.sed.octets - o->message.whole.octets), "%s",
			  sakke_status_text(status));
	ok = ok && key_id_find(o, opened, fault) && spis_ok(o, opened->key_id, fault) &&
	     parameters_ok(o, opened, fault);
	if (!ok)
		mikey_opened_free(opened);
	return ok;
}

void mikey_opened_free(struct mikey_opened *opened)
{
	mikey_key_parameters_free(&opened->parameters);
	secmem_wipe(opened, sizeof(*opened));
}
