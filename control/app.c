// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "control/app.h"

#include <rte_cycles.h>

#include "base/log.h"
#include "control/overload.h"
#include "dataplane/cryptodev.h"
#include "dataplane/worker.h"
#include "session/media_watch.h"

enum {
	APP_MAILS = 1024, // of one worker in one poll
	APP_TICK_MS = 100,
};

static void answer_derive(struct app *app, struct worker *worker, const struct control_mail *mail)
{
	struct worker_mail answer = {
		.type = MAIL_RESUME,
		.value = mail->derive.slot,
		.refused = key_ctx_derive(&app->keys, &mail->derive.name),
	};
	worker_mail_put(worker, &answer);
}

static void read_mail(struct app *app, struct worker *worker)
{
	struct control_mail mail;
	for (unsigned n = 0; n < APP_MAILS && worker_mail_take(worker, &mail); n++) {
		switch (mail.type) {
		case MAIL_DERIVE:
			answer_derive(app, worker, &mail);
			break;
		case MAIL_STREAM:
			session_note_stream(&app->sessions, mail.leg, mail.serial, mail.stream);
			break;
		case MAIL_LEARN:
			session_learn(&app->sessions, mail.leg, mail.serial, &mail.addr);
			break;
		}
	}
}

// Keeps each worker supplied with fresh SSRCs.
static void fill_ssrcs(struct app *app, unsigned w)
{
	struct worker *worker = app->relay.workers[w];
	uint32_t taken = atomic_load_explicit(&worker->ssrcs_taken, memory_order_relaxed);
	while (app->ssrcs_given[w] - taken < SSRC_POOL_SIZE) {
		struct worker_mail mail = {
			.type = MAIL_SSRC, .value = ssrc_source_take(&app->ssrcs)};
		if (mail.value == 0 || !worker_mail_put(worker, &mail))
			return;
		app->ssrcs_given[w]++;
	}
}

void app_read_mail(struct app *app)
{
	for (unsigned w = 0; w < app->relay.n_workers; w++)
		read_mail(app, app->relay.workers[w]);
}

// A crypto device that a worker gave up: it does not come back before the next start.
static void look_at_cryptodev(struct app *app)
{
	for (unsigned w = 0; app->relay.cryptodev && w < app->relay.n_workers; w++) {
		if (app->cryptodev_given_up[w] ||
			!pipeline_has_stalled(app->relay.workers[w]->pipeline))
			continue;
		app->cryptodev_given_up[w] = true;
		log_error("cryptodev_stalled cipher=%s worker=%u reason=\"it has not answered for "
			  "a second; "
			  "the worker goes on with %s\"",
			app->relay.cryptodev->title, w, app->relay.cipher->name);
	}
}

void app_poll(struct app *app)
{
	uint64_t now_ms = relay_now_ms();
	if (now_ms == app->polled_ms)
		return;
	app->polled_ms = app->notices.now_ms = now_ms;
	app_read_mail(app);
	for (unsigned w = 0; w < app->relay.n_workers; w++)
		fill_ssrcs(app, w);
	relay_poll_network(&app->relay, now_ms);
	retire_poll(&app->retire);
	if (now_ms - app->ticked_ms >= APP_TICK_MS) {
		app->ticked_ms = now_ms;
		keystore_tick(&app->keys);
		reaper_tick(&app->reaper, &app->relay, &app->retire);
		media_watch_tick(&app->sessions, rte_rdtsc());
		overload_tick(app);
		look_at_cryptodev(app);
		srtcp_floor_tick(&app->srtcp, &app->relay);
	}
}
