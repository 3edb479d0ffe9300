// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

// Requests that state many legs are worked on in steps: others are served in between and see a session that is whole;
// one that cannot be leaves no trace; none about the same session overtakes it.

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/secmem.h"
#include "dataplane/worker.h"
#include "key/key_domain.h"
#include "key/key_slot.h"
#include "session/leg_audience.h"
#include "session/session_apply.h"
#include "session/session_follow.h"
#include "session/session_legs.h"
#include "session/session_store.h"
#include "tests/unit/session_lab.h"

enum { SOME = 200, MANY = 3200, LEGS_MAX = 2 * MANY + 200, TEXT_OCTETS = 1 << 20 };

static struct app app;
static char params[TEXT_OCTETS];

// --- what is done

static uint64_t n_allocs, n_revisions;

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void __real_session_audiences_revise(
	struct sessions *sessions, const struct session *session, bool lose_only);
void __wrap_session_audiences_revise(
	struct sessions *sessions, const struct session *session, bool lose_only);

void *__wrap_malloc(size_t size)
{
	n_allocs++;
	return __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	n_allocs++;
	return __real_calloc(n, size);
}

void __wrap_session_audiences_revise(
	struct sessions *sessions, const struct session *session, bool lose_only)
{
	n_revisions++;
	__real_session_audiences_revise(sessions, session, lose_only);
}

// --- requests

// Each leg has an address of its own, over all sessions. The talker names all others; with `change` it is another
// remote.
struct legs {
	uint32_t first, n;
	bool change;
	const char *last; // instead of the last one, or NULL
};

static int leg_text(uint32_t number, bool change, uint32_t to, char *out, size_t size)
{
	char naming[64] = "";
	if (to > 0)
		snprintf(naming, sizeof(naming), ",\"to\":[\"l%u\",\"l%u\"]", to, to + 1);
	return snprintf(out, size,
		"{\"id\":\"l%u\",\"port\":\"ran\",\"local\":\"10.0.0.1:%u\",\"remote\":"
		"\"10.0.0.9:%u\",\"protection\":{\"mode\":\"srtp\",\"key\":\"0a000001\"}%s}",
		number, 5000 + number, 20000 + number + (change ? 10000 : 0), naming);
}

static const char *legs_text(const struct legs *legs)
{
	static char text[TEXT_OCTETS - 512];
	int n = 0;
	for (uint32_t i = 0; i < legs->n; i++) {
		// the first names legs that come last
		uint32_t to = i == 0 && legs->n > 2 ? legs->first + legs->n - 2 : 0;
		if (i > 0)
			text[n++] = ',';
		if (i + 1 == legs->n && legs->last)
			n += sprintf(text + n, "%s", legs->last);
		else
			n += leg_text(legs->first + i, legs->change, to, text + n,
				sizeof(text) - (size_t)n);
	}
	text[n] = '\0';
	return text;
}

static const char *session_params(const char *id, const char *group, const struct legs *legs)
{
	snprintf(params, sizeof(params),
		"{\"session\":{\"id\":\"%s\",\"service\":\"mcptt\",\"type\":\"group\",\"group\":"
		"\"%s\",\"legs\":[%s]}}",
		id, group, legs_text(legs));
	return params;
}

static const char *legs_params(const char *id, const struct legs *legs)
{
	snprintf(params, sizeof(params), "{\"session\":\"%s\",\"legs\":[%s]}", id, legs_text(legs));
	return params;
}

// The answer as JSON, for the caller to release.
static json_t *answer_of(char *text, size_t len)
{
	json_t *json = json_loadb(text, len, 0, NULL);
	assert_non_null(json);
	secmem_free(text);
	return json;
}

static int code_of(const json_t *answer)
{
	return (int)json_integer_value(json_object_get(json_object_get(answer, "error"), "code"));
}

// One request at once: the code of its error, 0 if it has none.
static int call(const char *method, const char *text)
{
	size_t len;
	char *answer = session_lab_call(&app, method, text, &len);
	json_t *json = answer_of(answer, len);
	int code = code_of(json);
	json_decref(json);
	return code;
}

static char *session_text(const char *id)
{
	char text[64];
	size_t len;
	snprintf(text, sizeof(text), "{\"id\":\"%s\"}", id);
	char *answer = session_lab_call(&app, "session.get", text, &len);
	char *copy = strndup(answer, len);
	secmem_free(answer);
	return copy;
}

static struct rpc_work *begin(const char *method, const char *text)
{
	static struct rpc rpc = {.methods = control_methods, .app = &app.api};
	char *line = session_lab_line(method, text);
	struct rpc_work *work = rpc_work_open(&rpc, line, strlen(line));
	assert_non_null(work);
	free(line);
	return work;
}

// Closes it: its answer.
static json_t *end(struct rpc_work *work)
{
	size_t len;
	char *answer = rpc_work_close(work, &len);
	assert_non_null(answer);
	return answer_of(answer, len);
}

static int finish(struct rpc_work *work)
{
	while (!rpc_work_step(work, 0))
		;
	json_t *answer = end(work);
	int code = code_of(answer);
	json_decref(answer);
	return code;
}

static void remove_all(void)
{
	assert_int_equal(call("session.remove", "{\"ids\":[\"call\",\"other\",\"big\"]}"), 0);
	retire_all(&app.retire);
	assert_int_equal(app.sessions.n_legs, 0);
	assert_null(app.sessions.claims);
	assert_int_equal(app.keys.n_promised, 0);
}

static void expect_legs(const char *id, uint32_t n)
{
	const struct session *session = session_find(&app.sessions, id);
	assert_non_null(session);
	assert_int_equal(session->n_legs, n);
}

// --- tests

// The work of a step does not grow with the request: of one that comes, is restated, changes and goes.
static uint64_t most_allocs(const char *method, const char *text, unsigned *n_steps)
{
	struct rpc_work *work = begin(method, text);
	uint64_t most = 0;
	bool done = false;
	for (*n_steps = 0; !done; ++*n_steps) {
		uint64_t before = n_allocs;
		done = rpc_work_step(work, 0);
		most = n_allocs - before > most ? n_allocs - before : most;
		retire_poll(&app.retire);
	}
	json_t *answer = end(work);
	assert_int_equal(code_of(answer), 0);
	json_decref(answer);
	return most;
}

enum { COMES, STAYS, HALF, GROWS, CHANGES, GOES, KINDS };

static void steps_of_session(uint32_t n, uint64_t most[KINDS])
{
	struct legs all = {.n = n}, half = {.n = n / 2, .change = true};
	struct legs moved = {.n = n, .change = true};
	unsigned n_steps;
	most[COMES] = most_allocs("session.apply", session_params("big", "sip:g", &all), &n_steps);
	assert_true(n_steps > 5 * n);
	most[STAYS] = most_allocs("session.apply", session_params("big", "sip:g", &all), &n_steps);
	assert_true(n_steps > 5 * n);
	expect_legs("big", n);
	most[HALF] = most_allocs("session.apply", session_params("big", "sip:g", &half), &n_steps);
	expect_legs("big", n / 2);
	most[GROWS] = most_allocs("leg.apply", legs_params("big", &all), &n_steps);
	assert_true(n_steps > 5 * n);
	expect_legs("big", n);
	most[CHANGES] = most_allocs("leg.apply", legs_params("big", &moved), &n_steps);
	most[GOES] = most_allocs(
		"session.apply", session_params("big", "sip:g", &(struct legs){.n = 1}), &n_steps);
	assert_true(n_steps > n / 64);
	expect_legs("big", 1);
	remove_all();
}

static void a_step_does_not_grow_with_the_request(void **state)
{
	(void)state;
	uint64_t some[KINDS], many[KINDS];
	steps_of_session(SOME, some);
	steps_of_session(MANY, many);
	for (unsigned kind = 0; kind < KINDS; kind++)
		assert_in_range(many[kind], 1, some[kind] + some[kind] / 4 + 8);
}

// While it is worked on, requests about other sessions are served at once, whatever they are.
static void others_are_served_between_steps(void **state)
{
	(void)state;
	struct legs others = {.first = 6500, .n = 5};
	assert_int_equal(call("session.apply", session_params("other", "sip:g", &others)), 0);
	struct rpc_work *big =
		begin("session.apply", session_params("big", "sip:g", &(struct legs){.n = SOME}));
	unsigned n_steps = 0, n_seen = 0;
	for (; !rpc_work_step(big, 0); n_steps++) {
		others.change = n_steps % 2 == 0;
		assert_int_equal(call("leg.apply", legs_params("other", &others)), 0);
		assert_int_equal(call("session.get", "{\"id\":\"other\"}"), 0);
		assert_int_equal(call("session.list", "{}"), 0);
		int code = call("session.get", "{\"id\":\"big\"}");
		assert_true(code == 0 || (code == RPC_NOT_FOUND && n_seen == 0));
		n_seen += code == 0;
		assert_int_equal(call("session.remove", "{\"ids\":[\"other\"]}"), 0);
		assert_int_equal(
			call("session.apply", session_params("other", "sip:g", &others)), 0);
	}
	json_decref(end(big));
	assert_true(n_steps > 5 * SOME);
	assert_in_range(n_seen, 1, n_steps / 2); // its first change comes after the checks of all
	expect_legs("big", SOME);
	remove_all();
}

// Whoever takes an address first has it; the other is refused, and nothing of it is there.
static void addresses_are_taken_once(void **state)
{
	(void)state;
	char last[512];
	leg_text(SOME - 1, false, 0, last, sizeof(last));
	struct legs one = {.first = 6500, .n = 1, .last = last};
	for (unsigned taken_at = 0; taken_at < 6 * SOME; taken_at += SOME / 2 + 1) {
		struct rpc_work *big = begin(
			"session.apply", session_params("big", "sip:g", &(struct legs){.n = SOME}));
		int code = -1;
		for (unsigned n_steps = 0; !rpc_work_step(big, 0); n_steps++)
			if (n_steps == taken_at)
				code = call(
					"session.apply", session_params("other", "sip:g", &one));
		json_t *answer = end(big);
		assert_true((code == 0 && code_of(answer) == RPC_CONFLICT) ||
			    (code == RPC_CONFLICT && code_of(answer) == 0));
		assert_int_equal(session_find(&app.sessions, "big") == NULL, code == 0);
		assert_int_equal(session_find(&app.sessions, "other") == NULL, code != 0);
		json_decref(answer);
		remove_all();
	}
}

// What others are about the same session waits, and what has to be worked on in steps as well.
static void requests_about_the_session_wait(void **state)
{
	(void)state;
	static const char *const texts[][2] = {{"session.remove", "{\"ids\":[\"other\",\"big\"]}"},
		{"leg.remove", "{\"session\":\"big\",\"ids\":[\"l1\"]}"},
		{"leg.apply", "{\"session\":\"big\",\"legs\":[]}"},
		{"session.apply", "{\"session\":{\"id\":\"big\",\"service\":\"mcptt\",\"type\":"
				  "\"group\",\"legs\":[]}}"}};
	struct legs all = {.n = SOME}, other = {.first = SOME, .n = SOME};
	for (unsigned there = 0; there < 2; there++)
		for (unsigned i = 0; i <= 4; i++) {
			if (there)
				assert_int_equal(
					call("session.apply", session_params("big", "sip:g", &all)),
					0);
			struct rpc_work *big =
				begin("session.apply", session_params("big", "sip:g", &all));
			assert_false(rpc_work_step(big, 0));
			while (!app.sessions.claims)
				assert_false(rpc_work_step(big, 0));
			struct rpc_work *waits =
				i < 4 ? begin(texts[i][0], texts[i][1])
				      : begin("session.apply",
						session_params("other", "sip:g", &other));
			while (!rpc_work_step(big, 0))
				// however much time there is
				assert_false(rpc_work_step(waits, i % 2 ? 0 : UINT64_MAX));
			json_decref(end(big));
			expect_legs("big", SOME);
			assert_int_equal(finish(waits), 0);
			const struct session *session = session_find(&app.sessions, "big");
			static const uint32_t left[] = {0, SOME - 1, SOME, 0, SOME};
			assert_int_equal(session ? session->n_legs : 0, left[i]);
			remove_all();
		}
}

// Refused at whatever stage, it leaves no trace: neither of a session that is there nor of a new one.
static void what_is_refused_leaves_no_trace(void **state)
{
	(void)state;
	static const char *const bad[] = {"{}",
		"{\"id\":\"l0\",\"port\":\"ran\",\"local\":\"10.0.0.1:9999\",\"protection\":{"
		"\"mode\":"
		"\"opaque\"},\"receive\":false}",
		"{\"id\":\"x\",\"port\":\"ran\",\"local\":\"10.0.0.1:5001\",\"protection\":{"
		"\"mode\":"
		"\"opaque\"},\"receive\":false}",
		"{\"id\":\"x\",\"port\":\"ran\",\"local\":\"10.0.0.1:9999\",\"remote\":\"192.0.2.1:"
		"1\","
		"\"protection\":{\"mode\":\"opaque\"}}",
		"{\"id\":\"x\",\"port\":\"ran\",\"local\":\"10.0.0.1:9999\",\"remote\":\"10.0.0.9:"
		"1\","
		"\"protection\":{\"mode\":\"srtp\",\"key\":\"0a0000ff\"}}",
		"{\"id\":\"x\",\"port\":\"ran\",\"local\":\"10.0.0.1:9999\",\"remote\":\"10.0.0.9:"
		"1\","
		"\"protection\":{\"mode\":\"opaque\"},\"to\":[\"nobody\"]}"};
	struct legs all = {.n = SOME};
	assert_int_equal(call("session.apply", session_params("call", "sip:g", &all)), 0);
	char *before = session_text("call");
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct legs wrong = {.first = 1, .n = SOME, .change = true, .last = bad[i]};
		wrong.first = i == 1 ? 0 : 1;
		assert_int_not_equal(
			finish(begin("session.apply", session_params("call", "sip:h", &wrong))), 0);
		assert_int_not_equal(finish(begin("leg.apply", legs_params("call", &wrong))), 0);
		wrong.first += i == 1 ? 0 : 3000;
		assert_int_not_equal(
			finish(begin("session.apply", session_params("big", "sip:h", &wrong))), 0);
		assert_null(session_find(&app.sessions, "big"));
		assert_null(app.sessions.claims);
		retire_all(&app.retire);
		assert_int_equal(app.sessions.n_legs, SOME);
		char *after = session_text("call");
		assert_string_equal(before, after);
		free(after);
	}
	free(before);
	remove_all();
}

// The client went away, or the relay ends, at any step: what has begun is finished, what waits is not.
static void who_leaves_leaves_nothing_half_done(void **state)
{
	(void)state;
	struct legs all = {.n = SOME};
	for (unsigned left_at = 1; left_at < 6 * SOME; left_at += SOME / 3) {
		struct rpc_work *big = begin("session.apply", session_params("big", "sip:g", &all));
		for (unsigned n_steps = 0; n_steps < left_at; n_steps++)
			assert_false(rpc_work_step(big, 0));
		struct rpc_work *waits = begin("session.remove", "{\"ids\":[\"big\"]}");
		bool begun = app.sessions.claims;
		rpc_work_step(waits, 0);
		size_t len;
		if (left_at % 2)
			assert_true(rpc_work_leave(big));
		secmem_free(rpc_work_close(waits, &len));
		secmem_free(rpc_work_close(big, &len));
		assert_null(app.sessions.claims);
		if (begun)
			expect_legs("big", SOME);
		else
			assert_null(session_find(&app.sessions, "big"));
		remove_all();
	}
}

// Legs name others that come later in the request, or change then; nobody else hears them at any time.
static void whom_a_leg_names_is_who_receives(void **state)
{
	(void)state;
	struct legs all = {.n = SOME};
	for (unsigned round = 0; round < 3; round++) {
		all.change = round == 1;
		struct rpc_work *big = begin("session.apply", session_params("big", "sip:g", &all));
		bool done = false;
		while (!done) {
			done = rpc_work_step(big, 0);
			const struct session *session = session_find(&app.sessions, "big");
			const struct session_leg *talker =
				session ? session_leg_find(session, "l0") : NULL;
			const struct leg *leg =
				talker ? leg_get(&app.relay.legs, talker->index) : NULL;
			if (!leg)
				continue;
			const struct fanout *fanout = atomic_load(leg->fanout[SRTP_RTP]);
			assert_int_equal(fanout->n_variants, 1);
			assert_int_equal(fanout->variants[0].n_dests, 2);
		}
		json_decref(end(big));
	}
	remove_all();
}

// A key that changes meanwhile is followed: at the end all legs know what is there.
static void keys_change_meanwhile(void **state)
{
	(void)state;
	static const char install[] = "{\"replace\":true,\"keys\":[{\"id\":\"0a000001\",\"value\":"
				      "\"2222222222222222222222222222222%u\",\"rand\":"
				      "\"000102030405060708090a0b0c0d0e0f\"}]}";
	struct legs all = {.n = 2 * SOME};
	for (unsigned round = 0; round < 2; round++) {
		struct rpc_work *big = begin("session.apply", session_params("big", "sip:g", &all));
		unsigned n_steps = 0;
		for (; !rpc_work_step(big, 0); n_steps++) {
			char text[256];
			snprintf(text, sizeof(text), install, n_steps / 100 % 10);
			if (n_steps % 300 == 150)
				assert_int_equal(
					call("key.revoke", "{\"keys\":[{\"id\":\"0a000001\"}]}"),
					0);
			if (n_steps % 50 == 0)
				assert_int_equal(call("key.install", text), 0);
			sessions_follow(&app.sessions, 0);
		}
		json_t *answer = end(big);
		assert_int_equal(code_of(answer), 0);
		json_decref(answer);
		sessions_follow(&app.sessions, UINT64_MAX);
		const struct key_slot *slot = keystore_find(
			&app.keys, keystore_domain_find(&app.keys, "home"), 0x0a000001);
		const struct session *session = session_find(&app.sessions, "big");
		const struct session_leg *one;
		TAILQ_FOREACH (one, &session->legs, entry) {
			const struct leg *leg = leg_get(&app.relay.legs, one->index);
			assert_int_equal(leg->in[SRTP_RTP].n_keys, 1);
			assert_int_equal(leg->in[SRTP_RTP].keys[0].root, slot->index);
		}
	}
	remove_all();
}

// What is sent is looked at anew where the group or the service is another, and only there.
static void a_restatement_revises_what_changed(void **state)
{
	(void)state;
	struct legs all = {.n = 5};
	n_revisions = 0;
	assert_int_equal(call("session.apply", session_params("call", "sip:g", &all)), 0);
	assert_int_equal(call("session.apply", session_params("call", "sip:g", &all)), 0);
	all.n = 4;
	assert_int_equal(call("session.apply", session_params("call", "sip:g", &all)), 0);
	assert_int_equal(n_revisions, 0);
	assert_int_equal(call("session.apply", session_params("call", "sip:h", &all)), 0);
	assert_in_range(n_revisions, 1, 2);
	n_revisions = 0;
	assert_int_equal(
		call("session.apply", "{\"session\":{\"id\":\"call\",\"service\":\"mcvideo\","
				      "\"type\":\"group\",\"group\":\"sip:h\",\"legs\":[]}}"),
		0);
	assert_in_range(n_revisions, 1, 2);
	remove_all();
}

// However many legs leave, what was counted of each is told; those that went meanwhile are not counted.
static void all_that_leave_tell_what_was_counted(void **state)
{
	(void)state;
	struct legs all = {.n = SOME};
	assert_int_equal(call("session.apply", session_params("call", "sip:g", &all)), 0);
	const struct session *session = session_find(&app.sessions, "call");
	const struct session_leg *leg;
	unsigned n_counted = 0;
	TAILQ_FOREACH (leg, &session->legs, entry) {
		unsigned number = (unsigned)atoi(leg->spec.id + 1);
		if (number % 2 == 0)
			continue;
		app.relay.workers[0]->legs[leg->index].rx_packets = 7;
		n_counted += number < SOME - 10;
	}
	int n = snprintf(params, sizeof(params), "{\"session\":\"call\",\"ids\":[");
	for (unsigned i = 0; i < SOME - 10; i++)
		n += sprintf(params + n, "%s\"l%u\"", i ? "," : "", i);
	strcpy(params + n, "]}");
	struct rpc_work *work = begin("leg.remove", params);
	assert_false(rpc_work_step(work, 0));
	assert_int_equal(call("leg.remove", "{\"session\":\"call\",\"ids\":[\"l100\"]}"), 0);
	while (!rpc_work_step(work, 0))
		;
	json_t *answer = end(work);
	const json_t *result = json_object_get(answer, "result");
	assert_int_equal(json_integer_value(json_object_get(result, "removed")), SOME - 11);
	const json_t *legs = json_object_get(result, "legs");
	assert_int_equal(json_array_size(legs), n_counted);
	for (size_t i = 0; i < json_array_size(legs); i++) {
		const json_t *statistics = json_object_get(json_array_get(legs, i), "statistics");
		assert_true(json_integer_value(json_object_get(
				    json_object_get(statistics, "receive"), "packets")) > 0);
	}
	json_decref(answer);
	expect_legs("call", 10);
	remove_all();
}

static char fault_paths[SOME][128];
static unsigned n_faults;

static void note_fault(void *arg, const struct rpc_error *error)
{
	assert_ptr_equal(arg, fault_paths);
	assert_true(n_faults < SOME);
	snprintf(fault_paths[n_faults++], sizeof(fault_paths[0]), "%s", error->path);
}

// Runs the session with faults watched; *n_steps it took.
static struct rpc_error watch(json_t *request, unsigned *n_steps)
{
	struct rpc_error error = {};
	struct session_apply *apply = session_apply_open(
		&app.sessions, json_object_get(request, "session"), "session", &error);
	assert_non_null(apply);
	session_apply_watch_faults(apply, note_fault, fault_paths);
	for (*n_steps = 0; !session_apply_step(apply, &error); ++*n_steps)
		;
	session_apply_close(apply);
	return error;
}

// Who restores a session finds all that one stage does not take at once, of however many legs.
static void all_faults_of_a_stage_are_told(void **state)
{
	(void)state;
	static const char elsewhere[] = "10.0.0.2:"; // no address of the relay
	unsigned n_steps;
	char path[64];
	session_params("call", "sip:g", &(struct legs){.n = SOME});
	for (unsigned i = 1; i < SOME; i += 2) {
		snprintf(path, sizeof(path), "10.0.0.1:%u", 5000 + i);
		memcpy(strstr(params, path), elsewhere, strlen(elsewhere));
	}
	json_t *request = json_loads(params, 0, NULL);
	n_faults = 0;
	struct rpc_error error = watch(request, &n_steps);
	assert_int_equal(n_faults, SOME / 2);
	for (unsigned i = 0; i < n_faults; i++) {
		snprintf(path, sizeof(path), "session.legs[%u].local", 2 * i + 1);
		assert_string_equal(fault_paths[i], path);
	}
	assert_int_not_equal(error.code, RPC_OK);
	assert_string_equal(error.path, "session.legs[1].local"); // the first
	assert_true(n_steps < 12 * SOME);
	assert_null(session_find(&app.sessions, "call"));
	assert_int_equal(app.sessions.n_legs, 0);
	assert_null(app.sessions.claims);
	json_decref(request);
}

static int app_start(void **state)
{
	(void)state;
	if (session_lab_open(&app, LEGS_MAX, 0, 0) != 0)
		return -1;
	return call("key.install",
		"{\"keys\":[{\"id\":\"0a000001\",\"value\":\"11111111111111111111111111111111\","
		"\"rand\":\"000102030405060708090a0b0c0d0e0f\"}]}");
}

static int app_end(void **state)
{
	(void)state;
	return session_lab_close(&app);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(a_step_does_not_grow_with_the_request),
		cmocka_unit_test(others_are_served_between_steps),
		cmocka_unit_test(addresses_are_taken_once),
		cmocka_unit_test(requests_about_the_session_wait),
		cmocka_unit_test(what_is_refused_leaves_no_trace),
		cmocka_unit_test(who_leaves_leaves_nothing_half_done),
		cmocka_unit_test(whom_a_leg_names_is_who_receives),
		cmocka_unit_test(keys_change_meanwhile),
		cmocka_unit_test(a_restatement_revises_what_changed),
		cmocka_unit_test(all_that_leave_tell_what_was_counted),
		cmocka_unit_test(all_faults_of_a_stage_are_told)};
	alarm(300); // a test that failed half way may not be able to clean up
	return cmocka_run_group_tests(tests, app_start, app_end);
}
