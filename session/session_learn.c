// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "session/session_learn.h"

#include <rte_cycles.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/counter.h"
#include "dataplane/relay_tables.h"
#include "dataplane/worker_state.h"
#include "event/notice.h"
#include "session/leg_audience.h"
#include "session/leg_bind.h"
#include "session/leg_remote.h"
#include "session/session_publish.h"
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
	uint32_t n = RTE_MIN(leg->n_streams, (uint32_t)STREAMS_LOOKED_AT);
	for (uint32_t i = 0; i < n; i++) {
		const struct stream *stream =
			&sessions->relay->streams.streams[leg->streams[leg->n_streams - 1 - i]];
		if (stream->protocol == SRTP_RTP && counter_read(&stream->leg) == leg->index &&
			now < counter_read(&stream->last_tsc) + MEDIA_SECONDS * rte_get_tsc_hz())
			return true;
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

void session_learn(struct sessions *sessions, uint32_t index, uint32_t serial, uint8_t protocol,
	const struct endpoint *addr)
{
	struct session_leg *leg = session_leg_by_index(sessions, index, serial);
	uint64_t now_ms = clock_now_ms();
	if (!leg ||
		!leg_remote_follows(leg, protocol, addr, leg_muxes_rtcp(sessions, leg), now_ms) ||
		(protocol == SRTP_RTCP && leg_heard_media(sessions, leg)) ||
		!address_learnable(sessions, leg, addr))
		return; // if it is only too early the next packet reports it again
	struct session_leg before = *leg;
	leg_remote_learn(leg, protocol, addr, now_ms);
	leg_bind(sessions, leg->session, leg);
	leg_audience_follow(sessions, &before, leg);
	session_audiences_publish(sessions, leg->session);
	leg_audience_publish(sessions, leg);
	leg_publish(sessions, leg);
	leg_unbind(sessions, &before);
	struct notice learned = {.type = NOTICE_LEG_LEARNED,
		.session = leg->session->spec.id,
		.leg = leg->spec.id,
		.address = &leg->remote};
	notice(sessions->notices, &learned);
}

void session_note_stream(
	struct sessions *sessions, uint32_t index, uint32_t serial, uint32_t stream)
{
	struct session_leg *found = session_leg_by_index(sessions, index, serial);
	if (!found)
		return;
	for (uint32_t i = 0; i < found->n_streams; i++)
		if (found->streams[i] == stream)
			return;
	if (found->n_streams == found->streams_size) {
		found->streams_size = found->streams_size ? found->streams_size * 2 : 4;
		found->streams =
			alloc_resize(found->streams, found->streams_size, sizeof(*found->streams));
	}
	found->streams[found->n_streams++] = stream;
}
