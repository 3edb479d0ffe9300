// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "server/turns.h"

#include <assert.h>
#include <event2/buffer.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/secmem.h"
#include "server/client.h"
#include "server/long_line.h"

// When a request that sleeps is stepped though nobody woke it.
static const struct timeval sleep_time = {.tv_usec = 10000};
static const struct timeval now = {0};

enum {
	SERVER_LINES_PER_WAKEUP = 32,    // then the other clients have their turn
	SERVER_TURN_NS = 2000000,        // the same
	SERVER_SHORT_ANSWER = 16 * 1024, // octets that are copied, not referred to
	// octets below which the sum over all clients is not checked
	SERVER_FEW_ANSWERS = SERVER_ANSWERS_MAX / SERVER_CLIENTS_MAX,
};

static void answer_free(const void *answer, size_t len, void *arg)
{
	(void)len;
	(void)arg;
	secmem_free((void *)(uintptr_t)answer);
}

// Takes over the answer.
static int answer_queue(struct evbuffer *output, char *answer, size_t len)
{
	if (len > SERVER_SHORT_ANSWER &&
		evbuffer_add_reference(output, answer, len, answer_free, NULL) == 0)
		return 0;
	int rc = evbuffer_add(output, answer, len);
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
	if (!answer && !client->answering)
		return;
	client->answering = false;
	// A missing or truncated answer would shift all later ones.
	if (!answer || answer_queue(output, answer, len) != 0 || evbuffer_add(output, "\n", 1) != 0)
		client_drop_without_memory(client);
}

// Queues the part of the answer that is complete: a list of a million is not held twice, and not at
// all for a client that does not read it.
static void client_answer_part(struct client *client)
{
	struct evbuffer *output = bufferevent_get_output(client->bufferevent);
	size_t len;
	char *part = rpc_work_take(client->work, &len);
	if (!part)
		return;
	client->answering = true;
	if (answer_queue(output, part, len) != 0)
		client_drop_without_memory(client);
}

// Continues with the line until the turn ends.
static void client_go_on(struct client *client, uint64_t until_ns)
{
	client_set_caller(client, &client->events);
	bool done = rpc_work_step(client->work, until_ns);
	client_set_caller(client, NULL);
	if (done)
		client_answer(client);
	else
		client_answer_part(client);
}

static bool client_sleeps(const struct client *client)
{
	return client->work && rpc_work_sleeps(client->work);
}

static void client_wake(void *arg)
{
	struct client *client = arg;
	event_add(client->turn, &now); // if it fails, the turn comes when the wait ends
}

static void client_read_line(struct client *client, const char *line, size_t len)
{
	if (line[len - 1] == '\r')
		len--;
	if (len == 0)
		return;
	client->work = rpc_work_open(client->server->rpc, line, len);
	if (!client->work) {
		client_drop_without_memory(client);
		return;
	}
	rpc_work_set_caller(client->work, client->name);
	rpc_work_on_wake(client->work, client_wake, client);
}

// Parses the line in the first len octets of the input. A line in several pieces is joined in
// memory of our own: evbuffer_pullup() would leave the pieces unwiped.
static void line_read(struct client *client, size_t len)
{
	struct evbuffer *input = bufferevent_get_input(client->bufferevent);
	struct evbuffer_iovec piece;
	if (evbuffer_peek(input, (ssize_t)len, NULL, &piece, 1) == 1) {
		client_read_line(client, piece.iov_base, len);
		return;
	}
	char *joined = secmem_malloc(len);
	if (!joined || evbuffer_copyout(input, joined, len) != (ssize_t)len)
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

// Takes one line out of the input. False if none is complete, or if it has to wait as a long line.
static bool client_next_line(struct client *client)
{
	struct evbuffer *input = bufferevent_get_input(client->bufferevent);
	size_t input_len = evbuffer_get_length(input);
	if (input_len == 0)
		return false;
	struct evbuffer_ptr found = {.pos = -1};
	if (client->searched < input_len) {
		struct evbuffer_ptr from;
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
	client_drop_input(client, (size_t)found.pos + 1);
	if (!client->work)
		long_line_end(client); // there was no memory
	return true;
}

// Continues reading unless a line of maximum length is buffered. Not done by a watermark: libevent
// loses data that OpenSSL has decrypted when a watermark made it pause.
static void client_bound_input(struct client *client)
{
	struct evbuffer *input = bufferevent_get_input(client->bufferevent);
	if (!client->at_eof && evbuffer_get_length(input) < SERVER_LINE_MAX)
		bufferevent_enable(client->bufferevent, EV_READ);
	else
		bufferevent_disable(client->bufferevent, EV_READ);
}

// Whether the client has to read its output before further work is done for it. A long line that
// other clients wait for is finished nevertheless.
static bool client_must_read(const struct client *client)
{
	return client_output_len(client) > SERVER_OUTPUT_MAX &&
	       (!client->work || (client->answering && client->server->long_line != client));
}

// Answers buffered lines, up to the number of lines and the time of a turn. Whether there may be
// more.
static bool client_take_turn(struct client *client)
{
	uint64_t until_ns = clock_now_ns() + SERVER_TURN_NS;
	bool more = true;
	for (int n = 0; n < SERVER_LINES_PER_WAKEUP && more && !client->closing; n++) {
		if (client_must_read(client))
			break;
		more = client->work || client_next_line(client);
		if (client->work)
			client_go_on(client, until_ns);
		if (client->work || clock_now_ns() >= until_ns)
			break; // what is left goes on after others, for which it may wait
	}
	return more;
}

static size_t client_answers_len(const struct client *client)
{
	return client_output_len(client) + (client->work ? rpc_work_size(client->work) : 0);
}

// The client with the largest backlog of answers; *len is the sum over all clients in octets.
static struct client *server_largest_backlog(const struct server *server, size_t *len)
{
	struct client *largest = NULL;
	size_t most = 0;
	*len = 0;
	for (struct client *client = LIST_FIRST(&server->clients); client;
		client = LIST_NEXT(client, entry)) {
		size_t answers_len = client_answers_len(client);
		*len += answers_len;
		if (answers_len > most) {
			most = answers_len;
			largest = client;
		}
	}
	return largest;
}

// Each client's output has a bound; this bounds their sum.
static void server_bound_answers(struct server *server)
{
	size_t len;
	struct client *largest = server_largest_backlog(server, &len);
	if (len <= SERVER_ANSWERS_MAX)
		return;
	log_limited(LOG_LEVEL_WARNING, "client.dropped %s reason=\"answers are not read\"",
		largest->name);
	client_close(largest);
}

void client_work(struct client *client)
{
	struct server *server = client->server;
	bool more = client_take_turn(client);
	bool much = client_answers_len(client) > SERVER_FEW_ANSWERS;
	if (client->closing || (client->at_eof && !more && !client->waits)) {
		client->closing = true;
		long_line_stop_waiting(client);
		bufferevent_disable(client->bufferevent, EV_READ);
		if (client_output_len(client) == 0)
			client_close(client);
	} else if (client_must_read(client)) {
		long_line_stop_waiting(client);
		bufferevent_disable(client->bufferevent, EV_READ); // until client_written()
	} else {
		client_bound_input(client);
		// A timer of zero length runs after the other sockets have been served;
		// event_active() does not.
		const struct timeval *when = client_sleeps(client) ? &sleep_time : &now;
		if (more && event_add(client->turn, when) != 0)
			client_close(client);
	}
	if (much)
		server_bound_answers(server);
}

static void detached_work(struct client *client)
{
	bool done = rpc_work_step(client->work, clock_now_ns() + SERVER_TURN_NS);
	if (done || event_add(client->turn, client_sleeps(client) ? &sleep_time : &now) != 0)
		client_end(client);
}

void client_turn(evutil_socket_t fd, short what, void *arg)
{
	struct client *client = arg;
	(void)fd;
	(void)what;
	if (client->unauthenticated)
		client_close_unauthenticated(client, TLS_TIMEOUT, "the handshake took too long");
	else if (!client->bufferevent)
		detached_work(client);
	else
		client_work(client);
}

void client_readable(struct bufferevent *bufferevent, void *arg)
{
	struct client *client = arg;
	(void)bufferevent;
	if (client->closing)
		return;
	// A pending turn is not advanced by further input.
	if (evtimer_pending(client->turn, NULL))
		client_bound_input(client);
	else
		client_work(client);
}

void client_written(struct bufferevent *bufferevent, void *arg)
{
	struct client *client = arg;
	if (client->unauthenticated)
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
