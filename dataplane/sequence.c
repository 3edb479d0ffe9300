// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "dataplane/sequence.h"

#include "dataplane/worker_state.h"

enum { LATE_SECONDS = 2 }; // longer than a network delays one packet behind others

static uint32_t late_max(const struct worker *worker, const struct packet *p)
{
	return jitter_arrival(LATE_SECONDS * worker->tsc_hz, p->leg->clock_factor);
}

// Whether the timestamp of a packet that is behind says that it is no late one of the stream: a duplicate has none that
// is newer than all before, a reordered one none that is much newer (frames of video may be sent out of the order of
// their times), and neither comes much later than its neighbours.
static bool packet_is_apart(
	const struct worker *worker, const struct stream *s, const struct packet *p, bool seen)
{
	uint32_t timestamp = rtp_timestamp(p->data);
	int64_t newer = (int32_t)(timestamp - s->timestamp), most = late_max(worker, p);
	if (newer > (seen ? 0 : most))
		return true;
	if (!s->jitter.known || p->held)
		return false;
	uint32_t transit = jitter_arrival(worker->now, p->leg->clock_factor) - timestamp;
	return (int32_t)(transit - s->jitter.transit) > most;
}

enum sequence_verdict sequence_check_other(
	const struct worker *worker, struct stream *s, const struct packet *p)
{
	const uint16_t seq = rtp_seq(p->data);
	const uint64_t next = s->replay.next;
	const bool ahead = p->index >= next;
	const bool seen = replay_check(&s->replay, p->index) != REPLAY_NEW;
	const bool apart = !ahead && packet_is_apart(worker, s, p, seen);
	const bool confirmed = s->bad_seq_set && s->bad_seq == seq;
	if (!ahead && !apart && !confirmed && next - 1 - p->index < SEQ_MISORDER_MAX)
		return seen ? SEQUENCE_DUPLICATE : SEQUENCE_NEW;
	s->bad_seq = (uint16_t)(seq + 1);
	s->bad_seq_set = !confirmed;
	if (confirmed)
		return SEQUENCE_RESTART;
	if (ahead)
		return SEQUENCE_AHEAD;
	if (apart || (!seen && p->index < s->first_index))
		return SEQUENCE_STRAY;
	return seen ? SEQUENCE_DUPLICATE : SEQUENCE_NEW;
}

// Where the one next in sequence goes back by much, the sender began to count anew.
void sequence_commit_older(const struct worker *worker, struct stream *s, const struct packet *p)
{
	uint32_t timestamp = rtp_timestamp(p->data);
	int64_t older = -(int64_t)(int32_t)(timestamp - s->timestamp);
	if (p->index + 1 == s->replay.next && older > late_max(worker, p))
		s->timestamp = timestamp;
}
