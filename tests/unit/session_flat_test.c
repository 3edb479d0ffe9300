// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

// What a change of one leg costs does not grow with its session, counted in what is allocated and retired; and after any
// change each leg sends to exactly those that it has to.

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
#include "key/key_domain.h"
#include "key/key_slot.h"
#include "session/session_follow.h"
#include "session/session_legs.h"
#include "session/session_store.h"
#include "tests/unit/session_lab.h"
#include "tests/unit/work_count.h"

enum {
	FEW = 100,
	MANY = 3200,
	LEGS_MAX = MANY + 100,
	LINE_OCTETS = 1 << 20,
	// Of the fan-outs for RTP and RTCP: a block that has no room left, and the list of blocks; with
	// what is rounded up, still no tenth of what a header for each leg takes.
	MORE_OCTETS = 2 * (AUDIENCE_BLOCK * sizeof(struct fanout_dest) +
				  MANY / AUDIENCE_BLOCK * sizeof(struct fanout_part) + 256),
};

static struct app app;
static char params[LINE_OCTETS];

// --- work

static uint64_t n_built; // legs
static uint64_t n_freed; // pieces of memory

void __real_free(void *p);
void __wrap_free(void *p);

void __wrap_free(void *p)
{
	n_freed += p != NULL;
	__real_free(p);
}

struct leg *__real_leg_build(struct keystore *store, const struct session_leg *leg);
struct leg *__wrap_leg_build(struct keystore *store, const struct session_leg *leg);

void __real_retire_later(struct retire *retire, retire_fn release, void *what, uint32_t index);
void __wrap_retire_later(struct retire *retire, retire_fn release, void *what, uint32_t index);

void __wrap_retire_later(struct retire *retire, retire_fn release, void *what, uint32_t index)
{
	work.retired++;
	__real_retire_later(retire, release, what, index);
}

struct leg *__wrap_leg_build(struct keystore *store, const struct session_leg *leg)
{
	n_built++;
	return __real_leg_build(store, leg);
}

// --- requests

// One request; whether it succeeded.
static bool call(const char *method, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool call(const char *method, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int n = vsnprintf(params, sizeof(params), format, args);
	va_end(args);
	assert_true(n > 0 && (size_t)n < sizeof(params));
	size_t len;
	char *answer = session_lab_call(&app, method, params, &len);
	static const char member[] = "\"result\"";
	bool good = memmem(answer, len, member, sizeof(member) - 1) != NULL;
	secmem_free(answer);
	retire_poll(&app.retire);
	return good;
}

// A leg as the tests state it.
struct stated {
	bool there, deaf, control, no_rtcp, plain, has_to;
	uint8_t moved;  // changes its remote
	uint32_t to[3]; // numbers of legs
	uint32_t n_to;
};

static char *leg_text(uint32_t number, const struct stated *leg, char out[512])
{
	char to[128] = "";
	int n = 0;
	if (leg->has_to) {
		n = snprintf(to, sizeof(to), ",\"to\":[");
		for (uint32_t i = 0; i < leg->n_to; i++)
			n += snprintf(to + n, sizeof(to) - (size_t)n, "%s\"l%u\"", i ? "," : "",
				leg->to[i]);
		snprintf(to + n, sizeof(to) - (size_t)n, "]");
	}
	snprintf(out, 512,
		"{\"id\":\"l%u\",\"port\":\"ran\",\"local\":\"10.0.0.1:%u\",\"remote\":"
		"\"10.0.0.9:%u\",\"send\":%s,\"traffic\":\"%s\",\"rtcp\":\"%s\",\"protection\":"
		"{\"mode\":%s}%s}",
		number, 5000 + number, 20000 + number + 10000U * leg->moved,
		leg->deaf ? "false" : "true", leg->control ? "control" : "media",
		leg->no_rtcp ? "none" : "mux",
		leg->plain || leg->control ? "\"plain\"" : "\"srtp\",\"key\":\"0a000001\"", to);
	return out;
}

static bool leg_apply(uint32_t number, const struct stated *leg)
{
	char text[512];
	return call(
		"leg.apply", "{\"session\":\"call\",\"legs\":[%s]}", leg_text(number, leg, text));
}

static bool leg_remove(uint32_t number)
{
	return call("leg.remove", "{\"session\":\"call\",\"ids\":[\"l%u\"]}", number);
}

static void session_open(uint32_t n)
{
	char text[512];
	assert_true(call("session.apply",
		"{\"session\":{\"id\":\"call\",\"service\":\"mcptt\",\"type\":\"group\","
		"\"legs\":[]}}"));
	for (uint32_t i = 0; i < n; i++)
		assert_true(call("leg.apply", "{\"session\":\"call\",\"legs\":[%s]}",
			leg_text(i, &(struct stated){.there = true}, text)));
}

static void session_close(void)
{
	assert_true(call("session.remove", "{\"ids\":[\"call\"]}"));
	retire_all(&app.retire);
}

// --- cost

enum change { JOIN, MUTE, DEAFEN, HEAR, MOVE, LEAVE, CHANGES };

static void change_make(enum change change, uint32_t n)
{
	struct stated leg = {.there = true, .deaf = change == DEAFEN, .moved = change == MOVE};
	if (change == LEAVE)
		assert_true(leg_remove(n / 2));
	else
		assert_true(leg_apply(change == JOIN ? n : n / 2, &leg));
}

static void costs_in_session(uint32_t n, struct work costs[CHANGES])
{
	session_open(n);
	for (enum change change = JOIN; change < CHANGES; change++) {
		work = (struct work){};
		change_make(change, n);
		costs[change] = work;
	}
	session_close();
}

static void a_change_costs_the_same_in_a_large_session(void **state)
{
	(void)state;
	struct work few[CHANGES], many[CHANGES];
	costs_in_session(FEW, few);
	costs_in_session(MANY, many);
	for (enum change change = JOIN; change < CHANGES; change++) {
		assert_true(many[change].allocs <= few[change].allocs + 2);
		assert_true(many[change].octets <= few[change].octets + MORE_OCTETS);
		assert_true(many[change].retired <= few[change].retired + 2);
	}
}

// --- receivers

enum { CROWD = 150 };

static struct stated crowd[CROWD];

static bool crowd_receives(uint32_t from, uint32_t leg, unsigned protocol)
{
	const struct stated *a = &crowd[from], *b = &crowd[leg];
	if (!b->there || b->deaf)
		return false;
	if (a->has_to) {
		bool named = false;
		for (uint32_t i = 0; i < a->n_to; i++)
			named |= a->to[i] == leg;
		return named && (protocol == SRTP_RTP ? !b->control : b->control || !b->no_rtcp);
	}
	if (protocol == SRTP_RTP || !a->control)
		return !b->control && (protocol == SRTP_RTP || !b->no_rtcp);
	return b->control;
}

// Marks whom a part has, each once, each with the headers to where it is now.
static void part_mark(const struct fanout_part *part, uint8_t mode, bool marks[CROWD])
{
	for (uint32_t i = 0; i < part->n; i++) {
		const struct fanout_dest *dest = &part->dests[i];
		const struct session_leg *leg = session_leg_at(&app.sessions, dest->leg);
		assert_non_null(leg);
		uint32_t number = (uint32_t)atoi(leg->spec.id + 1);
		assert_false(marks[number]);
		marks[number] = true;
		assert_int_equal(mode, leg->spec.protection[SRTP_RTP].mode);
		struct fanout_receiver receiver = {.leg = leg->index,
			.neighbour = leg->neighbour,
			.port = leg->spec.port,
			.mtu = app.relay.ports[leg->spec.port].mtu,
			.local = &leg->spec.local,
			.remote = &leg->remote};
		struct fanout_dest right;
		fanout_dest_fill(&right, &receiver);
		assert_memory_equal(dest, &right, sizeof(right));
	}
}

static void expect_fanout(uint32_t from, unsigned protocol, const struct fanout *fanout)
{
	bool marks[CROWD] = {};
	assert_true(fanout->n_variants <= 2);
	struct fanout_walk walk = fanout_walk_begin(fanout);
	const struct fanout_variant *variant;
	for (uint32_t v = 0; (variant = fanout_walk_next(&walk)) != NULL; v++) {
		uint32_t n = variant->first.n;
		part_mark(&variant->first, variant->mode, marks);
		for (uint32_t i = 0; i < variant->n_more; i++) {
			part_mark(&variant->more[i], variant->mode, marks);
			n += variant->more[i].n;
		}
		assert_int_equal(n, variant->n_dests);
		assert_true(n > 0);
		assert_int_equal(
			variant->only_leg, n == 1 ? variant->first.dests[0].leg : LEG_NONE);
		assert_int_equal(variant->by_talker, v < fanout->n_talker_variants);
	}
	for (uint32_t i = 0; i < CROWD; i++)
		assert_int_equal(marks[i], crowd_receives(from, i, protocol));
}

static void expect_crowd(void)
{
	const struct session *session = session_find(&app.sessions, "call");
	for (uint32_t i = 0; i < CROWD; i++) {
		char id[16];
		snprintf(id, sizeof(id), "l%u", i);
		const struct session_leg *there = session_leg_find(session, id);
		assert_int_equal(there != NULL, crowd[i].there);
		if (!there)
			continue;
		const struct leg *leg = leg_get(&app.relay.legs, there->index);
		for (unsigned protocol = 0; protocol < SRTP_N_PROTOCOLS; protocol++)
			expect_fanout(i, protocol, atomic_load(leg->fanout[protocol]));
	}
}

static uint32_t random_below(uint32_t n)
{
	static uint64_t seed = 1;
	seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (uint32_t)(seed >> 33) % n;
}

static struct stated crowd_random(uint32_t number)
{
	struct stated leg = {.there = true,
		.deaf = random_below(4) == 0,
		.control = random_below(5) == 0,
		.no_rtcp = random_below(5) == 0,
		.plain = random_below(3) == 0,
		.has_to = random_below(4) == 0,
		.moved = (uint8_t)random_below(2)};
	for (unsigned i = 0; leg.has_to && i < 3; i++) {
		uint32_t to = random_below(CROWD);
		if (to != number && crowd[to].there)
			leg.to[leg.n_to++] = to; // maybe the same twice
	}
	return leg;
}

// Whoever named the leg names it no more.
static void crowd_forget(uint32_t number)
{
	crowd[number] = (struct stated){};
	for (uint32_t i = 0; i < CROWD; i++)
		for (uint32_t t = crowd[i].n_to; t-- > 0;)
			if (crowd[i].to[t] == number)
				crowd[i].to[t] = crowd[i].to[--crowd[i].n_to];
}

// The whole session stated anew, of those that are to be there.
static void crowd_restate(void)
{
	static char legs[CROWD * 512];
	char text[512];
	int n = 0;
	for (uint32_t i = 0; i < CROWD; i++)
		if (crowd[i].there)
			n += snprintf(legs + n, sizeof(legs) - (size_t)n, "%s%s", n ? "," : "",
				leg_text(i, &crowd[i], text));
	legs[n] = '\0';
	assert_true(call("session.apply",
		"{\"session\":{\"id\":\"call\",\"service\":\"mcptt\",\"type\":\"group\","
		"\"legs\":[%s]}}",
		legs));
}

static void everyone_sends_to_whom_he_has_to(void **state)
{
	(void)state;
	session_open(0);
	for (unsigned round = 0; round < 1500; round++) {
		uint32_t number = random_below(CROWD);
		if (crowd[number].there && random_below(3) == 0) {
			assert_true(leg_remove(number));
			crowd_forget(number);
		} else {
			crowd[number] = crowd_random(number);
			assert_true(leg_apply(number, &crowd[number]));
		}
		if (round % 300 == 299) {
			for (uint32_t i = 0; i < CROWD / 3; i++)
				crowd_forget(random_below(CROWD));
			crowd_restate();
		}
		if (round % 10 == 0)
			expect_crowd();
	}
	session_close();
	memset(crowd, 0, sizeof(crowd));
}

// Legs of one class that change together get what they state, also while some of them have changed and are still in it.
static void legs_that_change_together_get_what_they_state(void **state)
{
	(void)state;
	const char *modes[] = {"\"srtp\",\"key\":\"0a000001\"", "\"plain\"",
		"\"srtp\",\"key\":\"0a000001\",\"profile\":{\"mki_length\":4}"};
	session_open(0);
	for (unsigned round = 0; round < 6; round++) {
		char legs[3][512];
		for (unsigned i = 0; i < 3; i++)
			snprintf(legs[i], sizeof(legs[i]),
				"{\"id\":\"l%u\",\"port\":\"ran\",\"local\":\"10.0.0.1:%u\","
				"\"remote\":\"10.0.0.9:7000\",\"protection\":{\"mode\":%s}}",
				i, 5000 + i, modes[round % 3]);
		assert_true(call("leg.apply", "{\"session\":\"call\",\"legs\":[%s,%s,%s]}", legs[0],
			legs[1], legs[2]));
		const struct session *session = session_find(&app.sessions, "call");
		const struct fanout *fanout =
			atomic_load(&session->audiences[AUDIENCE_RTP]->fanout);
		assert_int_equal(fanout->n_variants, 1);
		assert_int_equal(fanout->variants[0].n_dests, 3);
		assert_int_equal(fanout->variants[0].mode, round % 3 == 1 ? LEG_PLAIN : LEG_SRTP);
		if (round % 3 != 1)
			assert_int_equal(fanout->variants[0].key.mki_len, round % 3 == 0 ? 8 : 4);
	}
	session_close();
}

// --- limits

// A packet has room for the contexts of eight variants of GMKs. What is accepted besides makes another one, too.
static void ninth_way_to_use_a_gmk_is_refused(void **state)
{
	(void)state;
	static const char accepts[9][32] = {"", "\"0a000002\"", "\"0a000003\"", "\"0a000004\"",
		"\"0a000005\"", "\"0a000006\"", "\"0a000007\"", "\"0a000008\"", "\"0a000009\""};
	for (unsigned i = 2; i <= 9; i++)
		assert_true(call("key.install",
			"{\"keys\":[{\"id\":\"0a00000%u\",\"value\":"
			"\"1111111111111111111111111111111%u\",\"rand\":"
			"\"000102030405060708090a0b0c0d0e0f\"}]}",
			i, i));
	session_open(0);
	for (unsigned i = 0; i < 9; i++)
		assert_int_equal(
			call("leg.apply",
				"{\"session\":\"call\",\"legs\":[{\"id\":\"l%u\",\"port\":\"ran\","
				"\"local\":\"10.0.0.1:%u\",\"remote\":\"10.0.0.9:7000\","
				"\"protection\":{\"mode\":\"srtp\",\"key\":\"0a000001\","
				"\"accept\":[%s]}}]}",
				i, 5000 + i, accepts[i]),
			i < 8);
	// one of the eight changes to the ninth, another leg joins in one of those that are left
	assert_true(call("leg.apply",
		"{\"session\":\"call\",\"legs\":[{\"id\":\"l3\",\"port\":\"ran\",\"local\":"
		"\"10.0.0.1:5003\",\"remote\":\"10.0.0.9:7000\",\"protection\":{\"mode\":"
		"\"srtp\",\"key\":\"0a000001\",\"accept\":[\"0a000009\"]}}]}"));
	assert_true(leg_apply(20, &(struct stated){.there = true}));
	session_close();
}

// What stays counts beside what is stated.
static void what_stays_is_not_taken_again(void **state)
{
	(void)state;
	char text[512], other[512];
	struct stated plain = {.there = true, .plain = true};
	session_open(20);
	leg_text(30, &plain, text);
	memcpy(strstr(text, ":5030"), ":5007", 5);
	assert_false(call("leg.apply", "{\"session\":\"call\",\"legs\":[%s]}", text));
	// both stated: they change places
	leg_text(7, &plain, other);
	memcpy(strstr(other, ":5007"), ":5030", 5);
	assert_true(call("leg.apply", "{\"session\":\"call\",\"legs\":[%s,%s]}", text, other));
	assert_false(leg_apply(7, &plain)); // l30 has it now
	assert_true(leg_remove(30));
	assert_true(leg_apply(7, &plain));
	assert_false(leg_remove(30));
	assert_false(call("leg.remove", "{\"session\":\"call\",\"ids\":[\"l1\",\"l1\"]}"));
	assert_true(leg_remove(1));
	struct stated naming = {.there = true, .has_to = true, .to = {1}, .n_to = 1};
	assert_false(leg_apply(2, &naming));
	naming.to[0] = 2;
	assert_false(leg_apply(2, &naming));
	naming.to[0] = 3;
	assert_true(leg_apply(2, &naming));
	session_close();
}

// However little time there is: one leg a slice at least, and others may change the session between two.
static void a_session_is_shown_in_slices(void **state)
{
	(void)state;
	static const char request[] = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"session.get\","
				      "\"params\":{\"id\":\"call\"}}";
	struct rpc rpc = {.methods = control_methods, .app = &app.api};
	size_t len;
	session_open(60);
	struct rpc_work *get = rpc_work_open(&rpc, request, sizeof(request) - 1);
	unsigned n_slices = 0;
	while (!rpc_work_step(get, 0))
		if (++n_slices == 10) {
			assert_true(leg_remove(3));  // has been shown
			assert_true(leg_remove(40)); // not yet
			assert_true(leg_apply(70, &(struct stated){.there = true}));
			assert_true(leg_remove(41)); // comes again: it is another one
			assert_true(leg_apply(41, &(struct stated){.there = true}));
			assert_true(leg_apply(50, &(struct stated){.there = true, .deaf = true}));
		}
	assert_true(n_slices >= 50);
	char *answer = rpc_work_close(get, &len);
	json_t *json = json_loadb(answer, len, 0, NULL);
	const json_t *result = json_object_get(json, "result");
	const json_t *legs = json_object_get(result, "legs");
	assert_string_equal(json_string_value(json_object_get(result, "id")), "call");
	assert_true(json_is_array(json_object_get(result, "keys")));
	assert_int_equal(json_array_size(legs), 58);
	for (size_t i = 0; i < 58; i++) {
		const json_t *leg = json_array_get(legs, i);
		char id[16];
		snprintf(id, sizeof(id), "l%zu", i < 40 ? i : i + 2);
		assert_string_equal(json_string_value(json_object_get(leg, "id")), id);
		assert_int_equal(json_is_true(json_object_get(leg, "send")), i + 2 != 50);
	}
	json_decref(json);
	secmem_free(answer);
	session_close();
}

// --- long requests

enum { FREED_AT_MOST = 4096 };

// How many pieces of memory one step of a request frees at most, and the end of it.
static uint64_t freed_at_once(const char *line, const char *answered)
{
	struct rpc rpc = {.methods = control_methods, .app = &app.api};
	struct rpc_work *run = rpc_work_open(&rpc, line, strlen(line));
	uint64_t most = 0;
	size_t len;
	for (bool done = false; !done;) {
		n_freed = 0;
		done = rpc_work_step(run, 0);
		most = n_freed > most ? n_freed : most;
	}
	n_freed = 0;
	char *answer = rpc_work_close(run, &len);
	most = n_freed > most ? n_freed : most;
	assert_non_null(memmem(answer, len, answered, strlen(answered)));
	secmem_free(answer);
	retire_all(&app.retire);
	return most;
}

// A session.apply of many legs between other text; the caller frees it.
static char *apply_line(const char *before, const char *after)
{
	char *line = malloc(LINE_OCTETS);
	size_t len = 0;
	assert_non_null(line);
	len += (size_t)sprintf(line,
		"%s{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"session.apply\",\"params\":"
		"{\"session\":{\"id\":\"call\",\"service\":\"mcptt\",\"type\":\"group\",\"legs\":[",
		before);
	for (uint32_t i = 0; i < MANY; i++) {
		char text[512];
		len += (size_t)sprintf(line + len, "%s%s", i > 0 ? "," : "",
			leg_text(i, &(struct stated){.there = true}, text));
	}
	sprintf(line + len, "%s", after);
	return line;
}

// However many legs a request states, and however it ends, no step frees what it was and what it meant in one piece.
static void a_long_request_is_freed_step_by_step(void **state)
{
	static const struct {
		const char *before, *after, *answered;
	} requests[] = {
		{"", "]}}}", "\"created\":true"},
		{"", "]}}}", "\"created\":false"},
		{"[", "]}}}]", "\"created\":false"},
		{"", ",{\"id\":\"last\"}]}}}", "-32602"}, // refused when it is read
		{"[", ",{\"id\":\"last\"}]}}}]", "-32602"},
		{"",
			",{\"id\":\"l0\",\"port\":\"ran\",\"local\":\"10.0.0.1:9\",\"receive\":"
			"false,\"protection\":{\"mode\":\"plain\"}}]}}}",
			"two legs"},                // when it is checked
		{"", "],\"legs\":[]}}}", "-32700"}, // it is no JSON
		{"", "],\"more\":1}}}", "more"},
	};
	(void)state;
	for (unsigned i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		char *line = apply_line(requests[i].before, requests[i].after);
		assert_in_range(freed_at_once(line, requests[i].answered), 1, FREED_AT_MOST);
		free(line);
	}
	session_close();
}

// --- keys

static const struct key_slot *key_install_in_group(const char *id)
{
	assert_true(call("key.install",
		"{\"keys\":[{\"id\":\"%s\",\"value\":\"11111111111111111111111111111111\","
		"\"rand\":\"000102030405060708090a0b0c0d0e0f\",\"groups\":[\"sip:g\"]}]}",
		id));
	const struct key_slot *slot = keystore_find(&app.keys,
		keystore_domain_find(&app.keys, "home"), (uint32_t)strtoul(id, NULL, 16));
	assert_non_null(slot);
	return slot;
}

// How many legs take what comes under that root key.
static uint32_t legs_with_key(uint32_t root)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < app.relay.legs.size; i++) {
		const struct leg *leg = leg_get(&app.relay.legs, i);
		for (uint32_t k = 0; leg && k < leg->in[SRTP_RTP].n_keys; k++)
			n += leg->in[SRTP_RTP].keys[k].root == root;
	}
	return n;
}

static const struct fanout_variant *session_variant(const struct session *session)
{
	const struct fanout *fanout = atomic_load(&session->audiences[AUDIENCE_RTP]->fanout);
	assert_int_equal(fanout->n_variants, 1);
	return &fanout->variants[0];
}

// All legs know a key before any media is sent under it, none is sent under one that has gone, and a leg that is
// there when it is asked for follows once.
static void a_large_session_follows_a_key_step_by_step(void **state)
{
	(void)state;
	session_open(MANY);
	const struct session *session = session_find(&app.sessions, "call");
	uint32_t old = key_install_in_group("0a000001")->index;
	sessions_follow(&app.sessions, UINT64_MAX);
	assert_false(session->follows);

	uint32_t new = key_install_in_group("0a00000c")->index;
	unsigned n_steps = 0;
	for (; session->follows; n_steps++) {
		assert_int_equal(session_variant(session)->key.root, old);
		if (n_steps == 100) { // the leg that is next leaves, one joins, one changes
			assert_true(leg_remove((uint32_t)atoi(session->follows_at->spec.id + 1)));
			assert_true(leg_apply(MANY, &(struct stated){.there = true}));
			assert_true(leg_apply(1, &(struct stated){.there = true, .moved = 1}));
			assert_int_equal(session_variant(session)->key.root, old);
		}
		sessions_follow(&app.sessions, 0);
	}
	assert_true(n_steps > MANY - 10);
	assert_int_equal(legs_with_key(new), MANY);
	assert_int_equal(legs_with_key(old), MANY);
	assert_int_equal(session_variant(session)->key.root, new);
	assert_int_equal(session_variant(session)->n_others, 1);

	assert_true(call("key.revoke", "{\"keys\":[{\"id\":\"0a000001\"}]}"));
	assert_true(session->follows);
	assert_int_equal(session_variant(session)->n_others, 0);
	assert_int_not_equal(key_install_in_group("0a00000d")->index, old);
	retire_all(&app.retire);
	assert_int_not_equal(key_install_in_group("0a00000e")->index, old);
	assert_int_equal(session_variant(session)->key.root, new);
	sessions_follow(&app.sessions, UINT64_MAX);
	assert_int_equal(legs_with_key(old), 0);
	assert_int_equal(session_variant(session)->n_others, 2);
	retire_all(&app.retire);
	assert_int_equal(key_install_in_group("0a00000f")->index, old);

	assert_true(session->follows);
	session_close();
	assert_true(TAILQ_EMPTY(&app.sessions.following));
	assert_null(app.keys.finish);
}

static const struct fanout_variant *variant_at(
	const struct session *session, unsigned kind, const char *leg_id)
{
	const struct session_leg *leg = session_leg_find(session, leg_id);
	struct fanout_walk walk = fanout_walk_begin(atomic_load(&session->audiences[kind]->fanout));
	const struct fanout_variant *variant;
	while ((variant = fanout_walk_next(&walk)) != NULL)
		if (variant->only_leg == leg->index)
			break;
	assert_non_null(variant);
	return variant;
}

// However many legs name their receivers, no step makes what more than one of them sends to.
static void legs_with_receivers_of_their_own_follow_step_by_step(void **state)
{
	(void)state;
	key_install_in_group("0a000001");
	session_open(MANY);
	for (uint32_t i = 0; i < MANY; i++)
		assert_true(leg_apply(i,
			&(struct stated){
				.there = true, .has_to = true, .to = {(i + 1) % MANY}, .n_to = 1}));
	const struct session *session = session_find(&app.sessions, "call");
	sessions_follow(&app.sessions, UINT64_MAX);
	uint32_t new = key_install_in_group("0a0000b1")->index;
	assert_true(session->follows);
	while (session->follows) {
		work = (struct work){};
		sessions_follow(&app.sessions, 0);
		assert_true(work.allocs <= 100);
		retire_poll(&app.retire);
	}
	const struct session_leg *leg;
	TAILQ_FOREACH (leg, &session->legs, entry)
		for (unsigned protocol = 0; protocol < SRTP_N_PROTOCOLS; protocol++)
			assert_int_equal(
				atomic_load(&leg->own[protocol]->fanout)->variants[0].key.root,
				new);
	session_close();
}

enum { SOME = 300 }; // more than follow at once

// The context that media of a leg to its own receivers leaves under.
static uint32_t own_ctx(const struct session_leg *leg)
{
	return atomic_load(&leg->own[SRTP_RTP]->fanout)->variants[0].ctx;
}

// Does a request in the smallest steps, none of which does what the change means for more than a few legs. Contexts to
// which fan-outs lead are there.
static void change_key_in_steps(const struct session *session, const char *method, const char *text)
{
	struct rpc rpc = {.methods = control_methods, .app = &app.api};
	char *line = session_lab_line(method, text);
	struct rpc_work *run = rpc_work_open(&rpc, line, strlen(line));
	size_t len;
	for (bool done = false; !done || session->follows;) {
		work = (struct work){};
		if (!done)
			done = rpc_work_step(run, 0);
		else
			sessions_follow(&app.sessions, 0);
		assert_true(work.allocs <= 100);
		retire_poll(&app.retire);
		const struct session_leg *leg;
		TAILQ_FOREACH (leg, &session->legs, entry)
			assert_true(own_ctx(leg) == KEY_NONE ||
				    app.relay.keys.ctxs[own_ctx(leg)].by_mki.mki != 0);
	}
	char *answer = rpc_work_close(run, &len);
	assert_non_null(memmem(answer, len, "\"result\"", 8));
	secmem_free(answer);
	__real_free(line);
}

// A key that each leg sends under to receivers of its own: it is replaced, and revoked.
static void keys_of_legs_with_receivers_of_their_own_change_in_steps(void **state)
{
	static const char *const ids[] = {"1a0000f1", "0a0000f1"}; // a PCK and a GMK
	(void)state;
	for (unsigned k = 0; k < 2; k++) {
		char install[2][256], revoke[64], text[512];
		for (unsigned i = 0; i < 2; i++)
			snprintf(install[i], sizeof(install[i]),
				"{\"keys\":[{\"id\":\"%s\",\"value\":\"%032x\",\"rand\":"
				"\"000102030405060708090a0b0c0d0e0f\"}],\"replace\":true}",
				ids[k], i);
		snprintf(revoke, sizeof(revoke), "{\"keys\":[{\"id\":\"%s\"}]}", ids[k]);
		session_open(0);
		const struct session *session = session_find(&app.sessions, "call");
		change_key_in_steps(session, "key.install", install[0]);
		for (uint32_t i = 0; i < SOME; i++)
			assert_true(leg_apply(i, &(struct stated){.there = true}));
		for (uint32_t i = 0; i < SOME; i++) {
			snprintf(text, sizeof(text),
				"{\"id\":\"l%u\",\"port\":\"ran\",\"local\":\"10.0.0.1:%u\","
				"\"remote\":\"10.0.0.9:7000\",\"to\":[\"l%u\"],\"protection\":"
				"{\"mode\":\"srtp\",\"key\":\"%s\"%s}}",
				i, 5000 + i, (i + 1) % SOME, ids[k],
				k == 0 ? ",\"role\":\"initiator\"" : "");
			assert_true(
				call("leg.apply", "{\"session\":\"call\",\"legs\":[%s]}", text));
		}
		const struct session_leg *leg = TAILQ_FIRST(&session->legs);
		uint32_t before = own_ctx(leg);
		assert_int_equal(before == KEY_NONE, k == 1);
		change_key_in_steps(session, "key.install", install[1]);
		assert_true(own_ctx(leg) != before || before == KEY_NONE);
		assert_int_not_equal(
			atomic_load(&leg->own[SRTP_RTP]->fanout)->variants[0].key.root, KEY_NONE);
		change_key_in_steps(session, "key.revoke", revoke);
		assert_int_equal(
			atomic_load(&leg->own[SRTP_RTP]->fanout)->variants[0].key.root, KEY_NONE);
		assert_int_equal(app.keys.n_left_ctxs, 0);
		session_close();
	}
}

// The other legs of a large session are not built anew for it, and it is followed at once.
static void a_key_of_one_leg_concerns_that_leg_alone(void **state)
{
	static const char install[] =
		"{\"keys\":[{\"id\":\"2a000001\",\"value\":\"%032x\",\"rand\":"
		"\"000102030405060708090a0b0c0d0e0f\"}],\"replace\":true}";
	(void)state;
	key_install_in_group("0a000001");
	session_open(MANY);
	const struct session *session = session_find(&app.sessions, "call");
	assert_true(call("key.install", install, 1));
	assert_true(call("leg.apply",
		"{\"session\":\"call\",\"legs\":[{\"id\":\"floor\",\"port\":\"ran\",\"local\":"
		"\"10.0.0.1:4000\",\"remote\":\"10.0.0.9:4000\",\"traffic\":\"control\","
		"\"protection\":{\"mode\":\"srtp\",\"key\":\"2a000001\"}}]}"));
	uint32_t before = variant_at(session, AUDIENCE_CONTROL, "floor")->ctx;
	assert_int_not_equal(before, KEY_NONE);
	n_built = 0;
	assert_true(call("key.install", install, 2));
	assert_true(n_built <= 2); // without the old one, with the new one
	assert_false(session->follows);
	assert_int_not_equal(variant_at(session, AUDIENCE_CONTROL, "floor")->ctx, KEY_NONE);
	n_built = 0;
	assert_true(call("key.revoke", "{\"keys\":[{\"id\":\"2a000001\"}]}"));
	assert_true(n_built <= 1);
	assert_int_equal(variant_at(session, AUDIENCE_CONTROL, "floor")->ctx, KEY_NONE);

	// Nor does the session begin anew to follow another key.
	const uint32_t new = key_install_in_group("0a0000c1")->index;
	const struct session_leg *at = NULL;
	for (unsigned i = 0; i < 100; i++) {
		sessions_follow(&app.sessions, 0);
		at = session->follows_at;
	}
	assert_true(call("key.install", install, 3));
	assert_ptr_equal(session->follows_at, at);
	while (session->follows) {
		assert_int_not_equal(session_variant(session)->key.root, new);
		sessions_follow(&app.sessions, 0);
	}
	assert_int_equal(session_variant(session)->key.root, new);
	assert_int_not_equal(variant_at(session, AUDIENCE_CONTROL, "floor")->ctx, KEY_NONE);
	assert_true(call("leg.remove", "{\"session\":\"call\",\"ids\":[\"floor\"]}"));
	assert_true(call("key.revoke", "{\"keys\":[{\"id\":\"2a000001\"}]}"));
	session_close();
	assert_true(call("key.revoke", "{\"keys\":[{\"id\":\"0a0000c1\"}]}"));
}

static bool is_sent_under(const struct session *session, uint32_t root)
{
	for (unsigned kind = 0; kind < AUDIENCE_N; kind++) {
		struct fanout_walk walk =
			fanout_walk_begin(atomic_load(&session->audiences[kind]->fanout));
		const struct fanout_variant *variant;
		while ((variant = fanout_walk_next(&walk)) != NULL)
			if (variant->key.root == root)
				return true;
	}
	return false;
}

// Nothing is sent to a leg under the new key before all others know it, though another key of that leg changes meanwhile.
static void a_leg_of_two_keys_follows_with_the_others(void **state)
{
	static const char install[] =
		"{\"keys\":[{\"id\":\"0b000001\",\"value\":\"%032x\",\"rand\":"
		"\"000102030405060708090a0b0c0d0e0f\"}],\"replace\":true}";
	(void)state;
	key_install_in_group("0a000001");
	assert_true(call("key.install", install, 1));
	session_open(MANY);
	const struct session *session = session_find(&app.sessions, "call");
	assert_true(call("leg.apply",
		"{\"session\":\"call\",\"legs\":[{\"id\":\"both\",\"port\":\"ran\",\"local\":"
		"\"10.0.0.1:4000\",\"remote\":\"10.0.0.9:4000\",\"protection\":{\"mode\":\"srtp\","
		"\"key\":\"0a000001\",\"accept\":[\"0b000001\"]}}]}"));
	sessions_follow(&app.sessions, UINT64_MAX);
	const uint32_t new = key_install_in_group("0a0000e1")->index;
	assert_true(session->follows && session->follows_stage != FOLLOW_GAIN);
	assert_true(call("key.install", install, 2));
	assert_true(session->follows && session->follows_stage != FOLLOW_GAIN);
	while (session->follows) {
		assert_false(is_sent_under(session, new));
		sessions_follow(&app.sessions, 0);
	}
	assert_true(is_sent_under(session, new));
	session_close();
	assert_true(call("key.revoke", "{\"keys\":[{\"id\":\"0a0000e1\"},{\"id\":\"0b000001\"}]}"));
}

static bool variant_has(const struct fanout_variant *variant, uint32_t root)
{
	for (uint32_t i = 0; i < variant->n_others; i++)
		if (variant->others[i].root == root)
			return true;
	return false;
}

// What was sent under a key that stays goes on while one key comes and another goes, and so does what the others of the
// ring are told apart by. Where the one goes that was sent under, nothing is sent before all know the new one.
static void a_ring_turns_over_while_it_is_followed(void **state)
{
	(void)state;
	session_open(MANY);
	const struct session *session = session_find(&app.sessions, "call");
	const uint32_t old = key_install_in_group("0a0000d0")->index;
	const uint32_t other = key_install_in_group("0a0000d1")->index;
	const uint32_t stays = key_install_in_group("0a0000d2")->index;
	sessions_follow(&app.sessions, UINT64_MAX);
	assert_int_equal(session_variant(session)->key.root, stays);
	const uint32_t new = key_install_in_group("0a0000d3")->index;
	assert_true(call("key.revoke", "{\"keys\":[{\"id\":\"0a0000d0\"}]}"));
	while (session->follows) {
		const struct fanout_variant *variant = session_variant(session);
		assert_int_equal(variant->key.root, stays);
		assert_true(variant_has(variant, other) && !variant_has(variant, old));
		sessions_follow(&app.sessions, 0);
	}
	assert_int_equal(session_variant(session)->key.root, new);

	const uint32_t newest = key_install_in_group("0a0000d4")->index;
	assert_true(call("key.revoke", "{\"keys\":[{\"id\":\"0a0000d3\"}]}"));
	while (session->follows) {
		assert_int_equal(session_variant(session)->key.root, KEY_NONE);
		assert_int_equal(session_variant(session)->ctx, KEY_NONE);
		sessions_follow(&app.sessions, 0);
	}
	assert_int_equal(session_variant(session)->key.root, newest);
	session_close();
	assert_true(call("key.revoke",
		"{\"keys\":[{\"id\":\"0a0000d1\"},{\"id\":\"0a0000d2\"},{\"id\":\"0a0000d4\"}]}"));
}

// A leg follows a change of any key of its ring, whichever it names, and one that leaves the ring.
static void legs_follow_other_keys_of_their_ring(void **state)
{
	static const char install[] =
		"{\"keys\":[{\"id\":\"0a0000%x\",\"value\":\"111111111111111111111111111111%x\","
		"\"rand\":\"000102030405060708090a0b0c0d0e0f\",\"groups\":[\"sip:%s\"]}]}";
	(void)state;
	session_open(0);
	const struct session *session = session_find(&app.sessions, "call");
	for (unsigned i = 0; i < 2; i++) {
		assert_true(call("key.install", install, 0xa1 + i, 0xa1 + i, "ring"));
		assert_true(call("leg.apply",
			"{\"session\":\"call\",\"legs\":[{\"id\":\"l%u\",\"port\":\"ran\","
			"\"local\":\"10.0.0.1:%u\",\"remote\":\"10.0.0.9:7000\",\"protection\":"
			"{\"mode\":\"srtp\",\"key\":\"0a0000a%u\",\"profile\":"
			"{\"mki_length\":%u}}}]}",
			i, 5000 + i, 1 + i, 4 + 4 * i));
	}
	assert_true(call("key.install", install, 0xa3, 0xa3, "ring"));
	uint32_t newest =
		keystore_find(&app.keys, keystore_domain_find(&app.keys, "home"), 0x0a0000a3)
			->index;
	for (unsigned i = 0; i < 2; i++) {
		const struct fanout_variant *variant =
			variant_at(session, AUDIENCE_RTP, i == 0 ? "l0" : "l1");
		assert_int_equal(variant->key.root, newest);
		assert_int_equal(variant->n_others, 2);
	}
	assert_int_equal(legs_with_key(newest), 2);
	assert_true(call("key.install", install, 0xa3, 0xa3, "elsewhere"));
	for (unsigned i = 0; i < 2; i++) {
		const struct fanout_variant *variant =
			variant_at(session, AUDIENCE_RTP, i == 0 ? "l0" : "l1");
		assert_int_not_equal(variant->key.root, newest);
		assert_int_equal(variant->n_others, 1);
	}
	assert_int_equal(legs_with_key(newest), 0);
	session_close();
	assert_true(call("key.revoke",
		"{\"keys\":[{\"id\":\"0a0000a1\"},{\"id\":\"0a0000a2\"},{\"id\":\"0a0000a3\"}]}"));
}

// Whichever of its keys a leg names, and whichever it accepts besides.
static void keys_of_a_leg_stand_in_order_of_activation(void **state)
{
	static const char *const stated[][2] = {{"0a0000e1", "0a0000e2\",\"0a0000e3"},
		{"0a0000e2", "0a0000e3\",\"0a0000e1"}, {"0a0000e3", "0a0000e1\",\"0a0000e2"}};
	(void)state;
	// the last one is activated a second before the others
	for (uint32_t i = 1; i <= 3; i++)
		assert_true(call("key.install",
			"{\"keys\":[{\"id\":\"0a0000e%u\",\"value\":\"%032x\",\"rand\":"
			"\"000102030405060708090a0b0c0d0e0f\",\"activation\":%u}]}",
			i, i, 1000 - i / 3));
	session_open(0);
	const struct session *session = session_find(&app.sessions, "call");
	for (unsigned i = 0; i < 3; i++) {
		assert_true(call("leg.apply",
			"{\"session\":\"call\",\"legs\":[{\"id\":\"l0\",\"port\":\"ran\",\"local\":"
			"\"10.0.0.1:5000\",\"remote\":\"10.0.0.9:7000\",\"protection\":"
			"{\"mode\":\"srtp\",\"key\":\"%s\",\"accept\":[\"%s\"]}}]}",
			stated[i][0], stated[i][1]));
		const struct leg *leg =
			leg_get(&app.relay.legs, session_leg_find(session, "l0")->index);
		for (unsigned protocol = 0; protocol < SRTP_N_PROTOCOLS; protocol++) {
			const struct leg_key *keys = leg->in[protocol].keys;
			assert_int_equal(leg->in[protocol].n_keys, 3);
			assert_int_equal(keys[0].id, 0x0a0000e2);
			assert_int_equal(keys[1].id, 0x0a0000e1);
			assert_int_equal(keys[2].id, 0x0a0000e3);
			assert_true(keys[2].serial != 0 && keys[2].serial == keys[0].serial + 1);
		}
	}
	session_close();
	assert_true(call("key.revoke",
		"{\"keys\":[{\"id\":\"0a0000e1\"},{\"id\":\"0a0000e2\"},{\"id\":\"0a0000e3\"}]}"));
}

// When the last index of a root key is wanted it is waited for.
static void indices_of_keys_do_not_run_out(void **state)
{
	(void)state;
	key_install_in_group("0a000001");
	session_open(MANY);
	while (app.keys.n_roots < app.keys.max) {
		char id[16];
		snprintf(id, sizeof(id), "0b%06x", app.keys.n_roots);
		key_install_in_group(id);
	}
	for (unsigned i = 0; i < 3; i++) {
		assert_true(call("key.revoke", "{\"keys\":[{\"id\":\"0b000020\"}]}"));
		key_install_in_group("0b000020");
	}
	session_close();
}

static int app_start(void **state)
{
	(void)state;
	if (session_lab_open(&app, LEGS_MAX, 0, 0) != 0)
		return -1;
	assert_true(call("key.install",
		"{\"keys\":[{\"id\":\"0a000001\",\"value\":\"11111111111111111111111111111111\","
		"\"rand\":\"000102030405060708090a0b0c0d0e0f\"}]}"));
	return 0;
}

static int app_end(void **state)
{
	(void)state;
	return session_lab_close(&app);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_change_costs_the_same_in_a_large_session),
		cmocka_unit_test(everyone_sends_to_whom_he_has_to),
		cmocka_unit_test(legs_that_change_together_get_what_they_state),
		cmocka_unit_test(ninth_way_to_use_a_gmk_is_refused),
		cmocka_unit_test(what_stays_is_not_taken_again),
		cmocka_unit_test(a_session_is_shown_in_slices),
		cmocka_unit_test(a_long_request_is_freed_step_by_step),
		cmocka_unit_test(a_large_session_follows_a_key_step_by_step),
		cmocka_unit_test(legs_with_receivers_of_their_own_follow_step_by_step),
		cmocka_unit_test(keys_of_legs_with_receivers_of_their_own_change_in_steps),
		cmocka_unit_test(a_key_of_one_leg_concerns_that_leg_alone),
		cmocka_unit_test(a_leg_of_two_keys_follows_with_the_others),
		cmocka_unit_test(a_ring_turns_over_while_it_is_followed),
		cmocka_unit_test(legs_follow_other_keys_of_their_ring),
		cmocka_unit_test(keys_of_a_leg_stand_in_order_of_activation),
		cmocka_unit_test(indices_of_keys_do_not_run_out)};
	json_set_alloc_funcs(malloc, free); // these are counted
	alarm(300); // a test that failed half way may not be able to clean up
	return cmocka_run_group_tests(tests, app_start, app_end);
}
