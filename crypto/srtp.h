// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "crypto/cipher.h"
#include "crypto/srtp_kdf.h"

// SRTP and SRTCP packets with the AEAD suites of RFC 7714, MKI of RFC 3711 and ROC transport of RFC
// 4771 (mode 3: the ROC alone, after the MKI, in packets whose SEQ is a multiple of the ROC rate);
// and with the AES-CM suites of RFC 3711 and RFC 4568, which have the tag at the very end and no
// ROC transport here (mode 3 is for AEAD).
//
// AES-GCM:
//   SRTP   header, CSRC, extension | ciphertext | tag (16) | MKI (0, 4, 8) | ROC (0, 4)
//   SRTCP  8 octets | ciphertext | tag (16) | E bit and SRTCP index (4) | MKI (0, 4, 8)
//
// AES-CM, where the tag does not cover the MKI:
//   SRTP   header, CSRC, extension | ciphertext | MKI (0, 4, 8) | tag (10 or 4)
//   SRTCP  8 octets | ciphertext | E bit and SRTCP index (4) | MKI (0, 4, 8) | tag (10)
//
// All functions are pure computation on the caller's memory, safe in any thread.

enum {
	RTP_VERSION = 2,
	RTP_HEADER_MIN = 12,
	RTP_CSRC_LEN = 4,
	RTP_EXTENSION_HEAD_LEN = 4,
	RTCP_HEADER_LEN = 8, // octets of an RTCP packet that SRTCP leaves in clear
	SRTCP_INDEX_LEN = 4,
	SRTP_ROC_LEN = 4,
	SRTP_MKI_MAX = 8,
	SRTP_TAG_MAX = SRTP_GCM_TAG_LEN,
	SRTP_OVERHEAD_MAX = SRTP_GCM_TAG_LEN + SRTCP_INDEX_LEN + SRTP_MKI_MAX,
};

#define SRTP_INDEX_MAX  ((UINT64_C(1) << 48) - 1) // RFC 3711 9.2
#define SRTCP_INDEX_MAX ((UINT32_C(1) << 31) - 1)

// Whether a packet on a port that carries both is RTCP: packet types 192 to 223 (RFC 5761 4).
static inline bool rtcp_is(const uint8_t *packet)
{
	return packet[1] >= 192 && packet[1] <= 223;
}

// Contributing sources (RFC 3550 5.1).
static inline unsigned rtp_csrc_count(const uint8_t *packet)
{
	return packet[0] & 15;
}

// Octets of the header with CSRC list and extension (RFC 3550 5.1, 5.3.1), 0 if packet is not RTP
// version 2 or is shorter than its header says.
static inline uint16_t rtp_header_len(const uint8_t *packet, size_t len)
{
	if (len < RTP_HEADER_MIN || packet[0] >> 6 != RTP_VERSION)
		return 0;
	size_t head_len = RTP_HEADER_MIN + (size_t)rtp_csrc_count(packet) * RTP_CSRC_LEN;
	if (packet[0] & 0x10) {
		if (head_len + RTP_EXTENSION_HEAD_LEN > len)
			return 0;
		const uint8_t *words = packet + head_len + 2;
		head_len += RTP_EXTENSION_HEAD_LEN + 4 * (size_t)(words[0] << 8 | words[1]);
	}
	return head_len <= len && head_len <= UINT16_MAX ? (uint16_t)head_len : 0;
}

// Octets of the first packet of a compound one, as its header says (RFC 3550 6.4.1). packet has 4 octets at least.
static inline size_t rtcp_first_len(const uint8_t *packet)
{
	return 4 * ((size_t)(packet[2] << 8 | packet[3]) + 1);
}

// Whether the clear part of an RTCP or SRTCP packet is well formed: version 2 and at least 8
// octets.
bool rtcp_header_ok(const uint8_t *packet, size_t len);

// Whether a decrypted compound packet is well formed: version 2 and lengths that add up to len.
bool rtcp_compound_ok(const uint8_t *packet, size_t len);

// Numbers in network byte order at any address: a load or store and a swap each.
static inline uint16_t srtp_read16(const uint8_t *p)
{
	uint16_t value;
	memcpy(&value, p, sizeof(value));
	return be16toh(value);
}

static inline uint32_t srtp_read32(const uint8_t *p)
{
	uint32_t value;
	memcpy(&value, p, sizeof(value));
	return be32toh(value);
}

static inline void srtp_write32(uint8_t *p, uint32_t value)
{
	value = htobe32(value);
	memcpy(p, &value, sizeof(value));
}

static inline void srtp_write64(uint8_t *p, uint64_t value)
{
	value = htobe64(value);
	memcpy(p, &value, sizeof(value));
}

static inline uint16_t rtp_seq(const uint8_t *packet)
{
	return srtp_read16(packet + 2);
}

static inline uint32_t rtp_timestamp(const uint8_t *packet)
{
	return srtp_read32(packet + 4);
}

static inline uint32_t rtp_ssrc(const uint8_t *packet)
{
	return srtp_read32(packet + 8);
}

static inline uint32_t rtcp_ssrc(const uint8_t *packet)
{
	return srtp_read32(packet + 4);
}

// Octets that protection adds to a packet at least: with neither MKI nor ROC.
static inline uint16_t srtp_overhead_min(enum srtp_suite suite, enum srtp_protocol protocol)
{
	return (uint16_t)(srtp_suite_tag_len(suite, protocol) +
			  (protocol == SRTP_RTCP ? SRTCP_INDEX_LEN : 0));
}

// What follows the authenticated part of a packet. An MKI of 4 octets sits in the upper half of
// mki, one of 0 octets is 0.
struct srtp_trailer {
	uint64_t mki;
	uint32_t roc;    // if has_roc
	uint16_t body;   // octets of the packet before the MKI. AES-GCM: up to and including tag
			 // (SRTP) or index (SRTCP); AES-CM: ciphertext (SRTP) or index (SRTCP)
	uint8_t mki_len; // octets: 0, 4 or 8
	bool has_roc;
};

// Reads the trailer of a packet under the assumption that it has an MKI of mki_len octets and, if
// has_roc, a ROC. head_len is the header's length (RTCP_HEADER_LEN for SRTCP). Returns false if the
// packet is too short to be that and hold a tag, or if the suite has no ROC.
static inline bool srtp_trailer_read(const uint8_t *packet, size_t len, enum srtp_suite suite,
	enum srtp_protocol protocol, uint16_t head_len, uint8_t mki_len, bool has_roc,
	struct srtp_trailer *trailer)
{
	bool aead = srtp_suite_is_aead(suite);
	// The tag of AES-CM comes after the MKI.
	size_t last = aead ? 0 : srtp_suite_tag_len(suite, protocol);
	size_t after = mki_len + last + (has_roc ? (size_t)SRTP_ROC_LEN : 0);
	size_t least = srtp_overhead_min(suite, protocol) - last;

	if (mki_len != 0 && mki_len != 4 && mki_len != 8)
		return false;
	// RFC 4771 knows no SRTCP, and its mode 3 is for AEAD.
	if (has_roc && (protocol == SRTP_RTCP || !aead))
		return false;
	if (len > UINT16_MAX || head_len + least + after > len)
		return false;
	const uint8_t *end = packet + len - after;
	trailer->body = (uint16_t)(len - after);
	trailer->mki_len = mki_len;
	trailer->has_roc = has_roc;
	trailer->mki = mki_len == 0 ? 0 : (uint64_t)srtp_read32(end) << 32;
	if (mki_len == 8)
		trailer->mki |= srtp_read32(end + 4);
	trailer->roc = has_roc ? srtp_read32(end + mki_len) : 0;
	return true;
}

// One list: enum, text.
#define SRTP_STATUSES(_)                                                                           \
	_(OK, "ok")                                                                                \
	_(AUTH_FAIL, "tag does not match")                                                         \
	_(INDEX_LIMIT, "index beyond the key's lifetime")                                          \
	_(TOO_SHORT, "shorter than its header, tag and index")                                     \
	_(CIPHER_FAIL, "cipher failed")

enum srtp_status {
#define _(name, text) SRTP_##name,
	SRTP_STATUSES(_)
#undef _
};

const char *srtp_status_text(enum srtp_status status);

// One packet to protect or unprotect. Filled by the caller but for status and what follows user.
// src and dst are the same, or do not overlap.
struct srtp_op {
	const void *key;     // expanded session key
	const uint8_t *salt; // session salt, srtp_suite_salt_len() octets
	// First octet of the RTP or RTCP header. AES-CM, unprotect: after len octets come those of
	// the MKI and of the tag, as srtp_trailer_read() made sure.
	const uint8_t *src;
	uint8_t *dst;   // room for len octets, len + SRTP_OVERHEAD_MAX when protecting
	uint64_t index; // packet index (48 bits) or SRTCP index (31; unprotect reads it itself)
	uint64_t mki;   // protect: MKI to append, as struct srtp_trailer has it
	// In: octets at src (unprotect: struct srtp_trailer.body; protect: at most UINT16_MAX - SRTP_OVERHEAD_MAX).
	// Out, if status is OK: octets at dst.
	uint16_t len;
	uint16_t head_len; // SRTP: header, CSRC and extension; SRTCP: unused
	uint8_t suite;     // enum srtp_suite
	uint8_t protocol;  // enum srtp_protocol
	uint8_t mki_len;   // 0, 4 or 8
	bool append_roc;   // protect SRTP, AES-GCM: the ROC of index goes after the MKI
	bool e_flag;       // SRTCP: payload encrypted; unprotect reports what the packet had
	uint8_t status;    // out: enum srtp_status
	void *user;        // the caller's
	uint8_t tag[SRTP_TAG_MAX];                      // unprotect: as received
	uint8_t aad[RTCP_HEADER_LEN + SRTCP_INDEX_LEN]; // SRTCP with the E bit set, AES-GCM
	struct cipher_op cipher;
};

// Whether RFC 4771 puts a ROC into the packet with this SEQ: rate 0 never.
static inline bool srtp_carries_roc(uint16_t roc_rate, uint16_t seq)
{
	return roc_rate != 0 && seq % roc_rate == 0;
}

// E bit and SRTCP index of a packet whose MKI was cut off: body octets.
static inline uint32_t srtcp_index_word(const uint8_t *packet, uint16_t body)
{
	return srtp_read32(packet + body - SRTCP_INDEX_LEN);
}

// The half before the cipher: IV (RFC 7714 8.1, 9.1, RFC 3711 4.1.1), AAD, borders. Sorts ops so
// that those ready for the cipher come first and returns their number; the others have their status.
uint16_t srtp_unprotect_prepare_burst(struct srtp_op *ops[], uint16_t n);
uint16_t srtp_protect_prepare_burst(struct srtp_op *ops[], uint16_t n);

// The half after it: compares tags in constant time or writes tag, index, MKI and ROC. Sorts the
// good first and returns their number. What failed has its plaintext wiped from dst if dst is not
// src.
uint16_t srtp_unprotect_finish_burst(struct srtp_op *ops[], uint16_t n);
uint16_t srtp_protect_finish_burst(struct srtp_op *ops[], uint16_t n);

// Both halves around a synchronous cipher for AES-GCM, and cipher_aes_cm for the ops of an AES-CM
// suite. The caller's thread is one of cipher_thread_init(), or has no such op. ops[ret..n) failed,
// see ->status; order within the good and within the failed is kept. n is at most SRTP_BURST_MAX.
enum { SRTP_BURST_MAX = 256 };
uint16_t srtp_unprotect_burst(const struct cipher *cipher, struct srtp_op *ops[], uint16_t n);
uint16_t srtp_protect_burst(const struct cipher *cipher, struct srtp_op *ops[], uint16_t n);
