// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "control/metrics_server.h"

#include <errno.h>
#include <event2/bufferevent.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <event2/util.h>
#include <netinet/in.h>
#include <rte_cycles.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "control/health.h"
#include "control/http_accept.h"
#include "control/metrics_plain.h"

enum {
	METRICS_SWEEP_MS = 100, // as long as there are connections
	METRICS_BACKLOG = 64,
	METHODS_ALL = EVHTTP_REQ_GET | EVHTTP_REQ_POST | EVHTTP_REQ_HEAD | EVHTTP_REQ_PUT |
		      EVHTTP_REQ_DELETE | EVHTTP_REQ_OPTIONS | EVHTTP_REQ_TRACE |
		      EVHTTP_REQ_CONNECT | EVHTTP_REQ_PATCH,
};

// A connection of evhttp, which has neither a limit to their number nor one to their life. So each
// gets its bufferevent from here, with one more reference: one without callbacks is one that
// evhttp has freed.
struct metrics_connection {
	struct bufferevent *bufferevent; // NULL: free
	uint64_t until_ms;
};

struct metrics_server {
	struct event_base *base;
	struct evhttp *http;
	struct evconnlistener *listener; // of http
	struct event *sweep;
	struct metrics_source source;
	struct metrics_connection connections[METRICS_CONNECTIONS_MAX];
	unsigned n_connections;
};

static bool connection_is_over(const struct metrics_connection *connection)
{
	bufferevent_event_cb on_event;
	bufferevent_getcb(connection->bufferevent, NULL, NULL, &on_event, NULL);
	return !on_event;
}

static void connections_review(struct metrics_server *server)
{
	uint64_t now_ms = clock_now_ms();
	for (unsigned i = 0; i < METRICS_CONNECTIONS_MAX; i++) {
		struct metrics_connection *connection = &server->connections[i];
		if (!connection->bufferevent)
			continue;
		if (!connection_is_over(connection) && now_ms >= connection->until_ms)
			bufferevent_trigger_event(
				connection->bufferevent, BEV_EVENT_TIMEOUT | BEV_EVENT_READING, 0);
		if (!connection_is_over(connection))
			continue;
		bufferevent_decref(connection->bufferevent);
		connection->bufferevent = NULL;
		server->n_connections--;
	}
}

static void sweep_later(struct metrics_server *server)
{
	static const struct timeval period = {.tv_usec = METRICS_SWEEP_MS * 1000L};
	event_add(server->sweep, &period);
}

static void on_sweep(evutil_socket_t fd, short what, void *arg)
{
	struct metrics_server *server = arg;
	(void)fd;
	(void)what;
	connections_review(server);
	if (server->n_connections < METRICS_CONNECTIONS_MAX)
		evconnlistener_enable(server->listener);
	if (server->n_connections > 0)
		sweep_later(server);
}

// evhttp accepted a connection: its bufferevent, to which it adds callbacks when this returns.
static struct bufferevent *on_accept(struct event_base *base, void *arg)
{
	struct metrics_server *server = arg;
	struct bufferevent *bufferevent = bufferevent_socket_new(base, -1, 0);
	unsigned i = 0;
	if (!bufferevent)
		return NULL; // evhttp then tries to allocate one itself, and fails
	while (server->connections[i].bufferevent)
		i++;
	bufferevent_incref(bufferevent);
	server->connections[i] = (struct metrics_connection){
		.bufferevent = bufferevent,
		.until_ms = clock_now_ms() + METRICS_CONNECTION_MS,
	};
	if (++server->n_connections == METRICS_CONNECTIONS_MAX)
		evconnlistener_disable(server->listener);
	if (!evtimer_pending(server->sweep, NULL))
		sweep_later(server);
	return bufferevent;
}

// With Content-Length, but to HEAD without content (RFC 9110 9.3.2), which evhttp would send all the same.
static void answer_send(struct evhttp_request *request, int code, const char *reason)
{
	struct evbuffer *out = evhttp_request_get_output_buffer(request);
	char length[32];
	if (evhttp_request_get_command(request) == EVHTTP_REQ_HEAD) {
		snprintf(length, sizeof(length), "%zu", evbuffer_get_length(out));
		evhttp_add_header(
			evhttp_request_get_output_headers(request), "Content-Length", length);
		evbuffer_drain(out, evbuffer_get_length(out));
	}
	evhttp_send_reply(request, code, reason, NULL);
}

// evhttp_send_error() would discard the headers.
static void answer_text(
	struct evhttp_request *request, int code, const char *reason, const char *text)
{
	struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
	evhttp_add_header(headers, "Content-Type", "text/plain");
	evhttp_add_header(headers, "Cache-Control", "no-store");
	evbuffer_add_printf(evhttp_request_get_output_buffer(request), "%s\n", text);
	answer_send(request, code, reason);
}

static void answer_error(struct evhttp_request *request, int code, const char *reason)
{
	char text[64];
	snprintf(text, sizeof(text), "%d %s", code, reason);
	answer_text(request, code, reason, text);
}

static int plain_write(struct evbuffer *out, const struct metrics_source *source)
{
	struct evbuffer *open = evbuffer_new();
	if (!open)
		return -1;
	int rc = metrics_write(open, source);
	if (rc == 0)
		rc = metrics_make_plain(out, open);
	evbuffer_free(open);
	return rc;
}

static void answer_metrics(struct evhttp_request *request, const struct metrics_source *source)
{
	struct evbuffer *out = evhttp_request_get_output_buffer(request);
	struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
	const char *accept =
		evhttp_find_header(evhttp_request_get_input_headers(request), "Accept");
	bool plain = http_accept_quality(accept, "text/plain") >
		     http_accept_quality(accept, "application/openmetrics-text");
	if ((plain ? plain_write(out, source) : metrics_write(out, source)) != 0) {
		evbuffer_drain(out, evbuffer_get_length(out));
		answer_error(request, HTTP_SERVUNAVAIL, "Service Unavailable");
		return;
	}
	evhttp_add_header(
		headers, "Content-Type", plain ? METRICS_PLAIN_CONTENT_TYPE : METRICS_CONTENT_TYPE);
	evhttp_add_header(headers, "Vary", "Accept");
	evhttp_add_header(headers, "Cache-Control", "no-store");
	answer_send(request, HTTP_OK, "OK");
}

static void answer_probe(struct evhttp_request *request, bool good, const char *why)
{
	if (good)
		answer_text(request, HTTP_OK, "OK", "ok");
	else
		answer_text(request, HTTP_SERVUNAVAIL, "Service Unavailable", why);
}

static void answer_health(struct evhttp_request *request, const struct metrics_source *source)
{
	char why[128] = "";
	bool good = health_is_alive(source->relay, rte_rdtsc(), why, sizeof(why));
	answer_probe(request, good, why);
}

static void answer_ready(struct evhttp_request *request, const struct metrics_source *source)
{
	char why[128] = "";
	bool good = health_is_ready(source->relay, rte_rdtsc(), why, sizeof(why));
	answer_probe(request, good, why);
}

static const struct {
	const char *path;
	void (*answer)(struct evhttp_request *request, const struct metrics_source *source);
} pages[] = {
	{"/metrics", answer_metrics},
	{"/health", answer_health},
	{"/ready", answer_ready},
};

static void on_request(struct evhttp_request *request, void *arg)
{
	enum { N_PAGES = sizeof(pages) / sizeof(pages[0]) };
	const struct metrics_server *server = arg;
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(request);
	const char *path = uri ? evhttp_uri_get_path(uri) : NULL;
	struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
	enum evhttp_cmd_type command = evhttp_request_get_command(request);
	// One request a connection: idle ones would occupy places that others need.
	evhttp_add_header(headers, "Connection", "close");
	size_t i = 0;
	while (i < N_PAGES && (!path || strcmp(path, pages[i].path) != 0))
		i++;
	if (i == N_PAGES) {
		answer_error(request, HTTP_NOTFOUND, "Not Found");
	} else if (command != EVHTTP_REQ_GET && command != EVHTTP_REQ_HEAD) {
		evhttp_add_header(headers, "Allow", "GET, HEAD");
		answer_error(request, HTTP_BADMETHOD, "Method Not Allowed");
	} else {
		pages[i].answer(request, &server->source);
	}
}

static bool is_loopback(const struct sockaddr_storage *address)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;
	if (address->ss_family == AF_INET)
		return ntohl(v4->sin_addr.s_addr) >> 24 == 127;
	return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

static bool server_listen(struct metrics_server *server, const char *listen)
{
	struct sockaddr_storage address;
	int size = sizeof(address);
	errno = EINVAL;
	if (evutil_parse_sockaddr_port(listen, (struct sockaddr *)&address, &size) != 0)
		return false;
	server->listener = evconnlistener_new_bind(server->base, NULL, NULL,
		LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE, METRICS_BACKLOG,
		(struct sockaddr *)&address, size);
	if (!server->listener)
		return false;
	if (!evhttp_bind_listener(server->http, server->listener)) {
		evconnlistener_free(server->listener);
		return false;
	}
	if (!is_loopback(&address))
		log_warning("metrics.open listen=%s reason=\"whoever reaches the address may read "
			    "them\"",
			listen);
	return true;
}

struct metrics_server *metrics_server_open(
	struct event_base *base, const char *listen, const struct metrics_source *source)
{
	struct metrics_server *server = calloc(1, sizeof(*server));
	if (server) {
		server->base = base;
		server->source = *source;
		server->http = evhttp_new(base);
		server->sweep = evtimer_new(base, on_sweep, server);
	}
	if (!server || !server->http || !server->sweep) {
		log_error("metrics.failed listen=%s reason=\"out of memory\"", listen);
		metrics_server_close(server);
		return NULL;
	}
	signal(SIGPIPE, SIG_IGN);
	evhttp_set_allowed_methods(server->http, METHODS_ALL); // on_request() refuses them better
	evhttp_set_max_headers_size(server->http, METRICS_REQUEST_MAX);
	evhttp_set_max_body_size(server->http, 0);
	evhttp_set_timeout(server->http, METRICS_CONNECTION_MS / 1000);
	evhttp_set_bevcb(server->http, on_accept, server);
	evhttp_set_gencb(server->http, on_request, server);
	if (!server_listen(server, listen)) {
		log_error("metrics.failed listen=%s reason=\"%s\"", listen, strerror(errno));
		metrics_server_close(server);
		return NULL;
	}
	return server;
}

void metrics_server_close(struct metrics_server *server)
{
	if (!server)
		return;
	if (server->http)
		evhttp_free(server->http);
	connections_review(server);
	if (server->sweep)
		event_free(server->sweep);
	free(server);
}
