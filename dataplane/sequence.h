// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "crypto/packet_index.h"
#include "dataplane/packet.h"
#include "dataplane/stream_table.h"

struct worker;

// Where packets that no tag verifies belong in their stream: RFC 3550 A.1, and their timestamps. SEQ alone makes no
// duplicate there: a gateway may begin each talk spurt with the SEQs of the one before.

// RFC 3550 A.1.
enum {
	SEQ_DROPOUT_MAX = 3000, // further ahead, and the sender may have begun anew
	SEQ_MISORDER_MAX = 100, // the same, behind
};

enum {
	SEQUENCE_FIRST_ROC = 1
}; // of a stream's first packet: one that it overtook has an index, too

static inline uint64_t sequence_first_index(const struct packet *p)
{
	return (uint64_t)SEQUENCE_FIRST_ROC << 16 | rtp_seq(p->data);
}

enum sequence_verdict {
	SEQUENCE_NEW,       // of the stream
	SEQUENCE_AHEAD,     // so far ahead that the sender may have begun anew
	SEQUENCE_DUPLICATE, // of the stream, and received before, or too far behind to be checked
	SEQUENCE_STRAY,     // behind, and not of the stream as received so far
	SEQUENCE_RESTART,   // confirms the one before: the sender began anew
};

// sequence_check() of what is neither the first packet of a stream nor a little ahead; p->index is set.
enum sequence_verdict sequence_check_other(
	const struct worker *worker, struct stream *s, const struct packet *p);

// Finds p->index, by the estimate of RFC 3711 3.3.1 from SEQUENCE_FIRST_ROC on, and what the packet is. Of a stream's
// state only the SEQ that would confirm a restart changes. The stream's owner.
static inline enum sequence_verdict sequence_check(
	const struct worker *worker, struct stream *s, struct packet *p)
{
	uint64_t next = s->replay.next;
	p->index =
		next == 0 ? sequence_first_index(p) : packet_index_estimate(next, rtp_seq(p->data));
	if (unlikely(next != 0 && p->index - next >= SEQ_DROPOUT_MAX))
		return sequence_check_other(worker, s, p);
	s->bad_seq_set = false;
	return SEQUENCE_NEW;
}

// sequence_commit() of what has an older timestamp than the newest.
void sequence_commit_older(const struct worker *worker, struct stream *s, const struct packet *p);

// Notes that the packet came. It is NEW, or the first one since the sender began anew.
static inline void sequence_commit(
	const struct worker *worker, struct stream *s, const struct packet *p)
{
	uint32_t timestamp = rtp_timestamp(p->data);
	int32_t newer = (int32_t)(timestamp - s->timestamp);
	bool first = s->replay.next == 0;
	replay_commit(&s->replay, p->index);
	if (newer > 0 || first)
		s->timestamp = timestamp;
	else if (newer < 0)
		sequence_commit_older(worker, s, p);
}
