// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <event2/event.h>
#include <malloc.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "event/subscription.h"
#include "server/server.h"

// Server and clients share this thread: a client that waits runs the loop. A test that hangs ends
// by SIGALRM.
enum {
	WATCHDOG_SECONDS = 60,
	BIG_RESULT = 1024 * 1024,
	HOLD_TURNS = 20,
	LONG_LINE = 20000,
	LIST_TURNS = 64, // elements of a mebibyte
	BATCH = 64,      // requests with as much
};

// Starts what tests send as a key. No memory that libevent frees may hold it.
static const char key_text[] = "c0ffee00c0ffee00c0ffee00c0ffee00";
static bool key_was_freed;

static char directory[] = "/tmp/mcxrelay-server-XXXXXX";
static char path[128];
static struct event_base *base;
static struct server *server;
static int n_calls, n_turns;
static struct subscriptions events;

// Cleared: what others left in the heap is not libevent's doing.
static void *malloc_cleared(size_t size)
{
	void *p = malloc(size);
	if (p)
		memset(p, 0, malloc_usable_size(p));
	return p;
}

static void free_and_look(void *p)
{
	if (p && memmem(p, malloc_usable_size(p), key_text, 16))
		key_was_freed = true;
	free(p);
}

// Moves by hand: realloc() may free the old place unseen.
static void *realloc_and_look(void *p, size_t size)
{
	void *moved = malloc_cleared(size);
	size_t old_size = p ? malloc_usable_size(p) : 0;
	if (moved && p) {
		memcpy(moved, p, old_size < size ? old_size : size);
		free_and_look(p);
	}
	return moved;
}

static json_t *method_count(void *app, const json_t *params, struct rpc_error *error)
{
	(void)app;
	(void)params;
	(void)error;
	return json_integer(++n_calls);
}

// A result of a mebibyte.
static json_t *method_big(void *app, const json_t *params, struct rpc_error *error)
{
	char *text = malloc(BIG_RESULT + 1);
	(void)app;
	(void)params;
	(void)error;
	n_calls++;
	memset(text, 'x', BIG_RESULT);
	text[BIG_RESULT] = '\0';
	json_t *result = json_string(text);
	free(text);
	return result;
}

// A list of LIST_TURNS elements of a mebibyte, one a turn. Each makes an event, too.
static json_t *method_list(
	void *app, const json_t *params, struct rpc_slice *slice, struct rpc_error *error)
{
	static const char event[] = "{\"method\":\"event\",\"params\":{\"type\":\"x\"";
	for (size_t i = slice->next; i < LIST_TURNS; i++) {
		if (rpc_slice_expired(slice, i))
			return NULL;
		n_turns++;
		rpc_emit(slice, "list", method_big(app, params, error));
		subscriptions_tell(&events, 0, event, sizeof(event) - 1);
		while (slice->until_ns != UINT64_MAX && clock_now_ns() < slice->until_ns)
			;
	}
	return json_object();
}

static json_t *method_subscribe(void *app, const json_t *params, struct rpc_error *error)
{
	(void)app;
	(void)params;
	(void)error;
	assert_true(subscription_set(events.caller, 1));
	return json_object();
}

// Takes many turns to count one, each to its end, unless it is told to take all the time it needs.
static json_t *method_hold(
	void *app, const json_t *params, struct rpc_slice *slice, struct rpc_error *error)
{
	(void)app;
	(void)params;
	(void)error;
	n_turns++;
	if (slice->next < HOLD_TURNS && slice->until_ns != UINT64_MAX) {
		while (clock_now_ns() < slice->until_ns)
			;
		if (rpc_slice_expired(slice, slice->next + 1))
			return NULL;
	}
	return json_integer(++n_calls);
}

// Counts one when it may.
static bool may_go_on;
static struct rpc_work *waiting;

static json_t *method_wait(
	void *app, const json_t *params, struct rpc_slice *slice, struct rpc_error *error)
{
	(void)app;
	(void)params;
	(void)error;
	n_turns++;
	waiting = slice->work;
	if (!may_go_on && slice->until_ns != UINT64_MAX) {
		rpc_slice_sleep(slice);
		return NULL;
	}
	return json_integer(++n_calls);
}

static const struct rpc_method methods[] = {
	{"wait", .call_in_slices = method_wait},
	{"count", method_count},
	{"hold", .call_in_slices = method_hold},
	{"big", method_big},
	{"list", .call_in_slices = method_list, .reads = true},
	{"subscribe", method_subscribe},
	{NULL, NULL},
};

static const struct rpc rpc = {.methods = methods, .events = &events};

static const char count[] = "{\"jsonrpc\":\"2.0\",\"method\":\"count\",\"id\":1}\n";
static const char big[] = "{\"jsonrpc\":\"2.0\",\"method\":\"big\",\"id\":1}\n";
static const char list[] = "{\"jsonrpc\":\"2.0\",\"method\":\"list\",\"id\":1}\n";
static const char subscribe[] = "{\"jsonrpc\":\"2.0\",\"method\":\"subscribe\",\"id\":1}\n";

static struct server_options options = {.path = path, .mode = 0600};

static int server_start(void **state)
{
	(void)state;
	alarm(WATCHDOG_SECONDS);
	n_calls = 0;
	key_was_freed = false;
	base = event_base_new();
	server = server_open(base, &options, &rpc);
	return server ? 0 : -1;
}

static int server_stop(void **state)
{
	(void)state;
	server_close(server);
	event_base_free(base);
	assert_int_not_equal(access(path, F_OK), 0);
	return 0;
}

static int client_connect(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	strcpy(address.sun_path, path);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

// Sends all of it, running the loop while the socket is full. False if the server closed the
// connection.
static bool client_send(int fd, const void *data, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN)
			return false;
		if (n < 0) {
			event_base_loop(base, EVLOOP_ONCE);
			continue;
		}
		data = (const char *)data + n;
		len -= (size_t)n;
	}
	return true;
}

// Receives one line without its LF into line, running the loop until it is there. -1 at the end.
static ssize_t client_receive(int fd, char *line, size_t size)
{
	size_t len = 0;
	for (;;) {
		ssize_t n = recv(fd, line + len, size - len, MSG_PEEK);
		if (n < 0 && errno == EAGAIN) {
			event_base_loop(base, EVLOOP_ONCE);
			continue;
		}
		if (n <= 0)
			return -1;
		char *end = memchr(line + len, '\n', (size_t)n);
		if (end)
			n = end + 1 - (line + len); // leave what follows
		assert_int_equal(recv(fd, line + len, (size_t)n, 0), n);
		len += (size_t)n;
		if (end) {
			*end = '\0';
			return (ssize_t)len - 1;
		}
		assert_true(len < size);
	}
}

static void expect_count(int fd, int n)
{
	char line[256], expected[256];
	snprintf(expected, sizeof(expected), "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":%d}", n);
	assert_true(client_receive(fd, line, sizeof(line)) > 0);
	assert_string_equal(line, expected);
}

static void expect_end(int fd)
{
	char line[256];
	assert_int_equal(client_receive(fd, line, sizeof(line)), -1);
	close(fd);
}

static void lines_are_answered_in_order(void **state)
{
	int fd = client_connect();
	(void)state;
	for (int i = 0; i < 1000; i++) // many turns' worth
		assert_true(client_send(fd, count, strlen(count)));
	for (int i = 1; i <= 1000; i++)
		expect_count(fd, i);
	close(fd);
}

static void cr_and_empty_lines_are_tolerated(void **state)
{
	static const char text[] =
		"\n\r\n{\"jsonrpc\":\"2.0\",\"method\":\"count\",\"id\":1}\r\n\n";
	int fd = client_connect();
	(void)state;
	client_send(fd, text, strlen(text));
	client_send(fd, count, strlen(count));
	expect_count(fd, 1);
	expect_count(fd, 2);
	close(fd);
}

static void a_line_may_come_octet_by_octet(void **state)
{
	int fd = client_connect();
	(void)state;
	for (size_t i = 0; i < strlen(count); i++) {
		assert_int_equal(n_calls, 0);
		client_send(fd, count + i, 1);
		event_base_loop(base, EVLOOP_NONBLOCK);
	}
	expect_count(fd, 1);
	close(fd);
}

static void half_closed_clients_get_their_answers(void **state)
{
	int fd = client_connect();
	(void)state;
	for (int i = 0; i < 100; i++)
		client_send(fd, count, strlen(count));
	client_send(fd, count, strlen(count) - 1); // an incomplete line is no request
	shutdown(fd, SHUT_WR);
	for (int i = 1; i <= 100; i++)
		expect_count(fd, i);
	expect_end(fd);
	assert_int_equal(n_calls, 100);
}

// A request of exactly len octets with its LF: spaces are JSON, too.
static char *request_of(size_t len)
{
	char *text = malloc(len + 1);
	memset(text, ' ', len);
	memcpy(text, count, strlen(count) - 1);
	text[len - 1] = '\n';
	text[len] = '\0';
	return text;
}

static void the_longest_line_is_answered(void **state)
{
	char *text = request_of(SERVER_LINE_MAX);
	int fd = client_connect();
	(void)state;
	assert_true(client_send(fd, text, SERVER_LINE_MAX));
	assert_true(client_send(fd, text, SERVER_LINE_MAX));
	expect_count(fd, 1);
	expect_count(fd, 2);
	free(text);
	close(fd);
}

static void a_longer_line_ends_the_connection(void **state)
{
	char *text = request_of(SERVER_LINE_MAX + 1);
	int fd = client_connect(), other = client_connect();
	char line[256];
	(void)state;
	client_send(fd, count, strlen(count));
	client_send(fd, text, SERVER_LINE_MAX + 1);
	client_send(fd, count, strlen(count));
	expect_count(fd, 1);
	assert_true(client_receive(fd, line, sizeof(line)) > 0);
	assert_non_null(strstr(line, "\"id\":null,\"error\":{\"code\":-32600,"));
	expect_end(fd);
	client_send(other, count, strlen(count));
	expect_count(other, 2);
	free(text);
	close(other);
}

// A client that sends and does not read makes its own requests wait, not the memory grow.
static void reading_pauses_while_answers_wait(void **state)
{
	const int n = 200;
	char *line = malloc(2 * BIG_RESULT);
	int fd = client_connect(), other = client_connect();
	(void)state;
	for (int i = 0; i < n; i++)
		assert_true(client_send(fd, big, strlen(big)));
	for (int i = 1; i <= 200; i++) { // the other client's requests go on
		client_send(other, count, strlen(count));
		assert_true(client_receive(other, line, BIG_RESULT) > 0);
	}
	int paused_at = n_calls - 200;
	assert_true(paused_at > 0);
	assert_true(paused_at <= SERVER_OUTPUT_MAX / BIG_RESULT + 2);
	for (int i = 0; i < n; i++)
		assert_true(client_receive(fd, line, 2 * BIG_RESULT) > BIG_RESULT);
	assert_int_equal(n_calls, n + 200);
	free(line);
	close(fd);
	close(other);
}

// Many lines of one client are in the buffer; another's single line is answered before they are all
// done.
static void one_client_does_not_starve_others(void **state)
{
	int fd = client_connect(), other = client_connect();
	char *lines = malloc(1000 * strlen(count) + 1), line[256];
	(void)state;
	lines[0] = '\0';
	for (int i = 0; i < 1000; i++)
		memcpy(lines + (size_t)i * strlen(count), count, strlen(count) + 1);
	while (client_send(fd, "\n", 1) && client_send(other, count, strlen(count)) && n_calls == 0)
		event_base_loop(base, EVLOOP_ONCE); // until both are accepted
	assert_true(client_receive(other, line, sizeof(line)) > 0);
	n_calls = 0;
	assert_true(client_send(fd, lines, 1000 * strlen(count)));
	event_base_loop(
		base, EVLOOP_ONCE); // one turn, though a single read takes hundreds of lines
	assert_in_range(n_calls, 1, 64);
	client_send(other, count, strlen(count));
	assert_true(client_receive(other, line, sizeof(line)) > 0);
	assert_in_range(n_calls, 2, 200);
	free(lines);
	close(fd);
	close(other);
}

// A line of LONG_LINE octets that takes many turns.
static void send_long(int fd)
{
	static const char head[] =
		"{\"jsonrpc\":\"2.0\",\"method\":\"hold\",\"id\":1,\"params\":{\"x\":\"",
			  tail[] = "\"}}\n";
	static char line[LONG_LINE];
	memset(line, 'x', sizeof(line));
	memcpy(line, head, sizeof(head) - 1);
	memcpy(line + sizeof(line) - (sizeof(tail) - 1), tail, sizeof(tail) - 1);
	assert_true(client_send(fd, line, sizeof(line)));
}

// Short lines are answered in the middle of long ones; a long one waits for the one before it, but
// not for another one of the same client.
static void long_lines_take_turns(void **state)
{
	int greedy = client_connect(), patient = client_connect(), brief = client_connect();
	(void)state;
	send_long(greedy);
	send_long(greedy);
	send_long(patient);
	assert_true(client_send(brief, count, sizeof(count) - 1));
	expect_count(brief, 1);
	expect_count(greedy, 2);
	expect_count(patient, 3);
	expect_count(greedy, 4);
	close(greedy);
	close(patient);
	close(brief);
}

// A client whose connection breaks when it is closed, because it has not read an answer.
static int client_connect_to_break(void)
{
	int fd = client_connect();
	char first;
	assert_true(client_send(fd, count, sizeof(count) - 1));
	while (recv(fd, &first, 1, MSG_PEEK) < 0)
		event_base_loop(base, EVLOOP_ONCE);
	return fd;
}

// The line that is being read may be a request by then, which runs to its end; the one that waits never is, and the next
// has its turn.
static void who_leaves_gives_its_turn_away(void **state)
{
	int begun = client_connect_to_break(), waits = client_connect_to_break();
	int next = client_connect(), brief = client_connect();
	(void)state;
	send_long(begun);
	send_long(waits);
	send_long(next);
	assert_true(client_send(brief, count, sizeof(count) - 1));
	expect_count(brief, 3);
	close(begun);
	close(waits);
	char line[256];
	assert_true(client_receive(next, line, sizeof(line)) > 0);
	assert_true(n_calls == 4 || n_calls == 5);
	close(next);
	close(brief);
}

static void await_turns(int n)
{
	n_turns = 0;
	while (n_turns < n)
		event_base_loop(base, EVLOOP_ONCE);
}

static void expect_next_count(int fd)
{
	int n = n_calls + 1;
	assert_true(client_send(fd, count, sizeof(count) - 1));
	expect_count(fd, n);
}

static const char wait_request[] = "{\"jsonrpc\":\"2.0\",\"method\":\"wait\",\"id\":1}\n";

// Others are answered while a request waits, and those behind it after it.
static void a_request_waits_alone(void **state)
{
	int waits = client_connect(), other = client_connect();
	(void)state;
	may_go_on = false;
	assert_true(client_send(waits, wait_request, sizeof(wait_request) - 1));
	assert_true(client_send(waits, count, sizeof(count) - 1));
	await_turns(1);
	assert_true(client_send(other, count, sizeof(count) - 1));
	expect_count(other, 1);
	may_go_on = true;
	rpc_work_wake(waiting);
	expect_count(waits, 2);
	expect_count(waits, 3);
	close(waits);
	close(other);
}

// It is asked again without having been woken.
static void a_wait_has_an_end(void **state)
{
	int waits = client_connect();
	(void)state;
	may_go_on = false;
	assert_true(client_send(waits, wait_request, sizeof(wait_request) - 1));
	await_turns(3);
	may_go_on = true;
	expect_count(waits, 1);
	close(waits);
}

// What was begun is finished, though nobody is there any more.
static void who_leaves_is_waited_for(void **state)
{
	int waits = client_connect_to_break(), other = client_connect();
	(void)state;
	may_go_on = false;
	assert_true(client_send(waits, wait_request, sizeof(wait_request) - 1));
	await_turns(1);
	close(waits);
	await_turns(2);
	may_go_on = true;
	rpc_work_wake(waiting);
	while (n_calls == 0)
		event_base_loop(base, EVLOOP_ONCE);
	expect_next_count(other);
	close(other);
}

static void a_server_may_close_while_one_waits(void **state)
{
	int waits = client_connect();
	(void)state;
	may_go_on = false;
	assert_true(client_send(waits, wait_request, sizeof(wait_request) - 1));
	await_turns(1);
	server_close(server);
	server = NULL;
	assert_int_equal(n_calls, 1);
	close(waits);
}

// Others have their turns before the request of somebody who is gone is done.
static void the_request_of_who_left_goes_on_in_turns(void **state)
{
	int gone = client_connect_to_break(), other = client_connect();
	(void)state;
	expect_next_count(other);
	send_long(gone);
	await_turns(3);
	close(gone);
	expect_next_count(other);
	assert_int_equal(n_calls, 3);
	while (n_calls == 3)
		event_base_loop(base, EVLOOP_ONCE);
	assert_in_range(n_turns, HOLD_TURNS, HOLD_TURNS + 1);
	assert_int_equal(server_count(server).clients, 1);
	close(other);
}

// Nobody wants to know it any more, and nothing is changed by it.
static void the_list_of_who_left_is_not_finished(void **state)
{
	int gone = client_connect_to_break(), other = client_connect();
	(void)state;
	expect_next_count(other);
	assert_true(client_send(gone, list, sizeof(list) - 1));
	await_turns(3);
	close(gone);
	while (server_count(server).clients > 1)
		event_base_loop(base, EVLOOP_ONCE);
	assert_in_range(n_turns, 3, 10);
	expect_next_count(other);
	close(other);
}

static void a_server_may_close_in_the_middle_of_a_list(void **state)
{
	int fd = client_connect();
	(void)state;
	assert_true(client_send(fd, list, sizeof(list) - 1));
	await_turns(3);
	server_close(server);
	server = NULL;
	assert_in_range(n_turns, 3, 10);
	close(fd);
}

static void expect_event(int fd)
{
	char line[256];
	assert_true(client_receive(fd, line, sizeof(line)) > 0);
	assert_non_null(strstr(line, "\"event\""));
}

// A list goes out as it comes: of one that is not read no more is held than of other answers. Events
// have their place before and after it.
static void list_waits_to_be_read(const char *request, size_t request_len)
{
	const size_t size = (LIST_TURNS + 1) * (size_t)BIG_RESULT;
	char *line = malloc(size);
	int fd = client_connect(), other = client_connect();
	assert_true(client_send(fd, subscribe, sizeof(subscribe) - 1));
	assert_true(client_send(fd, request, request_len));
	await_turns(SERVER_OUTPUT_MAX / BIG_RESULT);
	for (int i = 0; i < 100; i++)
		expect_next_count(other);
	int held = n_turns;
	assert_in_range(held, SERVER_OUTPUT_MAX / BIG_RESULT, SERVER_OUTPUT_MAX / BIG_RESULT + 2);
	assert_true(client_receive(fd, line, size) > 0);
	assert_string_equal(line, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}");
	assert_in_range(client_receive(fd, line, size), LIST_TURNS * BIG_RESULT, size);
	json_t *answer = json_loads(line, 0, NULL);
	const json_t *response = json_is_array(answer) ? json_array_get(answer, 0) : answer;
	assert_int_equal(
		json_array_size(json_object_get(json_object_get(response, "result"), "list")),
		LIST_TURNS);
	json_decref(answer);
	for (int i = 0; i < LIST_TURNS; i++)
		expect_event(fd);
	free(line);
	close(fd);
	close(other);
}

static void a_list_waits_to_be_read(void **state)
{
	(void)state;
	list_waits_to_be_read(list, sizeof(list) - 1);
}

static void a_list_in_a_batch_of_its_own_waits_too(void **state)
{
	static const char batch[] = "[{\"jsonrpc\":\"2.0\",\"method\":\"list\",\"id\":1}]\n";
	(void)state;
	list_waits_to_be_read(batch, sizeof(batch) - 1);
}

// A batch of requests with big results, as short as it is.
static void send_batch(int fd)
{
	char line[BATCH * sizeof(big) + 4] = "";
	for (int i = 0; i < BATCH; i++)
		sprintf(line + strlen(line), "%c%.*s", i == 0 ? '[' : ',', (int)sizeof(big) - 2,
			big);
	strcat(line, "]\n");
	assert_true(client_send(fd, line, strlen(line)));
}

// Each of these holds less than one may; together they would hold more than all may.
static void those_who_do_not_read_hold_a_bound_together(void **state)
{
	const uint64_t n_may = SERVER_ANSWERS_MAX / (BATCH * BIG_RESULT);
	int fds[6], other = client_connect();
	(void)state;
	expect_next_count(other);
	for (int i = 0; i < 6; i++) {
		fds[i] = client_connect();
		send_batch(fds[i]);
	}
	while (server_count(server).clients > n_may && n_calls < 1 + 6 * BATCH)
		event_base_loop(base, EVLOOP_ONCE);
	assert_in_range(server_count(server).clients, 1, n_may);
	expect_next_count(other);
	for (int i = 0; i < 6; i++)
		close(fds[i]);
	close(other);
}

static void the_server_may_close_in_the_middle(void **state)
{
	int begun = client_connect(), waits = client_connect();
	(void)state;
	send_long(begun);
	send_long(waits);
	n_turns = 0;
	while (n_turns < 5)
		event_base_loop(base, EVLOOP_ONCE);
	assert_int_equal(n_calls, 0);
	server_close(server);
	server = NULL;
	assert_int_equal(n_calls, 1);
	close(begun);
	close(waits);
}

static void too_many_clients_are_refused(void **state)
{
	int fds[SERVER_CLIENTS_MAX];
	(void)state;
	for (int i = 0; i < SERVER_CLIENTS_MAX; i++) {
		fds[i] = client_connect();
		client_send(fds[i], count, strlen(count));
		expect_count(fds[i], i + 1);
	}
	expect_end(client_connect());
	expect_end(client_connect());
	close(fds[0]);
	int fd = client_connect();
	// The server may take the new connection before it sees that the old one ended.
	event_base_loop(base, EVLOOP_NONBLOCK);
	close(fd);
	event_base_loop(base, EVLOOP_NONBLOCK);
	fd = client_connect();
	client_send(fd, count, strlen(count));
	expect_count(fd, SERVER_CLIENTS_MAX + 1);
	close(fd);
	for (int i = 1; i < SERVER_CLIENTS_MAX; i++)
		close(fds[i]);
}

// Sends a request of len octets that has keys all over, in parts, so that it lies in several
// pieces.
static void keys_send(int fd, size_t len)
{
	char *text = request_of(len);
	memcpy(text, "{\"k\":[", 6);
	for (size_t i = 6; i + sizeof(key_text) + 8 < len; i += sizeof(key_text) + 2)
		sprintf(text + i, "\"%s\",", key_text);
	text[len - 1] = '\n';
	for (char *p = text; p < text + len - 1; p++)
		*p = *p == '\0' ? ' ' : *p;
	for (size_t at = 0; at < len; at += 5000) {
		client_send(fd, text + at, len - at < 5000 ? len - at : 5000);
		event_base_loop(base, EVLOOP_NONBLOCK);
	}
	free(text);
}

static void no_freed_memory_holds_a_key(void **state)
{
	static const size_t sizes[] = {
		60, 1000, 4097, 20000, 300000, SERVER_LINE_MAX, SERVER_LINE_MAX + 1};
	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		int fd = client_connect();
		keys_send(fd, sizes[i]);
		char line[512];
		assert_true(client_receive(fd, line, sizeof(line)) > 0);
		assert_null(strstr(line, "c0ffee"));
		close(fd);
		fd = client_connect();
		client_send(fd, key_text, strlen(key_text)); // no LF: never a request
		event_base_loop(base, EVLOOP_NONBLOCK);
		event_base_loop(base, EVLOOP_NONBLOCK);
		close(fd);
		event_base_loop(base, EVLOOP_ONCE);
	}
	server_close(server);
	server = NULL;
	assert_false(key_was_freed);
	server = server_open(base, &options, &rpc);
	assert_non_null(server);
}

static void a_client_that_goes_away_harms_nobody(void **state)
{
	int fd = client_connect(), other = client_connect();
	(void)state;
	for (int i = 0; i < 10; i++)
		client_send(fd, big, strlen(big));
	close(fd); // nobody reads the answers: EPIPE
	client_send(other, count, strlen(count));
	while (n_calls == 0)
		event_base_loop(base, EVLOOP_ONCE);
	for (int i = 0; i < 20; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
	n_calls = 0;
	close(other);
	other = client_connect();
	client_send(other, count, strlen(count));
	expect_count(other, 1);
	close(other);
}

static void the_socket_has_its_mode(void **state)
{
	struct server_options odd = {.path = path, .mode = 0640, .group = "root"};
	struct stat st;
	(void)state;
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	server_close(server);
	server = NULL;
	server = server_open(base, &odd, &rpc);
	assert_non_null(server);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
}

static void a_socket_in_use_is_refused(void **state)
{
	(void)state;
	assert_null(server_open(base, &options, &rpc));
	int fd = client_connect(); // the first server goes on
	client_send(fd, count, strlen(count));
	expect_count(fd, 1);
	close(fd);
}

static void a_stale_socket_is_replaced(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	(void)state;
	server_close(server);
	strcpy(address.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd); // the file stays
	server = server_open(base, &options, &rpc);
	assert_non_null(server);
	fd = client_connect();
	client_send(fd, count, strlen(count));
	expect_count(fd, 1);
	close(fd);
}

// A server that is too busy to accept is not dead.
static void a_socket_with_a_full_backlog_is_in_use(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fds[64], n = 1, ret;
	(void)state;
	server_close(server);
	server = NULL;
	strcpy(address.sun_path, path);
	fds[0] = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fds[0], (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fds[0], 1), 0);
	do {
		fds[n] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
		ret = connect(fds[n], (struct sockaddr *)&address, sizeof(address));
		n++;
	} while (ret == 0 && n < 64);
	assert_int_equal(ret, -1);
	assert_null(server_open(base, &options, &rpc));
	assert_int_equal(access(path, F_OK), 0);
	while (n > 0)
		close(fds[--n]);
	unlink(path);
}

static void other_files_are_left_alone(void **state)
{
	struct server_options odd = options;
	(void)state;
	server_close(server);
	server = NULL;
	FILE *file = fopen(path, "w");
	fclose(file);
	assert_null(server_open(base, &options, &rpc));
	assert_int_equal(access(path, F_OK), 0);
	unlink(path);
	odd.group = "no-such-group-here";
	assert_null(server_open(base, &odd, &rpc));
	assert_int_not_equal(access(path, F_OK), 0);
	odd.path = "/nonexistent/directory/control.sock";
	assert_null(server_open(base, &odd, &rpc));
}

// A file that replaced the socket's is not the server's to remove.
static void a_replaced_file_survives_the_server(void **state)
{
	(void)state;
	unlink(path);
	FILE *file = fopen(path, "w");
	fclose(file);
	server_close(server);
	server = NULL;
	assert_int_equal(access(path, F_OK), 0);
	unlink(path);
}

int main(void)
{
#define SERVER_TEST(name) cmocka_unit_test_setup_teardown(name, server_start, server_stop)
	const struct CMUnitTest tests[] = {
		SERVER_TEST(lines_are_answered_in_order),
		SERVER_TEST(cr_and_empty_lines_are_tolerated),
		SERVER_TEST(a_line_may_come_octet_by_octet),
		SERVER_TEST(half_closed_clients_get_their_answers),
		SERVER_TEST(the_longest_line_is_answered),
		SERVER_TEST(a_longer_line_ends_the_connection),
		SERVER_TEST(reading_pauses_while_answers_wait),
		SERVER_TEST(one_client_does_not_starve_others),
		SERVER_TEST(long_lines_take_turns),
		SERVER_TEST(who_leaves_gives_its_turn_away),
		SERVER_TEST(a_request_waits_alone),
		SERVER_TEST(a_wait_has_an_end),
		SERVER_TEST(who_leaves_is_waited_for),
		SERVER_TEST(a_server_may_close_while_one_waits),
		SERVER_TEST(the_request_of_who_left_goes_on_in_turns),
		SERVER_TEST(the_list_of_who_left_is_not_finished),
		SERVER_TEST(a_server_may_close_in_the_middle_of_a_list),
		SERVER_TEST(a_list_waits_to_be_read),
		SERVER_TEST(a_list_in_a_batch_of_its_own_waits_too),
		SERVER_TEST(those_who_do_not_read_hold_a_bound_together),
		SERVER_TEST(the_server_may_close_in_the_middle),
		SERVER_TEST(too_many_clients_are_refused),
		SERVER_TEST(no_freed_memory_holds_a_key),
		SERVER_TEST(a_client_that_goes_away_harms_nobody),
		SERVER_TEST(the_socket_has_its_mode),
		SERVER_TEST(a_socket_in_use_is_refused),
		SERVER_TEST(a_stale_socket_is_replaced),
		SERVER_TEST(a_socket_with_a_full_backlog_is_in_use),
		SERVER_TEST(other_files_are_left_alone),
		SERVER_TEST(a_replaced_file_survives_the_server),
	};
	int failed;

	event_set_mem_functions(malloc_cleared, realloc_and_look, free_and_look);
	log_set_level(LOG_LEVEL_ERROR);
	if (!mkdtemp(directory))
		return 1;
	snprintf(path, sizeof(path), "%s/control.sock", directory);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	rmdir(directory);
	return failed;
}
