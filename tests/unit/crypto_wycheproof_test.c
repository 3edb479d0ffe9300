// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/hex.h"
#include "crypto/cipher_registry.h"
#include "tests/unit/ciphers.h"

// Project Wycheproof's cases of AES-GCM, those with the key, IV and tag lengths of SRTP.

enum {
	TEXT_MAX = 1024,
	CASES = 133, // applicable ones in the file
	IV_BITS = 8 * CIPHER_IV_LEN,
	TAG_BITS = 8 * SRTP_GCM_TAG_LEN,
};

// A member's octets; their number in *len.
static const uint8_t *member_octets(
	const json_t *object, const char *name, uint8_t *out, uint32_t *len)
{
	const char *text = json_string_value(json_object_get(object, name));
	assert_non_null(text);
	*len = (uint32_t)strlen(text) / 2;
	assert_true(*len <= TEXT_MAX);
	assert_true(hex_decode(text, out, *len));
	return out;
}

static void one_check(const struct cipher *cipher, enum srtp_suite suite, const json_t *one)
{
	static uint8_t key[TEXT_MAX], iv[TEXT_MAX], aad[TEXT_MAX], message[TEXT_MAX],
		text[TEXT_MAX], tag[TEXT_MAX], out[TEXT_MAX];
	_Alignas(CIPHER_KEY_ALIGN) static uint8_t expanded[CIPHER_KEY_SIZE];
	uint32_t key_len, iv_len, aad_len, len, text_len, tag_len;
	member_octets(one, "key", key, &key_len);
	member_octets(one, "iv", iv, &iv_len);
	member_octets(one, "aad", aad, &aad_len);
	member_octets(one, "msg", message, &len);
	member_octets(one, "ct", text, &text_len);
	member_octets(one, "tag", tag, &tag_len);
	assert_int_equal(len, text_len);
	assert_int_equal(key_len, srtp_suite_key_len(suite));
	assert_int_equal(cipher->expand(suite, key, expanded), 0);
	struct cipher_op op = {.key = expanded,
				 .src = text,
				 .dst = out,
				 .aad = aad,
				 .len = len,
				 .aad_len = (uint16_t)aad_len,
				 .suite = (uint8_t)suite},
			 *ops[] = {&op};
	memcpy(op.iv, iv, CIPHER_IV_LEN);
	const bool valid = strcmp(json_string_value(json_object_get(one, "result")), "valid") == 0;
	cipher->decrypt_burst(ops, 1);
	assert_int_equal(memcmp(op.tag, tag, SRTP_GCM_TAG_LEN) == 0, valid);
	if (!valid)
		return;
	assert_memory_equal(out, message, len);
	op.src = message;
	cipher->encrypt_burst(ops, 1);
	assert_memory_equal(out, text, len);
	assert_memory_equal(op.tag, tag, SRTP_GCM_TAG_LEN);
}

// How many cases it has.
static size_t group_check(const struct cipher *cipher, const json_t *group)
{
	const json_int_t key_bits = json_integer_value(json_object_get(group, "keySize"));
	if (json_integer_value(json_object_get(group, "ivSize")) != IV_BITS ||
		json_integer_value(json_object_get(group, "tagSize")) != TAG_BITS ||
		(key_bits != 128 && key_bits != 256))
		return 0;
	const json_t *cases = json_object_get(group, "tests");
	for (size_t i = 0; i < json_array_size(cases); i++)
		one_check(cipher, key_bits == 128 ? SRTP_AEAD_AES_128_GCM : SRTP_AEAD_AES_256_GCM,
			json_array_get(cases, i));
	return json_array_size(cases);
}

static void cases_of_wycheproof(void **state)
{
	(void)state;
	json_t *file = json_load_file(VECTORS_DIR "/wycheproof/aes_gcm_test.json", 0, NULL);
	assert_non_null(file);
	const json_t *groups = json_object_get(file, "testGroups");
	for (size_t c = 0; c < N_CIPHERS; c++) {
		const struct cipher *cipher = test_cipher(c);
		assert_int_equal(cipher->thread_init(), 0);
		size_t n = 0;
		for (size_t i = 0; i < json_array_size(groups); i++)
			n += group_check(cipher, json_array_get(groups, i));
		assert_int_equal(n, CASES);
		cipher->thread_fini();
	}
	json_decref(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cases_of_wycheproof),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
