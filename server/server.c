// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "server/server.h"

#include <assert.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/listener.h>
#include <event2/util.h>
#include <grp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/secmem.h"
#include "event/subscription.h"

enum {
	SERVER_LINES_PER_WAKEUP = 32, // then the other clients have their turn
	SERVER_TURN_NS = 2000000,     // the same
	// Octets of a line that may be worked on beside others. As JSON in memory a line can have fifty
	// times its octets, so of longer ones there is one at a time.
	SERVER_SHORT_LINE = 16 * 1024,
	SERVER_SHORT_ANSWER = 16 * 1024, // octets that are copied, not referred to
	SERVER_FEW_ANSWERS = SERVER_ANSWERS_MAX / SERVER_CLIENTS_MAX, // octets that need no look
								      // at what all have
	SERVER_BACKLOG = 64,
	// Connections taken at once: those whose clients left again are noticed some turns later, and
	// must not fill all places until then.
	SERVER_ACCEPTS = 16,
	SERVER_FAILURE_LINES = 10, // in the log, a second
	CLIENT_NAME_SIZE = 384,    // octets with NUL
};

struct server {
	struct event_base *base;
	const struct rpc *rpc;
	struct tls *tls; // NULL: a Unix socket
	struct evconnlistener *listener;
	struct event *reopen; // accepts again after a pause
	unsigned accepts;     // since then
	struct event *flush;  // sends the events that wait
	char *path;
	dev_t device; // of the socket file: only this one is removed at the end
	ino_t inode;
	LIST_HEAD(, client) clients;
	LIST_HEAD(, client) leavers;   // gone, but the request that runs is run to its end
	LIST_HEAD(, client) strangers; // TLS: in their handshake, newest first
	struct client *long_line;      // whose long line is worked on; NULL: nobody's
	STAILQ_HEAD(client_queue, client) waiting; // for theirs, who came first is the first
	struct server_counters counters;
	bool refusing;         // the log has said that there are too many clients
	time_t failure_second; // of the clock that never goes back, and what the log told of in it
	unsigned failure_lines;
	uint64_t failures;      // handshakes
	uint64_t failures_told; // of them
};

struct client {
	LIST_ENTRY(client) entry;
	struct server *server;
	struct bufferevent *bufferevent; // NULL: of a leaver
	// Continues with lines that are in the buffer already; of a stranger: its time is up.
	struct event *turn;
	struct rpc_work *work; // the line that is being answered; NULL: none
	STAILQ_ENTRY(client) next_waiting;
	bool waits;      // in server.waiting; the long line is at the head of the input
	size_t searched; // octets at the head of the input that have no LF
	bool answering;  // the beginning of an answer is in the output
	bool stranger;   // TLS: has shown no certificate yet
	bool at_eof;     // the peer sends no more, but reads
	bool closing;    // nothing more is read; ends when the output is sent
	struct subscription events;
	char name[CLIENT_NAME_SIZE]; // for the log: key=value
};

// Wipes and drops len octets at the head of the input: they may hold keys. evbuffer memory goes
// back to the heap as it is, so this is done in place before the buffer gives it up.
static void input_drop(struct evbuffer *input, size_t len)
{
	struct evbuffer_iovec piece;

	while (len > 0 && evbuffer_peek(input, (ssize_t)len, NULL, &piece, 1) > 0) {
		size_t n = piece.iov_len < len ? piece.iov_len : len;
		secmem_wipe(piece.iov_base, n);
		evbuffer_drain(input, n);
		len -= n;
	}
}

// Tells a TLS client that nothing more comes, so that it knows an answer that was cut from one that
// was not.
static void client_say_end(struct client *client)
{
	SSL *ssl = bufferevent_openssl_get_ssl(client->bufferevent);

	if (ssl == NULL || client->stranger)
		return;
	SSL_shutdown(ssl);
	ERR_clear_error();
}

static void caller_set(struct client *client, struct subscription *caller)
{
	struct subscriptions *events = client->server->rpc->events;

	if (events != NULL)
		events->caller = caller;
}

// The one who waits longest goes on with a long line, if one waits and nobody is at it.
static void long_line_pass_on(struct server *server)
{
	static const struct timeval now = {0};
	struct client *next = STAILQ_FIRST(&server->waiting);

	if (server->long_line == NULL && next != NULL)
		event_add(next->turn, &now);
}

static void long_line_end(struct client *client)
{
	struct server *server = client->server;

	if (server->long_line == client)
		server->long_line = NULL;
	long_line_pass_on(server);
}

// Of a client that does not go on for now: others need not wait for it.
static void client_stop_waiting(struct client *client)
{
	struct server *server = client->server;

	if (!client->waits)
		return;
	STAILQ_REMOVE(&server->waiting, client, client, next_waiting);
	client->waits = false;
	long_line_pass_on(server);
}

// Whether a line of that length may be worked on now. If not, the client is woken when it may.
static bool long_line_begin(struct client *client, size_t len)
{
	struct server *server = client->server;
	struct client *first = STAILQ_FIRST(&server->waiting);

	if (len <= SERVER_SHORT_LINE)
		return true;
	if (server->long_line == NULL && (first == NULL || first == client)) {
		if (client->waits)
			STAILQ_REMOVE_HEAD(&server->waiting, next_waiting);
		client->waits = false;
		server->long_line = client;
		return true;
	}
	if (!client->waits)
		STAILQ_INSERT_TAIL(&server->waiting, client, next_waiting);
	client->waits = true;
	return false;
}

// Ends the line's work; the answer, if it has one.
static char *client_close_work(struct client *client, size_t *answer_len)
{
	struct rpc_work *work = client->work;
	char *answer;

	client->work = NULL;
	caller_set(client, &client->events);
	answer = rpc_work_close(work, answer_len);
	caller_set(client, NULL);
	long_line_end(client);
	return answer;
}

// Of a client that is gone: nobody wants to know the answer.
static void client_drop_work(struct client *client)
{
	size_t len;

	if (client->work == NULL)
		return;
	rpc_work_leave(client->work);
	secmem_free(client_close_work(client, &len));
}

static void client_disconnect(struct client *client)
{
	struct evbuffer *input = bufferevent_get_input(client->bufferevent);

	client_stop_waiting(client);
	subscription_close(&client->events);
	input_drop(input, evbuffer_get_length(input));
	client_say_end(client);
	bufferevent_free(client->bufferevent);
	client->bufferevent = NULL;
}

static void client_free(struct client *client)
{
	client_drop_work(client);
	if (client->bufferevent != NULL)
		client_disconnect(client);
	LIST_REMOVE(client, entry);
	event_free(client->turn);
	free(client);
}

// Its place is free again.
static void client_end(struct client *client)
{
	client->server->counters.clients--;
	client->server->refusing = false;
	client_free(client);
}

// Goes on with the request that runs, in turns as ever. Its place stays taken: nobody gets another
// one by leaving.
static void client_leave(struct client *client)
{
	static const struct timeval now = {0};

	client_disconnect(client);
	LIST_REMOVE(client, entry);
	LIST_INSERT_HEAD(&client->server->leavers, client, entry);
	if (event_add(client->turn, &now) != 0)
		client_end(client);
}

static void client_close(struct client *client)
{
	log_limited(LOG_LEVEL_INFO, "client.disconnected %s", client->name);
	if (client->work != NULL && rpc_work_leave(client->work))
		client_leave(client);
	else
		client_end(client);
}

// Strangers must not be able to fill the log: so many lines a second, each with the number of
// handshakes that failed since the last one.
static void failure_log(struct client *client, const char *reason)
{
	struct server *server = client->server;
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (now.tv_sec != server->failure_second)
		server->failure_lines = 0;
	server->failure_second = now.tv_sec;
	if (server->failure_lines >= SERVER_FAILURE_LINES)
		return;
	server->failure_lines++;
	log_warning("client.refused %s reason=\"%s\" failed=%llu", client->name, reason,
		(unsigned long long)(server->failures - server->failures_told));
	server->failures_told = server->failures;
}

static void stranger_close(struct client *client, enum tls_failure failure, const char *reason)
{
	client->server->counters.handshakes--;
	client->server->counters.failed[failure]++;
	client->server->failures++;
	failure_log(client, reason);
	client_free(client);
}

static size_t client_output_len(const struct client *client)
{
	return evbuffer_get_length(bufferevent_get_output(client->bufferevent));
}

// Queues events that wait, in whole lines, until so many octets are in the output.
static void client_send_events(struct client *client, size_t max)
{
	size_t queued = client_output_len(client), len;
	const char *lines;

	if (client->closing || client->answering || queued >= max)
		return;
	lines = subscription_peek(&client->events, max - queued, &len);
	if (len == 0)
		return;
	if (bufferevent_write(client->bufferevent, lines, len) == 0)
		subscription_drop(&client->events, len);
}

// What waits was asked for before the types that this answer is about: none of it comes after.
static void client_end_events(struct client *client)
{
	if (!client->events.replaced)
		return;
	client->events.replaced = false;
	client_send_events(client, SIZE_MAX);
}

static void server_flush(evutil_socket_t fd, short what, void *arg)
{
	struct server *server = arg;
	struct client *client;

	(void)fd;
	(void)what;
	for (client = LIST_FIRST(&server->clients); client != NULL;
		client = LIST_NEXT(client, entry))
		client_send_events(client, SERVER_EVENTS_MAX);
}

// From the middle of whatever noticed the event: all else comes first.
static void server_wake(void *arg)
{
	static const struct timeval now = {0};
	struct server *server = arg;

	if (!evtimer_pending(server->flush, NULL))
		event_add(server->flush, &now);
}

// From here on the client may ask for events.
static void client_hears(struct client *client)
{
	if (client->server->rpc->events != NULL)
		subscription_open(
			client->server->rpc->events, &client->events, server_wake, client->server);
}

static void client_drop_without_memory(struct client *client)
{
	log_limited(LOG_LEVEL_ERROR, "client.dropped %s reason=\"out of memory\"", client->name);
	client->closing = true;
}

static void answer_free(const void *answer, size_t len, void *arg)
{
	(void)len;
	(void)arg;
	secmem_free((void *)(uintptr_t)answer);
}

// Takes over the answer.
static int answer_queue(struct evbuffer *output, char *answer, size_t len)
{
	int rc;

	if (len > SERVER_SHORT_ANSWER &&
		evbuffer_add_reference(output, answer, len, answer_free, NULL) == 0)
		return 0;
	rc = evbuffer_add(output, answer, len);
	secmem_free(answer);
	return rc;
}

// Queues the answer to the line, if it has one.
static void client_answer(struct client *client)
{
	struct evbuffer *output = bufferevent_get_output(client->bufferevent);
	size_t len;
	char *answer = client_close_work(client, &len);

	client_end_events(client);
	if (answer == NULL && !client->answering)
		return;
	client->answering = false;
	// An answer that is missing, or its end, would shift all later ones.
	if (answer == NULL || answer_queue(output, answer, len) != 0 ||
		evbuffer_add(output, "\n", 1) != 0)
		client_drop_without_memory(client);
}

// Queues what there is of the answer: a list of a million is not held twice, nor at all for somebody
// who does not read it.
static void client_answer_part(struct client *client)
{
	struct evbuffer *output = bufferevent_get_output(client->bufferevent);
	size_t len;
	char *part = rpc_work_take(client->work, &len);

	if (part == NULL)
		return;
	client->answering = true;
	if (answer_queue(output, part, len) != 0)
		client_drop_without_memory(client);
}

// Goes on with the line until the turn is over.
static void client_go_on(struct client *client, uint64_t until_ns)
{
	bool done;

	caller_set(client, &client->events);
	done = rpc_work_step(client->work, until_ns);
	caller_set(client, NULL);
	if (done)
		client_answer(client);
	else
		client_answer_part(client);
}

static void client_read_line(struct client *client, const char *line, size_t len)
{
	if (line[len - 1] == '\r')
		len--;
	if (len == 0)
		return;
	client->work = rpc_work_open(client->server->rpc, line, len);
	if (client->work == NULL)
		client_drop_without_memory(client);
}

// Reads the line that the first len octets of the input are. A line in several pieces is joined in
// memory of our own: evbuffer_pullup() would leave the pieces behind unwiped.
static void line_read(struct client *client, size_t len)
{
	struct evbuffer *input = bufferevent_get_input(client->bufferevent);
	struct evbuffer_iovec piece;
	char *joined;

	if (evbuffer_peek(input, (ssize_t)len, NULL, &piece, 1) == 1) {
		client_read_line(client, piece.iov_base, len);
		return;
	}
	joined = secmem_malloc(len);
	if (joined == NULL || evbuffer_copyout(input, joined, len) != (ssize_t)len)
		client_drop_without_memory(client);
	else
		client_read_line(client, joined, len);
	secmem_free(joined);
}

static void client_refuse_line(struct client *client)
{
	static const char answer[] = "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32600,"
				     "\"message\":\"the line is too "
				     "long; accepted: at most 1048576 octets with its LF\"}}\n";

	static_assert(SERVER_LINE_MAX == 1048576, "the message names the limit");
	bufferevent_write(client->bufferevent, answer, sizeof(answer) - 1);
	log_limited(LOG_LEVEL_WARNING, "client.dropped %s reason=\"line too long\"", client->name);
	client->closing = true;
}

// Takes one line out of the input. False if there is none that is complete, or not its turn yet.
static bool client_next_line(struct client *client)
{
	struct evbuffer *input = bufferevent_get_input(client->bufferevent);
	size_t input_len = evbuffer_get_length(input);
	struct evbuffer_ptr from, found;

	if (input_len == 0)
		return false;
	found.pos = -1;
	if (client->searched < input_len) {
		evbuffer_ptr_set(input, &from, client->searched, EVBUFFER_PTR_SET);
		found = evbuffer_search_eol(input, &from, NULL, EVBUFFER_EOL_LF);
	}
	client->searched = found.pos < 0 ? input_len : 0;
	if (found.pos >= SERVER_LINE_MAX || (found.pos < 0 && input_len >= SERVER_LINE_MAX)) {
		client_refuse_line(client);
		return false;
	}
	if (found.pos < 0 || !long_line_begin(client, (size_t)found.pos))
		return false;
	if (found.pos > 0)
		line_read(client, (size_t)found.pos);
	input_drop(input, (size_t)found.pos + 1);
	if (client->work == NULL)
		long_line_end(client); // there was no memory
	return true;
}

// Reads on unless the longest line is there already. Not done by a watermark: libevent forgets what
// OpenSSL has decrypted when a watermark made it pause.
static void client_bound_input(struct client *client)
{
	struct evbuffer *input = bufferevent_get_input(client->bufferevent);

	if (!client->at_eof && evbuffer_get_length(input) < SERVER_LINE_MAX)
		bufferevent_enable(client->bufferevent, EV_READ);
	else
		bufferevent_disable(client->bufferevent, EV_READ);
}

// Whether it has to read before anything more is done for it: nothing new, nor more of a list. Others
// wait for a long line, so that is brought to its end.
static bool client_must_read(const struct client *client)
{
	return client_output_len(client) > SERVER_OUTPUT_MAX &&
	       (client->work == NULL || (client->answering && client->server->long_line != client));
}

// Answers what is there, up to a turn's number of lines and its time. Whether there may be more.
static bool client_take_turn(struct client *client)
{
	uint64_t until_ns = rpc_clock_ns() + SERVER_TURN_NS;
	bool more = true;

	for (int n = 0; n < SERVER_LINES_PER_WAKEUP && more && !client->closing; n++) {
		if (client_must_read(client))
			break;
		more = client->work != NULL || client_next_line(client);
		if (client->work != NULL)
			client_go_on(client, until_ns);
		if (rpc_clock_ns() >= until_ns)
			break;
	}
	return more;
}

static size_t client_answers_len(const struct client *client)
{
	return client_output_len(client) + (client->work != NULL ? rpc_work_size(client->work) : 0);
}

// Whoever has the most answers; *len is what all have.
static struct client *server_find_deafest(const struct server *server, size_t *len)
{
	struct client *client, *deafest = NULL;
	size_t most = 0;

	*len = 0;
	for (client = LIST_FIRST(&server->clients); client != NULL;
		client = LIST_NEXT(client, entry)) {
		size_t answers_len = client_answers_len(client);
		*len += answers_len;
		if (answers_len > most) {
			most = answers_len;
			deafest = client;
		}
	}
	return deafest;
}

// Each has a bound, but there are many: together they must not take all the memory either.
static void server_bound_answers(struct server *server)
{
	size_t len;
	struct client *deafest = server_find_deafest(server, &len);

	if (len <= SERVER_ANSWERS_MAX)
		return;
	log_limited(LOG_LEVEL_WARNING, "client.dropped %s reason=\"answers are not read\"",
		deafest->name);
	client_close(deafest);
}

// Takes a turn and decides how to go on. May free the client, or another one.
static void client_work(struct client *client)
{
	static const struct timeval now = {0};
	struct server *server = client->server;
	bool more = client_take_turn(client);
	bool much = client_answers_len(client) > SERVER_FEW_ANSWERS;

	if (client->closing || (client->at_eof && !more && !client->waits)) {
		client->closing = true;
		client_stop_waiting(client);
		bufferevent_disable(client->bufferevent, EV_READ);
		if (client_output_len(client) == 0)
			client_close(client);
	} else if (client_must_read(client)) {
		client_stop_waiting(client);
		bufferevent_disable(client->bufferevent, EV_READ); // until client_written()
	} else {
		client_bound_input(client);
		// A timer of no length comes after the other sockets had their turn; event_active()
		// would not.
		if (more && event_add(client->turn, &now) != 0)
			client_close(client);
	}
	if (much)
		server_bound_answers(server);
}

static void leaver_work(struct client *client)
{
	static const struct timeval now = {0};
	bool done = rpc_work_step(client->work, rpc_clock_ns() + SERVER_TURN_NS);

	if (done || event_add(client->turn, &now) != 0)
		client_end(client);
}

static void client_turn(evutil_socket_t fd, short what, void *arg)
{
	struct client *client = arg;

	(void)fd;
	(void)what;
	if (client->stranger)
		stranger_close(client, TLS_TIMEOUT, "the handshake took too long");
	else if (client->bufferevent == NULL)
		leaver_work(client);
	else
		client_work(client);
}

static void client_readable(struct bufferevent *bufferevent, void *arg)
{
	struct client *client = arg;

	(void)bufferevent;
	if (client->closing)
		return;
	// If its turn is to come, new octets do not make it come earlier.
	if (evtimer_pending(client->turn, NULL))
		client_bound_input(client);
	else
		client_work(client);
}

// The output shrank below its low watermark.
static void client_written(struct bufferevent *bufferevent, void *arg)
{
	struct client *client = arg;

	if (client->stranger)
		return; // the handshake's own octets
	client_send_events(client, SERVER_EVENTS_MAX);
	if (client->closing) {
		if (client_output_len(client) == 0)
			client_close(client);
	} else if (!(bufferevent_get_enabled(bufferevent) & EV_READ) &&
		   !evtimer_pending(client->turn, NULL)) {
		client_work(client);
	}
}

// A certificate was shown that is good: what follows is as with any client.
static void stranger_admit(struct client *client)
{
	struct server *server = client->server;
	size_t len = strlen(client->name);
	char subject[CLIENT_NAME_SIZE / 2];

	if (server->counters.clients >= SERVER_CLIENTS_MAX) {
		server->counters.refused++;
		stranger_close(client, TLS_TOO_MANY, "too many clients are connected");
		return;
	}
	event_del(client->turn);
	client->stranger = false;
	LIST_REMOVE(client, entry);
	server->counters.handshakes--;
	LIST_INSERT_HEAD(&server->clients, client, entry);
	client_hears(client);
	server->counters.clients++;
	server->counters.accepted++;
	tls_subject(bufferevent_openssl_get_ssl(client->bufferevent), subject, sizeof(subject));
	snprintf(client->name + len, sizeof(client->name) - len, " subject=\"%s\"", subject);
	log_limited(LOG_LEVEL_INFO, "client.connected %s", client->name);
	bufferevent_enable(client->bufferevent, EV_READ);
}

static void stranger_event(struct client *client, short what)
{
	unsigned long error = bufferevent_get_openssl_error(client->bufferevent);
	const SSL *ssl = bufferevent_openssl_get_ssl(client->bufferevent);

	if (what & BEV_EVENT_CONNECTED)
		stranger_admit(client);
	else
		stranger_close(
			client, tls_failure_kind(ssl, error), tls_failure_reason(ssl, error));
}

static void client_event(struct bufferevent *bufferevent, short what, void *arg)
{
	struct client *client = arg;

	if (client->stranger) {
		stranger_event(client, what);
	} else if ((what & BEV_EVENT_EOF) && (what & BEV_EVENT_READING)) {
		client->at_eof = true; // it may have shut down its sending half only
		bufferevent_enable(bufferevent, EV_WRITE); // TLS paused with the input's end
		if (!evtimer_pending(client->turn, NULL))
			client_work(client);
	} else if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)) {
		client_close(client);
	}
}

// What libevent makes of the connection. It has taken fd unless it is NULL.
static struct bufferevent *connection_new(struct server *server, evutil_socket_t fd)
{
	SSL *ssl;

	if (server->tls == NULL)
		return bufferevent_socket_new(server->base, fd, BEV_OPT_CLOSE_ON_FREE);
	ssl = tls_accept(server->tls);
	if (ssl == NULL)
		return NULL;
	// Its callbacks come from the loop only: to enable reading or to add output would call them
	// at once, and they may free the client.
	return bufferevent_openssl_socket_new(server->base, fd, ssl, BUFFEREVENT_SSL_ACCEPTING,
		BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
}

// A client of a connection that was accepted, in no list yet. NULL after a line in the log, and
// closed.
static struct client *client_new(struct server *server, evutil_socket_t fd)
{
	struct client *client = calloc(1, sizeof(*client));

	if (client == NULL)
		goto no_client;
	client->server = server;
	client->turn = evtimer_new(server->base, client_turn, client);
	if (client->turn == NULL)
		goto no_turn;
	client->bufferevent = connection_new(server, fd);
	if (client->bufferevent == NULL)
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

	if (client == NULL)
		return;
	getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size);
	snprintf(client->name, sizeof(client->name), "pid=%d uid=%u gid=%u", (int)peer.pid,
		(unsigned)peer.uid, (unsigned)peer.gid);
	LIST_INSERT_HEAD(&server->clients, client, entry);
	client_hears(client);
	server->counters.clients++;
	server->counters.accepted++;
	log_limited(LOG_LEVEL_INFO, "client.connected %s", client->name);
	bufferevent_enable(client->bufferevent, EV_READ | EV_WRITE);
}

// Lets the clients that are there have their turns after some new ones.
static void accept_in_turns(struct server *server)
{
	static const struct timeval now = {0};

	if (++server->accepts < SERVER_ACCEPTS)
		return;
	evconnlistener_disable(server->listener);
	event_add(server->reopen, &now);
}

static void server_accepted(struct evconnlistener *listener, evutil_socket_t fd,
	struct sockaddr *address, int address_len, void *arg)
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

// Whoever is gone without a word is noticed within about two minutes.
static void tcp_options_set(evutil_socket_t fd)
{
	static const int on = 1, idle_s = 60, interval_s = 10, probes = 6;

	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof(interval_s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

// If there are many strangers the oldest one goes, not the newest: a handshake takes a client a few
// round trips, so who means it gets through a flood of those who do not.
static void strangers_make_room(struct server *server)
{
	struct client *oldest = LIST_FIRST(&server->strangers);

	if (server->counters.handshakes < SERVER_HANDSHAKES_MAX)
		return;
	while (LIST_NEXT(oldest, entry) != NULL)
		oldest = LIST_NEXT(oldest, entry);
	stranger_close(oldest, TLS_TOO_MANY, "too many handshakes at once");
}

static void address_format(
	const struct sockaddr *address, socklen_t address_len, char *text, size_t size)
{
	char host[INET6_ADDRSTRLEN], port[8];

	if (getnameinfo(address, address_len, host, sizeof(host), port, sizeof(port),
		    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		snprintf(text, size, "?");
	else
		snprintf(text, size, strchr(host, ':') != NULL ? "[%s]:%s" : "%s:%s", host, port);
}

static void server_accepted_tls(struct evconnlistener *listener, evutil_socket_t fd,
	struct sockaddr *address, int address_len, void *arg)
{
	static const struct timeval limit = {.tv_sec = SERVER_HANDSHAKE_MS / 1000,
		.tv_usec = SERVER_HANDSHAKE_MS % 1000 * 1000L};
	struct server *server = arg;
	struct client *client;

	(void)listener;
	accept_in_turns(server);
	strangers_make_room(server);
	tcp_options_set(fd);
	client = client_new(server, fd);
	if (client == NULL)
		return;
	client->stranger = true;
	snprintf(client->name, sizeof(client->name), "address=");
	address_format(address, (socklen_t)address_len, client->name + strlen(client->name),
		CLIENT_NAME_SIZE - strlen(client->name));
	LIST_INSERT_HEAD(&server->strangers, client, entry);
	server->counters.handshakes++;
	if (event_add(client->turn, &limit) != 0)
		stranger_close(client, TLS_TOO_MANY, "out of memory");
}

// Out of descriptors: the connection stays in the backlog, and listening on would spin.
static void server_accept_failed(struct evconnlistener *listener, void *arg)
{
	static const struct timeval pause = {.tv_sec = 1};
	struct server *server = arg;

	log_limited(LOG_LEVEL_ERROR, "accept.failed reason=\"%s\"", strerror(errno));
	evconnlistener_disable(listener);
	event_add(server->reopen, &pause);
}

static void server_reopen(evutil_socket_t fd, short what, void *arg)
{
	struct server *server = arg;

	(void)fd;
	(void)what;
	server->accepts = 0;
	evconnlistener_enable(server->listener);
}

// Removes the socket file that a process left behind. -EADDRINUSE if somebody listens on it, or if
// it is no socket: what is not ours stays.
static int stale_remove(const struct sockaddr_un *address)
{
	struct stat st;
	int fd, ret = -EADDRINUSE;

	if (lstat(address->sun_path, &st) != 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EADDRINUSE;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	// Only a refused connection shows that nobody is there: a full backlog gives EAGAIN.
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) != 0 &&
		errno == ECONNREFUSED)
		ret = unlink(address->sun_path) == 0 ? 0 : -errno;
	close(fd);
	return ret;
}

// Sets group and mode of the socket file.
static int permissions_set(const struct server_options *options)
{
	const struct group *group;

	if (options->group != NULL) {
		errno = 0;
		group = getgrnam(options->group);
		if (group == NULL)
			return errno != 0 ? -errno : -ENOENT;
		if (chown(options->path, (uid_t)-1, group->gr_gid) != 0)
			return -errno;
	}
	return chmod(options->path, (mode_t)options->mode) == 0 ? 0 : -errno;
}

// A listening socket at the path, or -errno. Nobody can connect before listen(), and the file is
// born without any permission, so there is no moment at which it is open to more than options say.
static int socket_listen(const struct server_options *options, struct stat *st)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t path_len = strlen(options->path);
	int fd, ret;

	if (path_len == 0 || path_len >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, options->path, path_len);
	ret = stale_remove(&address);
	if (ret != 0)
		return ret;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	// Linux gives the file the mode of the socket inode at bind().
	if (fchmod(fd, 0) != 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
		ret = -errno;
		goto not_bound;
	}
	ret = permissions_set(options);
	if (ret != 0)
		goto not_permitted;
	if (lstat(options->path, st) != 0 || listen(fd, SERVER_BACKLOG) != 0) {
		ret = -errno;
		goto not_permitted;
	}
	return fd;

not_permitted:
	unlink(options->path);
not_bound:
	close(fd);
	return ret;
}

static struct server *server_new(struct event_base *base, const char *path, const struct rpc *rpc)
{
	struct server *server = calloc(1, sizeof(*server));

	if (server == NULL)
		return NULL;
	LIST_INIT(&server->clients);
	LIST_INIT(&server->leavers);
	LIST_INIT(&server->strangers);
	STAILQ_INIT(&server->waiting);
	server->counters.limit = SERVER_CLIENTS_MAX;
	server->base = base;
	server->rpc = rpc;
	server->path = path != NULL ? strdup(path) : NULL;
	server->reopen = evtimer_new(base, server_reopen, server);
	server->flush = evtimer_new(base, server_flush, server);
	signal(SIGPIPE, SIG_IGN); // a client that is gone is an error of one write, not our end
	if ((path != NULL && server->path == NULL) || server->reopen == NULL ||
		server->flush == NULL) {
		server_close(server);
		return NULL;
	}
	return server;
}

struct server *server_open(
	struct event_base *base, const struct server_options *options, const struct rpc *rpc)
{
	struct server *server = server_new(base, options->path, rpc);
	char path[LOG_QUOTED_SIZE];
	struct stat st = {0};
	int fd;

	if (server == NULL) {
		log_error("control.failed path=%s reason=\"out of memory\"",
			log_quoted(path, options->path));
		return NULL;
	}
	fd = socket_listen(options, &st);
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
	if (server->listener == NULL) {
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

	if (server->rpc->before_call != NULL)
		server->rpc->before_call(server->rpc->app);
}

struct server *server_open_tls(
	struct event_base *base, const char *listen, struct tls *tls, const struct rpc *rpc)
{
	struct server *server = server_new(base, NULL, rpc);
	struct sockaddr_storage address;
	int size = sizeof(address);

	if (server == NULL) {
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
	if (server->listener == NULL) {
		log_error("control.failed listen=%s reason=\"%s\"", listen, strerror(errno));
		server_close(server);
		return NULL;
	}
	evconnlistener_set_error_cb(server->listener, server_accept_failed);
	return server;
}

void server_close_revoked(struct server *server)
{
	struct client *client = LIST_FIRST(&server->clients), *next;

	for (; client != NULL; client = next) {
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
	struct stat st;

	if (server == NULL)
		return;
	// client_close() takes it out of the list, which the analyzer does not see.
	while (!LIST_EMPTY(&server->clients))
		client_close(LIST_FIRST(&server->clients)); // NOLINT(clang-analyzer-unix.Malloc)
	while (!LIST_EMPTY(&server->leavers))
		client_end(LIST_FIRST(&server->leavers)); // NOLINT(clang-analyzer-unix.Malloc)
	while (!LIST_EMPTY(&server->strangers))
		client_free(LIST_FIRST(&server->strangers)); // NOLINT(clang-analyzer-unix.Malloc)
	if (server->listener != NULL) {
		evconnlistener_free(server->listener);
		// Another process may have replaced the file meanwhile; then it is not ours.
		if (server->path && lstat(server->path, &st) == 0 && st.st_dev == server->device &&
			st.st_ino == server->inode)
			unlink(server->path);
	}
	if (server->reopen != NULL)
		event_free(server->reopen);
	if (server->flush != NULL)
		event_free(server->flush);
	free(server->path);
	free(server);
}
