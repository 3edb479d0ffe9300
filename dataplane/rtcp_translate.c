// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "dataplane/rtcp_translate.h"

#include <string.h>

#include "crypto/srtp.h"

// IANA's registry of RTCP packet types, RFC 4585 6.1, RFC 3611 2.
enum rtcp_type {
	RTCP_SR = 200,
	RTCP_RR = 201,
	RTCP_SDES = 202,
	RTCP_BYE = 203,
	RTCP_APP = 204,
	RTCP_RTPFB = 205,
	RTCP_PSFB = 206,
	RTCP_XR = 207,
};

// Octets.
enum {
	WORD_LEN = 4,
	SENDER_INFO_LEN = 20,
	REPORT_BLOCK_LEN = 24,
	MEDIA_SOURCE_AT = 8, // in feedback
	XR_BLOCKS_AT = 8,
	FEEDBACK_HEAD_LEN = 12, // common header, both SSRCs
	FEEDBACK_ENTRY_LEN = 8, // of FIR, TMMBR, TMMBN, TSTR, TSTN: an SSRC and a word
	DLRR_ENTRY_LEN = 12,
	SDES_ITEM_HEAD_LEN = 2,
	SDES_NAME_CHUNK_LEN = 24, // SSRC, CNAME of RTCP_NAME_LEN, null octets
	SDES_BARE_CHUNK_LEN = 8,  // SSRC, null octets
	NAME_HASH_LEN = 12,       // 96 bits (RFC 7022 4.2)
};

enum { SDES_END, SDES_CNAME };

// Bits of the first octet.
enum { PADDING_BIT = 0x20, COUNT_MASK = 0x1f };

// One packet of the compound.
struct rtcp_part {
	const uint8_t *in;
	uint8_t *out;    // where its translation goes
	size_t room;     // octets at out
	size_t len;      // octets at in, of the whole packet
	size_t body_len; // without padding
	uint8_t type;
	uint8_t count; // RC, SC, subtype or FMT
	const struct rtcp_translation *translation;
};

// Reads the packet at in, of which left octets are there.
static bool part_read(struct rtcp_part *part, size_t left)
{
	const uint8_t *in = part->in;
	if (left < WORD_LEN || in[0] >> 6 != 2)
		return false;
	part->type = in[1];
	part->count = in[0] & COUNT_MASK;
	part->len = WORD_LEN * ((size_t)(in[2] << 8 | in[3]) + 1);
	part->body_len = part->len;
	if (part->len > left)
		return false;
	if (!(in[0] & PADDING_BIT))
		return true;
	// Only the last packet may be padded (RFC 3550 6.4.1), by whole words that leave its header.
	uint8_t padding = in[part->len - 1];
	part->body_len -= padding;
	return part->len == left && padding != 0 && padding % WORD_LEN == 0 &&
	       padding + (size_t)WORD_LEN <= part->len;
}

static uint32_t part_map(const struct rtcp_part *part, size_t at, bool sender)
{
	const struct rtcp_translation *t = part->translation;
	return t->map(t->arg, srtp_read32(part->in + at), sender);
}

// Replaces the SSRC at that place, or says that the packet is too short to have one.
static bool map_at(const struct rtcp_part *part, size_t at, bool sender)
{
	if (at + WORD_LEN > part->body_len)
		return false;
	srtp_write32(part->out + at, part_map(part, at, sender));
	return true;
}

// Replaces the SSRC that begins each of n entries.
static bool map_entries(
	const struct rtcp_part *part, size_t at, size_t n, size_t entry_len, bool sender)
{
	if (at > part->body_len || n > (part->body_len - at) / entry_len)
		return false;
	for (size_t i = 0; i < n; i++)
		map_at(part, at + i * entry_len, sender);
	return true;
}

// SR and RR: the sender, and whom each report block is about.
static bool report_translate(const struct rtcp_part *part)
{
	size_t blocks = 2 * (size_t)WORD_LEN + (part->type == RTCP_SR ? SENDER_INFO_LEN : 0);
	return map_at(part, WORD_LEN, true) &&
	       map_entries(part, blocks, part->count, REPORT_BLOCK_LEN, false);
}

static bool feedback_has_entries(const struct rtcp_part *part)
{
	if (part->type == RTCP_RTPFB)
		return part->count == 3 || part->count == 4; // TMMBR, TMMBN (RFC 5104 4.2)
	return part->count >= 4 && part->count <= 6;         // FIR, TSTR, TSTN (RFC 5104 4.3)
}

static bool feedback_translate(const struct rtcp_part *part)
{
	if (part->body_len < FEEDBACK_HEAD_LEN || !map_at(part, WORD_LEN, true))
		return false;
	// 0 is no media source: the entries name them.
	if (srtp_read32(part->in + MEDIA_SOURCE_AT) != 0)
		map_at(part, MEDIA_SOURCE_AT, false);
	if (!feedback_has_entries(part))
		return true;
	size_t entries_len = part->body_len - FEEDBACK_HEAD_LEN;
	return entries_len % FEEDBACK_ENTRY_LEN == 0 &&
	       map_entries(part, FEEDBACK_HEAD_LEN, entries_len / FEEDBACK_ENTRY_LEN,
		       FEEDBACK_ENTRY_LEN, false);
}

// An extended report's block of block_len octets with its header.
static bool xr_block_translate(const struct rtcp_part *part, size_t at, size_t block_len)
{
	size_t content_len = block_len - WORD_LEN;
	switch (part->in[at]) {
	case 1: // loss RLE
	case 2: // duplicate RLE
	case 3: // packet receipt times
	case 6: // statistics summary
	case 7: // VoIP metrics
		return content_len >= WORD_LEN && map_at(part, at + WORD_LEN, false);
	case 5: // DLRR
		return content_len % DLRR_ENTRY_LEN == 0 &&
		       map_entries(part, at + WORD_LEN, content_len / DLRR_ENTRY_LEN,
			       DLRR_ENTRY_LEN, false);
	default:
		return true;
	}
}

static bool xr_translate(const struct rtcp_part *part)
{
	if (!map_at(part, WORD_LEN, true))
		return false;
	for (size_t at = XR_BLOCKS_AT; at < part->body_len;) {
		const uint8_t *block = part->in + at;
		size_t block_len = WORD_LEN * ((size_t)(block[2] << 8 | block[3]) + 1);
		if (block_len > part->body_len - at || !xr_block_translate(part, at, block_len))
			return false;
		at += block_len;
	}
	return true;
}

// --- SDES

struct sdes_chunk {
	const uint8_t *cname; // NULL: none
	uint8_t cname_len;
	size_t len; // octets, with the null octets at its end
};

// Reads the chunk at an offset, a multiple of a word. A list of items ends with a null octet, and the
// chunk at the next word (RFC 3550 6.5).
static bool sdes_chunk_read(const struct rtcp_part *part, size_t at, struct sdes_chunk *chunk)
{
	const uint8_t *in = part->in;
	size_t item = at + WORD_LEN;
	*chunk = (struct sdes_chunk){.cname = NULL};
	while (item < part->body_len && in[item] != SDES_END) {
		if (part->body_len - item < SDES_ITEM_HEAD_LEN)
			return false;
		if (in[item] == SDES_CNAME && !chunk->cname) {
			chunk->cname = in + item + SDES_ITEM_HEAD_LEN;
			chunk->cname_len = in[item + 1];
		}
		item += SDES_ITEM_HEAD_LEN + (size_t)in[item + 1];
	}
	chunk->len = item - item % WORD_LEN + WORD_LEN - at;
	return item < part->body_len;
}

// 96 bits of a keyed hash in base64: it tells nothing of the CNAME, but all streams of one source have the
// same (RFC 7022 4.2, 5).
static void name_write(const uint8_t *name_key, const uint8_t *cname, uint8_t len, uint8_t *out)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	uint8_t hash[SIPHASH_LEN];
	siphash128(name_key, cname, len, hash);
	for (unsigned i = 0; i < NAME_HASH_LEN; i += 3) {
		uint32_t bits = (uint32_t)hash[i] << 16 | (uint32_t)hash[i + 1] << 8 | hash[i + 2];
		for (unsigned shift = 24; shift > 0; shift -= 6)
			*out++ = (uint8_t)digits[bits >> (shift - 6) & 0x3f];
	}
}

// Writes a chunk at offset to of the translation; its length, 0 if there is no room.
static size_t sdes_chunk_write(
	const struct rtcp_part *part, size_t at, const struct sdes_chunk *chunk, size_t to)
{
	size_t len = chunk->cname ? SDES_NAME_CHUNK_LEN : SDES_BARE_CHUNK_LEN;
	if (len > part->room - to)
		return 0;
	uint8_t *out = part->out + to;
	memset(out, 0, len);
	srtp_write32(out, part_map(part, at, true));
	if (chunk->cname) {
		out[WORD_LEN] = SDES_CNAME;
		out[WORD_LEN + 1] = RTCP_NAME_LEN;
		name_write(part->translation->name_key, chunk->cname, chunk->cname_len,
			out + WORD_LEN + SDES_ITEM_HEAD_LEN);
	}
	return len;
}

// The translation of an SDES packet, without padding; its length, 0 if it is malformed or too long.
static size_t sdes_translate(const struct rtcp_part *part)
{
	size_t at = WORD_LEN, to = WORD_LEN;
	if (part->room < WORD_LEN)
		return 0;
	for (unsigned i = 0; i < part->count; i++) {
		struct sdes_chunk chunk;
		if (!sdes_chunk_read(part, at, &chunk))
			return 0;
		size_t len = sdes_chunk_write(part, at, &chunk, to);
		if (len == 0)
			return 0;
		at += chunk.len;
		to += len;
	}
	size_t words = to / WORD_LEN - 1;
	part->out[0] = part->in[0] & (uint8_t)~PADDING_BIT;
	part->out[1] = RTCP_SDES;
	part->out[2] = (uint8_t)(words >> 8);
	part->out[3] = (uint8_t)words;
	return to;
}

// --- any packet

static bool ssrcs_translate(const struct rtcp_part *part)
{
	switch (part->type) {
	case RTCP_SR:
	case RTCP_RR:
		return report_translate(part);
	case RTCP_BYE:
		return map_entries(part, WORD_LEN, part->count, WORD_LEN, true);
	case RTCP_APP:
		return part->body_len >= 3 * (size_t)WORD_LEN && map_at(part, WORD_LEN, true);
	case RTCP_RTPFB:
	case RTCP_PSFB:
		return feedback_translate(part);
	case RTCP_XR:
		return xr_translate(part);
	default:
		return part->body_len == WORD_LEN || map_at(part, WORD_LEN, true);
	}
}

static size_t part_translate(const struct rtcp_part *part)
{
	if (part->type == RTCP_SDES)
		return sdes_translate(part);
	if (part->len > part->room)
		return 0;
	memcpy(part->out, part->in, part->len);
	return ssrcs_translate(part) ? part->len : 0;
}

uint16_t rtcp_translate(const struct rtcp_translation *translation, const uint8_t *in, size_t len,
	uint8_t *out, size_t size)
{
	size_t to = 0;
	if (size > UINT16_MAX)
		size = UINT16_MAX;
	for (size_t at = 0; at < len;) {
		struct rtcp_part part = {
			.in = in + at,
			.out = out + to,
			.room = size - to,
			.translation = translation,
		};
		if (!part_read(&part, len - at))
			return 0;
		size_t written = part_translate(&part);
		// What is protected has a header of 8 octets (RFC 3711 3.4), and so its first packet.
		bool nameless = part.type == RTCP_BYE && part.count == 0;
		if (written == 0 || (at == 0 && (nameless || written < RTCP_HEADER_LEN)))
			return 0;
		at += part.len;
		to += written;
	}
	return (uint16_t)to;
}
