// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <string.h>

#include <cmocka.h>

#include "crypto/cipher_registry.h"
#include "crypto/packet_index.h"
#include "crypto/srtp.h"
#include "tests/unit/ciphers.h"

#include <srtp2/srtp.h>

// libsrtp2 as the peer: it derives its session keys from the same master key and salt on its own.
// It knows no RFC 4771, so no packet here carries its ROC.

enum { PACKET_MAX = 512 };

static const uint8_t mki_octets[SRTP_MKI_MAX] = {0x0a, 0x1b, 0x2c, 0x3d, 0x08, 0xb6, 0x3c, 0x96};

// One combination of what both ends agree on.
struct agreement {
	const struct cipher *cipher;
	enum srtp_suite suite;
	uint8_t mki_len;
	bool rtcp_clear;             // SRTCP authenticated, not encrypted
	enum srtp_protocol protocol; // the one that is tested
};

// Both ends of a connection.
struct ends {
	const struct agreement *agreed;
	const struct cipher *cipher;
	struct {
		_Alignas(CIPHER_KEY_ALIGN) uint8_t key[CIPHER_KEY_SIZE];
	} expanded[SRTP_N_PROTOCOLS];
	uint8_t salt[SRTP_N_PROTOCOLS][SRTP_SALT_MAX];
	srtp_t sender, receiver; // the peer's
};

// RFC 4568 6.2.2: the short tag is for SRTP only.
static const struct {
	void (*rtp)(srtp_crypto_policy_t *policy), (*rtcp)(srtp_crypto_policy_t *policy);
} policies[SRTP_N_SUITES] = {
	[SRTP_AEAD_AES_128_GCM] = {srtp_crypto_policy_set_aes_gcm_128_16_auth,
		srtp_crypto_policy_set_aes_gcm_128_16_auth},
	[SRTP_AEAD_AES_256_GCM] = {srtp_crypto_policy_set_aes_gcm_256_16_auth,
		srtp_crypto_policy_set_aes_gcm_256_16_auth},
	[SRTP_AES_CM_128_HMAC_SHA1_80] = {srtp_crypto_policy_set_rtp_default,
		srtp_crypto_policy_set_rtcp_default},
	[SRTP_AES_CM_128_HMAC_SHA1_32] = {srtp_crypto_policy_set_aes_cm_128_hmac_sha1_32,
		srtp_crypto_policy_set_rtcp_default},
};

static srtp_t peer_make(const struct agreement *agreed, const struct srtp_master *master,
	srtp_ssrc_type_t direction)
{
	uint8_t key[SRTP_KEY_MAX + SRTP_SALT_MAX], mki[SRTP_MKI_MAX];
	uint8_t key_len = srtp_suite_key_len(agreed->suite);
	srtp_policy_t policy = {.ssrc = {.type = direction}, .window_size = 128};
	srtp_t peer;
	memcpy(key, master->key, key_len);
	memcpy(key + key_len, master->salt, srtp_suite_salt_len(agreed->suite));
	memcpy(mki, mki_octets, sizeof(mki));
	srtp_master_key_t master_key = {.key = key, .mki_id = mki, .mki_size = agreed->mki_len};
	srtp_master_key_t *keys[] = {&master_key};
	policies[agreed->suite].rtcp(&policy.rtcp);
	// The peer looks for the MKI of SRTCP in front of a tag as long as SRTP's.
	if (agreed->protocol == SRTP_RTCP)
		policy.rtp = policy.rtcp;
	else
		policies[agreed->suite].rtp(&policy.rtp);
	if (agreed->rtcp_clear)
		policy.rtcp.sec_serv = sec_serv_auth;
	if (agreed->mki_len != 0) {
		policy.keys = keys;
		policy.num_master_keys = 1;
	} else {
		policy.key = key;
	}
	assert_int_equal(srtp_create(&peer, &policy), srtp_err_status_ok);
	return peer;
}

static void ends_make(struct ends *ends, const struct agreement *agreed)
{
	struct srtp_master master;
	for (uint8_t i = 0; i < sizeof(master.key); i++)
		master.key[i] = (uint8_t)(i * 11 + agreed->mki_len);
	for (uint8_t i = 0; i < sizeof(master.salt); i++)
		master.salt[i] = (uint8_t)(0xf0 - i * 5);
	ends->agreed = agreed;
	ends->cipher = agreed->cipher;
	assert_int_equal(cipher_thread_init(ends->cipher), 0);
	for (int p = 0; p < SRTP_N_PROTOCOLS; p++) {
		struct srtp_session session;
		assert_int_equal(
			srtp_kdf(&master, agreed->suite, (enum srtp_protocol)p, &session), 0);
		cipher_of_suite(ends->cipher, agreed->suite)
			->expand(agreed->suite, session.key, ends->expanded[p].key);
		memcpy(ends->salt[p], session.salt, sizeof(session.salt));
	}
	ends->sender = peer_make(agreed, &master, ssrc_any_outbound);
	ends->receiver = peer_make(agreed, &master, ssrc_any_inbound);
}

static void ends_free(struct ends *ends)
{
	srtp_dealloc(ends->sender);
	srtp_dealloc(ends->receiver);
	cipher_thread_fini(ends->cipher);
}

static struct srtp_op op_make(
	const struct ends *ends, enum srtp_protocol protocol, uint8_t *packet, size_t len)
{
	return (struct srtp_op){
		.key = ends->expanded[protocol].key,
		.salt = ends->salt[protocol],
		.src = packet,
		.dst = packet,
		.len = (uint16_t)len,
		.head_len = protocol == SRTP_RTP ? rtp_header_len(packet, len) : 0,
		.suite = (uint8_t)ends->agreed->suite,
		.protocol = (uint8_t)protocol,
	};
}

// Unprotects what the peer sent. Returns the length of the plain packet.
static uint16_t receive(const struct ends *ends, enum srtp_protocol protocol, uint8_t *packet,
	int len, uint64_t *index)
{
	uint16_t head_len =
		protocol == SRTP_RTP ? rtp_header_len(packet, (size_t)len) : RTCP_HEADER_LEN;
	struct srtp_trailer trailer = {};
	uint8_t mki_len = ends->agreed->mki_len, mki[SRTP_MKI_MAX] = {0};
	assert_true(srtp_trailer_read(packet, (size_t)len, ends->agreed->suite, protocol, head_len,
		mki_len, false, &trailer));
	memcpy(mki, mki_octets, mki_len);
	assert_int_equal(trailer.mki, (uint64_t)srtp_read32(mki) << 32 | srtp_read32(mki + 4));
	struct srtp_op op = op_make(ends, protocol, packet, trailer.body), *ops[] = {&op};
	op.index = *index;
	op.mki_len = mki_len;
	assert_int_equal(srtp_unprotect_burst(ends->cipher, ops, 1), 1);
	*index = op.index;
	if (protocol == SRTP_RTCP)
		assert_int_equal(op.e_flag, !ends->agreed->rtcp_clear);
	return op.len;
}

// Protects for the peer. Returns the length of the protected packet.
static int send(const struct ends *ends, enum srtp_protocol protocol, uint8_t *packet, size_t len,
	uint64_t index)
{
	struct srtp_op op = op_make(ends, protocol, packet, len), *ops[] = {&op};
	op.index = index;
	op.mki_len = ends->agreed->mki_len;
	op.mki = (uint64_t)srtp_read32(mki_octets) << 32;
	if (op.mki_len == 8)
		op.mki |= srtp_read32(mki_octets + 4);
	op.e_flag = protocol == SRTP_RTCP && !ends->agreed->rtcp_clear;
	assert_int_equal(srtp_protect_burst(ends->cipher, ops, 1), 1);
	return op.len;
}

// RTP with two CSRCs, an extension and a payload that grows with the SEQ. Returns its length.
static size_t rtp_make(uint8_t *packet, uint16_t seq)
{
	static const uint8_t head[] = {0xb2, 0x60, 0, 0, 0, 0, 0, 160, 0xca, 0xfe, 0, 1, 1, 2, 3, 4,
		5, 6, 7, 8, 0xbe, 0xde, 0, 1, 0x10, 0xff, 0, 0};
	size_t len = sizeof(head) + 20 + seq % 64;
	memset(packet, (uint8_t)seq, PACKET_MAX);
	memcpy(packet, head, sizeof(head));
	packet[2] = (uint8_t)(seq >> 8);
	packet[3] = (uint8_t)seq;
	packet[len - 1] = 4; // padding
	return len;
}

// A floor control message of words 32-bit words. Returns its length.
static size_t rtcp_make(uint8_t *packet, uint8_t words)
{
	static const uint8_t head[] = {0x80, 0xcc, 0, 0, 0xca, 0xfe, 0, 1, 'M', 'C', 'P', 'T'};
	memset(packet, words, PACKET_MAX);
	memcpy(packet, head, sizeof(head));
	packet[3] = words - 1;
	return 4 * (size_t)words;
}

// Across two wraps of the SEQ, with neither side told the ROC.
static void rtp_check(struct ends *ends)
{
	uint8_t packet[PACKET_MAX];
	unsigned int use_mki = ends->agreed->mki_len != 0;
	uint64_t next = 0;
	for (uint64_t sent = 65500; sent < 2 * 65536 + 40; sent += sent % 65536 < 100 ? 1 : 50) {
		uint8_t plain[PACKET_MAX];
		size_t plain_len = rtp_make(plain, (uint16_t)sent);
		int len = (int)plain_len;
		memcpy(packet, plain, plain_len);
		assert_int_equal(srtp_protect_mki(ends->sender, packet, &len, use_mki, 0),
			srtp_err_status_ok);
		uint64_t index = packet_index_estimate(next, rtp_seq(packet));
		assert_int_equal(index, sent);
		assert_int_equal(receive(ends, SRTP_RTP, packet, len, &index), plain_len);
		assert_memory_equal(packet, plain, plain_len);
		next = index + 1;

		len = send(ends, SRTP_RTP, packet, plain_len, sent);
		assert_int_equal(srtp_unprotect_mki(ends->receiver, packet, &len, use_mki),
			srtp_err_status_ok);
		assert_int_equal(len, plain_len);
		assert_memory_equal(packet, plain, plain_len);
	}
	// And the peer takes no packet whose last bit of the tag is another.
	size_t plain_len = rtp_make(packet, 100);
	int len = send(ends, SRTP_RTP, packet, plain_len, 2 * 65536 + 100);
	packet[len - 1 - (srtp_suite_is_aead(ends->agreed->suite) ? ends->agreed->mki_len : 0)] ^=
		1;
	assert_int_equal(srtp_unprotect_mki(ends->receiver, packet, &len, use_mki),
		srtp_err_status_auth_fail);
}

static void rtcp_check(struct ends *ends)
{
	unsigned int use_mki = ends->agreed->mki_len != 0;
	for (uint8_t i = 1; i < 40; i++) {
		uint8_t plain[PACKET_MAX];
		size_t plain_len = rtcp_make(plain, i + 2);
		int len = (int)plain_len;
		uint64_t index = 0;
		uint8_t packet[PACKET_MAX];
		memcpy(packet, plain, plain_len);
		assert_int_equal(srtp_protect_rtcp_mki(ends->sender, packet, &len, use_mki, 0),
			srtp_err_status_ok);
		assert_int_equal(receive(ends, SRTP_RTCP, packet, len, &index), plain_len);
		assert_memory_equal(packet, plain, plain_len);
		assert_int_equal(index, i); // the peer counts from 1

		len = send(ends, SRTP_RTCP, packet, plain_len, 1000U + i);
		assert_int_equal(srtp_unprotect_rtcp_mki(ends->receiver, packet, &len, use_mki),
			srtp_err_status_ok);
		assert_int_equal(len, plain_len);
		assert_memory_equal(packet, plain, plain_len);
	}
}

static void every_agreement(void **state)
{
	static const uint8_t mki_lens[] = {0, 4, 8};
	static struct ends ends;
	void (*check)(struct ends *ends) = *state;

	for (size_t i = 0; i < N_CIPHERS * SRTP_N_SUITES * 3 * 2; i++) {
		struct agreement agreed = {
			.cipher = test_cipher(i % N_CIPHERS),
			.suite = (enum srtp_suite)(i / N_CIPHERS % SRTP_N_SUITES),
			.mki_len = mki_lens[i / N_CIPHERS / SRTP_N_SUITES % 3],
			.rtcp_clear = i / N_CIPHERS / SRTP_N_SUITES / 3,
			.protocol = check == rtcp_check ? SRTP_RTCP : SRTP_RTP,
		};
		ends_make(&ends, &agreed);
		check(&ends);
		ends_free(&ends);
	}
}

static int peer_init(void **state)
{
	(void)state;

	return srtp_init() == srtp_err_status_ok ? 0 : -1;
}

static int peer_shutdown(void **state)
{
	(void)state;

	return srtp_shutdown() == srtp_err_status_ok ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		{"rtp", every_agreement, NULL, NULL, rtp_check},
		{"rtcp", every_agreement, NULL, NULL, rtcp_check},
	};
	return cmocka_run_group_tests(tests, peer_init, peer_shutdown);
}
