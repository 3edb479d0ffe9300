// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "crypto/srtp.h"

#include <assert.h>
#include <endian.h>
#include <string.h>

#include "base/secmem.h"

#define SRTCP_E_BIT   (UINT32_C(1) << 31)
#define ALWAYS_INLINE inline __attribute__((always_inline))

const char *srtp_status_text(enum srtp_status status)
{
	static const char *const texts[] = {
#define _(name, text) [SRTP_##name] = text,
		SRTP_STATUSES(_)
#undef _
	};
	return texts[status];
}

bool rtcp_header_ok(const uint8_t *packet, size_t len)
{
	return len >= RTCP_HEADER_LEN && packet[0] >> 6 == RTP_VERSION;
}

bool rtcp_compound_ok(const uint8_t *packet, size_t len)
{
	if (!rtcp_header_ok(packet, len))
		return false;
	// Packets after the first may be as short as their first word (an empty BYE, RFC 3550 6.6).
	for (size_t at = 0; at < len;) {
		if (len - at < 4 || packet[at] >> 6 != RTP_VERSION)
			return false;
		size_t packet_len = rtcp_first_len(packet + at);
		if (packet_len > len - at)
			return false;
		at += packet_len;
	}
	return true;
}

// Functions with a parameter aead are compiled once for AES-GCM and once for AES-CM.

// The IV of RFC 7714: 8.1 is 0000 || SSRC || ROC || SEQ, 9.1 is 0000 || SSRC || 0000 || SRTCP
// index, both xored with the salt. With a 48-bit and a 31-bit index these are one formula.
static inline void iv_form(
	uint8_t iv[CIPHER_IV_LEN], const uint8_t *salt, uint32_t ssrc, uint64_t index)
{
	uint64_t high_salt;
	uint32_t low_salt;
	memcpy(&high_salt, salt, 8);
	memcpy(&low_salt, salt + 8, 4);
	uint64_t high = htobe64((uint64_t)ssrc << 16 | index >> 32) ^ high_salt;
	uint32_t low = htobe32((uint32_t)index) ^ low_salt;
	memcpy(iv, &high, 8);
	memcpy(iv + 8, &low, 4);
}

// The IV of RFC 3711 4.1.1: (salt * 2^16) xor (SSRC * 2^64) xor (index * 2^16), but for its last
// two octets, which count blocks.
static inline void cm_iv_form(
	uint8_t iv[CIPHER_CM_IV_LEN], const uint8_t *salt, uint32_t ssrc, uint64_t index)
{
	memcpy(iv, salt, CIPHER_CM_IV_LEN);
	srtp_write32(iv + 4, srtp_read32(iv + 4) ^ ssrc);
	srtp_write32(iv + 8, srtp_read32(iv + 8) ^ (uint32_t)(index >> 16));
	iv[12] ^= (uint8_t)(index >> 8);
	iv[13] ^= (uint8_t)index;
}

static inline bool tags_equal(const uint8_t *a, const uint8_t *b)
{
	uint64_t a_words[2], b_words[2];
	memcpy(a_words, a, sizeof(a_words));
	memcpy(b_words, b, sizeof(b_words));
	return ((a_words[0] ^ b_words[0]) | (a_words[1] ^ b_words[1])) == 0;
}

// What both directions of SRTP share: header, IV, AAD, and text_len octets after the header.
static ALWAYS_INLINE void srtp_prepare(struct srtp_op *op, uint16_t text_len, bool aead)
{
	struct cipher_op *cipher = &op->cipher;
	if (op->dst != op->src) {
		memcpy(op->dst, op->src, RTP_HEADER_MIN);
		if (op->head_len > RTP_HEADER_MIN)
			memcpy(op->dst + RTP_HEADER_MIN, op->src + RTP_HEADER_MIN,
				op->head_len - RTP_HEADER_MIN);
	}
	cipher->aad = op->src;
	cipher->aad_len = op->head_len;
	cipher->src = op->src + op->head_len;
	cipher->dst = op->dst + op->head_len;
	cipher->len = text_len;
	if (aead) {
		iv_form(cipher->iv, op->salt, rtp_ssrc(op->src), op->index);
	} else {
		cm_iv_form(cipher->iv, op->salt, rtp_ssrc(op->src), op->index);
		srtp_write32(cipher->tail, (uint32_t)(op->index >> 16)); // the ROC, RFC 3711 4.2
	}
}

// SRTCP with an AES-CM suite, for a compound packet of rtcp_len octets: what stays in clear is AAD,
// the index word ends what the tag covers.
static inline void srtcp_cm_prepare(struct srtp_op *op, uint16_t rtcp_len)
{
	struct cipher_op *cipher = &op->cipher;
	uint16_t clear_len = op->e_flag ? RTCP_HEADER_LEN : rtcp_len;
	if (op->dst != op->src)
		memcpy(op->dst, op->src, clear_len);
	cipher->aad = op->src;
	cipher->aad_len = clear_len;
	cipher->src = op->src + clear_len;
	cipher->dst = op->dst + clear_len;
	cipher->len = rtcp_len - (uint32_t)clear_len;
	cm_iv_form(cipher->iv, op->salt, rtcp_ssrc(op->src), op->index);
	srtp_write32(cipher->tail, (op->e_flag ? SRTCP_E_BIT : 0) | (uint32_t)op->index);
}

// AES-GCM. If the packet stays in clear, the AAD is the packet and the index word
// (RFC 7714 9.3), which meet at dst: there the word takes the place of the tag's first octets, and
// finishing puts the tag back.
static inline void srtcp_prepare(struct srtp_op *op, uint16_t rtcp_len)
{
	struct cipher_op *cipher = &op->cipher;
	uint32_t word = (op->e_flag ? SRTCP_E_BIT : 0) | (uint32_t)op->index;
	iv_form(cipher->iv, op->salt, rtcp_ssrc(op->src), op->index);
	if (op->e_flag) {
		memcpy(op->aad, op->src, RTCP_HEADER_LEN);
		srtp_write32(op->aad + RTCP_HEADER_LEN, word);
		if (op->dst != op->src)
			memcpy(op->dst, op->src, RTCP_HEADER_LEN);
		cipher->aad = op->aad;
		cipher->aad_len = RTCP_HEADER_LEN + SRTCP_INDEX_LEN;
		cipher->src = op->src + RTCP_HEADER_LEN;
		cipher->dst = op->dst + RTCP_HEADER_LEN;
		cipher->len = rtcp_len - (uint32_t)RTCP_HEADER_LEN;
	} else {
		if (op->dst != op->src)
			memcpy(op->dst, op->src, rtcp_len);
		srtp_write32(op->dst + rtcp_len, word);
		cipher->aad = op->dst;
		cipher->aad_len = rtcp_len + SRTCP_INDEX_LEN;
		cipher->src = op->dst + rtcp_len;
		cipher->dst = op->dst + rtcp_len;
		cipher->len = 0;
	}
}

// Octets of a body after its ciphertext.
static ALWAYS_INLINE uint16_t body_trailer_len(const struct srtp_op *op, bool aead)
{
	return (uint16_t)((op->protocol == SRTP_RTCP ? SRTCP_INDEX_LEN : 0) +
			  (aead ? SRTP_GCM_TAG_LEN : 0));
}

// What the cipher is told in both directions, beside the octets.
static ALWAYS_INLINE void cipher_fill(struct srtp_op *op, bool aead)
{
	op->status = SRTP_OK;
	op->cipher.key = op->key;
	op->cipher.suite = op->suite;
	op->cipher.failed = false;
	if (!aead) {
		op->cipher.received = NULL;
		op->cipher.tag_len = srtp_suite_tag_len(op->suite, op->protocol);
	}
}

// The tag of a packet with plain_len octets before it or before the index.
static ALWAYS_INLINE void received_tag_read(struct srtp_op *op, uint16_t plain_len, bool aead)
{
	if (aead) {
		memcpy(op->tag, op->src + plain_len, SRTP_GCM_TAG_LEN);
	} else {
		memcpy(op->tag, op->src + op->len + op->mki_len, op->cipher.tag_len);
		op->cipher.received = op->tag;
	}
}

// The octets of a packet that has plain_len of them in clear.
static ALWAYS_INLINE void text_prepare(
	struct srtp_op *op, uint16_t head_len, uint16_t plain_len, bool aead)
{
	if (op->protocol == SRTP_RTP)
		srtp_prepare(op, plain_len - head_len, aead);
	else if (aead)
		srtcp_prepare(op, plain_len);
	else
		srtcp_cm_prepare(op, plain_len);
}

// Makes op ready for the cipher: status OK. Otherwise nothing at dst was written.
static ALWAYS_INLINE void unprotect_prepare(struct srtp_op *op, bool aead)
{
	bool rtcp = op->protocol == SRTP_RTCP;
	uint16_t head_len = rtcp ? RTCP_HEADER_LEN : op->head_len;
	uint16_t trailer_len = body_trailer_len(op, aead);
	if (head_len < (rtcp ? RTCP_HEADER_LEN : RTP_HEADER_MIN) ||
		op->len < (uint32_t)head_len + trailer_len) {
		op->status = SRTP_TOO_SHORT;
		return;
	}
	uint16_t plain_len = op->len - trailer_len;
	if (rtcp) {
		uint32_t word = srtcp_index_word(op->src, op->len);
		op->e_flag = word & SRTCP_E_BIT;
		op->index = word & ~SRTCP_E_BIT;
	} else if (op->index > SRTP_INDEX_MAX) {
		op->status = SRTP_INDEX_LIMIT;
		return;
	}
	cipher_fill(op, aead);
	received_tag_read(op, plain_len, aead);
	text_prepare(op, head_len, plain_len, aead);
}

static inline void op_unprotect_prepare(struct srtp_op *op)
{
	if (srtp_suite_is_aead(op->suite))
		unprotect_prepare(op, true);
	else
		unprotect_prepare(op, false);
}

static ALWAYS_INLINE void protect_prepare(struct srtp_op *op, bool aead)
{
	bool rtcp = op->protocol == SRTP_RTCP;
	uint16_t head_len = rtcp ? RTCP_HEADER_LEN : op->head_len;
	if (head_len < (rtcp ? RTCP_HEADER_LEN : RTP_HEADER_MIN) || op->len < head_len) {
		op->status = SRTP_TOO_SHORT;
		return;
	}
	if (op->index > (rtcp ? SRTCP_INDEX_MAX : SRTP_INDEX_MAX)) {
		op->status = SRTP_INDEX_LIMIT;
		return;
	}
	cipher_fill(op, aead);
	text_prepare(op, head_len, op->len, aead);
}

static inline void op_protect_prepare(struct srtp_op *op)
{
	if (srtp_suite_is_aead(op->suite))
		protect_prepare(op, true);
	else
		protect_prepare(op, false);
}

// dst of a failed op as if nothing had been decrypted. len octets of it were written at most.
static void op_wipe(struct srtp_op *op, uint16_t len)
{
	if (op->dst != op->src)
		secmem_wipe(op->dst, len);
}

static ALWAYS_INLINE void unprotect_finish(struct srtp_op *op, bool aead)
{
	if (op->cipher.failed)
		op->status = SRTP_CIPHER_FAIL;
	else if (aead ? !tags_equal(op->cipher.tag, op->tag)
		      : !secmem_equal(op->cipher.tag, op->tag, op->cipher.tag_len))
		op->status = SRTP_AUTH_FAIL;
	if (op->status == SRTP_OK)
		op->len -= body_trailer_len(op, aead);
	else
		op_wipe(op, aead ? (uint16_t)(op->len - SRTP_GCM_TAG_LEN) : op->len);
}

static inline void op_unprotect_finish(struct srtp_op *op)
{
	if (srtp_suite_is_aead(op->suite))
		unprotect_finish(op, true);
	else
		unprotect_finish(op, false);
}

static ALWAYS_INLINE void protect_finish(struct srtp_op *op, bool aead)
{
	if (op->cipher.failed) {
		op->status = SRTP_CIPHER_FAIL;
		op_wipe(op, op->len);
		return;
	}
	uint8_t *end = op->dst + op->len;
	if (aead) {
		memcpy(end, op->cipher.tag, SRTP_GCM_TAG_LEN);
		end += SRTP_GCM_TAG_LEN;
	}
	if (op->protocol == SRTP_RTCP) {
		srtp_write32(end, (op->e_flag ? SRTCP_E_BIT : 0) | (uint32_t)op->index);
		end += SRTCP_INDEX_LEN;
	}
	if (op->mki_len == 8)
		srtp_write64(end, op->mki);
	else if (op->mki_len == 4)
		srtp_write32(end, (uint32_t)(op->mki >> 32));
	end += op->mki_len;
	if (!aead) {
		memcpy(end, op->cipher.tag, op->cipher.tag_len);
		end += op->cipher.tag_len;
	} else if (op->append_roc && op->protocol == SRTP_RTP) {
		srtp_write32(end, (uint32_t)(op->index >> 16));
		end += SRTP_ROC_LEN;
	}
	op->len = (uint16_t)(end - op->dst);
}

static inline void op_protect_finish(struct srtp_op *op)
{
	if (srtp_suite_is_aead(op->suite))
		protect_finish(op, true);
	else
		protect_finish(op, false);
}

// Moves the ops whose status is OK to the front, keeping both orders. Returns their number.
static uint16_t ops_sort(struct srtp_op *ops[], uint16_t n)
{
	struct srtp_op *failed[SRTP_BURST_MAX];
	uint16_t n_good = 0, n_failed = 0;
	for (uint16_t i = 0; i < n; i++) {
		if (ops[i]->status == SRTP_OK)
			ops[n_good++] = ops[i];
		else
			failed[n_failed++] = ops[i];
	}
	for (uint16_t i = 0; i < n_failed; i++)
		// cppcheck-suppress uninitvar ; n_failed of them were set above
		ops[n_good + i] = failed[i];
	return n_good;
}

uint16_t srtp_unprotect_prepare_burst(struct srtp_op *ops[], uint16_t n)
{
	assert(n <= SRTP_BURST_MAX);
	for (uint16_t i = 0; i < n; i++)
		op_unprotect_prepare(ops[i]);
	return ops_sort(ops, n);
}

uint16_t srtp_protect_prepare_burst(struct srtp_op *ops[], uint16_t n)
{
	assert(n <= SRTP_BURST_MAX);
	for (uint16_t i = 0; i < n; i++)
		op_protect_prepare(ops[i]);
	return ops_sort(ops, n);
}

uint16_t srtp_unprotect_finish_burst(struct srtp_op *ops[], uint16_t n)
{
	assert(n <= SRTP_BURST_MAX);
	for (uint16_t i = 0; i < n; i++)
		op_unprotect_finish(ops[i]);
	return ops_sort(ops, n);
}

uint16_t srtp_protect_finish_burst(struct srtp_op *ops[], uint16_t n)
{
	assert(n <= SRTP_BURST_MAX);
	for (uint16_t i = 0; i < n; i++)
		op_protect_finish(ops[i]);
	return ops_sort(ops, n);
}

// The cipher's view of the ops that are ready for it: those of AES-GCM from the start, those of
// AES-CM from the end.
struct cipher_burst {
	uint16_t n_gcm, n_cm;
	struct cipher_op *ops[SRTP_BURST_MAX];
};

static inline void cipher_burst_add(struct cipher_burst *burst, struct srtp_op *op)
{
	if (op->status != SRTP_OK)
		return;
	if (srtp_suite_is_aead(op->suite))
		burst->ops[burst->n_gcm++] = &op->cipher;
	else
		burst->ops[SRTP_BURST_MAX - ++burst->n_cm] = &op->cipher;
}

// Sorts once, at the end: sorting between the halves as well would put the failures of the first
// half behind those of the second. And not at all if nothing failed.
uint16_t srtp_unprotect_burst(const struct cipher *cipher, struct srtp_op *ops[], uint16_t n)
{
	struct cipher_burst burst;
	unsigned n_good = 0;
	assert(n <= SRTP_BURST_MAX);
	burst.n_gcm = 0;
	burst.n_cm = 0;
	for (uint16_t i = 0; i < n; i++) {
		op_unprotect_prepare(ops[i]);
		cipher_burst_add(&burst, ops[i]);
	}
	cipher->decrypt_burst(burst.ops, burst.n_gcm);
	if (burst.n_cm > 0)
		cipher_aes_cm.decrypt_burst(burst.ops + SRTP_BURST_MAX - burst.n_cm, burst.n_cm);
	for (uint16_t i = 0; i < n; i++) {
		if (ops[i]->status == SRTP_OK)
			op_unprotect_finish(ops[i]);
		n_good += ops[i]->status == SRTP_OK;
	}
	return n_good == n ? n : ops_sort(ops, n);
}

uint16_t srtp_protect_burst(const struct cipher *cipher, struct srtp_op *ops[], uint16_t n)
{
	struct cipher_burst burst;
	unsigned n_good = 0;
	assert(n <= SRTP_BURST_MAX);
	burst.n_gcm = 0;
	burst.n_cm = 0;
	for (uint16_t i = 0; i < n; i++) {
		op_protect_prepare(ops[i]);
		cipher_burst_add(&burst, ops[i]);
	}
	cipher->encrypt_burst(burst.ops, burst.n_gcm);
	if (burst.n_cm > 0)
		cipher_aes_cm.encrypt_burst(burst.ops + SRTP_BURST_MAX - burst.n_cm, burst.n_cm);
	for (uint16_t i = 0; i < n; i++) {
		if (ops[i]->status == SRTP_OK)
			op_protect_finish(ops[i]);
		n_good += ops[i]->status == SRTP_OK;
	}
	return n_good == n ? n : ops_sort(ops, n);
}
