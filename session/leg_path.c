// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "session/leg_path.h"

#include <rte_cycles.h>

#include "base/alloc.h"
#include "dataplane/relay_tables.h"
#include "event/notice.h"
#include "host/news.h"
#include "session/leg_audience.h"
#include "session/session_store.h"

uint16_t leg_path_mtu(const struct sessions *sessions, const struct session_leg *leg)
{
	const struct leg_path *path = leg->path;
	bool known = path && path->mtu != 0 && path->port == leg->spec.port &&
		     endpoint_same_addr(&path->remote, &leg->remote);
	return known ? path->mtu : sessions->relay->ports[leg->spec.port].mtu;
}

// Shows workers what is known now.
static void path_publish(struct sessions *sessions, struct session_leg *leg)
{
	const struct session_leg before = *leg;
	leg->mtu = leg_path_mtu(sessions, leg);
	leg_audience_follow(sessions, &before, leg);
	session_audiences_publish(sessions, leg->session);
	leg_audience_publish(sessions, leg);
}

// It only becomes less, until it is forgotten (RFC 8201 4).
static void path_hear_mtu(
	struct sessions *sessions, struct session_leg *leg, const struct news *news, uint64_t now)
{
	if (news->mtu >= leg->mtu)
		return;
	leg->path->remote = leg->remote;
	leg->path->port = leg->spec.port;
	leg->path->mtu = news->mtu;
	leg->path->mtu_from = news->addr;
	sessions->watches[leg->index].path_tsc = now;
	sessions->watches[leg->index].path_untold = true;
	path_publish(sessions, leg);
}

void leg_path_hear(struct sessions *sessions, const struct news *news, uint64_t now)
{
	struct session_leg *leg = session_leg_by_index(sessions, news->leg, news->serial);
	if (!leg)
		return;
	if (!leg->path)
		leg->path = alloc_zero(1, sizeof(*leg->path));
	if (news->type == NEWS_PATH_MTU) {
		path_hear_mtu(sessions, leg, news, now);
		return;
	}
	leg->path->reason = news->unreachable;
	leg->path->error_from = news->addr;
	sessions->watches[leg->index].errors++;
}

static bool path_notice(
	struct sessions *sessions, const struct session_leg *leg, struct notice *what)
{
	what->session = leg->session->spec.id;
	what->leg = leg->spec.id;
	what->address = &leg->remote;
	return notice(sessions->notices, what);
}

static void path_tell_mtu(
	struct sessions *sessions, const struct session_leg *leg, struct leg_watch *watch)
{
	struct notice what = {
		.type = NOTICE_PATH_MTU, .host = &leg->path->mtu_from, .mtu = leg->mtu};
	if (path_notice(sessions, leg, &what))
		watch->path_untold = false;
}

static void path_tell_errors(
	struct sessions *sessions, const struct session_leg *leg, struct leg_watch *watch)
{
	struct notice what = {
		.type = NOTICE_PATH_UNREACHABLE,
		.host = &leg->path->error_from,
		.reason = unreachable_label(leg->path->reason),
		.count = watch->errors - watch->errors_told,
	};
	if (path_notice(sessions, leg, &what))
		watch->errors_told = watch->errors;
}

static void path_forget(struct sessions *sessions, struct session_leg *leg, struct leg_watch *watch)
{
	watch->path_tsc = 0;
	watch->path_untold = false;
	leg->path->mtu = 0;
	path_publish(sessions, leg);
}

void leg_path_watch(struct sessions *sessions, uint32_t index, uint64_t now)
{
	struct session_leg *leg = session_leg_at(sessions, index);
	struct leg_watch *watch = &sessions->watches[index];
	if (watch->path_untold && leg->mtu == leg->path->mtu) // it is still there
		path_tell_mtu(sessions, leg, watch);
	if (watch->errors != watch->errors_told)
		path_tell_errors(sessions, leg, watch);
	if (watch->path_tsc != 0 && now > watch->path_tsc &&
		now - watch->path_tsc >= LEG_PATH_SECONDS * rte_get_tsc_hz())
		path_forget(sessions, leg, watch);
}
