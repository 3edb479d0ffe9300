// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "control/app.h"

#include <rte_cycles.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/secmem.h"
#include "control/network_news.h"
#include "control/overload.h"
#include "dataplane/cryptodev.h"
#include "dataplane/pipeline.h"
#include "dataplane/worker.h"
#include "host/relay.h"
#include "key/key_context.h"
#include "key/key_record.h"
#include "session/media_watch.h"
#include "session/session_follow.h"
#include "session/session_learn.h"
#include "session/session_remove.h"
#include "session/session_store.h"

enum {
	APP_MAILS = 1024, // of one worker in one poll
	APP_TICK_MS = 100,
	FOLLOW_NS = 500000, // in one poll, for legs of large sessions whose key changed
};

static void answer_derive(
	struct keystore *keys, struct worker *worker, const struct control_mail *mail)
{
	struct worker_mail answer = {
		.type = MAIL_RESUME,
		.value = mail->derive.slot,
		.refused = key_ctx_derive(keys, &mail->derive.name, mail->derive.stranger),
	};
	worker_mail_put(&worker->mailbox, &answer);
}

static void read_mail(struct keystore *keys, struct sessions *sessions, struct reaper *reaper,
	struct worker *worker)
{
	struct control_mail mail;
	for (unsigned n = 0; n < APP_MAILS && control_mail_take(&worker->mailbox, &mail); n++) {
		switch (mail.type) {
		case MAIL_DERIVE:
			answer_derive(keys, worker, &mail);
			break;
		case MAIL_STREAM:
			session_note_stream(sessions, mail.leg, mail.serial, mail.stream);
			break;
		case MAIL_CROWDED:
			reaper_note(reaper, keys->relay, mail.scope);
			break;
		case MAIL_LEARN:
			session_learn(sessions, mail.leg, mail.serial, mail.learn.protocol,
				&mail.learn.addr);
			break;
		}
	}
}

// Keeps each worker supplied with fresh SSRCs.
static void fill_ssrcs(struct ssrc_source *source, struct worker *worker, uint32_t *given)
{
	uint32_t taken = atomic_load_explicit(&worker->ssrcs_taken, memory_order_relaxed);
	while (*given - taken < SSRC_POOL_SIZE) {
		struct worker_mail mail = {.type = MAIL_SSRC, .value = ssrc_source_take(source)};
		if (mail.value == 0 || !worker_mail_put(&worker->mailbox, &mail))
			return;
		(*given)++;
	}
}

void app_read_mail(struct app *app)
{
	for (unsigned w = 0; w < app->relay.n_workers; w++)
		read_mail(&app->keys, &app->sessions, &app->reaper, app->relay.workers[w]);
}

// Logs a crypto device that a worker stopped using; it is not used again before the next start.
static void look_at_cryptodev(const struct relay *relay, bool given_up[])
{
	for (unsigned w = 0; relay->cryptodev && w < relay->n_workers; w++) {
		if (given_up[w] || !pipeline_has_stalled(relay->workers[w]->pipeline))
			continue;
		given_up[w] = true;
		log_error("cryptodev_stalled cipher=%s worker=%u reason=\"it has not answered for "
			  "a second; "
			  "the worker goes on with %s\"",
			relay->cryptodev->title, w, relay->cipher->name);
	}
}

void app_poll(struct app *app)
{
	uint64_t now_ms = clock_now_ms();
	if (now_ms == app->polled_ms)
		return;
	app->polled_ms = app->notices.now_ms = now_ms;
	app_read_mail(app);
	for (unsigned w = 0; w < app->relay.n_workers; w++)
		fill_ssrcs(&app->ssrcs, app->relay.workers[w], &app->ssrcs_given[w]);
	relay_poll_network(&app->relay, now_ms);
	network_news_tell(&app->sessions, &app->notices, rte_rdtsc());
	if (app->relay.restart)
		event_base_loopbreak(app->base);
	pool_poll(app->pool);
	sessions_follow(&app->sessions, clock_now_ns() + FOLLOW_NS);
	retire_poll(&app->retire);
	key_streams_tick(&app->keys, now_ms);
	if (now_ms - app->ticked_ms >= APP_TICK_MS) {
		app->ticked_ms = now_ms;
		keystore_tick(&app->keys);
		reaper_tick(&app->reaper, &app->relay, &app->retire);
		media_watch_tick(&app->sessions, rte_rdtsc());
		overload_tick(&app->overload, &app->relay, &app->notices);
		look_at_cryptodev(&app->relay, app->cryptodev_given_up);
		srtcp_floor_tick(&app->srtcp, &app->relay);
		opened_tick(&app->opened, (uint64_t)time(NULL));
		expiry_watch_tick(&app->expiry, &app->kmss, &app->identities, &app->notices,
			(uint64_t)time(NULL));
	}
}

static void poll_in_request(void *app)
{
	app_poll(app);
}

static void read_mail_in_request(void *app)
{
	app_read_mail(app);
}

static struct rate_spec rate_of(const struct config_rate *rate)
{
	return (struct rate_spec){.packets = rate->packets, .octets = rate->octets};
}

// Whoever this relay is to KMSs, and threads that compute for it.
static int identity_open(struct app *app)
{
	int rc = kms_store_init(&app->kmss);
	if (rc == 0)
		rc = identity_store_init(&app->identities);
	app->api.vault = app->vault = rc == 0 ? secmem_map(sizeof(*app->vault)) : NULL;
	rc = app->vault ? rc : -1;
	app->pool = rc == 0 ? pool_open(app->mikey.threads, app->mikey.queue) : NULL;
	app->api.pool = app->pool;
	return app->pool ? 0 : -1;
}

int app_open(struct app *app, const struct config_limits *limits, const struct config_mikey *mikey)
{
	app->limits = *limits;
	app->mikey = *mikey;
	app->started_ms = clock_now_ms();
	app->api = (struct api){
		.relay = &app->relay,
		.overload = &app->overload,
		.retire = &app->retire,
		.keys = &app->keys,
		.sessions = &app->sessions,
		.events = &app->events,
		.requests = &app->requests,
		.limits = &app->limits,
		.kmss = &app->kmss,
		.identities = &app->identities,
		.opened = &app->opened,
		.messages = &app->messages,
		.orders = &app->orders,
		.mikey = &app->mikey,
		.started_ms = app->started_ms,
		.poll = poll_in_request,
		.read_mail = read_mail_in_request,
		.poll_arg = app,
	};
	retire_init(&app->retire, app->relay.rcu);
	users_init(&app->users);
	notices_init(&app->notices, &app->events);
	request_stats_init(&app->requests, control_methods);
	if (keystore_init(&app->keys, &app->relay, &app->retire, &app->users, &app->notices,
		    limits->keys) != 0 ||
		identity_open(app) != 0)
		return -1;
	int rc = sessions_init(&app->sessions, &app->keys, limits->sessions, limits->legs);
	app->sessions.rates[SERVICE_MCPTT] = rate_of(&limits->rate_mcptt);
	app->sessions.rates[SERVICE_MCVIDEO] = rate_of(&limits->rate_mcvideo);
	return rc;
}

void app_close(struct app *app)
{
	// What goes now is to come back.
	key_streams_record_all(&app->keys);
	app->keys.records = NULL;
	pool_close(app->pool);
	identity_store_fini(&app->identities);
	kms_store_fini(&app->kmss);
	secmem_unmap(app->vault, sizeof(*app->vault));
	sessions_fini(&app->sessions);
	keystore_fini(&app->keys);
	retire_fini(&app->retire);
	users_fini(&app->users);
	request_stats_fini(&app->requests);
}
