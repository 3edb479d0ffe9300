// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "session/session_learn.h"

#include <rte_cycles.h>

#include "base/clock.h"
#include "base/counter.h"
#include "dataplane/relay_tables.h"
#include "dataplane/worker_state.h"
#include "event/notice.h"
#include "session/leg_audience.h"
#include "session/leg_bind.h"
#include "session/leg_remote.h"
#include "session/session_publish.h"
#include "session/session_record.h"
#include "session/session_store.h"

enum {
	MEDIA_SECONDS = 10,    // for which the last packet tells where its leg is
	STREAMS_LOOKED_AT = 64 // that are new last
};

// Whether media can be sent to the source address of a packet.
static bool address_learnable(
	const struct sessions *sessions, const struct session_leg *leg, const struct endpoint *addr)
{
	const struct port *port = &sessions->relay->ports[leg->spec.port];
	return addr->port != 0 && port_address_is_hosts(port, addr) &&
	       port_next_hop(port, addr).family != AF_UNSPEC;
}

// Whether media is heard on the leg: then it tells where the leg is, and RTCP beside it does not.
static bool leg_heard_media(const struct sessions *sessions, const struct session_leg *leg)
{
	uint64_t now = rte_rdtsc();
	uint32_t at = leg->stream;
	for (unsigned n = 0; at != 0 && n < STREAMS_LOOKED_AT; n++) {
		const struct stream *stream = &sessions->relay->streams.streams[at - 1];
		if (stream->protocol == SRTP_RTP &&
			counter_read(&stream->leg_serial) == leg->serial &&
			now < counter_read(&stream->last_tsc) + MEDIA_SECONDS * rte_get_tsc_hz())
			return true;
		at = sessions->notes[at - 1].next;
	}
	return false;
}

// Whether RTCP was heard from the leg's remote: its sender muxes it with media.
static bool leg_muxes_rtcp(const struct sessions *sessions, const struct session_leg *leg)
{
	const struct relay *relay = sessions->relay;
	for (unsigned w = 0; w < relay->n_workers; w++)
		if (counter_read(&relay->workers[w]->legs[leg->index].rtcp_port) ==
			leg->remote.port)
			return true;
	return false;
}

bool session_move(struct sessions *sessions, struct session_leg *leg, uint8_t protocol,
	const struct endpoint *addr)
{
	if (!address_learnable(sessions, leg, addr))
		return false;
	struct session_leg before = *leg;
	leg_remote_learn(leg, protocol, addr, clock_now_ms());
	leg_bind(sessions, leg);
	leg_audience_follow(sessions, &before, leg);
	session_audiences_publish(sessions, leg->session);
	leg_audience_publish(sessions, leg);
	leg_publish(sessions, leg);
	leg_unbind(sessions, &before);
	return true;
}

void session_learn(struct sessions *sessions, uint32_t index, uint32_t serial, uint8_t protocol,
	const struct endpoint *addr)
{
	struct session_leg *leg = session_leg_by_index(sessions, index, serial);
	uint64_t now_ms = clock_now_ms();
	if (!leg ||
		!leg_remote_follows(leg, protocol, addr, leg_muxes_rtcp(sessions, leg), now_ms) ||
		(protocol == SRTP_RTCP && leg_heard_media(sessions, leg)) ||
		!session_move(sessions, leg, protocol, addr))
		return; // if it is only too early the next packet reports it again
	leg_record_learnt(leg);
	struct notice learned = {.type = NOTICE_LEG_LEARNED,
		.session = leg->session->spec.id,
		.leg = leg->spec.id,
		.address = &leg->remote};
	notice(sessions->notices, &learned);
}

static void note_leave(struct sessions *sessions, struct stream_note *note)
{
	if (note->next != 0)
		sessions->notes[note->next - 1].previous = note->previous;
	if (note->previous != 0)
		sessions->notes[note->previous - 1].next = note->next;
	else
		sessions->by_leg[note->leg - 1]->stream = note->next;
	*note = (struct stream_note){};
}

void session_note_stream(
	struct sessions *sessions, uint32_t index, uint32_t serial, uint32_t stream)
{
	struct session_leg *leg = session_leg_by_index(sessions, index, serial);
	struct stream_note *note = &sessions->notes[stream];
	if (!leg)
		return;
	if (note->leg != 0)
		note_leave(sessions, note);
	*note = (struct stream_note){.leg = index + 1, .next = leg->stream};
	if (note->next != 0)
		sessions->notes[note->next - 1].previous = stream + 1;
	leg->stream = stream + 1;
}

void session_forget_streams(struct sessions *sessions, struct session_leg *leg)
{
	for (uint32_t next, i = leg->stream; i != 0; i = next) {
		next = sessions->notes[i - 1].next;
		sessions->notes[i - 1] = (struct stream_note){};
	}
	leg->stream = 0;
}
