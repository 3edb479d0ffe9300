// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

// What a change of a leg costs the store does not grow with the legs that name it, or that it names.

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/secmem.h"
#include "session/session_learn.h"
#include "session/session_legs.h"
#include "session/session_store.h"
#include "store/store.h"
#include "tests/unit/session_lab.h"

enum { FEW = 4, MANY = 200, TEXT_OCTETS = 1 << 19, LEARNT_OCTETS = 512 };

static struct app app;
static char params[TEXT_OCTETS];

static void call(const char *method)
{
	static const char member[] = "\"result\"";
	size_t len;
	char *answer = session_lab_call(&app, method, params, &len);
	assert_non_null(memmem(answer, len, member, sizeof(member) - 1));
	secmem_free(answer);
	retire_poll(&app.retire);
}

static int setup(void **state)
{
	bool fresh;
	(void)state;
	if (session_lab_open(&app, MANY + 4, 0, 0) != 0)
		return -1;
	app.store = app.keys.records = store_open(-1, 0, &fresh);
	if (!app.store)
		return -1;
	snprintf(params, sizeof(params),
		"{\"keys\":[{\"id\":\"0a000001\",\"value\":\"11111111111111111111111111111111\","
		"\"rand\":\"000102030405060708090a0b0c0d0e0f\"}]}");
	call("key.install");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	session_lab_close(&app);
	store_close(app.store);
	return 0;
}

// "call" of so many legs, of which each names all others.
static void session_open(uint32_t n)
{
	char *at = params;
	at += sprintf(at, "{\"session\":{\"id\":\"call\",\"service\":\"mcptt\",\"type\":\"group\","
			  "\"legs\":[");
	for (uint32_t i = 0; i < n; i++) {
		at += sprintf(at,
			"%s{\"id\":\"l%u\",\"port\":\"ran\",\"local\":\"10.0.0.1:%u\",\"remote\":"
			"\"10.0.0.9:%u\",\"learn\":\"authenticated\",\"protection\":{\"mode\":"
			"\"srtp\",\"key\":\"0a000001\"},\"to\":[",
			i == 0 ? "" : ",", i, 5000 + i, 20000 + i);
		for (uint32_t to = 0, first = 1; to < n; to++)
			if (to != i)
				at += sprintf(at, "%s\"l%u\"", first ? "" : ",", to), first = 0;
		at += sprintf(at, "]}");
	}
	sprintf(at, "]}}");
	assert_true(strlen(params) < sizeof(params));
	call("session.apply");
}

static void session_close(void)
{
	snprintf(params, sizeof(params), "{\"ids\":[\"call\"]}");
	call("session.remove");
	retire_all(&app.retire);
	assert_int_equal(store_counts(app.store).records, 1); // the key
}

static void legs_that_leave_have_none_recorded(void **state)
{
	(void)state;
	session_open(MANY);
	const uint64_t version = store_version(app.store);
	assert_int_equal(store_counts(app.store).records, 2 + MANY);
	char *at = params + sprintf(params, "{\"session\":\"call\",\"ids\":[");
	for (uint32_t i = 0; i < 64; i++)
		at += sprintf(at, "%s\"l%u\"", i == 0 ? "" : ",", 2 * i);
	sprintf(at, "]}");
	call("leg.remove");
	assert_int_equal(store_version(app.store), version);
	assert_int_equal(store_counts(app.store).records, 2 + MANY - 64);
	const struct session *session = session_find(&app.sessions, "call");
	assert_int_equal(session_leg_find(session, "l1")->spec.n_to, MANY - 1 - 64);
	session_close();
}

static void learn(uint32_t n)
{
	session_open(n);
	struct session_leg *leg = session_leg_find(session_find(&app.sessions, "call"), "l1");
	struct endpoint address = {.family = AF_INET, .port = 7777};
	inet_pton(AF_INET, "10.0.0.77", address.addr);
	const uint64_t version = store_version(app.store);
	const struct store_counts before = store_counts(app.store);
	session_learn(&app.sessions, leg->index, leg->serial, SRTP_RTP, &address);
	assert_int_equal(leg->remote.port, 7777);
	assert_int_equal(store_version(app.store), version + 1);
	assert_int_equal(store_counts(app.store).records, before.records + 1);
	assert_true(store_counts(app.store).octets <= before.octets + LEARNT_OCTETS);
	session_close();
}

static void an_address_is_recorded_by_itself(void **state)
{
	(void)state;
	learn(FEW);
	learn(MANY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(legs_that_leave_have_none_recorded),
		cmocka_unit_test(an_address_is_recorded_by_itself),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
