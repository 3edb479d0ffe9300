// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

// libFuzzer entry: the input as an I_MESSAGE, with all quirks and with none, and as the plaintext of
// key parameters. Whatever is read points into what was given.

#include <stdlib.h>
#include <string.h>

#include "crypto/mcdata.h"
#include "mikey/key_parameters.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t key[16] = {42};

static void require(bool fact)
{
	if (!fact)
		abort();
}

static void require_inside(const struct mikey_octets *whole, const struct mikey_octets *part)
{
	if (part->octets)
		require(part->octets >= whole->octets &&
			part->octets + part->len <= whole->octets + whole->len);
}

static void message_read(const uint8_t *data, size_t size, unsigned quirks)
{
	struct mikey_message m;
	struct mikey_fault fault = {};
	if (!mikey_decode(data, size, quirks, &m, &fault)) {
		require(fault.reason != MIKEY_NONE && fault.octet <= size && fault.text[0]);
		return;
	}
	require_inside(&m.whole, &m.rand);
	require_inside(&m.whole, &m.sed);
	require_inside(&m.whole, &m.to_self);
	require_inside(&m.whole, &m.key_parameters);
	for (unsigned i = 0; i < MIKEY_N_PARTIES; i++)
		require_inside(&m.whole, &m.parties[i].value);
	for (unsigned i = 0; i < m.n_policies; i++)
		require_inside(&m.whole, &m.policies[i].parameters);
	require(m.n_cs <= MIKEY_CS_MAX && m.signature == data + m.signed_len);
	require(m.signed_len + MIKEY_SIGNATURE_LEN == size);
	enum mikey_type type;
	struct mikey_profile profile;
	struct mikey_key_parameters p;
	if (mikey_message_type(&m, &type, &fault))
		mikey_profile_read(&m, type, &profile, &fault);
	if (m.key_parameters.octets &&
		mikey_key_parameters_read(&m, MIKEY_GMK, key, sizeof(key), true, &p, &fault))
		mikey_key_parameters_free(&p);
}

static void parameters_read(const uint8_t *data, size_t size)
{
	struct mcdata_header header = {
		.message_type = MCDATA_PROTECTED_BIT, .algorithm = MCDATA_DP_AES_128_GCM};
	size_t len = 0, room = mcdata_protected_len(&header, size);
	uint8_t *out = malloc(room);
	require(out && mcdata_protect(&header, key, sizeof(key), data, size, out, room, &len) ==
			       MCDATA_OK);
	struct mikey_message m = {.whole = {.octets = out, .len = len}};
	m.key_parameters = m.whole;
	struct mikey_key_parameters p;
	struct mikey_fault fault = {};
	if (mikey_key_parameters_read(&m, MIKEY_GMK, key, sizeof(key), true, &p, &fault)) {
		struct mikey_octets plaintext = {.octets = p.octets, .len = size};
		require_inside(&plaintext, &p.text);
		for (unsigned i = 0; i < p.n_groups; i++)
			require_inside(&plaintext, &p.groups[i]);
		mikey_key_parameters_free(&p);
	} else {
		require(fault.reason == MIKEY_KEY_PARAMETERS && fault.text[0]);
	}
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	message_read(data, size, 0);
	message_read(data, size, ~0U);
	parameters_read(data, size);
	return 0;
}
