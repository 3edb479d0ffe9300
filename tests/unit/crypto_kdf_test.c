// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/mcx_kdf.h"
#include "crypto/srtp_kdf.h"
#include "tests/unit/vectors.h"

static void guk_id_matches(void **state)
{
	struct vectors *vectors = vectors_read("gukid.txt");
	(void)state;

	for (size_t i = 0; i < vectors->n; i++) {
		const struct vector *v = &vectors->items[i];
		const char *uri = vector_text(v, "uri_ascii");
		uint8_t gmk[16], expected[32], out[32];
		uint32_t guk_id;
		vector_octets(v, "gmk", gmk, sizeof(gmk));
		vector_octets(v, "kdf_output", expected, sizeof(expected));

		struct kdf_param param = {uri, (uint16_t)strlen(uri)};
		assert_int_equal(mcx_kdf(gmk, sizeof(gmk), 0x50, &param, 1, out), 0);
		assert_memory_equal(out, expected, sizeof(out));
		assert_int_equal(mcx_guk_id(gmk, sizeof(gmk), (uint32_t)vector_hex(v, "gmk_id"),
					 uri, &guk_id),
			0);
		assert_int_equal(guk_id, vector_hex(v, "guk_id"));
	}
	assert_int_equal(vectors->n, 3);
	vectors_free(vectors);
}

// The xor must leave the four bits that say which kind of key it is.
static void guk_id_keeps_purpose_tag(void **state)
{
	static const uint8_t gmk[16] = {1};
	(void)state;

	for (uint32_t tag = 0; tag < 16; tag++) {
		uint32_t guk_id;
		assert_int_equal(mcx_guk_id(gmk, 16, tag << 28, "sip:a@b", &guk_id), 0);
		assert_int_equal(guk_id >> 28, tag);
		assert_int_not_equal(guk_id & 0xfffffff, 0);
	}
}

// Two parameters are delimited by their lengths: P0 "ab", P1 "c" is not P0 "a", P1 "bc".
static void kdf_delimits_parameters(void **state)
{
	static const struct kdf_param left[] = {{"ab", 2}, {"c", 1}},
				      right[] = {{"a", 1}, {"bc", 2}};
	static const uint8_t key[16] = {1};
	uint8_t one[32], other[32];
	(void)state;

	assert_int_equal(mcx_kdf(key, 16, 0x53, left, 2, one), 0);
	assert_int_equal(mcx_kdf(key, 16, 0x53, right, 2, other), 0);
	assert_memory_not_equal(one, other, 32);
}

static void kdf_bounds_its_input(void **state)
{
	static const char text[2048], zero[32];
	static const uint8_t key[16] = {1};
	// FC and the two octets of L0 leave 1,021.
	struct kdf_param fits = {text, 1021}, over = {text, 1022};
	struct kdf_param two[] = {{text, 1000}, {text, 20}};
	char user[1100];
	uint8_t out[32];
	uint32_t guk_id;
	(void)state;

	assert_int_equal(mcx_kdf(key, 16, 0x50, &fits, 1, out), 0);
	memset(out, 0xa5, sizeof(out));
	assert_int_equal(mcx_kdf(key, 16, 0x50, &over, 1, out), -EINVAL);
	assert_memory_equal(out, zero, sizeof(out));
	assert_int_equal(mcx_kdf(key, 16, 0x50, two, 2, out), -EINVAL);
	assert_int_equal(mcx_kdf(key, 16, 0x50, NULL, 0, out), 0);

	memset(user, 'a', sizeof(user));
	user[sizeof(user) - 1] = '\0';
	assert_int_equal(mcx_guk_id(key, 16, 0, user, &guk_id), -EINVAL);
}

static void label_check(const struct vector *v, const char *name, uint8_t label)
{
	uint8_t key[16], salt[14], expected[128], out[128];
	vector_octets(v, "master_key", key, sizeof(key));
	vector_octets(v, "master_salt", salt, sizeof(salt));
	uint16_t len = (uint16_t)vector_octets(v, name, expected, sizeof(expected));

	assert_int_equal(srtp_kdf_label(key, sizeof(key), salt, label, out, len), 0);
	assert_memory_equal(out, expected, len);
}

// RFC 3711 B.3, and more labels under its master key.
static void prf_matches_rfc3711(void **state)
{
	struct vectors *vectors = vectors_read("srtp_kdf.txt");
	const struct vector *v = vectors_find(vectors, "rfc3711_B3");
	(void)state;

	label_check(v, "label_00_cipher_key", 0);
	label_check(v, "label_01_auth_key_94", 1);
	label_check(v, "label_02_cipher_salt", 2);
	label_check(v, "label_03_srtcp_key", 3);
	label_check(v, "label_04_srtcp_auth_20", 4);
	label_check(v, "label_05_srtcp_salt", 5);
	vectors_free(vectors);
}

// Encryption key, authentication key and salt of 112 bits of the AES-CM suites: RFC 3711 8.2 and B.3.
static void session_of_aes_cm_matches_rfc3711(void **state)
{
	struct vectors *vectors = vectors_read("srtp_kdf.txt");
	const struct vector *v = vectors_find(vectors, "rfc3711_B3");
	struct srtp_master master = {0};
	struct srtp_session session, other;
	uint8_t octets[94];
	(void)state;

	vector_octets(v, "master_key", master.key, sizeof(master.key));
	vector_octets(v, "master_salt", master.salt, sizeof(master.salt));
	assert_int_equal(srtp_kdf(&master, SRTP_AES_CM_128_HMAC_SHA1_80, SRTP_RTP, &session), 0);
	vector_octets(v, "label_00_cipher_key", octets, sizeof(octets));
	assert_memory_equal(session.key, octets, 16);
	vector_octets(v, "label_01_auth_key_94", octets, sizeof(octets));
	assert_memory_equal(session.key + 16, octets, SRTP_AUTH_KEY_LEN);
	vector_octets(v, "label_02_cipher_salt", octets, sizeof(octets));
	assert_memory_equal(session.salt, octets, 14);
	// Under both suites it is one key: index spaces are told apart by it.
	assert_int_equal(srtp_kdf(&master, SRTP_AES_CM_128_HMAC_SHA1_32, SRTP_RTP, &other), 0);
	assert_memory_equal(&session, &other, sizeof(session));

	assert_int_equal(srtp_kdf(&master, SRTP_AES_CM_128_HMAC_SHA1_80, SRTP_RTCP, &session), 0);
	vector_octets(v, "label_03_srtcp_key", octets, sizeof(octets));
	assert_memory_equal(session.key, octets, 16);
	vector_octets(v, "label_04_srtcp_auth_20", octets, sizeof(octets));
	assert_memory_equal(session.key + 16, octets, SRTP_AUTH_KEY_LEN);
	vector_octets(v, "label_05_srtcp_salt", octets, sizeof(octets));
	assert_memory_equal(session.salt, octets, 14);
	vectors_free(vectors);
}

static void prf_refuses_other_keys(void **state)
{
	static const uint8_t key[32], salt[14];
	uint8_t out[16];
	(void)state;

	assert_int_equal(srtp_kdf_label(key, 24, salt, 0, out, sizeof(out)), -EINVAL);
	assert_int_equal(srtp_kdf_label(key, 0, salt, 0, out, sizeof(out)), -EINVAL);
	assert_int_equal(srtp_kdf_label(key, 32, salt, 0, out, sizeof(out)), 0);
}

// Whether session is not what the section's prefix_key and prefix_salt say.
static void differs_check(const struct vector *v, const char *key_name, const char *salt_name,
	const struct srtp_session *session)
{
	uint8_t key[SRTP_KEY_MAX], salt[12];
	size_t key_len = vector_octets(v, key_name, key, sizeof(key));
	vector_octets(v, salt_name, salt, sizeof(salt));

	assert_memory_not_equal(session->key, key, key_len);
	assert_memory_not_equal(session->salt, salt, sizeof(salt));
}

// Master key of 16 or 32 octets: derives both protocols, and not by the two wrong readings of the
// RFC.
static void session_check(const struct vector *v)
{
	struct srtp_master master = {0};
	struct srtp_session session;
	uint8_t key[SRTP_KEY_MAX], salt[12];
	size_t key_len = vector_octets(v, "master_key", master.key, sizeof(master.key));
	enum srtp_suite suite = key_len == 32 ? SRTP_AEAD_AES_256_GCM : SRTP_AEAD_AES_128_GCM;
	vector_octets(v, "master_salt", master.salt, sizeof(master.salt));

	vector_octets(v, "srtp_key", key, sizeof(key));
	vector_octets(v, "srtp_salt", salt, sizeof(salt));
	assert_int_equal(srtp_kdf(&master, suite, SRTP_RTP, &session), 0);
	assert_memory_equal(session.key, key, key_len);
	assert_memory_equal(session.salt, salt, sizeof(salt));
	// A salt of zeros is the same on either side.
	if (strcmp(v->name, "gcm128_zero") != 0)
		differs_check(v, "wrong_right_aligned_srtp_key", "wrong_right_aligned_srtp_salt",
			&session);

	vector_octets(v, "srtcp_key", key, sizeof(key));
	vector_octets(v, "srtcp_salt", salt, sizeof(salt));
	assert_int_equal(srtp_kdf(&master, suite, SRTP_RTCP, &session), 0);
	assert_memory_equal(session.key, key, key_len);
	assert_memory_equal(session.salt, salt, sizeof(salt));
	differs_check(v, "wrong_label9_srtcp_key", "wrong_label9_srtcp_salt", &session);
}

static void session_keys_match(void **state)
{
	struct vectors *vectors = vectors_read("srtp_kdf.txt");
	size_t n_seen = 0;
	(void)state;

	for (size_t i = 0; i < vectors->n; i++) {
		if (!vector_has(&vectors->items[i], "srtcp_key"))
			continue;
		session_check(&vectors->items[i]);
		n_seen++;
	}
	assert_int_equal(n_seen, 4);
	vectors_free(vectors);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(guk_id_matches),
		cmocka_unit_test(guk_id_keeps_purpose_tag),
		cmocka_unit_test(kdf_delimits_parameters),
		cmocka_unit_test(kdf_bounds_its_input),
		cmocka_unit_test(prf_matches_rfc3711),
		cmocka_unit_test(session_of_aes_cm_matches_rfc3711),
		cmocka_unit_test(prf_refuses_other_keys),
		cmocka_unit_test(session_keys_match),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
