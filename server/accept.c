// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "server/accept.h"

#include <errno.h>
#include <event2/bufferevent_ssl.h>
#include <event2/listener.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "server/client.h"
#include "server/socket.h"
#include "server/turns.h"

enum {
	// Connections accepted at once. Closed connections are noticed some loop iterations later
	// and must not occupy all places until then.
	SERVER_ACCEPTS = 16,
};

// A valid certificate was presented: from here on as any client.
static void client_authenticated(struct client *client)
{
	struct server *server = client->server;
	size_t len = strlen(client->name);
	if (server->counters.clients >= SERVER_CLIENTS_MAX) {
		server->counters.refused++;
		client_close_unauthenticated(
			client, TLS_TOO_MANY, "too many clients are connected");
		return;
	}
	event_del(client->turn);
	client->unauthenticated = false;
	LIST_REMOVE(client, entry);
	server->counters.handshakes--;
	LIST_INSERT_HEAD(&server->clients, client, entry);
	client_enable_events(client);
	server->counters.clients++;
	server->counters.accepted++;
	char subject[CLIENT_NAME_SIZE / 2];
	tls_subject(bufferevent_openssl_get_ssl(client->bufferevent), subject, sizeof(subject));
	snprintf(client->name + len, sizeof(client->name) - len, " subject=\"%s\"", subject);
	log_limited(LOG_LEVEL_DEBUG, "client.connected %s", client->name);
	bufferevent_enable(client->bufferevent, EV_READ);
}

static void handshake_event(struct client *client, short what)
{
	unsigned long error = bufferevent_get_openssl_error(client->bufferevent);
	const SSL *ssl = bufferevent_openssl_get_ssl(client->bufferevent);
	if (what & BEV_EVENT_CONNECTED)
		client_authenticated(client);
	else
		client_close_unauthenticated(
			client, tls_failure_kind(ssl, error), tls_failure_reason(ssl, error));
}

static void client_event(struct bufferevent *bufferevent, short what, void *arg)
{
	struct client *client = arg;
	if (client->unauthenticated) {
		handshake_event(client, what);
	} else if ((what & BEV_EVENT_EOF) && (what & BEV_EVENT_READING)) {
		client->at_eof = true; // it may have shut down its sending half only
		bufferevent_enable(bufferevent, EV_WRITE); // TLS paused with the input's end
		if (!evtimer_pending(client->turn, NULL))
			client_work(client);
	} else if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)) {
		client_close(client);
	}
}

// The bufferevent of the connection. It owns fd unless it is NULL.
static struct bufferevent *connection_new(struct server *server, evutil_socket_t fd)
{
	if (!server->tls)
		return bufferevent_socket_new(server->base, fd, BEV_OPT_CLOSE_ON_FREE);
	SSL *ssl = tls_accept(server->tls);
	if (!ssl)
		return NULL;
	// Deferred: enabling reads or adding output would otherwise call the callbacks
	// synchronously, and they may free the client.
	return bufferevent_openssl_socket_new(server->base, fd, ssl, BUFFEREVENT_SSL_ACCEPTING,
		BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
}

// A client for an accepted connection, in no list yet. On failure logs, closes fd and returns NULL.
static struct client *client_new(struct server *server, evutil_socket_t fd)
{
	struct client *client = calloc(1, sizeof(*client));
	if (!client)
		goto no_client;
	client->server = server;
	client->turn = evtimer_new(server->base, client_turn, client);
	if (!client->turn)
		goto no_turn;
	client->bufferevent = connection_new(server, fd);
	if (!client->bufferevent)
		goto no_bufferevent;
	bufferevent_setcb(
		client->bufferevent, client_readable, client_written, client_event, client);
	bufferevent_setwatermark(client->bufferevent, EV_WRITE, SERVER_OUTPUT_MAX / 2, 0);
	return client;

no_bufferevent:
	event_free(client->turn);
no_turn:
	free(client);
no_client:
	log_limited(LOG_LEVEL_ERROR, "client.refused reason=\"out of memory\"");
	close(fd);
	return NULL;
}

static void client_open(struct server *server, evutil_socket_t fd)
{
	struct client *client = client_new(server, fd);
	struct ucred peer = {0};
	socklen_t size = sizeof(peer);
	if (!client)
		return;
	getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size);
	snprintf(client->name, sizeof(client->name), "pid=%d uid=%u gid=%u", (int)peer.pid,
		(unsigned)peer.uid, (unsigned)peer.gid);
	LIST_INSERT_HEAD(&server->clients, client, entry);
	client_enable_events(client);
	server->counters.clients++;
	server->counters.accepted++;
	log_limited(LOG_LEVEL_DEBUG, "client.connected %s", client->name);
	bufferevent_enable(client->bufferevent, EV_READ | EV_WRITE);
}

// After some new connections, lets the existing clients have their turns.
static void accept_in_turns(struct server *server)
{
	static const struct timeval now = {0};
	if (++server->accepts < SERVER_ACCEPTS)
		return;
	evconnlistener_disable(server->listener);
	event_add(server->reopen, &now);
}

void server_accepted(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address,
	int address_len, void *arg)
{
	struct server *server = arg;
	(void)listener;
	(void)address;
	(void)address_len;
	accept_in_turns(server);
	if (server->counters.clients < SERVER_CLIENTS_MAX) {
		client_open(server, fd);
		return;
	}
	close(fd);
	server->counters.refused++;
	if (!server->refusing) // once, not for every attempt
		log_limited(LOG_LEVEL_WARNING, "client.refused reason=\"%d clients are connected\"",
			SERVER_CLIENTS_MAX);
	server->refusing = true;
}

// At the limit the oldest handshake is ended, not the newest: a genuine handshake takes a few round
// trips and completes during a flood of connections that never complete one.
static void handshakes_make_room(struct server *server)
{
	struct client *oldest = LIST_FIRST(&server->unauthenticated);
	if (server->counters.handshakes < SERVER_HANDSHAKES_MAX)
		return;
	while (LIST_NEXT(oldest, entry))
		oldest = LIST_NEXT(oldest, entry);
	client_close_unauthenticated(oldest, TLS_TOO_MANY, "too many handshakes at once");
}

void server_accepted_tls(struct evconnlistener *listener, evutil_socket_t fd,
	struct sockaddr *address, int address_len, void *arg)
{
	static const struct timeval limit = {.tv_sec = SERVER_HANDSHAKE_MS / 1000,
		.tv_usec = SERVER_HANDSHAKE_MS % 1000 * 1000L};
	struct server *server = arg;
	(void)listener;
	accept_in_turns(server);
	handshakes_make_room(server);
	socket_set_tcp_options(fd);
	struct client *client = client_new(server, fd);
	if (!client)
		return;
	client->unauthenticated = true;
	snprintf(client->name, sizeof(client->name), "address=");
	socket_format_address(address, (socklen_t)address_len, client->name + strlen(client->name),
		CLIENT_NAME_SIZE - strlen(client->name));
	LIST_INSERT_HEAD(&server->unauthenticated, client, entry);
	server->counters.handshakes++;
	if (event_add(client->turn, &limit) != 0)
		client_close_unauthenticated(client, TLS_TOO_MANY, "out of memory");
}

void server_accept_failed(struct evconnlistener *listener, void *arg)
{
	static const struct timeval pause = {.tv_sec = 1};
	struct server *server = arg;
	log_limited(LOG_LEVEL_ERROR, "accept.failed reason=\"%s\"", strerror(errno));
	evconnlistener_disable(listener);
	event_add(server->reopen, &pause);
}

void server_reopen(evutil_socket_t fd, short what, void *arg)
{
	struct server *server = arg;
	(void)fd;
	(void)what;
	server->accepts = 0;
	evconnlistener_enable(server->listener);
}
