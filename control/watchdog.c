// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "control/watchdog.h"

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <systemd/sd-daemon.h>

#include "base/counter.h"
#include "base/log.h"
#include "dataplane/worker.h"

enum {
	PINGS_PER_PERIOD = 4, // one may be late and one may be lost
};

struct watchdog {
	struct relay *relay;
	struct event *timer;
	uint64_t loops[RELAY_WORKERS_MAX]; // of each worker at the last look
	bool stands[RELAY_WORKERS_MAX];    // the log has said so
};

static bool worker_moved(struct watchdog *watchdog, unsigned w)
{
	const struct worker *worker = watchdog->relay->workers[w];
	uint64_t loops = counter_read(&worker->counters.loops);
	bool moved = loops != watchdog->loops[w];
	watchdog->loops[w] = loops;
	if (!moved && !watchdog->stands[w])
		log_error("worker_stands_still worker=%u lcore=%u", w, worker->lcore);
	if (moved && watchdog->stands[w])
		log_warning("worker_moves_again worker=%u lcore=%u", w, worker->lcore);
	watchdog->stands[w] = !moved;
	return moved;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct watchdog *watchdog = arg;
	bool all = true;
	(void)fd;
	(void)what;
	for (unsigned w = 0; w < watchdog->relay->n_workers; w++)
		all &= worker_moved(watchdog, w);
	if (all)
		sd_notify(0, "WATCHDOG=1");
}

struct watchdog *watchdog_open(struct event_base *base, struct relay *relay)
{
	uint64_t period_us;
	if (sd_watchdog_enabled(0, &period_us) <= 0)
		return NULL;
	struct watchdog *watchdog = calloc(1, sizeof(*watchdog));
	struct timeval interval = {
		.tv_sec = (time_t)(period_us / PINGS_PER_PERIOD / 1000000),
		.tv_usec = (suseconds_t)(period_us / PINGS_PER_PERIOD % 1000000),
	};
	if (watchdog) {
		watchdog->relay = relay;
		watchdog->timer = event_new(base, -1, EV_PERSIST, on_timer, watchdog);
	}
	if (!watchdog || !watchdog->timer || event_add(watchdog->timer, &interval) != 0) {
		log_error("no_watchdog reason=\"out of memory\"");
		watchdog_close(watchdog);
		return NULL;
	}
	return watchdog;
}

void watchdog_close(struct watchdog *watchdog)
{
	if (!watchdog)
		return;
	if (watchdog->timer)
		event_free(watchdog->timer);
	free(watchdog);
}
