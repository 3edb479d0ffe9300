// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "session/media_watch.h"

#include <rte_cycles.h>

#include "base/counter.h"
#include "dataplane/relay_tables.h"
#include "dataplane/worker.h"
#include "event/notice.h"
#include "key/keystore.h"
#include "session/leg_path.h"
#include "session/session_store.h"

static uint64_t leg_heard(const struct sessions *sessions, uint32_t index)
{
	uint64_t last = 0;
	for (unsigned w = 0; w < sessions->relay->n_workers; w++)
		last = RTE_MAX(
			last, counter_read(&sessions->relay->workers[w]->legs[index].last_rx_tsc));
	return last;
}

static uint32_t leg_drops(const struct sessions *sessions, uint32_t index, enum drop_reason reason)
{
	uint32_t n = 0;
	for (unsigned w = 0; w < sessions->relay->n_workers; w++)
		n += counter_read(&sessions->relay->workers[w]->legs[index].drops[reason]);
	return n;
}

// Whether that many seconds passed. A worker's time stamp may be newer than now.
static bool seconds_passed(uint64_t since, uint64_t now, uint32_t seconds)
{
	return now > since && (now - since) / rte_get_tsc_hz() >= seconds;
}

// Raises a notice about a leg; n is the number of packets.
static bool leg_notice(struct sessions *sessions, uint32_t index, enum notice_type type, uint64_t n)
{
	const struct session_leg *leg = session_leg_at(sessions, index);
	struct notice what = {
		.type = type, .session = leg->session->spec.id, .leg = leg->spec.id, .count = n};
	return notice(sessions->notices, &what);
}

static void session_set_silent(struct sessions *sessions, struct session *session, bool silent)
{
	sessions->n_silent += (uint32_t)silent - (uint32_t)session->silent;
	session->silent = silent;
}

static void watch_start(
	struct sessions *sessions, uint32_t index, struct session *session, struct leg_watch *watch)
{
	uint64_t heard = leg_heard(sessions, index);
	session->heard_tsc = RTE_MAX(session->heard_tsc, heard);
	if (watch->playing || heard <= watch->heard_tsc)
		return;
	watch->playing = true;
	session_set_silent(sessions, session, false);
	leg_notice(sessions, index, NOTICE_MEDIA_STARTED, 0);
}

// The missing key that the leg refers to. The packet's MKI is not shown, because it is not
// authenticated. NULL: all are installed by now.
static const struct key_slot *leg_missing_key(const struct session_leg *leg)
{
	for (unsigned protocol = 0; protocol < SRTP_N_PROTOCOLS; protocol++) {
		const struct key_slot *slot = leg_key_slot(leg, protocol);
		if (slot && !key_usable(slot))
			return slot;
	}
	return NULL;
}

static bool unknown_notice(
	struct sessions *sessions, uint32_t index, enum drop_reason reason, uint32_t n)
{
	const struct session_leg *leg = session_leg_at(sessions, index);
	const struct key_slot *missing = reason == DROP_NO_KEY ? leg_missing_key(leg) : NULL;
	struct notice_key key;
	struct notice what = {.type = NOTICE_KEY_UNKNOWN,
		.session = leg->session->spec.id,
		.leg = leg->spec.id,
		.reason = drop_label(reason),
		.count = n};
	if (missing) {
		key = key_notice_of(sessions->keys, missing);
		what.key = &key;
		what.state = missing->installed ? key_state_name(missing->state) : "missing";
	}
	return notice(sessions->notices, &what);
}

static void watch_unknown(struct sessions *sessions, uint32_t index, struct leg_watch *watch)
{
	uint32_t no_key = leg_drops(sessions, index, DROP_NO_KEY);
	if (no_key != watch->no_key &&
		unknown_notice(sessions, index, DROP_NO_KEY, no_key - watch->no_key))
		watch->no_key = no_key;
	uint32_t mki = leg_drops(sessions, index, DROP_UNKNOWN_MKI);
	if (mki != watch->unknown_mki &&
		unknown_notice(sessions, index, DROP_UNKNOWN_MKI, mki - watch->unknown_mki))
		watch->unknown_mki = mki;
}

static uint32_t leg_unencrypted(const struct sessions *sessions, uint32_t index)
{
	uint32_t n = 0;
	for (unsigned w = 0; w < sessions->relay->n_workers; w++)
		n += counter_read(&sessions->relay->workers[w]->legs[index].rx_unencrypted);
	return n;
}

static void watch_unencrypted(struct sessions *sessions, uint32_t index, struct leg_watch *watch)
{
	uint32_t n = leg_unencrypted(sessions, index);
	if (n != watch->unencrypted &&
		leg_notice(sessions, index, NOTICE_RTCP_UNENCRYPTED, n - watch->unencrypted))
		watch->unencrypted = n;
}

static void watch_rate(struct sessions *sessions, uint32_t index, struct leg_watch *watch)
{
	uint32_t n = leg_drops(sessions, index, DROP_RATE_LIMITED);
	if (n != watch->limited &&
		leg_notice(sessions, index, NOTICE_LEG_LIMITED, n - watch->limited))
		watch->limited = n;
}

// A notice that the limit suppresses is raised later.
static void watch_drops(
	struct sessions *sessions, uint32_t index, struct leg_watch *watch, uint64_t now)
{
	uint32_t collisions = leg_drops(sessions, index, DROP_SSRC_COLLISION);
	if (collisions != watch->collisions &&
		leg_notice(sessions, index, NOTICE_SSRC_COLLISION, collisions - watch->collisions))
		watch->collisions = collisions;
	uint32_t fails = leg_drops(sessions, index, DROP_AUTH_FAIL);
	if (fails == watch->fails)
		return;
	bool told = fails - watch->fails >= MEDIA_WATCH_FAILS;
	if (told && !leg_notice(sessions, index, NOTICE_AUTH_FAILING, fails - watch->fails))
		return;
	if (told || seconds_passed(watch->fails_tsc, now, MEDIA_WATCH_FAIL_SECONDS)) {
		watch->fails = fails;
		watch->fails_tsc = now;
	}
}

// Looks at the legs of a session that seems to be silent: one whose turn has not come yet may have
// received packets. Returns how many were looked at.
static uint32_t watch_silence(struct sessions *sessions, struct session *session, uint64_t now)
{
	uint32_t seconds = session->spec.timeout;
	if (seconds == 0 || session->silent || !seconds_passed(session->heard_tsc, now, seconds))
		return 0;
	const struct session_leg *leg;
	TAILQ_FOREACH (leg, &session->legs, entry)
		session->heard_tsc = RTE_MAX(session->heard_tsc, leg_heard(sessions, leg->index));
	if (!seconds_passed(session->heard_tsc, now, seconds))
		return session->n_legs;
	session_set_silent(sessions, session, true);
	TAILQ_FOREACH (leg, &session->legs, entry) {
		struct leg_watch *watch = &sessions->watches[leg->index];
		watch->heard_tsc = session->heard_tsc;
		watch->playing = false;
	}
	struct notice what = {
		.type = NOTICE_MEDIA_TIMEOUT, .session = session->spec.id, .seconds = seconds};
	notice(sessions->notices, &what);
	return session->n_legs;
}

void media_watch_tick(struct sessions *sessions, uint64_t now)
{
	uint32_t n = sessions->n_touched, looked = 0;
	for (uint32_t i = 0; i < n && looked < MEDIA_WATCH_LEGS; i++) {
		uint32_t index = sessions->watch_cursor = (sessions->watch_cursor + 1) % n;
		const struct session_leg *leg = session_leg_at(sessions, index);
		looked++;
		if (!leg)
			continue;
		struct session *session = leg->session;
		struct leg_watch *watch = &sessions->watches[index];
		watch_start(sessions, index, session, watch);
		watch_unknown(sessions, index, watch);
		watch_drops(sessions, index, watch, now);
		watch_unencrypted(sessions, index, watch);
		leg_path_watch(sessions, index, now);
		watch_rate(sessions, index, watch);
		looked += watch_silence(sessions, session, now);
	}
}
