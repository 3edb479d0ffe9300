// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <string.h>

#include <cmocka.h>

#include "base/secmem.h"
#include "crypto/cipher_registry.h"
#include "crypto/mcx_kdf.h"
#include "crypto/mikey_prf.h"
#include "crypto/srtp.h"
#include "tests/unit/ciphers.h"
#include "tests/unit/vectors.h"

enum { PACKET_MAX = 2048, ROOM = PACKET_MAX + SRTP_OVERHEAD_MAX };

static const struct cipher *ciphers[N_CIPHERS];

// A session key with its salt, ready for one cipher.
struct context {
	_Alignas(CIPHER_KEY_ALIGN) uint8_t key[CIPHER_KEY_SIZE];
	uint8_t salt[SRTP_SALT_MAX];
	const struct cipher *cipher;
	enum srtp_suite suite;
};

static int ciphers_open(void **state)
{
	(void)state;

	for (size_t i = 0; i < N_CIPHERS; i++) {
		ciphers[i] = test_cipher(i);
		assert_int_equal(ciphers[i]->thread_init(), 0);
	}
	return cipher_aes_cm.thread_init();
}

static int ciphers_close(void **state)
{
	(void)state;

	cipher_aes_cm.thread_fini();
	for (size_t i = 0; i < N_CIPHERS; i++)
		ciphers[i]->thread_fini();
	return 0;
}

static void context_init(struct context *context, const struct cipher *cipher,
	enum srtp_suite suite, const uint8_t *session_key, const uint8_t *session_salt)
{
	context->cipher = cipher;
	context->suite = suite;
	assert_int_equal(
		cipher_of_suite(cipher, suite)->expand(suite, session_key, context->key), 0);
	memcpy(context->salt, session_salt, srtp_suite_salt_len(suite));
}

// A context of made-up keys.
static void context_make(struct context *context, const struct cipher *cipher, uint8_t suite)
{
	uint8_t key[SRTP_SESSION_KEY_MAX], salt[SRTP_SALT_MAX];
	for (uint8_t i = 0; i < sizeof(key); i++)
		key[i] = (uint8_t)(i * 7 + suite);
	for (uint8_t i = 0; i < sizeof(salt); i++)
		salt[i] = i * 31;
	context_init(context, cipher, (enum srtp_suite)suite, key, salt);
}

static struct srtp_op op_make(const struct context *context, enum srtp_protocol protocol,
	const uint8_t *src, uint8_t *dst, size_t len)
{
	return (struct srtp_op){
		.key = context->key,
		.salt = context->salt,
		.src = src,
		.dst = dst,
		.len = (uint16_t)len,
		.head_len = protocol == SRTP_RTP ? rtp_header_len(src, len) : 0,
		.suite = (uint8_t)context->suite,
		.protocol = (uint8_t)protocol,
		.status = 0xff,
	};
}

static enum srtp_status protect(const struct context *context, struct srtp_op *op)
{
	struct srtp_op *ops[] = {op};
	uint16_t n_good = srtp_protect_burst(context->cipher, ops, 1);
	assert_int_equal(n_good, op->status == SRTP_OK);
	return (enum srtp_status)op->status;
}

static enum srtp_status unprotect(const struct context *context, struct srtp_op *op)
{
	struct srtp_op *ops[] = {op};
	uint16_t n_good = srtp_unprotect_burst(context->cipher, ops, 1);
	assert_int_equal(n_good, op->status == SRTP_OK);
	return (enum srtp_status)op->status;
}

// One packet as it is in clear and protected, with all that is between.
struct sample {
	uint8_t plain[PACKET_MAX];
	size_t plain_len;
	uint8_t packet[ROOM];
	size_t packet_len;
	enum srtp_protocol protocol;
	uint64_t index;
	uint64_t mki;
	uint8_t mki_len;
	bool has_roc;
	bool e_flag;
	uint16_t head_len; // 0: as the packet says
};

static void sample_protect_check(
	const struct context *context, const struct sample *s, bool in_place)
{
	uint8_t src[ROOM], dst[ROOM];
	memset(dst, 0xa5, sizeof(dst));
	memcpy(src, s->plain, s->plain_len);
	struct srtp_op op = op_make(context, s->protocol, src, in_place ? src : dst, s->plain_len);
	op.index = s->index;
	op.mki = s->mki;
	op.mki_len = s->mki_len;
	op.append_roc = s->has_roc;
	op.e_flag = s->e_flag;
	if (s->head_len)
		op.head_len = s->head_len;
	assert_int_equal(protect(context, &op), SRTP_OK);
	assert_int_equal(op.len, s->packet_len);
	assert_memory_equal(op.dst, s->packet, s->packet_len);
	if (!in_place) {
		assert_memory_equal(src, s->plain, s->plain_len);
		assert_int_equal(dst[s->packet_len], 0xa5);
	}
}

static void sample_unprotect_check(
	const struct context *context, const struct sample *s, bool in_place)
{
	uint8_t src[ROOM], dst[ROOM];
	struct srtp_trailer trailer = {};
	uint16_t head_len = s->protocol == SRTP_RTP ? rtp_header_len(s->packet, s->packet_len)
						    : RTCP_HEADER_LEN;
	memset(dst, 0xa5, sizeof(dst));
	memcpy(src, s->packet, s->packet_len);
	assert_true(srtp_trailer_read(src, s->packet_len, context->suite, s->protocol, head_len,
		s->mki_len, s->has_roc, &trailer));
	assert_int_equal(trailer.mki, s->mki);
	if (s->has_roc)
		assert_int_equal(trailer.roc, s->index >> 16);
	struct srtp_op op = op_make(context, s->protocol, src, in_place ? src : dst, trailer.body);
	op.mki_len = trailer.mki_len;
	if (s->protocol == SRTP_RTP)
		op.index = s->index;
	if (s->head_len)
		op.head_len = s->head_len;
	assert_int_equal(unprotect(context, &op), SRTP_OK);
	assert_int_equal(op.len, s->plain_len);
	assert_memory_equal(op.dst, s->plain, s->plain_len);
	assert_int_equal(op.index, s->index);
	if (s->protocol == SRTP_RTCP)
		assert_int_equal(op.e_flag, s->e_flag);
	if (!in_place) {
		assert_memory_equal(src, s->packet, s->packet_len);
		assert_int_equal(dst[trailer.body], 0xa5);
	}
}

static void sample_check(const struct context *context, const struct sample *s)
{
	for (int in_place = 0; in_place < 2; in_place++) {
		sample_protect_check(context, s, in_place);
		sample_unprotect_check(context, s, in_place);
	}
}

// Fills plain and packet, the protocol by which of them the section has, and the MKI.
static void sample_read(struct sample *s, const struct vector *v)
{
	*s = (struct sample){.protocol = vector_has(v, "srtp") ? SRTP_RTP : SRTP_RTCP};
	bool rtp = s->protocol == SRTP_RTP;
	s->plain_len = vector_octets(v, rtp ? "rtp" : "rtcp", s->plain, sizeof(s->plain));
	s->packet_len = vector_octets(v, rtp ? "srtp" : "srtcp", s->packet, sizeof(s->packet));
	if (vector_has(v, "mki")) {
		uint8_t mki[SRTP_MKI_MAX] = {0};
		s->mki_len = (uint8_t)vector_octets(v, "mki", mki, sizeof(mki));
		s->mki = (uint64_t)srtp_read32(mki) << 32 | srtp_read32(mki + 4);
	}
	if (rtp)
		s->index = vector_hex(v, "roc") << 16 | rtp_seq(s->plain);
	else
		s->index = vector_hex(v, "srtcp_index");
}

static void known_answers_of_rfc7714(void **state)
{
	struct vectors *vectors = vectors_read("rfc7714.txt");
	(void)state;

	assert_int_equal(vectors->n, 8);
	for (size_t i = 0; i < N_CIPHERS * vectors->n; i++) {
		const struct vector *v = &vectors->items[i / N_CIPHERS];
		uint8_t key[SRTP_KEY_MAX], salt[SRTP_SALT_MAX];
		struct context context;
		struct sample s;
		size_t key_len = vector_octets(v, "session_key", key, sizeof(key));
		vector_octets(v, "session_salt", salt, sizeof(salt));
		context_init(&context, ciphers[i % N_CIPHERS],
			key_len == 32 ? SRTP_AEAD_AES_256_GCM : SRTP_AEAD_AES_128_GCM, key, salt);
		sample_read(&s, v);
		if (s.protocol == SRTP_RTCP)
			s.e_flag = vector_hex(v, "esrtcp_word") >> 31;
		else if (strstr(v->name, "tagonly")) // as if all of it were header
			s.head_len = (uint16_t)s.plain_len;
		sample_check(&context, &s);
	}
	vectors_free(vectors);
}

// From the root key to the session key of a section of e2e_packets.txt, every step compared.
static void session_derive(const struct vector *v, enum srtp_protocol protocol,
	const char *root_name, struct srtp_session *session)
{
	uint8_t root[16], rand[16], expected[16];
	struct srtp_master master;
	uint32_t csb_id;
	vector_octets(v, root_name, root, sizeof(root));
	vector_octets(v, "rand", rand, sizeof(rand));
	if (vector_has(v, "gmk_id")) {
		assert_int_equal(mcx_guk_id(root, sizeof(root), (uint32_t)vector_hex(v, "gmk_id"),
					 vector_text(v, "tx_uri"), &csb_id),
			0);
		assert_int_equal(csb_id, vector_hex(v, "guk_id"));
	} else if (vector_has(v, "pck_id")) {
		csb_id = (uint32_t)vector_hex(v, "pck_id");
	} else {
		csb_id = (uint32_t)vector_hex(v, vector_has(v, "csk_id") ? "csk_id" : "key_id");
	}
	assert_int_equal(mikey_derive_master(root, sizeof(root), (uint8_t)vector_hex(v, "cs_id"),
				 csb_id, rand, sizeof(rand), SRTP_AEAD_AES_128_GCM, &master),
		0);
	vector_octets(v, "master_key", expected, sizeof(expected));
	assert_memory_equal(master.key, expected, 16);
	vector_octets(v, "master_salt", expected, sizeof(expected));
	assert_memory_equal(master.salt, expected, 12);

	assert_int_equal(srtp_kdf(&master, SRTP_AEAD_AES_128_GCM, protocol, session), 0);
	bool rtp = protocol == SRTP_RTP;
	vector_octets(v, rtp ? "session_key" : "srtcp_key", expected, sizeof(expected));
	assert_memory_equal(session->key, expected, 16);
	vector_octets(v, rtp ? "session_salt" : "srtcp_salt", expected, sizeof(expected));
	assert_memory_equal(session->salt, expected, 12);
}

static void known_answers_end_to_end(void **state)
{
	struct vectors *vectors = vectors_read("e2e_packets.txt");
	size_t n_with_roc = 0;
	(void)state;

	assert_int_equal(vectors->n, 9);
	for (size_t i = 0; i < N_CIPHERS * vectors->n; i++) {
		const struct vector *v = &vectors->items[i / N_CIPHERS];
		const char *root = vector_has(v, "gmk")   ? "gmk"
				   : vector_has(v, "pck") ? "pck"
							  : "key";
		struct srtp_session session;
		struct context context;
		struct sample s;
		sample_read(&s, v);
		session_derive(v, s.protocol, root, &session);
		context_init(&context, ciphers[i % N_CIPHERS], SRTP_AEAD_AES_128_GCM, session.key,
			session.salt);
		if (vector_has(v, "rcc_rate"))
			s.has_roc = srtp_carries_roc(
				(uint16_t)vector_decimal(v, "rcc_rate"), rtp_seq(s.plain));
		n_with_roc += s.has_roc;
		s.e_flag = strstr(v->name, "_enc") != NULL;
		sample_check(&context, &s);
	}
	assert_int_equal(n_with_roc, 3 * N_CIPHERS);
	vectors_free(vectors);
}

static void known_answers_of_floor_control(void **state)
{
	struct vectors *vectors = vectors_read("floor_control.txt");
	struct srtp_session session;
	size_t n_seen = 0;
	(void)state;

	session_derive(vectors_find(vectors, "csk_context"), SRTP_RTCP, "csk", &session);
	for (size_t i = 0; i < N_CIPHERS * vectors->n; i++) {
		const struct vector *v = &vectors->items[i / N_CIPHERS];
		struct context context;
		struct sample s;
		if (!vector_has(v, "srtcp"))
			continue;
		sample_read(&s, v);
		s.e_flag = true;
		assert_true(rtcp_is(s.packet));
		assert_true(rtcp_compound_ok(s.plain, s.plain_len));
		context_init(&context, ciphers[i % N_CIPHERS], SRTP_AEAD_AES_128_GCM, session.key,
			session.salt);
		sample_check(&context, &s);
		n_seen++;
	}
	assert_int_equal(n_seen, 15 * N_CIPHERS);
	vectors_free(vectors);
}

// An RTP packet with csrc CSRCs, an extension of ext_words if not negative, and payload octets of
// which the last is a padding count if padded. Returns its length.
static size_t rtp_make(
	uint8_t *packet, uint8_t csrc, int ext_words, size_t payload, bool padded, uint16_t seq)
{
	uint8_t *end = packet + RTP_HEADER_MIN;
	memset(packet, 0, PACKET_MAX);
	packet[0] = (uint8_t)(0x80 | csrc | (ext_words >= 0 ? 0x10 : 0) | (padded ? 0x20 : 0));
	packet[1] = 0x78;
	packet[2] = (uint8_t)(seq >> 8);
	packet[3] = (uint8_t)seq;
	srtp_write32(packet + 8, 0xcafe0001);
	for (uint8_t i = 0; i < csrc; i++, end += 4)
		srtp_write32(end, 0x10000000U + i);
	if (ext_words >= 0) {
		srtp_write32(end, 0xbede0000 | (uint32_t)ext_words);
		end += 4;
		for (int i = 0; i < ext_words; i++, end += 4)
			srtp_write32(end, 0x20000000U + (uint32_t)i);
	}
	for (size_t i = 0; i < payload; i++)
		*end++ = (uint8_t)(i * 3 + 1);
	if (padded)
		end[-1] = 4;
	return (size_t)(end - packet);
}

// A receiver report with a source description. Returns its length.
static size_t rtcp_make(uint8_t *packet)
{
	static const uint8_t compound[] = {0x80, 0xc9, 0x00, 0x01, 0xca, 0xfe, 0x00, 0x01, 0x81,
		0xca, 0x00, 0x03, 0xca, 0xfe, 0x00, 0x01, 0x01, 0x04, 'n', 'a', 'm', 'e', 0, 0};
	memcpy(packet, compound, sizeof(compound));
	return sizeof(compound);
}

// Protects s->plain into s->packet.
static void sample_protect(const struct context *context, struct sample *s)
{
	struct srtp_op op = op_make(context, s->protocol, s->plain, s->packet, s->plain_len);
	op.index = s->index;
	op.mki = s->mki;
	op.mki_len = s->mki_len;
	op.append_roc = s->has_roc;
	op.e_flag = s->e_flag;
	assert_int_equal(protect(context, &op), SRTP_OK);
	s->packet_len = op.len;
}

// Samples of every layout: MKI, ROC or E bit, header shapes.
enum { N_LAYOUTS = 3 * 2 * 8 };

static void layout_make(const struct context *context, struct sample *s, size_t layout)
{
	static const uint8_t mki_lens[] = {0, 4, 8};
	size_t shape = layout % 8;
	memset(s, 0, sizeof(*s));
	s->mki_len = mki_lens[layout / 16];
	s->mki = s->mki_len == 8   ? UINT64_C(0x0a1b2c3d08b63c96)
		 : s->mki_len == 4 ? UINT64_C(0x2f00ba11) << 32
				   : 0;
	s->e_flag = layout / 8 % 2;
	s->has_roc = s->e_flag && srtp_suite_is_aead(context->suite);
	s->index = UINT64_C(0x123456789abc);
	switch (shape) {
	case 0: // voice
		s->plain_len = rtp_make(s->plain, 0, -1, 60, false, 0x9abc);
		break;
	case 1: // empty payload
		s->plain_len = rtp_make(s->plain, 0, -1, 0, false, 0x9abc);
		break;
	case 2:
		s->plain_len = rtp_make(s->plain, 15, -1, 20, false, 0x9abc);
		break;
	case 3:
		s->plain_len = rtp_make(s->plain, 0, 0, 20, false, 0x9abc);
		break;
	case 4:
		s->plain_len = rtp_make(s->plain, 2, 3, 20, true, 0x9abc);
		break;
	case 5: // extension and nothing else
		s->plain_len = rtp_make(s->plain, 0, 5, 0, false, 0x9abc);
		break;
	default:
		s->protocol = SRTP_RTCP;
		s->has_roc = false;
		s->index = shape == 6 ? SRTCP_INDEX_MAX : 0;
		s->plain_len = shape == 6 ? rtcp_make(s->plain) : (size_t)RTCP_HEADER_LEN;
		if (shape == 7)
			rtcp_make(s->plain);
		break;
	}
	sample_protect(context, s);
}

// By the letter of RFC 7714 13.2 and RFC 4568 6.2.
static size_t tag_len(size_t suite, enum srtp_protocol protocol)
{
	if (suite == SRTP_AES_CM_128_HMAC_SHA1_32 && protocol == SRTP_RTP)
		return 4;
	return suite == SRTP_AEAD_AES_128_GCM || suite == SRTP_AEAD_AES_256_GCM ? 16 : 10;
}

static void every_layout_round_trips(void **state)
{
	static struct sample samples[N_CIPHERS];
	(void)state;

	for (size_t i = 0; i < SRTP_N_SUITES * N_LAYOUTS; i++) {
		for (size_t c = 0; c < N_CIPHERS; c++) {
			struct sample *s = &samples[c];
			struct context context;
			context_make(&context, ciphers[c], i % SRTP_N_SUITES);
			layout_make(&context, s, i / SRTP_N_SUITES);
			sample_check(&context, s);
			size_t overhead = tag_len(i % SRTP_N_SUITES, s->protocol) +
					  (s->protocol == SRTP_RTCP ? 4U : 0) + s->mki_len +
					  (s->has_roc ? 4 : 0);
			assert_int_equal(s->packet_len, s->plain_len + overhead);
		}
		assert_int_equal(samples[0].packet_len, samples[N_CIPHERS - 1].packet_len);
		assert_memory_equal(
			samples[0].packet, samples[N_CIPHERS - 1].packet, samples[0].packet_len);
	}
}

// Whether the packet, changed as it may be, is unprotected with the sample's index. Failure must
// leave nothing at dst.
static enum srtp_status receive(
	const struct context *context, const struct sample *s, const uint8_t *packet, size_t len)
{
	static const uint8_t zero[ROOM];
	struct srtp_trailer trailer = {};
	uint8_t dst[ROOM] = {0};
	uint16_t head_len = s->protocol == SRTP_RTP ? rtp_header_len(packet, len) : RTCP_HEADER_LEN;
	if (s->protocol == SRTP_RTP ? head_len == 0 : !rtcp_header_ok(packet, len))
		return SRTP_TOO_SHORT;
	if (!srtp_trailer_read(packet, len, context->suite, s->protocol, head_len, s->mki_len,
		    s->has_roc, &trailer))
		return SRTP_TOO_SHORT;
	struct srtp_op op = op_make(context, s->protocol, packet, dst, trailer.body);
	op.mki_len = trailer.mki_len;
	op.head_len = head_len;
	op.index = s->index;
	if (unprotect(context, &op) != SRTP_OK) {
		assert_memory_equal(dst, zero, sizeof(dst));
		assert_int_equal(op.len, trailer.body);
	}
	return (enum srtp_status)op.status;
}

// Every bit of header, ciphertext, tag and index word is protected; MKI and ROC are not (RFC
// 7714 7.2, RFC 3711 3.1).
static void forged_packets_fail(void **state)
{
	static struct sample s;
	(void)state;

	for (size_t i = 0; i < N_CIPHERS * SRTP_N_SUITES * N_LAYOUTS; i++) {
		uint8_t suite = i / N_CIPHERS % SRTP_N_SUITES;
		struct context context;
		context_make(&context, ciphers[i % N_CIPHERS], suite);
		layout_make(&context, &s, i / N_CIPHERS / SRTP_N_SUITES);
		size_t outside = s.mki_len + (s.has_roc ? 4U : 0U);
		size_t outside_end = s.packet_len;
		if (!srtp_suite_is_aead(context.suite))
			outside_end -= tag_len(suite, s.protocol);
		assert_int_equal(receive(&context, &s, s.packet, s.packet_len), SRTP_OK);
		for (size_t bit = 0; bit < 8 * s.packet_len; bit++) {
			uint8_t packet[ROOM];
			memcpy(packet, s.packet, s.packet_len);
			packet[bit / 8] ^= (uint8_t)(1 << bit % 8);
			enum srtp_status status = receive(&context, &s, packet, s.packet_len);
			if ((status == SRTP_OK) !=
				(bit / 8 >= outside_end - outside && bit / 8 < outside_end))
				fail_msg("layout %zu, bit %zu: %s", i, bit,
					srtp_status_text(status));
		}
	}
}

static void truncated_packets_fail(void **state)
{
	static struct sample s;
	(void)state;

	for (size_t i = 0; i < SRTP_N_SUITES * N_LAYOUTS; i++) {
		struct context context;
		context_make(&context, ciphers[i % N_CIPHERS], i % SRTP_N_SUITES);
		layout_make(&context, &s, i / SRTP_N_SUITES);
		for (size_t len = 0; len < s.packet_len; len++) {
			// A copy of that length, so that reading beyond it is noticed.
			uint8_t *packet = test_malloc(len + 1);
			memcpy(packet, s.packet, len);
			assert_int_not_equal(receive(&context, &s, packet, len), SRTP_OK);
			test_free(packet);
		}
	}
}

// The index, the salt and the key are under the tag although they are not in the packet.
static void other_index_salt_or_key_fails(void **state)
{
	static struct sample s;
	(void)state;

	for (size_t c = 0; c < N_CIPHERS; c++) {
		struct context context;
		context_make(&context, ciphers[c], 0);
		layout_make(&context, &s, 0);
		for (int bit = 0; bit < 48; bit++) {
			s.index ^= UINT64_C(1) << bit;
			assert_int_equal(
				receive(&context, &s, s.packet, s.packet_len), SRTP_AUTH_FAIL);
			s.index ^= UINT64_C(1) << bit;
		}
		struct context other;
		for (int bit = 0; bit < 96; bit++) {
			other = context;
			other.salt[bit / 8] ^= (uint8_t)(1 << bit % 8);
			assert_int_equal(
				receive(&other, &s, s.packet, s.packet_len), SRTP_AUTH_FAIL);
		}
		context_make(&other, ciphers[c], 1);
		other.suite = SRTP_AEAD_AES_256_GCM;
		assert_int_equal(receive(&other, &s, s.packet, s.packet_len), SRTP_AUTH_FAIL);
	}
}

// With AES-CM the ROC is under the tag, the rest of what is not in the packet decides the plaintext.
static void cm_other_index_salt_or_key_fails(void **state)
{
	struct context context, other;
	static struct sample s;
	(void)state;

	context_make(&context, ciphers[0], SRTP_AES_CM_128_HMAC_SHA1_80);
	layout_make(&context, &s, 0);
	for (int bit = 16; bit < 48; bit++) {
		s.index ^= UINT64_C(1) << bit;
		assert_int_equal(receive(&context, &s, s.packet, s.packet_len), SRTP_AUTH_FAIL);
		s.index ^= UINT64_C(1) << bit;
	}
	for (size_t i = 0; i < 20; i++) {
		uint8_t key[SRTP_SESSION_KEY_MAX] = {0};
		context_make(&other, ciphers[0], SRTP_AES_CM_128_HMAC_SHA1_80);
		for (uint8_t k = 0; k < sizeof(key); k++)
			key[k] = (uint8_t)(k * 7 + SRTP_AES_CM_128_HMAC_SHA1_80);
		key[16 + i] ^= 1;
		context_init(&other, ciphers[0], other.suite, key, context.salt);
		assert_int_equal(receive(&other, &s, s.packet, s.packet_len), SRTP_AUTH_FAIL);
	}
	for (size_t i = 0; i < SRTP_SALT_MAX; i++) {
		uint8_t dst[ROOM];
		other = context;
		other.salt[i] ^= 1;
		struct srtp_op op = op_make(&other, SRTP_RTP, s.packet, dst, s.packet_len - 10);
		op.index = s.index;
		assert_int_equal(unprotect(&other, &op), SRTP_OK);
		assert_memory_not_equal(dst, s.plain, s.plain_len);
	}
}

// AES-GCM and AES-CM in one burst: each op goes to its own cipher, and order is kept.
static void suites_mix_in_one_burst(void **state)
{
	static struct context contexts[SRTP_N_SUITES];
	static uint8_t packets[SRTP_BURST_MAX][128];
	static struct srtp_op ops[SRTP_BURST_MAX];
	struct srtp_op *order[SRTP_BURST_MAX];
	uint8_t plain[PACKET_MAX];
	(void)state;

	for (uint8_t suite = 0; suite < SRTP_N_SUITES; suite++)
		context_make(&contexts[suite], ciphers[0], suite);
	for (size_t i = 0; i < SRTP_BURST_MAX; i++) {
		const struct context *context = &contexts[i * 7 / 3 % SRTP_N_SUITES];
		size_t len = rtp_make(plain, 0, -1, 20 + i % 50, false, (uint16_t)i);
		memcpy(packets[i], plain, len);
		ops[i] = op_make(context, SRTP_RTP, packets[i], packets[i], len);
		ops[i].index = i;
		order[i] = &ops[i];
	}
	assert_int_equal(srtp_protect_burst(ciphers[0], order, SRTP_BURST_MAX), SRTP_BURST_MAX);
	for (size_t i = 0; i < SRTP_BURST_MAX; i++) {
		enum srtp_suite suite = (enum srtp_suite)ops[i].suite;
		assert_ptr_equal(order[i], &ops[i]);
		assert_int_equal(ops[i].len, 32 + i % 50 + tag_len(suite, SRTP_RTP));
		// What it is alone, under its own key.
		uint8_t alone[128];
		size_t plain_len = rtp_make(plain, 0, -1, 20 + i % 50, false, (uint16_t)i);
		struct srtp_op op = op_make(&contexts[suite], SRTP_RTP, plain, alone, plain_len);
		op.index = i;
		assert_int_equal(protect(&contexts[suite], &op), SRTP_OK);
		assert_memory_equal(packets[i], alone, op.len);
		if (!srtp_suite_is_aead(suite))
			ops[i].len -= (uint16_t)tag_len(suite, SRTP_RTP);
		if (i % 5 == 1)
			packets[i][20] ^= 1;
	}
	uint16_t n_good = srtp_unprotect_burst(ciphers[0], order, SRTP_BURST_MAX);
	assert_int_equal(n_good, SRTP_BURST_MAX - (SRTP_BURST_MAX + 3) / 5);
	for (size_t i = 0; i < SRTP_BURST_MAX; i++) {
		size_t len = rtp_make(plain, 0, -1, 20 + i % 50, false, (uint16_t)i);
		assert_int_equal(ops[i].status, i % 5 == 1 ? SRTP_AUTH_FAIL : SRTP_OK);
		assert_int_equal(order[i]->status == SRTP_OK, i < n_good);
		if (i != 0 && i != n_good)
			assert_true(order[i]->index > order[i - 1]->index);
		if (ops[i].status == SRTP_OK) {
			assert_int_equal(ops[i].len, len);
			assert_memory_equal(packets[i], plain, len);
		}
	}
}

// A packet whose tag does not match is never decrypted, not even where it would be thrown away.
static void cm_authenticates_before_it_decrypts(void **state)
{
	struct context context;
	static struct sample s;
	uint8_t packet[ROOM];
	(void)state;

	context_make(&context, ciphers[0], SRTP_AES_CM_128_HMAC_SHA1_80);
	layout_make(&context, &s, 0);
	memcpy(packet, s.packet, s.packet_len);
	packet[s.packet_len - 1] ^= 1;
	struct srtp_op op = op_make(&context, SRTP_RTP, packet, packet, s.packet_len - 10);
	op.index = s.index;
	assert_int_equal(unprotect(&context, &op), SRTP_AUTH_FAIL);
	assert_memory_equal(packet, s.packet, s.packet_len - 1);
}

static void index_limits(void **state)
{
	struct context context;
	uint8_t rtp[ROOM], rtcp[ROOM], dst[ROOM];
	(void)state;

	context_make(&context, ciphers[0], 0);
	size_t rtp_len = rtp_make(rtp, 0, -1, 20, false, 0xffff);
	size_t rtcp_len = rtcp_make(rtcp);

	struct srtp_op op = op_make(&context, SRTP_RTP, rtp, dst, rtp_len);
	op.index = SRTP_INDEX_MAX;
	assert_int_equal(protect(&context, &op), SRTP_OK);
	op = op_make(&context, SRTP_RTP, rtp, dst, rtp_len);
	op.index = SRTP_INDEX_MAX + 1;
	assert_int_equal(protect(&context, &op), SRTP_INDEX_LIMIT);
	op = op_make(&context, SRTP_RTP, rtp, dst, rtp_len);
	op.index = SRTP_INDEX_MAX + 1;
	assert_int_equal(unprotect(&context, &op), SRTP_INDEX_LIMIT);

	op = op_make(&context, SRTP_RTCP, rtcp, dst, rtcp_len);
	op.index = SRTCP_INDEX_MAX;
	assert_int_equal(protect(&context, &op), SRTP_OK);
	op = op_make(&context, SRTP_RTCP, rtcp, dst, rtcp_len);
	op.index = (uint64_t)SRTCP_INDEX_MAX + 1;
	assert_int_equal(protect(&context, &op), SRTP_INDEX_LIMIT);
}

static void too_short_to_protect(void **state)
{
	struct context context;
	uint8_t rtp[ROOM], dst[ROOM];
	(void)state;

	context_make(&context, ciphers[0], 0);
	rtp_make(rtp, 0, -1, 20, false, 1);
	struct srtp_op op = op_make(&context, SRTP_RTP, rtp, dst, 11);
	op.head_len = RTP_HEADER_MIN;
	assert_int_equal(protect(&context, &op), SRTP_TOO_SHORT);
	op.head_len = 0;
	op.len = 32;
	assert_int_equal(protect(&context, &op), SRTP_TOO_SHORT);
	op = op_make(&context, SRTP_RTCP, rtp, dst, RTCP_HEADER_LEN - 1);
	assert_int_equal(protect(&context, &op), SRTP_TOO_SHORT);
}

// A burst of which some ops fail before the cipher and some after it.
struct burst {
	struct srtp_op ops[SRTP_BURST_MAX];
	struct srtp_op *order[SRTP_BURST_MAX];
	uint8_t packets[SRTP_BURST_MAX][128];
};

// What becomes of number i.
static enum srtp_status burst_fate(size_t i)
{
	return i % 5 == 1 ? SRTP_AUTH_FAIL : i % 7 == 2 ? SRTP_TOO_SHORT : SRTP_OK;
}

static void burst_make(struct burst *burst, const struct context *context)
{
	for (size_t i = 0; i < SRTP_BURST_MAX; i++) {
		uint8_t plain[PACKET_MAX];
		size_t len = rtp_make(plain, 0, -1, 20 + i % 50, false, (uint16_t)i);
		struct srtp_op op = op_make(context, SRTP_RTP, plain, burst->packets[i], len);
		op.index = i;
		assert_int_equal(protect(context, &op), SRTP_OK);
		burst->ops[i] =
			op_make(context, SRTP_RTP, burst->packets[i], burst->packets[i], op.len);
		burst->ops[i].index = i;
		burst->order[i] = &burst->ops[i];
		if (burst_fate(i) == SRTP_AUTH_FAIL)
			burst->packets[i][20] ^= 1;
		else if (burst_fate(i) == SRTP_TOO_SHORT)
			burst->ops[i].len = 27;
	}
}

// The good come first, and in both parts the indices rise.
static void burst_order_check(const struct burst *burst, uint16_t n_good)
{
	size_t n_ok = 0;
	for (size_t i = 0; i < SRTP_BURST_MAX; i++) {
		const struct srtp_op *op = burst->order[i];
		assert_int_equal(op->status, burst_fate(op->index));
		assert_int_equal(op->status == SRTP_OK, i < n_good);
		n_ok += op->status == SRTP_OK;
		if (i != 0 && i != n_good)
			assert_true(op->index > burst->order[i - 1]->index);
	}
	assert_int_equal(n_ok, n_good);
}

static void burst_keeps_order(void **state)
{
	static struct burst burst;
	(void)state;

	for (size_t c = 0; c < N_CIPHERS; c++) {
		struct context context;
		context_make(&context, ciphers[c], 0);
		burst_make(&burst, &context);
		uint16_t n = srtp_unprotect_burst(ciphers[c], burst.order, SRTP_BURST_MAX);
		burst_order_check(&burst, n);
		assert_int_equal(srtp_unprotect_burst(ciphers[c], burst.order, 0), 0);
	}
}

// The two halves with a cipher of one's own between them, as an asynchronous device has it.
static void halves_equal_the_whole(void **state)
{
	static struct burst burst;
	struct cipher_op *ciphers_ops[SRTP_BURST_MAX];
	struct context context;
	(void)state;

	context_make(&context, ciphers[N_CIPHERS - 1], 1);
	burst_make(&burst, &context);
	uint16_t n = srtp_unprotect_prepare_burst(burst.order, SRTP_BURST_MAX);
	assert_true(n < SRTP_BURST_MAX);
	for (uint16_t i = 0; i < n; i++)
		ciphers_ops[i] = &burst.order[i]->cipher;
	ciphers[N_CIPHERS - 1]->decrypt_burst(ciphers_ops, n);
	uint16_t n_good = srtp_unprotect_finish_burst(burst.order, n);
	assert_true(n_good < n);
	for (size_t i = 0; i < SRTP_BURST_MAX; i++) {
		assert_int_equal(burst.order[i]->status == SRTP_OK, i < n_good);
		assert_int_equal(burst.ops[i].status, burst_fate(i));
	}

	// Back again: the same octets as before, with the good first.
	for (uint16_t i = 0; i < n_good; i++)
		burst.order[i]->status = 0xff;
	n = srtp_protect_prepare_burst(burst.order, n_good);
	assert_int_equal(n, n_good);
	for (uint16_t i = 0; i < n; i++)
		ciphers_ops[i] = &burst.order[i]->cipher;
	ciphers[N_CIPHERS - 1]->encrypt_burst(ciphers_ops, n);
	assert_int_equal(srtp_protect_finish_burst(burst.order, n), n);
	assert_int_equal(srtp_unprotect_burst(ciphers[N_CIPHERS - 1], burst.order, n), n);
}

// A device that could not do its work: nothing may leave.
static void cipher_failure_is_reported(void **state)
{
	static const uint8_t zero[ROOM];
	struct context context;
	uint8_t rtp[ROOM], dst[ROOM] = {0};
	(void)state;

	context_make(&context, ciphers[0], 0);
	size_t len = rtp_make(rtp, 0, -1, 20, false, 1);
	struct srtp_op op = op_make(&context, SRTP_RTP, rtp, dst, len), *ops[] = {&op};
	assert_int_equal(srtp_protect_prepare_burst(ops, 1), 1);
	op.cipher.failed = true;
	assert_int_equal(srtp_protect_finish_burst(ops, 1), 0);
	assert_int_equal(op.status, SRTP_CIPHER_FAIL);
	assert_memory_equal(dst, zero, sizeof(dst));

	op = op_make(&context, SRTP_RTP, rtp, dst, len);
	assert_int_equal(srtp_unprotect_prepare_burst(ops, 1), 1);
	memcpy(op.cipher.tag, op.tag, sizeof(op.tag));
	op.cipher.failed = true;
	assert_int_equal(srtp_unprotect_finish_burst(ops, 1), 0);
	assert_int_equal(op.status, SRTP_CIPHER_FAIL);
}

static void reads_rtp_headers(void **state)
{
	uint8_t packet[PACKET_MAX];
	(void)state;

	assert_int_equal(rtp_header_len(packet, rtp_make(packet, 0, -1, 5, false, 1)), 12);
	assert_int_equal(rtp_header_len(packet, rtp_make(packet, 15, -1, 0, false, 1)), 72);
	assert_int_equal(rtp_header_len(packet, rtp_make(packet, 3, 4, 9, false, 1)), 44);
	size_t len = rtp_make(packet, 3, 4, 0, false, 1);
	for (size_t cut = 0; cut < len; cut++)
		assert_int_equal(rtp_header_len(packet, cut), 0);
	packet[0] = 0x40 | (packet[0] & 0x3f);
	assert_int_equal(rtp_header_len(packet, len), 0);
	// An extension that says more than 16 bits of octets.
	uint8_t *huge = test_calloc(1, 300000);
	rtp_make(huge, 0, 0, 0, false, 1);
	huge[14] = huge[15] = 0xff;
	assert_int_equal(rtp_header_len(huge, 300000), 0);
	test_free(huge);
}

static void reads_rtcp_headers(void **state)
{
	uint8_t packet[PACKET_MAX];
	size_t len = rtcp_make(packet);
	(void)state;

	assert_true(rtcp_compound_ok(packet, len));
	for (size_t cut = 0; cut < len; cut++)
		assert_int_equal(rtcp_compound_ok(packet, cut), cut == 8);
	assert_true(rtcp_header_ok(packet, 8));
	assert_false(rtcp_header_ok(packet, 7));
	packet[3]++;
	assert_false(rtcp_compound_ok(packet, len));
	packet[3]--;
	packet[8] = 0x41;
	assert_false(rtcp_compound_ok(packet, len));
	packet[0] = 0x41;
	assert_false(rtcp_header_ok(packet, len));
	for (int type = 0; type < 256; type++) {
		packet[1] = (uint8_t)type;
		assert_int_equal(rtcp_is(packet), type >= 192 && type <= 223);
	}
}

static void reads_trailers(void **state)
{
	uint8_t packet[80];
	struct srtp_trailer t;
	(void)state;

	for (uint8_t i = 0; i < sizeof(packet); i++)
		packet[i] = i;
	assert_true(
		srtp_trailer_read(packet, 80, SRTP_AEAD_AES_128_GCM, SRTP_RTP, 12, 8, true, &t));
	assert_int_equal(t.body, 68);
	assert_int_equal(t.mki, UINT64_C(0x4445464748494a4b));
	assert_int_equal(t.roc, 0x4c4d4e4f);
	assert_true(
		srtp_trailer_read(packet, 80, SRTP_AEAD_AES_128_GCM, SRTP_RTP, 12, 4, false, &t));
	assert_int_equal(t.body, 76);
	assert_int_equal(t.mki, UINT64_C(0x4c4d4e4f00000000));
	assert_true(
		srtp_trailer_read(packet, 80, SRTP_AEAD_AES_128_GCM, SRTP_RTCP, 8, 0, false, &t));
	assert_int_equal(t.body, 80);
	assert_int_equal(t.mki, 0);
	assert_int_equal(srtcp_index_word(packet, t.body), 0x4c4d4e4f);

	assert_false(
		srtp_trailer_read(packet, 80, SRTP_AEAD_AES_128_GCM, SRTP_RTCP, 8, 4, true, &t));
	assert_false(
		srtp_trailer_read(packet, 80, SRTP_AEAD_AES_128_GCM, SRTP_RTP, 12, 5, false, &t));
	assert_false(srtp_trailer_read(
		packet, 65536, SRTP_AEAD_AES_128_GCM, SRTP_RTP, 12, 4, false, &t));
	assert_true(
		srtp_trailer_read(packet, 40, SRTP_AEAD_AES_128_GCM, SRTP_RTP, 12, 8, true, &t));
	assert_false(
		srtp_trailer_read(packet, 39, SRTP_AEAD_AES_128_GCM, SRTP_RTP, 12, 8, true, &t));
	assert_true(
		srtp_trailer_read(packet, 32, SRTP_AEAD_AES_128_GCM, SRTP_RTCP, 8, 4, false, &t));
	assert_false(
		srtp_trailer_read(packet, 31, SRTP_AEAD_AES_128_GCM, SRTP_RTCP, 8, 4, false, &t));
}

static void reads_trailers_of_aes_cm(void **state)
{
	const enum srtp_suite s80 = SRTP_AES_CM_128_HMAC_SHA1_80;
	const enum srtp_suite s32 = SRTP_AES_CM_128_HMAC_SHA1_32;
	uint8_t packet[80];
	struct srtp_trailer t;
	(void)state;

	for (uint8_t i = 0; i < sizeof(packet); i++)
		packet[i] = i;
	assert_true(srtp_trailer_read(packet, 80, s80, SRTP_RTP, 12, 8, false, &t));
	assert_int_equal(t.body, 62);
	assert_int_equal(t.mki, UINT64_C(0x3e3f404142434445));
	assert_true(srtp_trailer_read(packet, 80, s32, SRTP_RTP, 12, 4, false, &t));
	assert_int_equal(t.body, 72);
	assert_int_equal(t.mki, UINT64_C(0x48494a4b00000000));
	assert_true(srtp_trailer_read(packet, 80, s32, SRTP_RTCP, 8, 4, false, &t));
	assert_int_equal(t.body, 66);
	assert_int_equal(t.mki, UINT64_C(0x4243444500000000));
	assert_int_equal(srtcp_index_word(packet, t.body), 0x3e3f4041);

	assert_false(srtp_trailer_read(packet, 80, s80, SRTP_RTP, 12, 4, true, &t));
	assert_true(srtp_trailer_read(packet, 30, s80, SRTP_RTP, 12, 8, false, &t));
	assert_false(srtp_trailer_read(packet, 29, s80, SRTP_RTP, 12, 8, false, &t));
	assert_true(srtp_trailer_read(packet, 20, s32, SRTP_RTP, 12, 4, false, &t));
	assert_false(srtp_trailer_read(packet, 19, s32, SRTP_RTP, 12, 4, false, &t));
	assert_true(srtp_trailer_read(packet, 26, s32, SRTP_RTCP, 8, 4, false, &t));
	assert_false(srtp_trailer_read(packet, 25, s32, SRTP_RTCP, 8, 4, false, &t));
}

static void roc_rate(void **state)
{
	(void)state;

	assert_false(srtp_carries_roc(0, 0));
	assert_true(srtp_carries_roc(1, 12345));
	assert_true(srtp_carries_roc(10, 20));
	assert_false(srtp_carries_roc(10, 21));
	assert_true(srtp_carries_roc(65535, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_answers_of_rfc7714),
		cmocka_unit_test(known_answers_end_to_end),
		cmocka_unit_test(known_answers_of_floor_control),
		cmocka_unit_test(every_layout_round_trips),
		cmocka_unit_test(forged_packets_fail),
		cmocka_unit_test(truncated_packets_fail),
		cmocka_unit_test(other_index_salt_or_key_fails),
		cmocka_unit_test(cm_other_index_salt_or_key_fails),
		cmocka_unit_test(cm_authenticates_before_it_decrypts),
		cmocka_unit_test(suites_mix_in_one_burst),
		cmocka_unit_test(index_limits),
		cmocka_unit_test(too_short_to_protect),
		cmocka_unit_test(burst_keeps_order),
		cmocka_unit_test(halves_equal_the_whole),
		cmocka_unit_test(cipher_failure_is_reported),
		cmocka_unit_test(reads_rtp_headers),
		cmocka_unit_test(reads_rtcp_headers),
		cmocka_unit_test(reads_trailers),
		cmocka_unit_test(reads_trailers_of_aes_cm),
		cmocka_unit_test(roc_rate),
	};
	return cmocka_run_group_tests(tests, ciphers_open, ciphers_close);
}
