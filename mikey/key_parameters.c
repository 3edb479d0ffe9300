// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "mikey/key_parameters.h"

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "crypto/mcdata.h"
#include "crypto/srtp.h"
#include "mikey/writer.h"

enum {
	NESTED_LEN = 3,     // octets: IEI and length around the parameters
	GROUP_ID_IEI = 0x7b // TS 24.282 15.2.14
};

// The plaintext, from its start to its end.
struct reader {
	const uint8_t *octets;
	size_t len, at;
	size_t octet; // of the message, for faults
	struct mikey_fault *fault;
};

static bool fail(const struct reader *r, const char *what)
{
	return mikey_fail(r->fault, MIKEY_KEY_PARAMETERS, r->octet, "key parameters: %s", what);
}

static uint64_t read_number(const uint8_t *p, unsigned n)
{
	uint64_t number = 0;
	for (unsigned i = 0; i < n; i++)
		number = number << 8 | p[i];
	return number;
}

static const uint8_t *take(struct reader *r, size_t n, const char *what)
{
	size_t left = r->len - r->at;
	if (n > left) {
		mikey_fail(r->fault, MIKEY_KEY_PARAMETERS, r->octet,
			"%s needs %zu octets at octet %zu of the key parameters, %zu are there",
			what, n, r->at, left);
		return NULL;
	}
	r->at += n;
	return r->octets + r->at - n;
}

// A length of two octets and what it is the length of.
static bool take_counted(struct reader *r, const char *what, struct mikey_octets *out)
{
	const uint8_t *len = take(r, 2, what);
	if (!len)
		return false;
	out->len = srtp_read16(len);
	out->octets = take(r, out->len, what);
	return out->octets;
}

// --- decryption (8.5.4)

// The message in the layout with a signalling algorithm or without. Nothing says which it is: the
// lengths and the DPPK-ID have to fit.
static bool layout_read(
	const struct mikey_message *message, bool signalling, struct mcdata_message *protected)
{
	const struct mikey_octets *data = &message->key_parameters;
	return mcdata_read(data->octets, data->len, signalling, protected) == MCDATA_OK &&
	       protected->header.dppk_id == message->csb_id;
}

static bool fail_layout(const struct reader *r, const struct mikey_message *message)
{
	const struct mikey_octets *data = &message->key_parameters;
	struct mcdata_message plain;
	enum mcdata_status status = mcdata_read(data->octets, data->len, false, &plain);
	if (status != MCDATA_OK)
		return fail(r, mcdata_status_text(status));
	return mikey_fail(r->fault, MIKEY_KEY_PARAMETERS, r->octet,
		"DPPK-ID of the key parameters is %08x; accepted: the CSB-ID, %08x",
		plain.header.dppk_id, message->csb_id);
}

static bool parameters_decrypt(struct reader *r, const struct mikey_message *message,
	const uint8_t *ssv, size_t ssv_len, uint8_t **out)
{
	bool fits = false;
	for (int signalling = 0; signalling < 2; signalling++) {
		struct mcdata_message protected;
		if (!layout_read(message, signalling, &protected))
			continue;
		fits = true;
		uint8_t *plaintext = malloc(protected.ciphertext_len + 1);
		if (!plaintext)
			return fail(r, "there is no memory for them");
		if (mcdata_unprotect(&protected, ssv, ssv_len, plaintext) == MCDATA_OK) {
			r->octets = *out = plaintext;
			r->len = protected.ciphertext_len;
			return true;
		}
		free(plaintext);
	}
	return fits ? fail(r, "they do not decrypt under the key of this message")
		    : fail_layout(r, message);
}

// --- the fields (E.6)

// Some senders leave out the information element around the parameters.
static void nested_enter(struct reader *r)
{
	if (r->len >= NESTED_LEN && srtp_read16(r->octets + 1) == r->len - NESTED_LEN)
		r->at = NESTED_LEN;
}

static bool groups_read(struct reader *r, struct mikey_key_parameters *p)
{
	struct mikey_octets ids;
	size_t begin = r->at + 2;
	if (!take_counted(r, "group IDs", &ids))
		return false;
	size_t end = r->at;
	r->at = begin;
	const uint8_t *count = take(r, 1, "number of group IDs");
	if (!count)
		return false;
	for (p->n_groups = 0; p->n_groups < *count; p->n_groups++) {
		struct mikey_octets *group = &p->groups[p->n_groups];
		const uint8_t *iei = take(r, 1, "group ID");
		if (!iei || !take_counted(r, "group ID", group))
			return false;
		if (*iei != GROUP_ID_IEI)
			return fail(r, "a group ID has another IEI than 7b");
		if (!mikey_uri_ok(group))
			return fail(r, "a group ID is no URI of 1 to 255 octets");
	}
	return r->at == end || fail(r, "the group IDs do not end where their length says");
}

// Elements that this version does not know.
static bool rest_skip(struct reader *r)
{
	while (r->at < r->len) {
		struct mikey_octets ignored;
		if (!take(r, 1, "information element") ||
			!take_counted(r, "information element", &ignored))
			return false;
	}
	return true;
}

// E.6.1 NOTE.
static bool type_has_groups(enum mikey_type type)
{
	return type == MIKEY_GMK || type == MIKEY_MKFC || type == MIKEY_MUSIK;
}

static bool text_ok(const struct mikey_octets *text)
{
	return text->len <= MIKEY_TEXT_MAX && !memchr(text->octets, 0, text->len) &&
	       utf8_valid(text->octets, text->len);
}

static bool fields_read(struct reader *r, enum mikey_type type, struct mikey_key_parameters *p)
{
	nested_enter(r);
	const uint8_t *key_type = take(r, 1, "key type");
	const uint8_t *status = key_type ? take(r, 4, "status") : NULL;
	const uint8_t *activation = status ? take(r, 5, "activation") : NULL;
	const uint8_t *expiry = activation ? take(r, 5, "expiry") : NULL;
	if (!expiry || !take_counted(r, "text", &p->text))
		return false;
	p->key_type = *key_type;
	p->status = (uint32_t)read_number(status, 4);
	p->activation = read_number(activation, 5);
	p->expiry = read_number(expiry, 5);
	if (!text_ok(&p->text))
		return fail(r, "the text is not UTF-8 of at most 255 octets");
	if (p->expiry != 0 && p->activation >= p->expiry)
		return fail(r, "activation is not before expiry");
	if (type_has_groups(type) && !groups_read(r, p))
		return false;
	return rest_skip(r);
}

bool mikey_key_parameters_read(const struct mikey_message *message, enum mikey_type type,
	const uint8_t *ssv, size_t ssv_len, bool any_key_type,
	struct mikey_key_parameters *parameters, struct mikey_fault *fault)
{
	struct reader r = {
		.octet = (size_t)(message->key_parameters.octets - message->whole.octets),
		.fault = fault};
	*parameters = (struct mikey_key_parameters){};
	if (!parameters_decrypt(&r, message, ssv, ssv_len, &parameters->octets))
		return false;
	bool ok = fields_read(&r, type, parameters);
	if (ok && parameters->key_type != type && !any_key_type)
		ok = mikey_fail(fault, MIKEY_KEY_TYPE, r.octet,
			"key type of the key parameters is %u; accepted: %u, as the purpose tag "
			"says "
			"%s",
			parameters->key_type, type, mikey_type_name(type));
	if (!ok)
		mikey_key_parameters_free(parameters);
	return ok;
}

static bool writable(const struct mikey_key_parameters *p)
{
	if ((p->text.len > 0 && !text_ok(&p->text)) || p->n_groups > MIKEY_GROUPS_MAX)
		return false;
	for (unsigned i = 0; i < p->n_groups; i++)
		if (!mikey_uri_ok(&p->groups[i]))
			return false;
	return p->activation <= MIKEY_KEY_TIME_MAX && p->expiry <= MIKEY_KEY_TIME_MAX &&
	       (p->expiry == 0 || p->activation < p->expiry);
}

static void write_groups(struct mikey_writer *w, const struct mikey_key_parameters *p)
{
	size_t len = 1;
	for (unsigned i = 0; i < p->n_groups; i++)
		len += 3 + p->groups[i].len;
	mikey_write_number(w, len, 2);
	mikey_write_number(w, p->n_groups, 1);
	for (unsigned i = 0; i < p->n_groups; i++) {
		mikey_write_number(w, GROUP_ID_IEI, 1);
		mikey_write_number(w, p->groups[i].len, 2);
		mikey_write(w, p->groups[i].octets, p->groups[i].len);
	}
}

size_t mikey_key_parameters_write(
	const struct mikey_key_parameters *parameters, enum mikey_type type, uint8_t *out)
{
	const struct mikey_key_parameters *p = parameters;
	struct mikey_writer w = {.out = out, .room = MIKEY_MESSAGE_MAX};
	if (!writable(p))
		return 0;
	mikey_write_number(&w, type, 1);
	mikey_write_number(&w, p->status, 4);
	mikey_write_number(&w, p->activation, 5);
	mikey_write_number(&w, p->expiry, 5);
	mikey_write_number(&w, p->text.len, 2);
	mikey_write(&w, p->text.octets, p->text.len);
	if (type_has_groups(type))
		write_groups(&w, p);
	return w.len <= w.room ? w.len : 0;
}

void mikey_key_parameters_free(struct mikey_key_parameters *parameters)
{
	free(parameters->octets);
	parameters->octets = NULL;
}
