// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "crypto/srtp.h"

// One packet of a compound while it is translated: where its SSRCs are mapped.

// IANA's registry of RTCP packet types.
enum rtcp_type {
	RTCP_IJ = 195,
	RTCP_SR = 200,
	RTCP_RR = 201,
	RTCP_SDES = 202,
	RTCP_BYE = 203,
	RTCP_APP = 204,
	RTCP_RTPFB = 205,
	RTCP_PSFB = 206,
	RTCP_XR = 207,
};

enum { WORD_LEN = 4 }; // octets

// The SSRC that the other side knows for ssrc (host byte order), which may be ssrc itself. sender:
// the field says who sends (SR, RR, SDES chunk, BYE, APP, feedback, XR); otherwise whom a report is
// about.
typedef uint32_t rtcp_map_ssrc(void *arg, uint32_t ssrc, bool sender);

struct rtcp_translation {
	rtcp_map_ssrc *map;
	void *arg;               // of map
	const uint8_t *name_key; // SIPHASH_KEY_LEN octets: key of the names that replace CNAMEs
	unsigned n_left_out;     // out: parts that were left out
};

// One packet of the compound.
struct rtcp_part {
	const uint8_t *in;
	uint8_t *out;    // where its translation goes
	size_t room;     // octets at out
	size_t len;      // octets at in, of the whole packet
	size_t body_len; // without padding
	size_t out_len;  // of the translation
	uint8_t type;
	uint8_t count; // RC, SC, subtype or FMT
	struct rtcp_translation *translation;
};

// UNLISTED: nobody knows where its SSRCs are.
enum part_verdict { PART_TRANSLATED, PART_MALFORMED, PART_UNLISTED };

static inline uint32_t part_map(const struct rtcp_part *part, size_t at, bool sender)
{
	const struct rtcp_translation *t = part->translation;
	return t->map(t->arg, srtp_read32(part->in + at), sender);
}

// Replaces the SSRC at that place, or says that the packet is too short to have one.
static inline bool part_map_at(const struct rtcp_part *part, size_t at, bool sender)
{
	if (at + WORD_LEN > part->body_len)
		return false;
	srtp_write32(part->out + at, part_map(part, at, sender));
	return true;
}

// Replaces the SSRC that begins each of n entries.
static inline bool part_map_entries(
	const struct rtcp_part *part, size_t at, size_t n, size_t entry_len, bool sender)
{
	if (at > part->body_len || n > (part->body_len - at) / entry_len)
		return false;
	for (size_t i = 0; i < n; i++)
		part_map_at(part, at + i * entry_len, sender);
	return true;
}

// Copies the first len octets, or says that there is no room.
static inline bool part_copy(struct rtcp_part *part, size_t len)
{
	if (len > part->room)
		return false;
	memcpy(part->out, part->in, len);
	part->out_len = len;
	return true;
}

static inline enum part_verdict part_verdict_if(bool well_formed)
{
	return well_formed ? PART_TRANSLATED : PART_MALFORMED;
}
