// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

// libFuzzer entry: the input as a sequence of calls of the control API and of packets. Requests are made of
// docs/schema/control-api.json, valid ones and such as are nearly so, and some stand in the input as they are. Whatever is
// asked for:
//
//   an answer is as the schema says; so is a request that was granted
//   a request that was refused changed nothing that the API shows
//   of media, what control_media.h says
//   with the last key and session all contexts, legs, streams and buffers are back
//
// An input is steps, each of an octet for what it is, one for its length, and so many octets that decide the rest.

#include <stdlib.h>
#include <string.h>

#include "base/secmem.h"
#include "crypto/mcdata.h"
#include "dataplane/worker.h"
#include "host/relay.h"
#include "tests/fuzz/control_media.h"
#include "tests/fuzz/schema.h"
#include "tests/unit/dataplane_lab.h"
#include "tests/unit/session_lab.h"

enum step {
	STEP_CALL,
	STEP_PACKET,
	STEP_CALL_IN_STEPS,
	STEP_LINE,
	STEP_TIME,
	STEP_PACKETS,
	N_STEPS
};

enum {
	LEGS = 64,
	METHODS_MAX = 64,
	SHOWN_MAX = 1 << 20, // octets of what the API shows
	PACKETS = 8,         // of STEP_PACKETS
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct app app;
static struct rpc rpc;
static const char *methods[METHODS_MAX];
static unsigned n_methods;
static unsigned mbufs; // when nothing is under way
static char shown[2][SHOWN_MAX];
static size_t shown_len; // of the first, which is what there is; 0: it is not known

// --- calls

static json_t *call(const char *method, json_t *params)
{
	json_t *request = json_pack(
		"{s:s,s:i,s:s,s:o}", "jsonrpc", "2.0", "id", 1, "method", method, "params", params);
	char *line = json_dumps(request, JSON_COMPACT);
	size_t len;
	lab_require(line);
	char *text = rpc_answer(&rpc, line, strlen(line), &len);
	free(line);
	json_decref(request);
	lab_require(text);
	json_t *answer = json_loadb(text, len, 0, NULL);
	secmem_free(text);
	lab_require(answer);
	return answer;
}

static const json_t *result_of(const char *method, json_t *params, json_t **answer)
{
	*answer = call(method, params);
	const json_t *result = json_object_get(*answer, "result");
	lab_require(result);
	return result;
}

// When something was heard is told by another clock than that of the answer: it may move by some milliseconds.
static void times_remove(json_t *value)
{
	const char *name;
	json_t *member;
	size_t i;
	json_object_del(value, "last_seen");
	json_object_del(value, "last_sent");
	json_object_foreach (value, name, member)
		times_remove(member);
	json_array_foreach (value, i, member)
		times_remove(member);
}

static size_t append(char *text, size_t at, json_t *value)
{
	times_remove(value);
	const size_t n =
		json_dumpb(value, text + at, SHOWN_MAX - at, JSON_COMPACT | JSON_SORT_KEYS);
	lab_require(at + n < SHOWN_MAX);
	return at + n;
}

// All that the API shows of what it was told; where legs are is noted on the way.
static size_t show(char *text)
{
	static const char *const lists[] = {
		"key.list", "session.list", "kms.list", "identity.list"};
	json_t *answer, *one, *sessions = NULL;
	size_t at = 0, i;
	for (i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		const json_t *list =
			json_object_get(result_of(lists[i], json_object(), &answer), "sessions");
		at = append(text, at, answer);
		if (strcmp(lists[i], "session.list") == 0)
			sessions = json_incref((json_t *)(uintptr_t)list);
		json_decref(answer);
	}
	media_forget_legs();
	json_array_foreach (sessions, i, one) {
		json_t *id = json_object_get(one, "id");
		media_note_legs(result_of("session.get", json_pack("{s:O}", "id", id), &answer));
		at = append(text, at, answer);
		json_decref(answer);
	}
	json_decref(sessions);
	return at;
}

// --- what is said of a request

static void __attribute__((noreturn)) mistaken(
	const char *what, const char *why, const json_t *request, const json_t *answer)
{
	fprintf(stderr, "%s: %s\n", what, why);
	json_dumpf(request, stderr, JSON_ENCODE_ANY);
	fprintf(stderr, "\n");
	json_dumpf(answer, stderr, JSON_ENCODE_ANY);
	fprintf(stderr, "\n");
	abort();
}

static const json_t *def_of(const char *method, const char *part)
{
	char name[128];
	snprintf(name, sizeof(name), "%s.%s", method, part);
	return schema_def(name);
}

// A request without the elements that its answer rejects: each is taken, or not, on its own.
static void rejected_remove(json_t *params, const json_t *result)
{
	static const char *const lists[] = {"keys", "kms", "identities", "receivers"};
	const json_t *rejected = json_object_get(result, "rejected");
	for (size_t n = json_array_size(rejected); n-- > 0;)
		for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
			json_array_remove(json_object_get(params, lists[i]),
				(size_t)json_integer_value(
					json_object_get(json_array_get(rejected, n), "index")));
}

// null is what is left out.
static void nulls_remove(json_t *value)
{
	const char *name;
	json_t *member;
	void *next;
	size_t i;
	json_object_foreach_safe(value, next, name, member)
	{
		nulls_remove(member);
		if (json_is_null(member))
			json_object_del(value, name);
	}
	json_array_foreach (value, i, member)
		nulls_remove(member);
}

static void exchange_check(json_t *request, const json_t *answer)
{
	char why[SCHEMA_WHY_SIZE];
	const char *method = json_string_value(json_object_get(request, "method"));
	const json_t *result = json_object_get(answer, "result");
	const json_t *error = json_object_get(answer, "error");
	if (json_object_size(answer) != 3 || !result == !error ||
		!json_equal(json_object_get(answer, "id"), json_object_get(request, "id")))
		mistaken(method, "no answer to this request", request, answer);
	if (error && !schema_agrees(schema_def("Error"), error, why))
		mistaken(method, why, request, answer);
	if (result && !schema_agrees(def_of(method, "result"), result, why))
		mistaken(method, why, request, answer);
	if (!result)
		return;
	rejected_remove(json_object_get(request, "params"), result);
	nulls_remove(request);
	if (!schema_agrees(def_of(method, "request"), request, why))
		mistaken("granted", why, request, answer);
}

// --- steps

// Runs a line; with packets between its steps, if it has more than one. The caller releases the answer; NULL: none.
static json_t *line_run(const char *line, size_t len, struct choices *between)
{
	struct rpc_work *work = rpc_work_open(&rpc, line, len);
	lab_require(work);
	while (between && !rpc_work_step(work, 0) && !rpc_work_sleeps(work)) {
		media_unsettle();
		media_settle();
		retire_poll(&app.retire);
		media_packet(between);
	}
	rpc_work_step(work, UINT64_MAX);
	char *text = rpc_work_close(work, &len);
	json_t *answer = text ? json_loadb(text, len, JSON_DECODE_ANY, NULL) : NULL;
	lab_require(answer || !text);
	secmem_free(text);
	retire_poll(&app.retire);
	return answer;
}

static bool is_error(const json_t *answer)
{
	return json_object_get(answer, "error") != NULL;
}

// What was refused left all as it was; what was granted may have changed everything.
static void settle(bool refused, const json_t *request, const json_t *answer)
{
	media_settle();
	const size_t after = show(shown[1]);
	if (refused && (shown_len != after || memcmp(shown[0], shown[1], after) != 0)) {
		fprintf(stderr, "%.*s\n%.*s\n", (int)shown_len, shown[0], (int)after, shown[1]);
		mistaken("refused", "it changed something", request, answer);
	}
	memcpy(shown[0], shown[1], after);
	shown_len = after;
	if (!refused)
		media_forget_keys();
}

static void step_call(struct choices *choices, bool in_steps)
{
	const char *method = methods[choice(choices) % n_methods];
	json_t *params = schema_make(def_of(method, "params"), choices);
	json_t *request = json_pack(
		"{s:s,s:i,s:s,s:o}", "jsonrpc", "2.0", "id", 7, "method", method, "params", params);
	char *line = json_dumps(request, JSON_COMPACT);
	lab_require(line);
	if (shown_len == 0)
		shown_len = show(shown[0]);
	json_t *answer = line_run(line, strlen(line), in_steps ? choices : NULL);
	free(line);
	lab_require(answer);
	const bool refused = is_error(answer) && !in_steps; // packets count
	exchange_check(request, answer);
	settle(refused, request, answer);
	json_decref(answer);
	json_decref(request);
}

// A line as it stands in the input: whatever is answered is one of the two.
static void step_line(struct choices *choices)
{
	char why[SCHEMA_WHY_SIZE];
	json_t *answer = line_run((const char *)choices->octets, choices->len, NULL);
	const json_t *one = json_is_array(answer) ? json_array_get(answer, 0) : answer;
	const json_t *error = json_object_get(one, "error");
	if (error && !schema_agrees(schema_def("Error"), error, why))
		mistaken("a line", why, NULL, answer);
	lab_require(!one || error || json_object_get(one, "result"));
	json_decref(answer);
	settle(false, NULL, NULL);
}

static void packets(struct choices *choices, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		media_packet(choices);
	shown_len = 0; // they count
}

static void step_run(enum step step, struct choices *choices)
{
	switch (step) {
	case STEP_CALL:
	case STEP_CALL_IN_STEPS:
		step_call(choices, step == STEP_CALL_IN_STEPS);
		break;
	case STEP_LINE:
		step_line(choices);
		break;
	case STEP_TIME:
		keystore_tick(&app.keys);
		settle(false, NULL, NULL);
		break;
	case STEP_PACKETS:
		packets(choices, PACKETS);
		break;
	default:
		packets(choices, 1);
	}
}

// --- the world

// A group call under two GMKs, with a client of his own key and one in clear: as a client states it who makes no mistake.
static void call_begin(void)
{
	static const char *const lines[] = {
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"key.install\",\"params\":{\"keys\":["
		"{\"id\":\"0a000001\",\"value\":\"000102030405060708090a0b0c0d0e0f\","
		"\"rand\":\"101112131415161718191a1b1c1d1e1f\"},"
		"{\"id\":\"0a000002\",\"value\":\"101112131415161718191a1b1c1d1e1f\","
		"\"rand\":\"f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff\"},"
		"{\"id\":\"1a000001\",\"value\":\"f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff\","
		"\"rand\":\"000102030405060708090a0b0c0d0e0f\"}]}}",
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"session.apply\",\"params\":{"
		"\"session\":"
		"{\"id\":\"a\",\"service\":\"mcptt\",\"type\":\"group\",\"legs\":["
		"{\"id\":\"a\",\"port\":\"ran\",\"local\":\"10.0.0.1:5000\",\"remote\":"
		"\"10.0.0.9:6000\",\"learn\":\"authenticated\",\"protection\":{\"mode\":\"srtp\","
		"\"key\":\"0a000001\",\"user\":\"sip:alice@example.org\"}},"
		"{\"id\":\"b\",\"port\":\"ran\",\"local\":\"10.0.0.1:5002\",\"remote\":"
		"\"10.0.0.9:6002\",\"protection\":{\"mode\":\"srtp\",\"key\":\"0a000002\"}},"
		"{\"id\":\"c\",\"port\":\"ran\",\"local\":\"10.0.0.1:5004\",\"remote\":"
		"\"10.0.0.8:6000\",\"protection\":{\"mode\":\"srtp\",\"key\":\"1a000001\","
		"\"role\":\"initiator\"}},"
		"{\"id\":\"d\",\"port\":\"ran\",\"local\":\"10.0.0.1:5006\",\"remote\":"
		"\"10.0.0.8:6004\",\"protection\":{\"mode\":\"plain\"}}]}}}",
	};
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		json_t *answer = line_run(lines[i], strlen(lines[i]), NULL);
		if (!json_object_get(answer, "result"))
			mistaken("to begin with", "it is refused", NULL, answer);
		json_decref(answer);
	}
	settle(false, NULL, NULL);
}

static json_t *names_of(const char *method, const char *list, const char *const members[])
{
	json_t *answer, *one, *names = json_array();
	const json_t *named = json_object_get(result_of(method, json_object(), &answer), list);
	size_t i;
	json_array_foreach (named, i, one) {
		json_t *name = json_object();
		for (size_t m = 0; members[m]; m++)
			json_object_set(name, members[m], json_object_get(one, members[m]));
		json_array_append_new(
			names, members[1] ? json_incref(name)
					  : json_incref(json_object_get(one, members[0])));
		json_decref(name);
	}
	json_decref(answer);
	return names;
}

// All goes that was stated, and nothing of it stays.
static void all_remove(void)
{
	json_t *answer;
	result_of("session.remove",
		json_pack("{s:o}", "ids",
			names_of("session.list", "sessions", (const char *const[]){"id", NULL})),
		&answer);
	json_decref(answer);
	result_of("key.revoke",
		json_pack("{s:o}", "keys",
			names_of("key.list", "keys", (const char *const[]){"id", "domain", NULL})),
		&answer);
	json_decref(answer);
	retire_all(&app.retire);
	media_settle();
	lab_require(app.relay.keys.n_used == 0);
	lab_require(stream_table_used(&app.relay.streams) == 0);
	lab_require(app.relay.streams.rests.n == 0);
	for (uint32_t i = 0; i < app.relay.legs.size; i++)
		lab_require(!leg_get(&app.relay.legs, i));
	lab_require(rte_mempool_avail_count(app.relay.pool) == mbufs);
}

// All but rpc.discover, which reads nothing and whose answer is long and always the same.
static void methods_read(void)
{
	size_t i;
	json_t *one;
	json_array_foreach (json_object_get(schema_def("Request"), "anyOf"), i, one) {
		char *name = strdup(schema_ref(one));
		lab_require(name && n_methods < METHODS_MAX);
		*strstr(name, ".request") = '\0';
		if (strcmp(name, "rpc.discover") == 0)
			free(name);
		else
			methods[n_methods++] = name;
	}
}

static void fuzz_start(void)
{
	schema_open(SCHEMA);
	methods_read();
	lab_require(session_lab_open(&app, LEGS, 7000, 7100) == 0);
	lab_require(app.relay.cipher->thread_init() == 0);
	app.mikey.mcdata[0] = MCDATA_DP_AES_128_GCM;
	app.mikey.mcdata[1] = MCDATA_DP_AES_256_GCM;
	rpc = (struct rpc){.methods = control_methods, .app = &app.api};
	media_open(&app);
	mbufs = rte_mempool_avail_count(app.relay.pool);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (n_methods == 0)
		fuzz_start();
	media_begin();
	shown_len = 0;
	if (size > 0 && data[0] & 1)
		call_begin();
	for (size_t at = 1; at + 2 <= size;) {
		const size_t len = data[at + 1] < size - at - 2 ? data[at + 1] : size - at - 2;
		struct choices choices = {data + at + 2, len};
		step_run(data[at] % N_STEPS, &choices);
		at += 2 + len;
	}
	all_remove();
	return 0;
}
