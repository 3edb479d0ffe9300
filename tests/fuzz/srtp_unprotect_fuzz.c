// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

// libFuzzer entry: the input as a packet from the network, through every layout the receiver could
// take it for; and as a payload, which must survive being protected and unprotected.

#include <stdlib.h>
#include <string.h>

#include "crypto/cipher_registry.h"
#include "crypto/srtp.h"

enum { INPUT_MAX = 4096, ROOM = INPUT_MAX + RTP_HEADER_MIN + SRTP_OVERHEAD_MAX };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t mki_lens[] = {0, 4, 8};
static const uint8_t salt[SRTP_SALT_MAX] = {1, 2, 3};
static struct {
	_Alignas(CIPHER_KEY_ALIGN) uint8_t key[CIPHER_KEY_SIZE];
} expanded[SRTP_N_SUITES];
static const struct cipher *cipher;

static void require(bool fact)
{
	if (!fact)
		abort();
}

static void cipher_start(void)
{
	static const uint8_t session_key[SRTP_SESSION_KEY_MAX] = {42};
	const char *name = getenv("FUZZ_CIPHER"), *why;
	cipher = cipher_open(name ? name : cipher_auto, &why);
	require(cipher && cipher_thread_init(cipher) == 0);
	for (int suite = 0; suite < SRTP_N_SUITES; suite++)
		require(cipher_of_suite(cipher, (enum srtp_suite)suite)
				->expand((enum srtp_suite)suite, session_key,
					expanded[suite].key) == 0);
}

static struct srtp_op op_make(uint8_t suite, enum srtp_protocol protocol, const uint8_t *src,
	uint8_t *dst, uint16_t len, uint16_t head_len)
{
	return (struct srtp_op){
		.key = expanded[suite].key,
		.salt = salt,
		.src = src,
		.dst = dst,
		.index = 7,
		.len = len,
		.head_len = head_len,
		.suite = suite,
		.protocol = (uint8_t)protocol,
	};
}

// Octets of the packet that a suite reads behind the body: MKI and tag.
static size_t behind_body(uint8_t suite, enum srtp_protocol protocol, uint8_t mki_len)
{
	if (srtp_suite_is_aead((enum srtp_suite)suite))
		return 0;
	return mki_len + srtp_suite_tag_len((enum srtp_suite)suite, protocol);
}

// Out of place, then in place; the buffers have exactly the octets that the contract asks for.
static bool unprotect_both_ways(uint8_t suite, enum srtp_protocol protocol, const uint8_t *packet,
	const struct srtp_trailer *trailer, uint16_t head_len)
{
	uint16_t len = trailer->body;
	size_t size = len + behind_body(suite, protocol, trailer->mki_len);
	uint8_t *src = malloc(size), *dst = calloc(1, len), *same = malloc(size);
	require(src && dst && same);
	memcpy(src, packet, size);
	memcpy(same, packet, size);

	struct srtp_op op = op_make(suite, protocol, src, dst, len, head_len), *ops[] = {&op};
	op.mki_len = trailer->mki_len;
	bool good = srtp_unprotect_burst(cipher, ops, 1) == 1;
	require(memcmp(src, packet, size) == 0);
	for (uint16_t i = 0; !good && i < len; i++)
		require(dst[i] == 0);
	struct srtp_op same_op = op_make(suite, protocol, same, same, len, head_len);
	same_op.mki_len = trailer->mki_len;
	ops[0] = &same_op;
	require((srtp_unprotect_burst(cipher, ops, 1) == 1) == good);
	require(op.status == same_op.status && op.len == same_op.len);
	require(!good || memcmp(dst, same, op.len) == 0);
	if (good && protocol == SRTP_RTCP)
		rtcp_compound_ok(dst, op.len);
	free(src);
	free(dst);
	free(same);
	return good;
}

// As the receiver does it, with no idea of the trailer.
static void packet_receive(const uint8_t *packet, size_t size)
{
	for (int layout = 0; layout < 2 * 2 * 3; layout++) {
		enum srtp_protocol protocol = (enum srtp_protocol)(layout % 2);
		struct srtp_trailer trailer;
		uint16_t head_len = RTCP_HEADER_LEN;
		if (protocol == SRTP_RTP)
			head_len = rtp_header_len(packet, size);
		if (head_len == 0 || !rtcp_header_ok(packet, size))
			continue;
		for (uint8_t suite = 0; suite < SRTP_N_SUITES; suite++) {
			if (srtp_trailer_read(packet, size, (enum srtp_suite)suite, protocol,
				    head_len, mki_lens[layout / 4], layout / 2 % 2, &trailer))
				unprotect_both_ways(suite, protocol, packet, &trailer, head_len);
		}
	}
}

// Protects the input behind a header and expects it back.
static void payload_round_trip(uint8_t suite, enum srtp_protocol protocol, uint8_t variant,
	const uint8_t *payload, size_t size)
{
	static const uint8_t head[RTP_HEADER_MIN] = {0x80, 0x78, 0, 7, 0, 0, 0, 0, 1, 2, 3, 4};
	uint8_t plain[ROOM], packet[ROOM];
	uint16_t head_len = protocol == SRTP_RTP ? RTP_HEADER_MIN : RTCP_HEADER_LEN;
	uint16_t plain_len = (uint16_t)(head_len + size);
	struct srtp_trailer trailer;
	memcpy(plain, head, head_len);
	if (size != 0)
		memcpy(plain + head_len, payload, size);
	struct srtp_op op = op_make(suite, protocol, plain, packet, plain_len, head_len);
	struct srtp_op *ops[] = {&op};
	op.mki_len = mki_lens[variant % 3];
	op.append_roc =
		protocol == SRTP_RTP && variant & 4 && srtp_suite_is_aead((enum srtp_suite)suite);
	op.e_flag = protocol == SRTP_RTCP && variant & 4;
	require(srtp_protect_burst(cipher, ops, 1) == 1);
	require(srtp_trailer_read(packet, op.len, (enum srtp_suite)suite, protocol, head_len,
		op.mki_len, op.append_roc, &trailer));
	require(unprotect_both_ways(suite, protocol, packet, &trailer, head_len));
	op = op_make(suite, protocol, packet, packet, trailer.body, head_len);
	op.mki_len = trailer.mki_len;
	require(srtp_unprotect_burst(cipher, ops, 1) == 1);
	require(op.len == plain_len && memcmp(packet, plain, plain_len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!cipher)
		cipher_start();
	if (size > INPUT_MAX)
		return 0;
	packet_receive(data, size);
	uint8_t variant = size != 0 ? data[0] : 0;
	for (uint8_t suite = 0; suite < SRTP_N_SUITES; suite++) {
		payload_round_trip(suite, SRTP_RTP, variant, data, size);
		payload_round_trip(suite, SRTP_RTCP, variant, data, size);
	}
	return 0;
}
