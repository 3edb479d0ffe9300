// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/bn.h>
#include <openssl/rand.h>

#include "crypto/eccsi.h"
#include "crypto/eccsi_nonce.h"
#include "tests/unit/vectors.h"

enum { MESSAGE_MAX = 1024, S_OFFSET = ECCSI_SCALAR_LEN, PVT_OFFSET = 2 * ECCSI_SCALAR_LEN };

int __real_eccsi_nonce(const uint8_t secret[ECCSI_NONCE_LEN], const struct hmac_part *seed,
	size_t n_seed, uint8_t nonce[ECCSI_NONCE_LEN]);
int __wrap_eccsi_nonce(const uint8_t secret[ECCSI_NONCE_LEN], const struct hmac_part *seed,
	size_t n_seed, uint8_t nonce[ECCSI_NONCE_LEN]);
int __wrap_RAND_priv_bytes(unsigned char *octets, int n);

static unsigned next_nonce; // what eccsi_nonce() gives, 0: what it really gives
static bool nonce_fails;
static uint8_t next_random; // every octet of RAND_priv_bytes()
static bool random_fails;

int __wrap_eccsi_nonce(const uint8_t secret[ECCSI_NONCE_LEN], const struct hmac_part *seed,
	size_t n_seed, uint8_t nonce[ECCSI_NONCE_LEN])
{
	if (nonce_fails)
		return -EIO;
	if (next_nonce == 0)
		return __real_eccsi_nonce(secret, seed, n_seed, nonce);
	memset(nonce, 0, ECCSI_NONCE_LEN);
	nonce[29] = (uint8_t)(next_nonce >> 16);
	nonce[30] = (uint8_t)(next_nonce >> 8);
	nonce[31] = (uint8_t)next_nonce;
	return 0;
}

int __wrap_RAND_priv_bytes(unsigned char *octets, int n)
{
	memset(octets, next_random++, (size_t)n);
	return !random_fails;
}

// Order of P-256 and its prime.
static const char order[] = "FFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551";
static const char prime[] = "FFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF";

static void number_write(const char *hex, uint8_t octets[ECCSI_SCALAR_LEN])
{
	BIGNUM *n = NULL;
	assert_true(BN_hex2bn(&n, hex) && BN_bn2binpad(n, octets, ECCSI_SCALAR_LEN) > 0);
	BN_free(n);
}

// octets = modulus - octets.
static void number_negate(const char *modulus, uint8_t octets[ECCSI_SCALAR_LEN])
{
	BIGNUM *m = NULL, *n = BN_bin2bn(octets, ECCSI_SCALAR_LEN, NULL);
	assert_true(BN_hex2bn(&m, modulus) && BN_sub(n, m, n) &&
		    BN_bn2binpad(n, octets, ECCSI_SCALAR_LEN) > 0);
	BN_free(m);
	BN_free(n);
}

// The key set of RFC 6507 Appendix A and its signature.
struct sample {
	uint8_t ksak[ECCSI_SCALAR_LEN], kpak[ECCSI_POINT_LEN], id[64], message[16];
	uint8_t ssk[ECCSI_SCALAR_LEN], pvt[ECCSI_POINT_LEN], signature[ECCSI_SIGNATURE_LEN];
	size_t message_len;
	struct eccsi_signer signer;
};

static void sample_read(struct sample *sample)
{
	struct vectors *vectors = vectors_read("eccsi.txt");
	const struct vector *v = vectors_find(vectors, "rfc6507_A");
	number_write(vector_text(v, "ksak"), sample->ksak);
	vector_octets(v, "kpak", sample->kpak, sizeof(sample->kpak));
	vector_octets(v, "ssk", sample->ssk, sizeof(sample->ssk));
	vector_octets(v, "pvt", sample->pvt, sizeof(sample->pvt));
	vector_octets(v, "sig", sample->signature, sizeof(sample->signature));
	sample->message_len = vector_octets(v, "message", sample->message, sizeof(sample->message));
	sample->signer = (struct eccsi_signer){
		.kpak = sample->kpak,
		.id = sample->id,
		.id_len = vector_octets(v, "id", sample->id, sizeof(sample->id)),
	};
	vectors_free(vectors);
}

static enum eccsi_status sample_verify(const struct sample *sample)
{
	return eccsi_verify(
		&sample->signer, sample->message, sample->message_len, sample->signature);
}

static void agrees_with_rfc_6507(void **state)
{
	struct sample s;
	uint8_t kpak[ECCSI_POINT_LEN], ssk[ECCSI_SCALAR_LEN], pvt[ECCSI_POINT_LEN];
	uint8_t signature[ECCSI_SIGNATURE_LEN];
	(void)state;

	sample_read(&s);
	assert_int_equal(eccsi_kpak_make(s.ksak, kpak), ECCSI_OK);
	assert_memory_equal(kpak, s.kpak, sizeof(kpak));
	assert_int_equal(eccsi_kpak_check(kpak), ECCSI_OK);

	next_nonce = 0x23456;
	assert_int_equal(eccsi_ssk_make(s.ksak, s.id, s.signer.id_len, ssk, pvt), ECCSI_OK);
	assert_memory_equal(ssk, s.ssk, sizeof(ssk));
	assert_memory_equal(pvt, s.pvt, sizeof(pvt));
	assert_int_equal(eccsi_ssk_validate(&s.signer, ssk, pvt), ECCSI_OK);

	next_nonce = 0x34567;
	assert_int_equal(
		eccsi_sign(&s.signer, ssk, pvt, s.message, s.message_len, signature), ECCSI_OK);
	next_nonce = 0;
	assert_memory_equal(signature, s.signature, sizeof(signature));
	assert_int_equal(sample_verify(&s), ECCSI_OK);
}

// Whole messages, signed by another implementation, and the key sets of their identities.
static void verifies_messages(void **state)
{
	static const char *const users[] = {"alice", "bob", "gms", "mdsi"};
	struct vectors *vectors = vectors_read("imessage.txt");
	const struct vector *keys = vectors_find(vectors, "own_keys");
	uint8_t kpak[ECCSI_POINT_LEN], id[ECCSI_SCALAR_LEN];
	struct eccsi_signer signer = {.kpak = kpak, .id = id, .id_len = sizeof(id)};
	size_t n_seen = 0;
	(void)state;

	vector_octets(keys, "kms_KPAK", kpak, sizeof(kpak));
	for (size_t i = 0; i < sizeof(users) / sizeof(users[0]); i++) {
		uint8_t ssk[ECCSI_SCALAR_LEN], pvt[ECCSI_POINT_LEN];
		char key[16];
		snprintf(key, sizeof(key), "%s_uid", users[i]);
		vector_octets(keys, key, id, sizeof(id));
		snprintf(key, sizeof(key), "%s_ssk", users[i]);
		vector_octets(keys, key, ssk, sizeof(ssk));
		snprintf(key, sizeof(key), "%s_pvt", users[i]);
		vector_octets(keys, key, pvt, sizeof(pvt));
		assert_int_equal(eccsi_ssk_validate(&signer, ssk, pvt), ECCSI_OK);
	}
	for (size_t i = 0; i < vectors->n; i++) {
		const struct vector *v = &vectors->items[i];
		uint8_t message[MESSAGE_MAX];
		char key[16];
		if (!vector_has(v, "message"))
			continue;
		size_t len = vector_octets(v, "message", message, sizeof(message));
		size_t signed_len = vector_decimal(v, "signed_len");
		snprintf(key, sizeof(key), "%s_uid", vector_text(v, "initiator"));
		vector_octets(keys, key, id, sizeof(id));
		assert_int_equal(len, signed_len + ECCSI_SIGNATURE_LEN);
		assert_int_equal(
			eccsi_verify(&signer, message, signed_len, message + signed_len), ECCSI_OK);
		message[signed_len - 1] ^= 1;
		assert_int_equal(eccsi_verify(&signer, message, signed_len, message + signed_len),
			ECCSI_SIGNATURE);
		n_seen++;
	}
	assert_int_equal(n_seen, 3);
	vectors_free(vectors);
}

// Key sets that a KMS makes are valid, and what they sign verifies under nothing else.
static void makes_key_sets_that_sign(void **state)
{
	static const uint8_t message[200] = {1, 2, 3};
	(void)state;

	for (uint8_t i = 0; i < 20; i++) {
		uint8_t id[ECCSI_ID_MAX] = {i}, ssk[ECCSI_SCALAR_LEN], again[ECCSI_SCALAR_LEN];
		uint8_t pvt[ECCSI_POINT_LEN], signature[2][ECCSI_SIGNATURE_LEN];
		size_t len = (size_t)i * 10, id_len = i == 0 ? 1 : i == 1 ? ECCSI_ID_MAX : 32;
		uint8_t kpak[ECCSI_POINT_LEN];
		struct eccsi_signer signer = {.kpak = kpak, .id = id, .id_len = id_len};

		uint8_t ksak[ECCSI_SCALAR_LEN], other_kpak[ECCSI_POINT_LEN];
		assert_int_equal(eccsi_ksak_make(ksak, other_kpak), ECCSI_OK);
		assert_int_equal(eccsi_ksak_make(ksak, kpak), ECCSI_OK);
		assert_memory_not_equal(kpak, other_kpak, sizeof(kpak));
		assert_int_equal(eccsi_ssk_make(ksak, id, id_len, ssk, pvt), ECCSI_OK);
		assert_int_equal(eccsi_ssk_make(ksak, id, id_len, again, pvt), ECCSI_OK);
		assert_memory_equal(ssk, again, sizeof(ssk));
		assert_int_equal(eccsi_ssk_validate(&signer, ssk, pvt), ECCSI_OK);
		for (int n = 0; n < 2; n++) {
			assert_int_equal(eccsi_sign(&signer, ssk, pvt, message, len, signature[n]),
				ECCSI_OK);
			assert_int_equal(
				eccsi_verify(&signer, message, len, signature[n]), ECCSI_OK);
		}
		assert_memory_not_equal(signature[0], signature[1], ECCSI_SCALAR_LEN);
		id[0] ^= 0x80;
		assert_int_equal(
			eccsi_verify(&signer, message, len, signature[0]), ECCSI_SIGNATURE);
		assert_int_equal(eccsi_ssk_validate(&signer, ssk, pvt), ECCSI_KEY_SET);
		id[0] ^= 0x80;
		signer.kpak = other_kpak;
		assert_int_equal(
			eccsi_verify(&signer, message, len, signature[0]), ECCSI_SIGNATURE);
		assert_int_equal(eccsi_ssk_validate(&signer, ssk, pvt), ECCSI_KEY_SET);
	}
}

static void refuses_any_changed_octet(void **state)
{
	struct sample s;
	(void)state;

	sample_read(&s);
	for (size_t i = 0; i < ECCSI_SIGNATURE_LEN; i++) {
		s.signature[i] ^= 1;
		enum eccsi_status status = sample_verify(&s);
		assert_int_equal(status, i < PVT_OFFSET ? ECCSI_SIGNATURE : ECCSI_PVT);
		s.signature[i] ^= 1;
	}
	for (size_t i = 0; i < s.message_len; i++) {
		s.message[i] ^= 1;
		assert_int_equal(sample_verify(&s), ECCSI_SIGNATURE);
		s.message[i] ^= 1;
	}
	s.message_len--;
	assert_int_equal(sample_verify(&s), ECCSI_SIGNATURE);
	s.message_len++;
	// The signature is malleable by its nature; whoever keeps a replay cache has to know.
	number_negate(order, s.signature + S_OFFSET);
	assert_int_equal(sample_verify(&s), ECCSI_OK);
	// Another point of the curve as PVT.
	number_negate(prime, s.signature + PVT_OFFSET + 1 + ECCSI_SCALAR_LEN);
	assert_int_equal(sample_verify(&s), ECCSI_SIGNATURE);
}

// Replaces octets of a part of the sample, asks all three, puts them back.
static void refuses_ranges(void **state)
{
	static const char zero[] = "0", one[] = "1";
	struct sample s;
	uint8_t kept[ECCSI_POINT_LEN], out[ECCSI_SIGNATURE_LEN], pvt[ECCSI_POINT_LEN];
	(void)state;

	sample_read(&s);
	for (int part = 0; part < 2; part++) {
		uint8_t *scalar = s.signature + (part ? S_OFFSET : 0);
		memcpy(kept, scalar, ECCSI_SCALAR_LEN);
		number_write(zero, scalar);
		assert_int_equal(sample_verify(&s), ECCSI_SCALAR);
		number_write(order, scalar);
		assert_int_equal(sample_verify(&s), ECCSI_SCALAR);
		memset(scalar, 0xff, ECCSI_SCALAR_LEN);
		assert_int_equal(sample_verify(&s), ECCSI_SCALAR);
		number_write(one, scalar);
		assert_int_equal(sample_verify(&s), ECCSI_SIGNATURE);
		memcpy(scalar, kept, ECCSI_SCALAR_LEN);
	}
	memset(out, 0xa5, sizeof(out));
	memset(pvt, 0xa5, sizeof(pvt));
	memset(kept, 0xa5, sizeof(kept));
	for (int i = 0; i < 3; i++) {
		uint8_t bad[ECCSI_SCALAR_LEN];
		memset(bad, 0xff, sizeof(bad));
		if (i < 2)
			number_write(i ? order : zero, bad);
		assert_int_equal(eccsi_ssk_validate(&s.signer, bad, s.pvt), ECCSI_SSK);
		assert_int_equal(eccsi_sign(&s.signer, bad, s.pvt, s.message, s.message_len, out),
			ECCSI_SSK);
		assert_int_equal(eccsi_kpak_make(bad, pvt), ECCSI_KSAK);
		assert_int_equal(eccsi_ssk_make(bad, s.id, s.signer.id_len, out, pvt), ECCSI_KSAK);
	}
	s.ssk[31] ^= 1;
	assert_int_equal(eccsi_ssk_validate(&s.signer, s.ssk, s.pvt), ECCSI_KEY_SET);
	s.ssk[31] ^= 1;
	for (size_t id_len = 0; id_len <= ECCSI_ID_MAX + 1; id_len += ECCSI_ID_MAX + 1) {
		s.signer.id_len = id_len;
		assert_int_equal(sample_verify(&s), ECCSI_ID);
		assert_int_equal(eccsi_ssk_validate(&s.signer, s.ssk, s.pvt), ECCSI_ID);
		assert_int_equal(eccsi_sign(&s.signer, s.ssk, s.pvt, s.message, s.message_len, out),
			ECCSI_ID);
		assert_int_equal(eccsi_ssk_make(s.ksak, s.id, id_len, out, pvt), ECCSI_ID);
	}
	assert_memory_equal(pvt, kept, sizeof(pvt));
	assert_memory_equal(out, kept, sizeof(kept));
}

// A point in every other form, off the curve, beyond p: as KPAK and as PVT.
static void refuses_bad_points(void **state)
{
	struct sample s;
	uint8_t bad[8][ECCSI_POINT_LEN];
	(void)state;

	sample_read(&s);
	for (size_t i = 0; i < 8; i++)
		memcpy(bad[i], s.pvt, ECCSI_POINT_LEN);
	bad[0][0] = 0;
	bad[1][0] = 2;
	bad[2][0] = (uint8_t)(6 | (s.pvt[64] & 1)); // hybrid, which the library would take
	bad[3][64] ^= 1;
	memset(bad[4], 0, ECCSI_POINT_LEN);
	memset(bad[5] + 1, 0, 64);
	memset(bad[6] + 1, 0xff, ECCSI_SCALAR_LEN);
	// The point with x = 5, but x + p in its place
	number_write(
		"FFFFFFFF00000001000000000000000000000001000000000000000000000004", bad[7] + 1);
	number_write("459243B9AA581806FE913BCE99817ADE11CA503C64D9A3C533415C083248FBCC",
		bad[7] + 1 + ECCSI_SCALAR_LEN);
	for (size_t i = 0; i < 8; i++) {
		assert_int_equal(eccsi_kpak_check(bad[i]), ECCSI_KPAK);
		assert_int_equal(eccsi_ssk_validate(&s.signer, s.ssk, bad[i]), ECCSI_PVT);
		uint8_t out[ECCSI_SIGNATURE_LEN];
		assert_int_equal(
			eccsi_sign(&s.signer, s.ssk, bad[i], s.message, s.message_len, out),
			ECCSI_PVT);
		memcpy(s.signature + PVT_OFFSET, bad[i], ECCSI_POINT_LEN);
		assert_int_equal(sample_verify(&s), ECCSI_PVT);
		s.signer.kpak = bad[i];
		assert_int_equal(eccsi_ssk_validate(&s.signer, s.ssk, s.pvt), ECCSI_KPAK);
		assert_int_equal(eccsi_sign(&s.signer, s.ssk, s.pvt, s.message, s.message_len, out),
			ECCSI_KPAK);
		assert_int_equal(sample_verify(&s), ECCSI_KPAK);
		s.signer.kpak = s.kpak;
	}
	// A point of the curve other than PVT
	number_negate(prime, s.pvt + 1 + ECCSI_SCALAR_LEN);
	assert_int_equal(eccsi_ssk_validate(&s.signer, s.ssk, s.pvt), ECCSI_KEY_SET);
}

static void writes_nothing_if_the_generator_fails(void **state)
{
	struct sample s;
	uint8_t out[ECCSI_SIGNATURE_LEN], pvt[ECCSI_POINT_LEN], untouched[ECCSI_SIGNATURE_LEN];
	(void)state;

	sample_read(&s);
	memset(out, 0xa5, sizeof(out));
	memset(pvt, 0xa5, sizeof(pvt));
	memset(untouched, 0xa5, sizeof(untouched));
	random_fails = true;
	assert_int_equal(
		eccsi_sign(&s.signer, s.ssk, s.pvt, s.message, s.message_len, out), ECCSI_LIBRARY);
	assert_int_equal(eccsi_ksak_make(out, pvt), ECCSI_LIBRARY);
	random_fails = false;
	nonce_fails = true;
	assert_int_equal(
		eccsi_sign(&s.signer, s.ssk, s.pvt, s.message, s.message_len, out), ECCSI_LIBRARY);
	assert_int_equal(eccsi_ssk_make(s.ksak, s.id, s.signer.id_len, out, pvt), ECCSI_LIBRARY);
	nonce_fails = false;
	assert_memory_equal(out, untouched, sizeof(out));
	assert_memory_equal(pvt, untouched, sizeof(pvt));
	assert_string_equal(eccsi_status_text(ECCSI_LIBRARY), "the library failed");
}

// KSAK = 0 and what is beyond q are drawn again.
static void draws_ksak_again(void **state)
{
	uint8_t ksak[ECCSI_SCALAR_LEN], kpak[ECCSI_POINT_LEN], expected[ECCSI_SCALAR_LEN];
	(void)state;

	memset(expected, 1, sizeof(expected));
	next_random = 0xff; // ff .. ff, then 00 .. 00, then 01 .. 01
	assert_int_equal(eccsi_ksak_make(ksak, kpak), ECCSI_OK);
	assert_memory_equal(ksak, expected, sizeof(ksak));
}

// RFC 6979 A.2.5, P-256, SHA-256, message "sample": the seed is the message's digest modulo q.
static void nonce_is_that_of_rfc_6979(void **state)
{
	uint8_t secret[32], digest[32], expected[32], nonce[32], other[32];
	const struct hmac_part seed = {digest, sizeof(digest)};
	(void)state;

	number_write("C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721", secret);
	number_write("AF2BDBE1AA9B6EC1E2ADE1D694F41FC71A831D0268E9891562113D8A62ADD1BF", digest);
	number_write("A6E3C57DD01ABE90086538398355DD4C3B17AA873382B0F24D6129493D8AAD60", expected);
	assert_int_equal(__real_eccsi_nonce(secret, &seed, 1, nonce), 0);
	assert_memory_equal(nonce, expected, sizeof(nonce));
	digest[31] ^= 1;
	assert_int_equal(__real_eccsi_nonce(secret, &seed, 1, other), 0);
	assert_memory_not_equal(nonce, other, sizeof(nonce));
	digest[31] ^= 1;
	secret[0] ^= 1;
	assert_int_equal(__real_eccsi_nonce(secret, &seed, 1, other), 0);
	assert_memory_not_equal(nonce, other, sizeof(nonce));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(agrees_with_rfc_6507),
		cmocka_unit_test(verifies_messages),
		cmocka_unit_test(makes_key_sets_that_sign),
		cmocka_unit_test(refuses_any_changed_octet),
		cmocka_unit_test(refuses_ranges),
		cmocka_unit_test(refuses_bad_points),
		cmocka_unit_test(writes_nothing_if_the_generator_fails),
		cmocka_unit_test(draws_ksak_again),
		cmocka_unit_test(nonce_is_that_of_rfc_6979),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
