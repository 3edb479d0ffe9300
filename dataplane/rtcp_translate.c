// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "dataplane/rtcp_translate.h"

#include <string.h>

#include "dataplane/rtcp_feedback.h"

// Octets.
enum {
	SENDER_INFO_LEN = 20,
	REPORT_BLOCK_LEN = 24,
	XR_BLOCKS_AT = 8,
	APP_LEN_MIN = 12,
	SDES_ITEM_HEAD_LEN = 2,
	SDES_NAME_CHUNK_LEN = 24, // SSRC, CNAME of RTCP_NAME_LEN, null octets
	SDES_BARE_CHUNK_LEN = 8,  // SSRC, null octets
	NAME_HASH_LEN = 12,       // 96 bits (RFC 7022 4.2)
};

enum { SDES_END, SDES_CNAME };

// Bits of the first octet.
enum { PADDING_BIT = 0x20, COUNT_MASK = 0x1f };

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

// The header of a translation that has another length, and no padding.
static void part_end(struct rtcp_part *part, size_t len)
{
	size_t words = len / WORD_LEN - 1;
	part->out[0] = part->in[0] & (uint8_t)~PADDING_BIT;
	part->out[1] = part->in[1];
	part->out[2] = (uint8_t)(words >> 8);
	part->out[3] = (uint8_t)words;
	part->out_len = len;
}

// SR and RR: the sender, and whom each report block is about. What a profile puts behind them is left out.
static enum part_verdict report_translate(struct rtcp_part *part)
{
	size_t blocks = 2 * (size_t)WORD_LEN + (part->type == RTCP_SR ? SENDER_INFO_LEN : 0);
	size_t end = blocks + part->count * (size_t)REPORT_BLOCK_LEN;
	if (!part_copy(part, part->body_len > end ? end : part->len) ||
		!part_map_at(part, WORD_LEN, true) ||
		!part_map_entries(part, blocks, part->count, REPORT_BLOCK_LEN, false))
		return PART_MALFORMED;
	if (part->body_len > end) {
		part_end(part, end);
		part->translation->n_left_out++;
	}
	return PART_TRANSLATED;
}

// Its words belong to the report blocks of the packet before, and are no SSRCs.
static enum part_verdict jitter_translate(struct rtcp_part *part)
{
	return part_verdict_if(part_copy(part, part->len));
}

static enum part_verdict bye_translate(struct rtcp_part *part)
{
	return part_verdict_if(part_copy(part, part->len) &&
			       part_map_entries(part, WORD_LEN, part->count, WORD_LEN, true));
}

static enum part_verdict app_translate(struct rtcp_part *part)
{
	return part_verdict_if(part->body_len >= APP_LEN_MIN && part_copy(part, part->len) &&
			       part_map_at(part, WORD_LEN, true));
}

// --- extended reports

// Where a block has SSRCs.
struct xr_row {
	uint8_t type;
	uint8_t at;        // octets from its begin to the first one; 0: there is none
	uint8_t entry_len; // octets of each of the entries, which begin with one; 0: it is the only one
};

static const struct xr_row xr_rows[] = {
	{1, 4, 0},   // loss RLE, RFC 3611 4.1
	{2, 4, 0},   // duplicate RLE, RFC 3611 4.2
	{3, 4, 0},   // packet receipt times, RFC 3611 4.3
	{4, 0, 0},   // receiver reference time, RFC 3611 4.4
	{5, 4, 12},  // DLRR, RFC 3611 4.5
	{6, 4, 0},   // statistics summary, RFC 3611 4.6
	{7, 4, 0},   // VoIP metrics, RFC 3611 4.7
	{8, 0, 0},   // extended network quality, RFC 5093 3
	{10, 4, 0},  // post-repair loss RLE, RFC 5725 3
	{12, 12, 0}, // synchronization of media, RFC 7272 6
	{13, 4, 20}, // ECN summary, RFC 6679 5.2
	{14, 4, 0},  // measurement information, RFC 6776 4
	{15, 4, 0},  // packet delay variation, RFC 6798 3
	{16, 4, 0},  // delay, RFC 6843 3
	{17, 4, 0},  // burst and gap loss summary, RFC 7004 3.1
	{18, 4, 0},  // burst and gap discard summary, RFC 7004 3.2
	{19, 4, 0},  // frame impairment summary, RFC 7004 4.1
	{20, 4, 0},  // burst and gap loss, RFC 6958 3
	{21, 4, 0},  // burst and gap discard, RFC 7003 3
	{22, 4, 0},  // decodability of MPEG-2 TS, RFC 6990 3
	{23, 4, 0},  // de-jitter buffer, RFC 7005 4
	{24, 4, 0},  // discard count, RFC 7002 3
	{25, 4, 0},  // discard RLE, RFC 7097 3
	{26, 4, 0},  // octets discarded, RFC 7243 3
	{27, 4, 0},  // initial synchronization delay, RFC 7244 3
	{28, 4, 0},  // synchronization offset, RFC 7244 4
	{29, 4, 0},  // MOS, RFC 7266 3
	{30, 4, 0},  // loss concealment, RFC 7294 3
	{31, 4, 0},  // concealed seconds, RFC 7294 4
	{32, 4, 0},  // decodability of MPEG-2 PSI, RFC 7380 3
	{33, 4, 0},  // post-repair loss count, RFC 7509 3
	{34, 4, 0},  // video loss concealment, RFC 7867 4
	{35, 4, 0},  // independent burst and gap discard, RFC 8015 3
};

enum { N_XR_ROWS = sizeof(xr_rows) / sizeof(xr_rows[0]) };

static const struct xr_row *xr_row_find(uint8_t type)
{
	for (size_t i = 0; i < N_XR_ROWS; i++)
		if (xr_rows[i].type == type)
			return &xr_rows[i];
	return NULL;
}

// Translates the block at an offset, of block_len octets with its header, to an offset of the translation.
static enum part_verdict xr_block_translate(
	const struct rtcp_part *part, size_t from, size_t to, size_t block_len)
{
	const struct xr_row *row = xr_row_find(part->in[from]);
	if (!row)
		return PART_UNLISTED;
	if (block_len > part->room - to)
		return PART_MALFORMED;
	memcpy(part->out + to, part->in + from, block_len);
	if (row->at == 0)
		return PART_TRANSLATED;
	if (block_len < row->at)
		return PART_MALFORMED;
	size_t list_len = block_len - row->at;
	size_t entry_len = row->entry_len ? row->entry_len : list_len;
	if (entry_len == 0 || list_len % entry_len != 0)
		return PART_MALFORMED;
	for (size_t at = row->at; at < block_len; at += entry_len)
		srtp_write32(part->out + to + at, part_map(part, from + at, false));
	return PART_TRANSLATED;
}

// Blocks that are not listed are left out.
static enum part_verdict xr_translate(struct rtcp_part *part)
{
	if (XR_BLOCKS_AT > part->room || !part_map_at(part, WORD_LEN, true))
		return PART_MALFORMED;
	size_t to = XR_BLOCKS_AT;
	for (size_t at = XR_BLOCKS_AT; at < part->body_len;) {
		const uint8_t *block = part->in + at;
		size_t block_len = WORD_LEN * ((size_t)(block[2] << 8 | block[3]) + 1);
		if (block_len > part->body_len - at)
			return PART_MALFORMED;
		enum part_verdict of_block = xr_block_translate(part, at, to, block_len);
		if (of_block == PART_MALFORMED)
			return PART_MALFORMED;
		if (of_block == PART_TRANSLATED)
			to += block_len;
		else
			part->translation->n_left_out++;
		at += block_len;
	}
	part_end(part, to);
	return PART_TRANSLATED;
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

// 96 bits of a keyed hash in base64: it does not reveal the CNAME, but all streams of one source
// have the same (RFC 7022 4.2, 5).
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

static enum part_verdict sdes_translate(struct rtcp_part *part)
{
	size_t at = WORD_LEN, to = WORD_LEN;
	if (part->room < WORD_LEN)
		return PART_MALFORMED;
	for (unsigned i = 0; i < part->count; i++) {
		struct sdes_chunk chunk;
		if (!sdes_chunk_read(part, at, &chunk))
			return PART_MALFORMED;
		size_t len = sdes_chunk_write(part, at, &chunk, to);
		if (len == 0)
			return PART_MALFORMED;
		at += chunk.len;
		to += len;
	}
	part_end(part, to);
	return PART_TRANSLATED;
}

// --- any packet

// What has no row is left out: nobody knows where its SSRCs are, or whether it has any.
static const struct type_row {
	uint8_t type;
	enum part_verdict (*translate)(struct rtcp_part *part);
} type_rows[] = {
	{RTCP_SR, report_translate},           // RFC 3550 6.4.1
	{RTCP_RR, report_translate},           // RFC 3550 6.4.2
	{RTCP_SDES, sdes_translate},           // RFC 3550 6.5
	{RTCP_BYE, bye_translate},             // RFC 3550 6.6
	{RTCP_APP, app_translate},             // RFC 3550 6.7
	{RTCP_RTPFB, rtcp_feedback_translate}, // RFC 4585 6.1
	{RTCP_PSFB, rtcp_feedback_translate},  // RFC 4585 6.1
	{RTCP_XR, xr_translate},               // RFC 3611 2
	{RTCP_IJ, jitter_translate},           // interarrival jitter, RFC 5450 4
};

enum { N_TYPE_ROWS = sizeof(type_rows) / sizeof(type_rows[0]) };

static enum part_verdict part_translate(struct rtcp_part *part)
{
	for (size_t i = 0; i < N_TYPE_ROWS; i++)
		if (type_rows[i].type == part->type)
			return type_rows[i].translate(part);
	return PART_UNLISTED;
}

// Whether a translation may be the first: what is protected has a header of 8 octets with an SSRC in it (RFC 3711 3.4).
static bool part_can_lead(const struct rtcp_part *part)
{
	bool nameless = part->type == RTCP_IJ || (part->type == RTCP_BYE && part->count == 0);
	return !nameless && part->out_len >= RTCP_HEADER_LEN;
}

uint16_t rtcp_translate(struct rtcp_translation *translation, const uint8_t *in, size_t len,
	uint8_t *out, size_t size)
{
	size_t to = 0;
	translation->n_left_out = 0;
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
		enum part_verdict of_part = part_translate(&part);
		if (of_part == PART_MALFORMED ||
			(of_part == PART_TRANSLATED && to == 0 && !part_can_lead(&part)))
			return 0;
		if (of_part == PART_TRANSLATED)
			to += part.out_len;
		else
			translation->n_left_out++;
		at += part.len;
	}
	return (uint16_t)to;
}
