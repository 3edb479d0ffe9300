// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "crypto/mcx_uid.h"

#include <stdbool.h>
#include <string.h>

#include <openssl/sha.h>

enum {
	INTEGER_MAX = 8, // octets
	LEN_LEN = 2,     // octets of each L
	INPUT_MAX = 1 + 15 + 2 * MCX_UID_URI_MAX + 3 * INTEGER_MAX + 6 * LEN_LEN
};

struct writer {
	uint8_t octets[INPUT_MAX];
	size_t len;
};

const char *mcx_uid_status_text(enum mcx_uid_status status)
{
	static const char *const texts[] = {
#define _(name, text) [MCX_UID_##name] = (text),
		MCX_UID_STATUSES(_)
#undef _
	};
	return texts[status];
}

static void param_write(struct writer *w, const void *octets, size_t len)
{
	memcpy(w->octets + w->len, octets, len);
	w->len += len;
	w->octets[w->len++] = (uint8_t)(len >> 8);
	w->octets[w->len++] = (uint8_t)len;
}

// The fewest octets, but one for zero.
static void integer_write(struct writer *w, uint64_t value)
{
	uint8_t octets[INTEGER_MAX];
	size_t first = INTEGER_MAX;
	do {
		octets[--first] = (uint8_t)value;
		value >>= 8;
	} while (value != 0);
	param_write(w, octets + first, INTEGER_MAX - first);
}

static bool uri_ok(const void *uri, size_t len)
{
	return len > 0 && len <= MCX_UID_URI_MAX && !memchr(uri, 0, len);
}

static enum mcx_uid_status period_check(uint32_t period, uint32_t offset)
{
	if (period < MCX_UID_PERIOD_MIN)
		return MCX_UID_PERIOD;
	return offset < period ? MCX_UID_OK : MCX_UID_OFFSET;
}

enum mcx_uid_status mcx_uid(const struct mcx_uid_input *input, uint8_t uid[MCX_UID_LEN])
{
	static const char fixed[15] = {
		'M', 'I', 'K', 'E', 'Y', '-', 'S', 'A', 'K', 'K', 'E', '-', 'U', 'I', 'D'};
	struct writer w = {.octets = {0x00}, .len = 1}; // FC
	if (!uri_ok(input->identity, input->identity_len))
		return MCX_UID_IDENTITY;
	if (!uri_ok(input->kms, input->kms_len))
		return MCX_UID_KMS;
	enum mcx_uid_status status = period_check(input->period, input->offset);
	if (status != MCX_UID_OK)
		return status;
	param_write(&w, fixed, sizeof(fixed));
	param_write(&w, input->identity, input->identity_len);
	param_write(&w, input->kms, input->kms_len);
	integer_write(&w, input->period);
	integer_write(&w, input->offset);
	integer_write(&w, input->period_no);
	uint8_t digest[MCX_UID_LEN];
	if (!SHA256(w.octets, w.len, digest))
		return MCX_UID_LIBRARY;
	memcpy(uid, digest, sizeof(digest));
	return MCX_UID_OK;
}

enum mcx_uid_status mcx_uid_period_no(
	uint32_t period, uint32_t offset, uint64_t ntp_seconds, uint64_t *period_no)
{
	enum mcx_uid_status status = period_check(period, offset);
	if (status != MCX_UID_OK)
		return status;
	if (ntp_seconds < offset)
		return MCX_UID_TIME;
	*period_no = (ntp_seconds - offset) / period;
	return MCX_UID_OK;
}
