// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <getopt.h>
#include <string.h>

#include "base/hex.h"
#include "base/secmem.h"
#include "crypto/mcx_kdf.h"
#include "crypto/mikey_prf.h"
#include "crypto/srtp.h"
#include "crypto/srtp_kdf.h"
#include "ctl/commands.h"
#include "ctl/ctl.h"

// Keys for those who test or debug without a relay.

struct derivation {
	uint8_t key[32], rand[MIKEY_RAND_MAX];
	size_t key_len, rand_len;
	uint32_t id;
	unsigned cs_id;
	int suite;
	const char *user;
	bool has_id, has_cs_id;
};

static bool id_read(const char *text, uint32_t *id)
{
	uint8_t octets[4];
	if (!hex_decode(text, octets, sizeof(octets)))
		return false;
	*id = srtp_read32(octets);
	return true;
}

static int option_read(struct derivation *d, int option, const char *text)
{
	switch (option) {
	case 'k':
		d->key_len = hex_decode_range(text, d->key, 16, 32);
		if (d->key_len != 16 && d->key_len != 32)
			return ctl_fail("--key is no key; accepted: 32 or 64 hex digits");
		return 0;
	case 'b':
	case 'd':
		d->has_id = id_read(text, &d->id);
		return d->has_id ? 0
				 : ctl_fail("--%s is no id; accepted: 8 hex digits",
					   option == 'b' ? "csb-id" : "key-id");
	case 'i':
		d->has_cs_id = ctl_number_read(text, 255, &d->cs_id);
		return d->has_cs_id ? 0 : ctl_fail("--cs-id is no number; accepted: 0 to 255");
	case 'r':
		d->rand_len = hex_decode_range(text, d->rand, MIKEY_RAND_MIN, MIKEY_RAND_MAX);
		return d->rand_len ? 0
				   : ctl_fail("--rand is no RAND; accepted: 32 to 128 hex digits");
	case 'S':
		d->suite = srtp_suite_from_name(text);
		return d->suite >= 0 ? 0
				     : ctl_fail("--suite is unknown; accepted: aead-aes-128-gcm, "
						"aead-aes-256-gcm, aes-cm-128-hmac-sha1-80, "
						"aes-cm-128-hmac-sha1-32");
	case 'u':
		d->user = text;
		return *text ? 0
			     : ctl_fail("--user is empty; accepted: the URI of an MC service user");
	default:
		return ctl_fail("see mcxctl --help");
	}
}

static int options_read(struct derivation *d, int argc, char **argv, const struct option *options)
{
	int status = 0;
	optind = 0; // a new run over other arguments
	int option;
	while (status == 0 && (option = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		if (option == '?' || option == ':')
			status = ctl_option_refused(argc, argv, option);
		else
			status = option_read(d, option, optarg);
	}
	if (status == 0 && optind < argc)
		status = ctl_fail("there is an argument too many; see mcxctl --help");
	return status;
}

static json_t *hex_show(const uint8_t *octets, size_t len)
{
	char text[2 * MIKEY_TGK_MAX + 1];
	hex_encode(octets, len, text);
	json_t *out = json_string(text);
	secmem_wipe(text, sizeof(text));
	return out;
}

static json_t *session_show(
	const struct srtp_master *master, enum srtp_suite suite, enum srtp_protocol protocol)
{
	struct srtp_session session;
	if (srtp_kdf(master, suite, protocol, &session) != 0)
		return NULL;
	uint8_t key_len = srtp_suite_key_len(suite);
	json_t *out = json_pack("{s:o,s:o}", "session_key", hex_show(session.key, key_len),
		"session_salt", hex_show(session.salt, srtp_suite_salt_len(suite)));
	if (!srtp_suite_is_aead(suite))
		json_object_set_new(
			out, "auth_key", hex_show(session.key + key_len, SRTP_AUTH_KEY_LEN));
	secmem_wipe(&session, sizeof(session));
	return out;
}

static int derive_print(const struct derivation *d)
{
	struct srtp_master master;
	enum srtp_suite suite = (enum srtp_suite)d->suite;
	if (mikey_derive_master(d->key, d->key_len, (uint8_t)d->cs_id, d->id, d->rand, d->rand_len,
		    suite, &master) != 0)
		return ctl_fail("the key cannot be derived: OpenSSL failed");
	json_t *srtp = session_show(&master, suite, SRTP_RTP);
	json_t *srtcp = session_show(&master, suite, SRTP_RTCP);
	json_t *out = json_pack("{s:o,s:o,s:o,s:o}", "master_key",
		hex_show(master.key, srtp_suite_key_len(suite)), "master_salt",
		hex_show(master.salt, srtp_suite_salt_len(suite)), "srtp", srtp, "srtcp", srtcp);
	secmem_wipe(&master, sizeof(master));
	return out ? ctl_json_print(out) : ctl_fail("the key cannot be derived: OpenSSL failed");
}

int ctl_derive(int argc, char **argv)
{
	static const struct option options[] = {
		{"key", required_argument, NULL, 'k'},
		{"csb-id", required_argument, NULL, 'b'},
		{"cs-id", required_argument, NULL, 'i'},
		{"rand", required_argument, NULL, 'r'},
		{"suite", required_argument, NULL, 'S'},
		{},
	};
	struct derivation d = {.suite = SRTP_AEAD_AES_128_GCM};
	int status = options_read(&d, argc, argv, options);
	if (status == 0 && (d.key_len == 0 || !d.has_id || !d.has_cs_id || d.rand_len == 0))
		status = ctl_fail(
			"derive takes --key, --csb-id, --cs-id and --rand; see mcxctl --help");
	if (status == 0)
		status = derive_print(&d);
	secmem_wipe(&d, sizeof(d));
	return status;
}

int ctl_guk_id(int argc, char **argv)
{
	static const struct option options[] = {
		{"key", required_argument, NULL, 'k'},
		{"key-id", required_argument, NULL, 'd'},
		{"user", required_argument, NULL, 'u'},
		{},
	};
	struct derivation d = {};
	uint32_t guk_id;
	int status = options_read(&d, argc, argv, options);
	if (status == 0 && (d.key_len == 0 || !d.has_id || !d.user))
		status = ctl_fail("guk-id takes --key, --key-id and --user; see mcxctl --help");
	else if (status == 0 && mcx_guk_id(d.key, d.key_len, d.id, d.user, &guk_id) != 0)
		status = ctl_fail(
			"the GUK-ID cannot be derived: the URI is too long, or OpenSSL failed");
	else if (status == 0)
		status = ctl_json_print(
			json_pack("{s:o,s:o}", "guk_id", json_sprintf("%08x", guk_id), "mki",
				json_sprintf("%08x%08x", d.id, guk_id)));
	secmem_wipe(&d, sizeof(d));
	return status;
}
