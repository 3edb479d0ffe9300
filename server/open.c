// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "server/server.h"

#include <errno.h>
#include <event2/bufferevent_ssl.h>
#include <event2/listener.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "server/accept.h"
#include "server/client.h"
#include "server/socket.h"

static struct server *server_new(struct event_base *base, const char *path, const struct rpc *rpc)
{
	struct server *server = calloc(1, sizeof(*server));
	if (!server)
		return NULL;
	LIST_INIT(&server->clients);
	LIST_INIT(&server->detached);
	LIST_INIT(&server->unauthenticated);
	STAILQ_INIT(&server->waiting);
	server->counters.limit = SERVER_CLIENTS_MAX;
	server->base = base;
	server->rpc = rpc;
	server->path = path ? strdup(path) : NULL;
	server->reopen = evtimer_new(base, server_reopen, server);
	server->flush = evtimer_new(base, server_flush, server);
	// a closed connection is an error of one write(), not the end of the process
	signal(SIGPIPE, SIG_IGN);
	if ((path && !server->path) || !server->reopen || !server->flush) {
		server_close(server);
		return NULL;
	}
	return server;
}

struct server *server_open(
	struct event_base *base, const struct server_options *options, const struct rpc *rpc)
{
	struct server *server = server_new(base, options->path, rpc);
	struct stat st = {0};
	char path[LOG_QUOTED_SIZE];
	if (!server) {
		log_error("control.failed path=%s reason=\"out of memory\"",
			log_quoted(path, options->path));
		return NULL;
	}
	int fd = socket_listen(options, &st);
	if (fd < 0) {
		log_error("control.failed path=%s reason=\"%s\"", log_quoted(path, options->path),
			strerror(-fd));
		server_close(server);
		return NULL;
	}
	server->device = st.st_dev;
	server->inode = st.st_ino;
	server->listener = evconnlistener_new(base, server_accepted, server,
		LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
	if (!server->listener) {
		log_error("control.failed path=%s reason=\"out of memory\"",
			log_quoted(path, options->path));
		close(fd);
		unlink(options->path);
		server_close(server);
		return NULL;
	}
	evconnlistener_set_error_cb(server->listener, server_accept_failed);
	return server;
}

static void before_handshake(void *arg)
{
	const struct server *server = arg;
	if (server->rpc->before_call)
		server->rpc->before_call(server->rpc->app);
}

struct server *server_open_tls(
	struct event_base *base, const char *listen, struct tls *tls, const struct rpc *rpc)
{
	struct server *server = server_new(base, NULL, rpc);
	struct sockaddr_storage address;
	int size = sizeof(address);
	if (!server) {
		log_error("control.failed listen=%s reason=\"out of memory\"", listen);
		return NULL;
	}
	server->tls = tls;
	tls_set_before_handshake(tls, before_handshake, server);
	errno = EINVAL;
	if (evutil_parse_sockaddr_port(listen, (struct sockaddr *)&address, &size) == 0)
		server->listener = evconnlistener_new_bind(base, server_accepted_tls, server,
			LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE,
			SERVER_BACKLOG, (struct sockaddr *)&address, size);
	if (!server->listener) {
		log_error("control.failed listen=%s reason=\"%s\"", listen, strerror(errno));
		server_close(server);
		return NULL;
	}
	evconnlistener_set_error_cb(server->listener, server_accept_failed);
	return server;
}

void server_close_revoked(struct server *server)
{
	for (struct client *client = LIST_FIRST(&server->clients), *next; client; client = next) {
		next = LIST_NEXT(client, entry);
		before_handshake(server); // as costly as one, for each client
		if (!tls_is_revoked(server->tls, bufferevent_openssl_get_ssl(client->bufferevent)))
			continue;
		log_warning("client.revoked %s", client->name);
		client_close(client);
	}
}

struct server_counters server_count(const struct server *server)
{
	return server->counters;
}

void server_close(struct server *server)
{
	if (!server)
		return;
	// client_close() takes it out of the list, which the analyzer does not see.
	while (!LIST_EMPTY(&server->clients))
		client_close(LIST_FIRST(&server->clients)); // NOLINT(clang-analyzer-unix.Malloc)
	while (!LIST_EMPTY(&server->detached))
		client_end(LIST_FIRST(&server->detached)); // NOLINT(clang-analyzer-unix.Malloc)
	while (!LIST_EMPTY(&server->unauthenticated))
		client_free(
			LIST_FIRST(&server->unauthenticated)); // NOLINT(clang-analyzer-unix.Malloc)
	if (server->listener) {
		evconnlistener_free(server->listener);
		struct stat st;
		// Another process may have replaced the file meanwhile; then it is not ours.
		if (server->path && lstat(server->path, &st) == 0 && st.st_dev == server->device &&
			st.st_ino == server->inode)
			unlink(server->path);
	}
	if (server->reopen)
		event_free(server->reopen);
	if (server->flush)
		event_free(server->flush);
	free(server->path);
	free(server);
}
