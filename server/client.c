// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "server/client.h"

#include <event2/buffer.h>
#include <event2/bufferevent_ssl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/secmem.h"
#include "server/long_line.h"

enum { SERVER_FAILURE_LINES = 10 }; // in the log, a second

void client_drop_input(struct client *client, size_t len)
{
	struct evbuffer *input = bufferevent_get_input(client->bufferevent);
	struct evbuffer_iovec piece;
	while (len > 0 && evbuffer_peek(input, (ssize_t)len, NULL, &piece, 1) > 0) {
		size_t n = piece.iov_len < len ? piece.iov_len : len;
		secmem_wipe(piece.iov_base, n);
		evbuffer_drain(input, n);
		len -= n;
	}
}

// Sends a TLS close_notify, so that a client can tell a complete answer from a truncated one.
static void client_say_end(struct client *client)
{
	SSL *ssl = bufferevent_openssl_get_ssl(client->bufferevent);
	if (!ssl || client->unauthenticated)
		return;
	SSL_shutdown(ssl);
	ERR_clear_error();
}

void client_set_caller(struct client *client, struct subscription *caller)
{
	struct subscriptions *events = client->server->rpc->events;
	if (events)
		events->caller = caller;
}

char *client_close_work(struct client *client, size_t *answer_len)
{
	struct rpc_work *work = client->work;
	client->work = NULL;
	client_set_caller(client, &client->events);
	char *answer = rpc_work_close(work, answer_len);
	client_set_caller(client, NULL);
	long_line_end(client);
	return answer;
}

// The client disconnected: its answer is discarded.
static void client_drop_work(struct client *client)
{
	if (!client->work)
		return;
	rpc_work_leave(client->work);
	size_t len;
	secmem_free(client_close_work(client, &len));
}

static void client_disconnect(struct client *client)
{
	long_line_stop_waiting(client);
	subscription_close(&client->events);
	client_drop_input(client, evbuffer_get_length(bufferevent_get_input(client->bufferevent)));
	client_say_end(client);
	bufferevent_free(client->bufferevent);
	client->bufferevent = NULL;
}

void client_free(struct client *client)
{
	client_drop_work(client);
	if (client->bufferevent)
		client_disconnect(client);
	LIST_REMOVE(client, entry);
	event_free(client->turn);
	free(client);
}

void client_end(struct client *client)
{
	client->server->counters.clients--;
	client->server->refusing = false;
	client_free(client);
}

// Continues the running request in turns. Its place stays taken, so that disconnecting does not
// yield a further one.
static void client_leave(struct client *client)
{
	static const struct timeval now = {0};
	client_disconnect(client);
	LIST_REMOVE(client, entry);
	LIST_INSERT_HEAD(&client->server->detached, client, entry);
	if (event_add(client->turn, &now) != 0)
		client_end(client);
}

void client_close(struct client *client)
{
	log_limited(LOG_LEVEL_DEBUG, "client.disconnected %s", client->name);
	if (client->work && rpc_work_leave(client->work))
		client_leave(client);
	else
		client_end(client);
}

// Unauthenticated peers must not be able to fill the log: a limited number of lines a second, each
// with the number of handshakes that failed since the previous one.
static void failure_log(struct client *client, const char *reason)
{
	struct server *server = client->server;
	uint64_t second = clock_now_ms() / 1000;
	if (second != server->failure_second)
		server->failure_lines = 0;
	server->failure_second = second;
	if (server->failure_lines >= SERVER_FAILURE_LINES)
		return;
	server->failure_lines++;
	log_warning("client.refused %s reason=\"%s\" failed=%llu", client->name, reason,
		(unsigned long long)(server->failures - server->failures_told));
	server->failures_told = server->failures;
}

void client_close_unauthenticated(
	struct client *client, enum tls_failure failure, const char *reason)
{
	client->server->counters.handshakes--;
	client->server->counters.failed[failure]++;
	client->server->failures++;
	failure_log(client, reason);
	client_free(client);
}

size_t client_output_len(const struct client *client)
{
	return evbuffer_get_length(bufferevent_get_output(client->bufferevent));
}

void client_send_events(struct client *client, size_t max)
{
	size_t queued = client_output_len(client);
	if (client->closing || client->answering || queued >= max)
		return;
	size_t len;
	const char *lines = subscription_peek(&client->events, max - queued, &len);
	if (len == 0)
		return;
	if (bufferevent_write(client->bufferevent, lines, len) == 0)
		subscription_drop(&client->events, len);
}

void client_end_events(struct client *client)
{
	if (!client->events.replaced)
		return;
	client->events.replaced = false;
	client_send_events(client, SIZE_MAX);
}

void server_flush(evutil_socket_t fd, short what, void *arg)
{
	struct server *server = arg;
	(void)fd;
	(void)what;
	for (struct client *client = LIST_FIRST(&server->clients); client;
		client = LIST_NEXT(client, entry))
		client_send_events(client, SERVER_EVENTS_MAX);
}

// Called in the middle of the code that raised the event: the flush is deferred to the loop.
static void server_wake(void *arg)
{
	static const struct timeval now = {0};
	struct server *server = arg;
	if (!evtimer_pending(server->flush, NULL))
		event_add(server->flush, &now);
}

void client_enable_events(struct client *client)
{
	if (client->server->rpc->events)
		subscription_open(
			client->server->rpc->events, &client->events, server_wake, client->server);
}

void client_drop_without_memory(struct client *client)
{
	log_limited(LOG_LEVEL_ERROR, "client.dropped %s reason=\"out of memory\"", client->name);
	client->closing = true;
}
