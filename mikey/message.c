// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "mikey/message.h"

#include <string.h>

#include "base/utf8.h"
#include "crypto/srtp.h"

enum {
	MAP_AT = 10,               // octets of the header before the CS ID map info
	VERSION = 1,               // RFC 3830 6.1
	DATA_TYPE = 26,            // SAKKE message (RFC 6509 4.2)
	PRF_HMAC_SHA_256 = 1,      // RFC 6043 6.1
	TS_NTP_UTC = 0,            // RFC 3830 6.6
	SAKKE_SET_1 = 1,           // RFC 6509 4.2, with P-256
	SAKKE_ID_3GPP = 2,         // UID of TS 33.180 F.2.1
	SIGN_ECCSI = 2,            // RFC 6509 4.2
	CS_SRTP = 0,               // RFC 6043 6.1.1
	SRTP_ID_LEN = 9,           // octets: policy, SSRC, ROC
	SESSION_SSRC = 4,          // octets of session data
	SESSION_SSRC_ROC_SEQ = 10, // the same if S is 1
	SIGNATURE_HEADER_LEN = 2,  // octets, which the signature covers
	UID_BASE64_LEN = 44,       // octets
};

// Reads the message from its start to its end.
struct reader {
	struct mikey_message *message;
	struct mikey_fault *fault;
	const uint8_t *octets;
	size_t len, at;
	unsigned quirks;
	bool has_t;
};

// The next n octets; NULL with the fault filled in if there are fewer.
static const uint8_t *take(struct reader *r, size_t n, const char *what)
{
	size_t left = r->len - r->at;
	if (n > left) {
		mikey_fail(r->fault, MIKEY_MALFORMED, r->at,
			"%s needs %zu octets at octet %zu, %zu are there", what, n, r->at, left);
		return NULL;
	}
	const uint8_t *octets = r->octets + r->at;
	r->at += n;
	return octets;
}

static bool take_octets(struct reader *r, size_t n, const char *what, struct mikey_octets *out)
{
	*out = (struct mikey_octets){.octets = take(r, n, what), .len = n};
	return out->octets;
}

static bool fail_twice(struct reader *r, const char *what)
{
	return mikey_fail(r->fault, MIKEY_DUPLICATE_PAYLOAD, r->at, "%s stands twice", what);
}

// --- the header

static bool read_srtp_id_map(struct reader *r, unsigned n_cs)
{
	for (unsigned i = 0; i < n_cs; i++) {
		const uint8_t *entry = take(r, SRTP_ID_LEN, "crypto session");
		if (!entry)
			return false;
		if (i < MIKEY_CS_MAX)
			r->message->cs[i] = (struct mikey_cs){.id = (uint8_t)i, .policy = entry[0]};
	}
	return true;
}

// RFC 6043 6.1.1; what the fields say is looked at when the map is whole.
static bool read_generic_cs(struct reader *r, struct mikey_cs *cs)
{
	const uint8_t *head = take(r, 3, "crypto session");
	if (!head)
		return false;
	*cs = (struct mikey_cs){.id = head[0],
		.protocol = head[1],
		.s = head[2] >> 7,
		.n_policies = head[2] & 0x7f};
	const uint8_t *policies = take(r, cs->n_policies, "policies of a crypto session");
	const uint8_t *data_len = policies ? take(r, 2, "length of session data") : NULL;
	if (!data_len || !take_octets(r, srtp_read16(data_len), "session data", &cs->session_data))
		return false;
	if (cs->n_policies > 0)
		cs->policy = policies[0];
	const uint8_t *spi_len = take(r, 1, "length of a SPI");
	return spi_len && take_octets(r, *spi_len, "SPI", &cs->spi);
}

static bool generic_cs_ok(const struct reader *r, const struct mikey_cs *cs)
{
	const size_t data_len = cs->session_data.len;
	if (cs->protocol != CS_SRTP)
		return mikey_fail(r->fault, MIKEY_CS_MAP, MAP_AT,
			"crypto session %u has protocol %u; accepted: 0 (SRTP)", cs->id,
			cs->protocol);
	if (cs->n_policies != 1)
		return mikey_fail(r->fault, MIKEY_CS_MAP, MAP_AT,
			"crypto session %u has %u policies; accepted: 1", cs->id, cs->n_policies);
	unsigned wanted = cs->s ? SESSION_SSRC_ROC_SEQ : SESSION_SSRC;
	if (data_len != 0 && data_len != wanted)
		return mikey_fail(r->fault, MIKEY_CS_MAP, MAP_AT,
			"crypto session %u has %zu octets of session data; accepted: 0 or %u",
			cs->id, data_len, wanted);
	return true;
}

static bool read_generic_map(struct reader *r, unsigned n_cs)
{
	struct mikey_message *m = r->message;
	struct mikey_cs beyond;
	for (unsigned i = 0; i < n_cs; i++)
		if (!read_generic_cs(r, i < MIKEY_CS_MAX ? &m->cs[i] : &beyond))
			return false;
	for (unsigned i = 0; i < n_cs && i < MIKEY_CS_MAX; i++)
		if (!generic_cs_ok(r, &m->cs[i]))
			return false;
	return true;
}

static bool map_type_ok(const struct reader *r, unsigned n_cs, unsigned map_type)
{
	bool srtp_id = map_type == MIKEY_MAP_SRTP_ID;
	if (n_cs == 0 && map_type <= MIKEY_MAP_GENERIC_ID)
		return map_type == MIKEY_MAP_EMPTY || r->quirks & MIKEY_QUIRK_EMPTY_MAP_ANY_TYPE ||
		       mikey_fail(r->fault, MIKEY_CS_MAP, MAP_AT - 1,
			       "there is no crypto session and the CS ID map type is %u; "
			       "accepted: 1 (empty)",
			       map_type);
	if (map_type == MIKEY_MAP_EMPTY)
		return mikey_fail(r->fault, MIKEY_CS_MAP, MAP_AT - 1,
			"there are %u crypto sessions and an empty map; accepted: a map of type 2",
			n_cs);
	return map_type == MIKEY_MAP_GENERIC_ID ||
	       (srtp_id && r->quirks & MIKEY_QUIRK_SRTP_ID_MAP) ||
	       mikey_fail(r->fault, MIKEY_CS_MAP, MAP_AT - 1,
		       "CS ID map type is %u; accepted: 1 (empty), 2 (GENERIC-ID)", map_type);
}

static bool read_map(struct reader *r, unsigned n_cs, unsigned map_type)
{
	if (!map_type_ok(r, n_cs, map_type))
		return false;
	r->message->map_type = (uint8_t)map_type;
	r->message->n_cs = (uint8_t)n_cs;
	if (map_type == MIKEY_MAP_SRTP_ID ? !read_srtp_id_map(r, n_cs) : !read_generic_map(r, n_cs))
		return false;
	return n_cs <= MIKEY_CS_MAX ||
	       mikey_fail(r->fault, MIKEY_CS_MAP, MAP_AT - 2,
		       "there are %u crypto sessions; accepted: at most %u", n_cs, MIKEY_CS_MAX);
}

// HDR (RFC 3830 6.1).
static bool read_header(struct reader *r, uint8_t *next)
{
	const uint8_t *head = take(r, 1, "header");
	if (!head)
		return false;
	if (head[0] != VERSION)
		return mikey_fail(
			r->fault, MIKEY_VERSION, 0, "version is %u; accepted: 1", head[0]);
	if (!take(r, 3, "header"))
		return false;
	if (head[1] != DATA_TYPE)
		return mikey_fail(r->fault, MIKEY_DATA_TYPE, 1,
			"data type is %u; accepted: 26 (SAKKE)", head[1]);
	if (head[3] >> 7 != 0)
		return mikey_fail(r->fault, MIKEY_HEADER, 3, "the V bit is set; accepted: 0");
	if ((head[3] & 0x7f) != PRF_HMAC_SHA_256)
		return mikey_fail(r->fault, MIKEY_PRF, 3,
			"PRF function is %u; accepted: 1 (HMAC-SHA-256)", head[3] & 0x7f);
	const uint8_t *csb_id = take(r, 4, "header");
	const uint8_t *map = csb_id ? take(r, 2, "header") : NULL;
	if (!map)
		return false;
	*next = head[2];
	r->message->csb_id = srtp_read32(csb_id);
	return read_map(r, map[0], map[1]);
}

// --- payloads: what stands behind the octet that tells the next one; whole first, then what it says

static bool read_t(struct reader *r)
{
	if (r->has_t)
		return fail_twice(r, "T");
	const uint8_t *type = take(r, 1, "T");
	const uint8_t *value = type ? take(r, 8, "T") : NULL;
	if (!value)
		return false;
	if (*type != TS_NTP_UTC)
		return mikey_fail(r->fault, MIKEY_TIMESTAMP_TYPE, r->at - 9,
			"timestamp type is %u; accepted: 0 (NTP-UTC)", *type);
	r->message->ntp_seconds = srtp_read32(value);
	r->message->ntp_fraction = srtp_read32(value + 4);
	r->has_t = true;
	return true;
}

static bool read_rand(struct reader *r)
{
	struct mikey_octets *rand = &r->message->rand;
	if (rand->octets)
		return fail_twice(r, "RAND");
	const uint8_t *len = take(r, 1, "RAND");
	if (!len || !take_octets(r, *len, "RAND", rand))
		return false;
	return (*len >= MIKEY_RAND_MIN && *len <= MIKEY_RAND_MAX) ||
	       mikey_fail(r->fault, MIKEY_RAND_LENGTH, r->at - *len - 1,
		       "RAND has %u octets; accepted: %u to %u", *len, MIKEY_RAND_MIN,
		       MIKEY_RAND_MAX);
}

const char *mikey_party_name(enum mikey_party party)
{
	static const char *const names[] = {"IDRi", "IDRr", "IDRkmsi", "IDRkmsr"};
	return names[party];
}

// Whose identity a role is, and whether it is hidden (RFC 6043 6.6, TS 33.180 E.7).
static bool role_party(uint8_t role, enum mikey_party *party, bool *hidden)
{
	*hidden = role == 8 || role == 9;
	switch (role) {
	case 1:
	case 8:
		*party = MIKEY_INITIATOR;
		return true;
	case 2:
	case 9:
		*party = MIKEY_RECEIVER;
		return true;
	case 6:
		*party = MIKEY_INITIATOR_KMS;
		return true;
	case 7:
		*party = MIKEY_RECEIVER_KMS;
		return true;
	default:
		return false;
	}
}

bool mikey_uri_ok(const struct mikey_octets *uri)
{
	return uri->len > 0 && uri->len <= MIKEY_ID_MAX && !memchr(uri->octets, 0, uri->len) &&
	       utf8_valid(uri->octets, uri->len);
}

static bool id_value_ok(const struct reader *r, const struct mikey_identity *id, const char *name)
{
	const struct mikey_octets *value = &id->value;
	bool base64 = id->hidden && r->quirks & MIKEY_QUIRK_UID_BASE64;
	if (id->hidden && value->len != MIKEY_UID_LEN && !(base64 && value->len == UID_BASE64_LEN))
		return mikey_fail(r->fault, MIKEY_ID_VALUE, r->at - value->len,
			"%s has %zu octets; accepted: 32, a UID", name, value->len);
	if (id->hidden)
		return true;
	return mikey_uri_ok(value) ||
	       mikey_fail(r->fault, MIKEY_ID_VALUE, r->at - value->len,
		       "%s is no URI; accepted: 1 to %u octets of UTF-8 without NUL", name,
		       MIKEY_ID_MAX);
}

static bool read_idr(struct reader *r)
{
	const uint8_t *head = take(r, 4, "IDR");
	if (!head)
		return false;
	size_t begin = r->at;
	struct mikey_octets value;
	if (!take_octets(r, srtp_read16(head + 2), "IDR", &value))
		return false;
	enum mikey_party party;
	bool hidden;
	if (!role_party(head[0], &party, &hidden))
		return mikey_fail(r->fault, MIKEY_ID_ROLE, begin - 4,
			"IDR has role %u; accepted: 1, 2, 6, 7, 8, 9", head[0]);
	struct mikey_identity *id = &r->message->parties[party];
	const char *name = mikey_party_name(party);
	if (id->value.octets)
		return fail_twice(r, name);
	// A UID is taken as a URI (E.7 has no better) and as a byte string.
	if (head[1] != 1 && !(hidden && head[1] == 2))
		return mikey_fail(r->fault, MIKEY_ID_TYPE, begin - 3,
			"%s has type %u; accepted: 1 (URI)", name, head[1]);
	*id = (struct mikey_identity){.value = value, .hidden = hidden};
	return id_value_ok(r, id, name);
}

// Whether parameters are whole; what they say is read by mikey/profile.h.
static bool parameters_whole(struct reader *r, size_t end)
{
	while (r->at < end) {
		size_t left = end - r->at;
		size_t len = left >= 2 ? r->octets[r->at + 1] : 0;
		if (left < 2 || left - 2 < len)
			return mikey_fail(r->fault, MIKEY_MALFORMED, r->at,
				"SP parameter needs %zu octets at octet %zu, %zu are there",
				left < 2 ? 2 : len, left < 2 ? r->at : r->at + 2,
				left < 2 ? left : left - 2);
		r->at += 2 + len;
	}
	return true;
}

static bool read_sp(struct reader *r)
{
	struct mikey_message *m = r->message;
	const uint8_t *head = take(r, 4, "SP");
	if (!head)
		return false;
	if (m->n_policies == MIKEY_POLICIES_MAX)
		return mikey_fail(r->fault, MIKEY_PROFILE, r->at - 4,
			"there are more than %u SPs; accepted: at most that many",
			MIKEY_POLICIES_MAX);
	struct mikey_policy *policy = &m->policies[m->n_policies++];
	*policy = (struct mikey_policy){.number = head[0], .protocol = head[1]};
	size_t begin = r->at;
	if (!take_octets(r, srtp_read16(head + 2), "SP", &policy->parameters))
		return false;
	r->at = begin;
	return parameters_whole(r, begin + policy->parameters.len);
}

static bool read_extension(struct reader *r)
{
	const uint8_t *head = take(r, 3, "general extension");
	struct mikey_octets data;
	if (!head || !take_octets(r, srtp_read16(head + 1), "general extension", &data))
		return false;
	struct mikey_octets *known = head[0] == MIKEY_EXTENSION_SAKKE_TO_SELF ? &r->message->to_self
				     : head[0] == MIKEY_EXTENSION_KEY_PARAMETERS
					     ? &r->message->key_parameters
					     : NULL;
	if (known && known->octets)
		return fail_twice(r, head[0] == MIKEY_EXTENSION_SAKKE_TO_SELF
					     ? "general extension 6 (SAKKE-to-self)"
					     : "general extension 7 (key parameters)");
	if (known)
		*known = data;
	return true;
}

static bool read_sakke(struct reader *r)
{
	struct mikey_octets *sed = &r->message->sed;
	if (sed->octets)
		return fail_twice(r, "SAKKE");
	const uint8_t *head = take(r, 4, "SAKKE");
	if (!head)
		return false;
	size_t begin = r->at;
	if (!take_octets(r, srtp_read16(head + 2), "SAKKE data", sed))
		return false;
	if (head[0] != SAKKE_SET_1)
		return mikey_fail(r->fault, MIKEY_SAKKE_PARAMS, begin - 4,
			"SAKKE parameter set is %u; accepted: 1", head[0]);
	if (head[1] != SAKKE_ID_3GPP)
		return mikey_fail(r->fault, MIKEY_ID_SCHEME, begin - 3,
			"SAKKE ID scheme is %u; accepted: 2 (3GPP MCX hashed UID)", head[1]);
	if (sed->len != MIKEY_SED_LEN)
		return mikey_fail(r->fault, MIKEY_KEY_LENGTH, r->at - sed->len,
			"SAKKE data has %zu octets; accepted: %u, for a key of 16 octets", sed->len,
			MIKEY_SED_LEN);
	return true;
}

// S type and length are in one with the message that is signed (RFC 3830 6.5); behind the signature there is nothing.
static bool read_sign(struct reader *r)
{
	const uint8_t *head = take(r, SIGNATURE_HEADER_LEN, "SIGN");
	if (!head)
		return false;
	unsigned type = head[0] >> 4, len = srtp_read16(head) & 0xfff;
	if (type != SIGN_ECCSI)
		return mikey_fail(r->fault, MIKEY_SIGN_TYPE, r->at - 2,
			"S type is %u; accepted: 2 (ECCSI)", type);
	if (len != MIKEY_SIGNATURE_LEN)
		return mikey_fail(r->fault, MIKEY_SIGN_LENGTH, r->at - 2,
			"signature length is %u; accepted: %u", len, MIKEY_SIGNATURE_LEN);
	r->message->signed_len = r->at;
	r->message->signature = take(r, len, "signature");
	if (!r->message->signature)
		return false;
	if (r->at != r->len)
		return mikey_fail(r->fault, MIKEY_TRAILING_OCTETS, r->at,
			"%zu octets follow the signature; accepted: none", r->len - r->at);
	return true;
}

static bool fail_payload(struct reader *r, uint8_t type)
{
	// RFC 3830 6.1, RFC 6043 6.1: KEMAC to TICKET, key data.
	if (type <= 17 || type == 20)
		return mikey_fail(r->fault, MIKEY_UNEXPECTED_PAYLOAD, r->at,
			"payload type %u has no place in an I_MESSAGE; accepted: 4, 5, 10, 11, 14, "
			"21, 26",
			type);
	return mikey_fail(r->fault, MIKEY_UNKNOWN_PAYLOAD, r->at,
		"payload type %u at octet %zu is not known; accepted: 4, 5, 10, 11, 14, 21, 26",
		type, r->at);
}

static bool read_payload(struct reader *r, uint8_t type, uint8_t *next)
{
	*next = MIKEY_LAST;
	if (type == MIKEY_SIGN) // the only one that tells no next one
		return read_sign(r);
	static bool (*const readers[])(struct reader *r) = {
		[MIKEY_T] = read_t,
		[MIKEY_SP] = read_sp,
		[MIKEY_RAND] = read_rand,
		[MIKEY_IDR] = read_idr,
		[MIKEY_EXTENSION] = read_extension,
		[MIKEY_SAKKE] = read_sakke,
	};
	if (type >= sizeof(readers) / sizeof(*readers) || !readers[type])
		return fail_payload(r, type);
	const uint8_t *octet = take(r, 1, "payload");
	if (!octet)
		return false;
	*next = *octet;
	return readers[type](r);
}

static void place_note(struct reader *r, uint8_t type)
{
	struct mikey_message *m = r->message;
	if (m->n_places < MIKEY_PLACES_MAX)
		m->places[m->n_places++] =
			(struct mikey_place){.type = type, .octet = (uint16_t)r->at};
}

static bool fail_missing(struct reader *r, const char *what)
{
	return mikey_fail(r->fault, MIKEY_MISSING_PAYLOAD, r->len, "there is no %s", what);
}

static bool message_complete(struct reader *r)
{
	const struct mikey_message *m = r->message;
	if (!m->signature)
		return fail_missing(r, "SIGN at the end");
	if (!r->has_t)
		return fail_missing(r, "T");
	if (!m->rand.octets)
		return fail_missing(r, "RAND");
	if (!m->sed.octets)
		return fail_missing(r, "SAKKE");
	bool kms_defaults = r->quirks & MIKEY_QUIRK_KMS_DEFAULTS;
	for (enum mikey_party i = 0; i < MIKEY_N_PARTIES; i++)
		if (!m->parties[i].value.octets && !(kms_defaults && i >= MIKEY_INITIATOR_KMS))
			return fail_missing(r, mikey_party_name(i));
	return true;
}

bool mikey_decode(const uint8_t *octets, size_t len, unsigned quirks, struct mikey_message *message,
	struct mikey_fault *fault)
{
	struct reader r = {
		.message = message, .fault = fault, .octets = octets, .len = len, .quirks = quirks};
	*message = (struct mikey_message){.whole = {.octets = octets, .len = len}};
	if (len > MIKEY_MESSAGE_MAX)
		return mikey_fail(fault, MIKEY_MALFORMED, MIKEY_MESSAGE_MAX,
			"the message has %zu octets; accepted: at most %u", len, MIKEY_MESSAGE_MAX);
	uint8_t type = MIKEY_LAST;
	if (!read_header(&r, &type))
		return false;
	while (type != MIKEY_LAST) {
		place_note(&r, type);
		if (!read_payload(&r, type, &type))
			return false;
	}
	return message_complete(&r);
}
