// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "control/listeners.h"

#include <signal.h>
#include <stdlib.h>

#include "base/log.h"
#include "control/metrics_server.h"
#include "server/server.h"
#include "server/tls.h"

struct listeners {
	struct server *unix_server, *tls_server;
	struct tls *tls; // NULL: not configured
	struct metrics_server *metrics;
	struct event *hangup;
};

static void on_hangup(evutil_socket_t fd, short what, void *arg)
{
	struct listeners *listeners = arg;
	(void)fd;
	(void)what;
	char why[512];
	if (!listeners->tls)
		log_info("tls.not_reloaded reason=\"control.tls is not configured\"");
	else if (!tls_reload(listeners->tls, why, sizeof(why)))
		log_error("tls.not_reloaded reason=\"%s\" consequence=\"the files read before stay "
			  "in use\"",
			why);
	else {
		log_info("tls.reloaded");
		server_close_revoked(listeners->tls_server);
	}
}

static bool tls_server_open(struct listeners *listeners, struct event_base *base,
	const struct config_tls *config, const struct rpc *rpc)
{
	const struct tls_files files = {
		.certificate = config->certificate,
		.key = config->key,
		.ca = config->ca,
		.crl = config->crl,
	};
	char why[512];
	listeners->tls = tls_open(&files, why, sizeof(why));
	if (!listeners->tls) {
		log_error("control.failed listen=%s reason=\"%s\"", config->listen, why);
		return false;
	}
	listeners->tls_server = server_open_tls(base, config->listen, listeners->tls, rpc);
	return listeners->tls_server;
}

static bool metrics_open(struct listeners *listeners, struct event_base *base, const char *listen,
	const struct metrics_source *metrics)
{
	struct metrics_source source = *metrics;
	source.unix_server = listeners->unix_server;
	source.tls_server = listeners->tls_server;
	source.tls = listeners->tls;
	listeners->metrics = metrics_server_open(base, listen, &source);
	return listeners->metrics;
}

struct listeners *listeners_open(struct event_base *base, const struct config *config,
	const struct rpc *rpc, const struct metrics_source *metrics)
{
	const struct server_options options = {
		.path = config->control_unix,
		.mode = config->control_mode,
		.group = config->control_group,
	};
	struct listeners *listeners = calloc(1, sizeof(*listeners));
	if (listeners)
		listeners->hangup = evsignal_new(base, SIGHUP, on_hangup, listeners);
	if (!listeners || !listeners->hangup || event_add(listeners->hangup, NULL) != 0) {
		log_error("control.failed reason=\"out of memory\"");
		listeners_close(listeners);
		return NULL;
	}
	listeners->unix_server = server_open(base, &options, rpc);
	if (!listeners->unix_server ||
		(config->control_tls.enabled &&
			!tls_server_open(listeners, base, &config->control_tls, rpc)) ||
		(config->metrics_listen &&
			!metrics_open(listeners, base, config->metrics_listen, metrics))) {
		listeners_close(listeners);
		return NULL;
	}
	return listeners;
}

void listeners_close(struct listeners *listeners)
{
	if (!listeners)
		return;
	metrics_server_close(listeners->metrics);
	server_close(listeners->tls_server);
	server_close(listeners->unix_server);
	tls_close(listeners->tls);
	if (listeners->hangup)
		event_free(listeners->hangup);
	free(listeners);
}
