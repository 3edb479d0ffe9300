// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "dataplane/rtcp_feedback.h"

#include <string.h>

// Octets.
enum {
	MEDIA_SOURCE_AT = 8,
	FEEDBACK_HEAD_LEN = 12, // common header, both SSRCs
	CCFB_STREAM_HEAD_LEN = 8,
	REMB_LIST_AT = 20,
};

// RFC 5104 4.3.4.1: SSRC, a sequence number, a payload type, the length of a string and the string.
static enum part_verdict vbcm_translate(struct rtcp_part *part)
{
	for (size_t at = FEEDBACK_HEAD_LEN; at < part->body_len;) {
		if (part->body_len - at < 2 * (size_t)WORD_LEN || !part_map_at(part, at, false))
			return PART_MALFORMED;
		size_t len = srtp_read16(part->in + at + WORD_LEN + 2);
		at += 2 * (size_t)WORD_LEN + (len + WORD_LEN - 1) / WORD_LEN * WORD_LEN;
		if (at > part->body_len)
			return PART_MALFORMED;
	}
	return PART_TRANSLATED;
}

// RFC 7728 8: SSRC, and a word with the number of those that follow in its second octet.
static enum part_verdict pause_translate(struct rtcp_part *part)
{
	for (size_t at = FEEDBACK_HEAD_LEN; at < part->body_len;) {
		if (part->body_len - at < 2 * (size_t)WORD_LEN || !part_map_at(part, at, false))
			return PART_MALFORMED;
		at += (2 + (size_t)part->in[at + WORD_LEN + 1]) * WORD_LEN;
		if (at > part->body_len)
			return PART_MALFORMED;
	}
	return PART_TRANSLATED;
}

// RFC 8888 3.1: in the place of the media source the first of any number of streams, each with so many reports of 2
// octets; a timestamp at the end.
static enum part_verdict ccfb_translate(struct rtcp_part *part)
{
	const size_t end = part->body_len - WORD_LEN;
	for (size_t at = MEDIA_SOURCE_AT; at < end;) {
		if (end - at < CCFB_STREAM_HEAD_LEN || !part_map_at(part, at, false))
			return PART_MALFORMED;
		size_t n_reports = srtp_read16(part->in + at + WORD_LEN + 2);
		at += CCFB_STREAM_HEAD_LEN + (n_reports + 1) / 2 * WORD_LEN;
		if (at > end)
			return PART_MALFORMED;
	}
	return PART_TRANSLATED;
}

// Application layer feedback, of which REMB is known (draft-alvestrand-rmcat-remb-03 2.2): name, number of SSRCs and a
// rate, SSRCs.
static bool part_is_remb(const struct rtcp_part *part)
{
	static const uint8_t name[] = {'R', 'E', 'M', 'B'};
	return part->body_len >= REMB_LIST_AT &&
	       memcmp(part->in + FEEDBACK_HEAD_LEN, name, sizeof(name)) == 0;
}

static enum part_verdict remb_translate(struct rtcp_part *part)
{
	size_t n = part->in[FEEDBACK_HEAD_LEN + WORD_LEN];
	return part_verdict_if(part->body_len == REMB_LIST_AT + n * WORD_LEN &&
			       part_map_entries(part, REMB_LIST_AT, n, WORD_LEN, false));
}

// Where a format's feedback control information has SSRCs, beside the two in the header.
struct feedback_row {
	uint8_t type, format;
	uint8_t entry_len; // octets of each of the entries, which begin with an SSRC; 0: there are none
	enum part_verdict (*translate)(struct rtcp_part *part); // where it is no list of entries
};

static const struct feedback_row feedback_rows[] = {
	{RTCP_RTPFB, 1, 0},                  // generic NACK, RFC 4585 6.2.1
	{RTCP_RTPFB, 3, 8},                  // TMMBR, RFC 5104 4.2.1
	{RTCP_RTPFB, 4, 8},                  // TMMBN, RFC 5104 4.2.2
	{RTCP_RTPFB, 5, 0},                  // resynchronisation request, RFC 6051 3.2
	{RTCP_RTPFB, 7, 0},                  // third-party loss, RFC 6642 5.1
	{RTCP_RTPFB, 8, 0},                  // ECN, RFC 6679 5.1
	{RTCP_RTPFB, 9, 0, pause_translate}, // PAUSE and RESUME, RFC 7728 8
	{RTCP_RTPFB, 10, 0},                 // delay budget, TS 26.114
	{RTCP_RTPFB, 11, 0, ccfb_translate}, // congestion control, RFC 8888 3.1
	{RTCP_RTPFB, 15, 0},                 // draft-holmer-rmcat-transport-wide-cc-extensions-01
	{RTCP_PSFB, 1, 0},                   // picture loss, RFC 4585 6.3.1
	{RTCP_PSFB, 2, 0},                   // slice loss, RFC 4585 6.3.2
	{RTCP_PSFB, 3, 0},                   // reference picture, RFC 4585 6.3.3
	{RTCP_PSFB, 4, 8},                   // full intra request, RFC 5104 4.3.1
	{RTCP_PSFB, 5, 8},                   // TSTR, RFC 5104 4.3.2
	{RTCP_PSFB, 6, 8},                   // TSTN, RFC 5104 4.3.3
	{RTCP_PSFB, 7, 0, vbcm_translate},   // video back channel, RFC 5104 4.3.4
	{RTCP_PSFB, 8, 4},                   // third-party loss, RFC 6642 5.2
	{RTCP_PSFB, 9, 0},                   // region of interest, TS 26.114 7.3.7
	{RTCP_PSFB, 10, 12},                 // layer refresh request, RFC 9627 3.1
	{RTCP_PSFB, 15, 0, remb_translate},  // draft-alvestrand-rmcat-remb-03
};

enum { N_FEEDBACK_ROWS = sizeof(feedback_rows) / sizeof(feedback_rows[0]) };

static const struct feedback_row *feedback_row_find(const struct rtcp_part *part)
{
	for (size_t i = 0; i < N_FEEDBACK_ROWS; i++)
		if (feedback_rows[i].type == part->type && feedback_rows[i].format == part->count)
			return &feedback_rows[i];
	return NULL;
}

enum part_verdict rtcp_feedback_translate(struct rtcp_part *part)
{
	const struct feedback_row *row = feedback_row_find(part);
	if (!row || (row->translate == remb_translate && !part_is_remb(part)))
		return PART_UNLISTED;
	if (part->body_len < FEEDBACK_HEAD_LEN || !part_copy(part, part->len) ||
		!part_map_at(part, WORD_LEN, true))
		return PART_MALFORMED;
	// 0 is no media source: the entries name them.
	if (row->translate != ccfb_translate && srtp_read32(part->in + MEDIA_SOURCE_AT) != 0)
		part_map_at(part, MEDIA_SOURCE_AT, false);
	if (row->translate)
		return row->translate(part);
	if (row->entry_len == 0)
		return PART_TRANSLATED;
	size_t entries_len = part->body_len - FEEDBACK_HEAD_LEN;
	return part_verdict_if(entries_len % row->entry_len == 0 &&
			       part_map_entries(part, FEEDBACK_HEAD_LEN,
				       entries_len / row->entry_len, row->entry_len, false));
}
