// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

// The order of publishing (docs/threads.md): when something is retired, nothing that workers can find leads to it.
// Checked at every single call of retire_later() while sessions and keys come, change and go.

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/map.h"
#include "base/secmem.h"
#include "dataplane/relay_tables.h"
#include "host/multicast.h"
#include "session/session_legs.h"
#include "session/session_store.h"
#include "tests/unit/session_lab.h"

static struct app app;
static unsigned n_retired;

void __real_retire_later(struct retire *retire, retire_fn release, void *what, uint32_t index);
#define MUSIK(id, group, value)                                                                    \
	"{\"keys\":[{\"id\":\"" id "\",\"groups\":[\"" group "\"],\"value\":\"" value "\"," RAND   \
	"}]}"
#define MUSIK_VALUE "77777777777777777777777777777777"

static unsigned fail_at; // that call of secmem_malloc() from now on gets no memory; 0: none

void *__real_secmem_malloc(size_t size);
void *__wrap_secmem_malloc(size_t size);

void *__wrap_secmem_malloc(size_t size)
{
	return fail_at > 0 && --fail_at == 0 ? NULL : __real_secmem_malloc(size);
}

void __wrap_retire_later(struct retire *retire, retire_fn release, void *what, uint32_t index);

// A group's fixed context can still be found under its name: it has not been taken out of use.
static void expect_ctx_published(uint32_t ctx)
{
	const struct key_table *keys = &app.relay.keys;
	const struct key_name *name = &keys->ctxs[ctx].by_mki;
	assert_int_equal(key_table_find(keys, name, key_name_hash(keys, name)), ctx);
}

// Of the groups that workers find, none leads to a leg that they do not.
static void expect_groups_lead_to_legs(const struct multicast_table *what)
{
	const struct multicast_table *table = atomic_load(&app.relay.multicast_tables[0]);
	assert_ptr_not_equal(table, what);
	for (uint32_t i = 0; table && i < table->n && i < 4; i++)
		for (uint32_t udp_port = 5000; udp_port < 8000; udp_port++) {
			uint32_t leg = atomic_load(&table->groups[i].legs[udp_port]);
			assert_true(leg == 0 || leg_get(&app.relay.legs, leg - 1));
		}
}

static void expect_variant_leads_not_to(const struct fanout_variant *variant, const void *what)
{
	assert_ptr_not_equal(variant->first.dests, what);
	for (uint32_t i = 0; i < variant->n_more; i++)
		assert_ptr_not_equal(variant->more[i].dests, what);
	if (variant->ctx != KEY_NONE)
		expect_ctx_published(variant->ctx);
}

static void expect_nothing_leads_to(const void *what)
{
	expect_groups_lead_to_legs(what);
	for (uint32_t i = 0; i < app.relay.legs.size; i++) {
		const struct leg *leg = leg_get(&app.relay.legs, i);
		if (!leg)
			continue;
		assert_ptr_not_equal(leg, what);
		for (unsigned protocol = 0; protocol < SRTP_N_PROTOCOLS; protocol++) {
			const struct fanout *fanout = atomic_load(leg->fanout[protocol]);
			assert_ptr_not_equal(leg->fanout[protocol], what); // first of its audience
			assert_ptr_not_equal(fanout, what);
			for (uint32_t v = 0; v < fanout->n_variants; v++)
				expect_variant_leads_not_to(&fanout->variants[v], what);
		}
	}
}

void __wrap_retire_later(struct retire *retire, retire_fn release, void *what, uint32_t index)
{
	expect_nothing_leads_to(what);
	n_retired++;
	__real_retire_later(retire, release, what, index);
}

// An answer is no string: nothing ends it.
static bool answer_has(const char *answer, size_t len, const char *text)
{
	return memmem(answer, len, text, strlen(text)) != NULL;
}

// One request, which must succeed.
static void call(const char *method, const char *params)
{
	size_t len;
	char *answer = session_lab_call(&app, method, params, &len);
	bool good = answer_has(answer, len, "\"result\"");
	if (!good)
		print_message("%.*s\n", (int)len, answer);
	assert_true(good);
	secmem_free(answer);
}

#define RAND "\"rand\":\"000102030405060708090a0b0c0d0e0f\""
#define LEG(id, port, protection, more)                                                            \
	"{\"id\":\"" id "\",\"port\":\"ran\",\"local\":\"10.0.0.1:" port                           \
	"\",\"remote\":\"10.0.0.9:" port "\"," more "\"protection\":" protection "}"
#define SESSION(legs)                                                                              \
	"{\"session\":{\"id\":\"call\",\"service\":\"mcptt\",\"type\":\"group\",\"legs\":[" legs   \
	"]}}"
#define GROUP_LEG(id, port, group, more)                                                           \
	"{\"id\":\"" id "\",\"port\":\"ran\",\"local\":\"10.0.0.1:" port "\",\"remote\":\"" group  \
	"\"," more "\"protection\":{\"mode\":\"plain\"}}"
#define SESSION_WITH_KEY                                                                           \
	"{\"session\":{\"id\":\"call\",\"service\":\"mcptt\",\"type\":\"private\",\"keys\":["      \
	"{\"id\":\"2a000001\",\"value\":\"" MUSIK_VALUE "\"," RAND "}],\"legs\":[]}}"
#define PLAIN  "{\"mode\":\"plain\",\"user\":\"sip:a@x\"}"
#define GROUP  "{\"mode\":\"srtp\",\"key\":\"0a000001\"}"
#define CALLER "{\"mode\":\"srtp\",\"key\":\"1a000001\",\"role\":\"initiator\"}"

static void keys_install(const char *digit, const char *more)
{
	char params[1024];
	char value[33];
	memset(value, digit[0], 32);
	value[32] = '\0';
	snprintf(params, sizeof(params),
		"{\"keys\":[{\"id\":\"0a000001\",\"value\":\"%s\"," RAND
		"},{\"id\":\"1a000001\",\"value\":\"%s\"," RAND "}]%s}",
		value, value, more);
	call("key.install", params);
}

static void leads_to_nothing_retired(void **state)
{
	(void)state;
	keys_install("1", "");
	call("session.apply",
		SESSION(LEG("a", "5000", GROUP, "") "," LEG("b", "5002", CALLER, "")));
	// one stays, one changes its address, one comes with receivers of its own
	call("session.apply", SESSION(LEG("a", "5000", GROUP, "") "," LEG("b", "5004", CALLER,
				      "") "," LEG("c", "5006", PLAIN, "\"to\":[\"a\",\"b\"],")));
	// other bytes under the same ids, then others still, then gone, and back
	keys_install("2", ",\"replace\":true");
	keys_install("3", ",\"replace\":true");
	call("key.revoke", "{\"keys\":[{\"id\":\"1a000001\"},{\"id\":\"0a000001\"}]}");
	keys_install("3", "");
	// one leaves, all others leave for new ones
	call("leg.remove", "{\"session\":\"call\",\"ids\":[\"b\"]}");
	call("session.apply",
		SESSION(LEG("d", "5000", CALLER, "") "," LEG("e", "5002", PLAIN, "")));
	call("session.remove", "{\"ids\":[\"call\"]}");
	assert_true(n_retired > 40);
	for (uint32_t i = 0; i < app.relay.legs.size; i++)
		assert_null(leg_get(&app.relay.legs, i));
}

static size_t scopes_in_use(void)
{
	retire_all(&app.retire);
	return map_count(app.keys.scopes);
}

static bool group_leads_to_leg(const char *group, uint16_t udp_port)
{
	struct endpoint addr = {.family = AF_INET};
	inet_pton(AF_INET, group, addr.addr);
	const struct port_address *found =
		multicast_table_find(atomic_load(&app.relay.multicast_tables[0]), &addr);
	uint32_t leg = found ? atomic_load(&found->legs[udp_port]) : 0;
	return leg != 0 && leg_get(&app.relay.legs, leg - 1);
}

// A request that must fail with that code.
static void refused(int code, const char *method, const char *params)
{
	char expected[32];
	size_t len;
	snprintf(expected, sizeof(expected), "\"code\":%d", code);
	char *answer = session_lab_call(&app, method, params, &len);
	if (!answer_has(answer, len, expected))
		fail_msg("%.*s", (int)len, answer);
	secmem_free(answer);
}

// The session keeps the legs that it has.
static void expect_leg(const char *id, bool there)
{
	const struct session *session = session_find(&app.sessions, "call");
	assert_non_null(session);
	assert_int_equal(session_leg_find(session, id) != NULL, there);
}

static void what_there_is_no_memory_for_is_refused(void **state)
{
	(void)state;
	fail_at = 1;
	refused(3, "session.apply", SESSION_WITH_KEY);
	assert_null(session_find(&app.sessions, "call"));
	fail_at = 1;
	refused(3, "key.install", MUSIK("6a000001", "sip:g1", MUSIK_VALUE));
	call("session.apply", SESSION(LEG("a", "5000", PLAIN, "")));
	fail_at = 1;
	refused(3, "leg.apply",
		"{\"session\":\"call\",\"legs\":[" LEG("b", "5002", PLAIN, "") "]}");
	expect_leg("b", false);
	call("session.remove", "{\"ids\":[\"call\"]}");
	retire_all(&app.retire);
}

static void groups_follow_legs(void **state)
{
	(void)state;
	call("session.apply", SESSION(GROUP_LEG("a", "5000", "239.0.0.1:7000", "") "," GROUP_LEG(
				      "b", "5002", "239.0.0.1:7002", "")));
	assert_true(group_leads_to_leg("239.0.0.1", 7000));
	assert_true(group_leads_to_leg("239.0.0.1", 7002));
	// one moves to another group, the other to another port of it
	call("session.apply", SESSION(GROUP_LEG("a", "5000", "239.0.0.2:7000", "") "," GROUP_LEG(
				      "b", "5002", "239.0.0.1:7000", "")));
	assert_true(group_leads_to_leg("239.0.0.2", 7000));
	assert_true(group_leads_to_leg("239.0.0.1", 7000));
	assert_false(group_leads_to_leg("239.0.0.1", 7002));
	// they change places in one request
	call("session.apply", SESSION(GROUP_LEG("a", "5000", "239.0.0.1:7000", "") "," GROUP_LEG(
				      "b", "5002", "239.0.0.2:7000", "")));
	assert_true(group_leads_to_leg("239.0.0.1", 7000));
	assert_true(group_leads_to_leg("239.0.0.2", 7000));
	// what is refused changes nothing
	refused(2, "session.apply",
		SESSION(GROUP_LEG("a", "5000", "239.0.0.9:7000", "") "," GROUP_LEG(
			"b", "5002", "239.0.0.9:7000", "")));
	refused(-32602, "session.apply",
		SESSION(GROUP_LEG("a", "5000", "239.0.0.9:7000", "\"learn\":\"authenticated\",")));
	refused(-32602, "session.apply",
		SESSION(LEG("a", "5000", PLAIN, "") "," GROUP_LEG("b", "0", "239.0.0.9:7000", "")));
	assert_int_equal(multicast_count(&app.relay.multicast[0]), 2);
	assert_true(group_leads_to_leg("239.0.0.1", 7000));
	// muted, and heard again; another may send to the group meanwhile and all the time
	call("leg.apply", "{\"session\":\"call\",\"legs\":[" GROUP_LEG(
				  "a", "5000", "239.0.0.1:7000", "\"receive\":false,") "]}");
	assert_false(group_leads_to_leg("239.0.0.1", 7000));
	call("leg.apply", "{\"session\":\"call\",\"legs\":[" GROUP_LEG(
				  "a", "5000", "239.0.0.1:7000", "") "," GROUP_LEG("c", "5004",
				  "239.0.0.1:7000", "\"receive\":false,") "]}");
	assert_true(group_leads_to_leg("239.0.0.1", 7000));
	// to a group and back from it
	call("leg.apply", "{\"session\":\"call\",\"legs\":[" LEG("a", "5000", PLAIN, "") "]}");
	assert_false(group_leads_to_leg("239.0.0.1", 7000));
	call("session.remove", "{\"ids\":[\"call\"]}");
	assert_int_equal(multicast_count(&app.relay.multicast[0]), 0);
	retire_all(&app.retire);
}

static void no_more_groups_than_a_port_can_join(void **state)
{
	(void)state;
	struct multicast_group *joined[MULTICAST_GROUPS_MAX - 1];
	for (uint32_t i = 0; i < MULTICAST_GROUPS_MAX - 1; i++) {
		struct endpoint addr = {
			.family = AF_INET, .addr = {239, 1, (uint8_t)(i >> 8), (uint8_t)i}};
		joined[i] = multicast_join(&app.relay, 0, &addr);
	}
	refused(3, "session.apply",
		SESSION(GROUP_LEG("a", "5000", "239.0.0.1:7000", "") "," GROUP_LEG(
			"b", "5002", "239.0.0.2:7000", "")));
	assert_int_equal(multicast_count(&app.relay.multicast[0]), MULTICAST_GROUPS_MAX - 1);
	call("session.apply", SESSION(GROUP_LEG("a", "5000", "239.0.0.1:7000", "") "," GROUP_LEG(
				      "b", "5002", "239.0.0.1:7002", "")));
	for (uint32_t i = 0; i < MULTICAST_GROUPS_MAX - 1; i++)
		multicast_leave(&app.relay, 0, joined[i]);
	call("session.remove", "{\"ids\":[\"call\"]}");
	retire_all(&app.retire);
}

// Numbers of sessions, under which their own keys are found.
static void refused_and_removed_sessions_have_no_scope(void **state)
{
	(void)state;
	size_t n = scopes_in_use();
	refused(-32602, "session.apply", SESSION(LEG("a", "0", PLAIN, "")));
	refused(2, "session.apply",
		SESSION(LEG("a", "5000", PLAIN, "") "," LEG("a", "5002", PLAIN, "")));
	assert_int_equal(scopes_in_use(), n);
	call("session.apply", SESSION(LEG("a", "5000", PLAIN, "")));
	call("session.apply", SESSION(LEG("b", "5000", PLAIN, "")));
	assert_int_equal(scopes_in_use(), n + 1);
	call("session.remove", "{\"ids\":[\"call\"]}");
	assert_int_equal(scopes_in_use(), n);
}

// The named key is moved to another group: the other key of the session's group is revoked.
static void ring_of_a_moved_key(void **state)
{
	(void)state;
	call("key.install", MUSIK("6a000001", "sip:g1", "66666666666666666666666666666666"));
	call("key.install", MUSIK("6a000002", "sip:g1", MUSIK_VALUE));
	call("session.apply",
		"{\"session\":{\"id\":\"call\",\"service\":\"mcptt\",\"type\":\"group\",\"group\":"
		"\"sip:g1\",\"legs\":[" LEG("a", "5000", "{\"mode\":\"srtp\",\"key\":\"6a000001\"}",
			"\"traffic\":\"control\",") "," LEG("b", "5002", "{\"mode\":\"plain\"}",
			"\"traffic\":\"control\",") "]}}");
	call("key.install", MUSIK("6a000001", "sip:g2", "66666666666666666666666666666666"));
	call("key.revoke", "{\"keys\":[{\"id\":\"6a000002\"}]}");
	call("session.remove", "{\"ids\":[\"call\"]}");
	call("key.revoke", "{\"keys\":[{\"id\":\"6a000001\"}]}");
	retire_all(&app.retire);
}

#define OPEN_LEG(id, local)                                                                        \
	"{\"id\":\"" id "\",\"port\":\"ran\",\"local\":" local                                     \
	",\"remote\":null,\"receive\":false,\"protection\":" PLAIN "}"

// The port has 5000 and 5002 to pick from, of its one address.
static void ports_are_picked(void **state)
{
	(void)state;
	refused(-32602, "session.apply", SESSION(OPEN_LEG("a", "{\"port\":\"ran\",\"family\":6}")));
	refused(-32602, "session.apply", SESSION(OPEN_LEG("a", "\"10.0.0.7\"")));
	call("session.apply", SESSION(OPEN_LEG("a", "\"10.0.0.1\"") "," OPEN_LEG(
				      "b", "{\"port\":\"ran\",\"family\":4}")));
	const struct session *session = session_find(&app.sessions, "call");
	uint16_t a = ntohs(session_leg_find(session, "a")->spec.local.port);
	uint16_t b = ntohs(session_leg_find(session, "b")->spec.local.port);
	assert_true((a == 5000 && b == 5002) || (a == 5002 && b == 5000));
	refused(3, "leg.apply",
		"{\"session\":\"call\",\"legs\":[" OPEN_LEG("c", "\"10.0.0.1\"") "]}");
	call("session.apply", SESSION(OPEN_LEG("b", "\"10.0.0.1\"")));
	assert_int_equal(ntohs(session_leg_find(session, "b")->spec.local.port), b);
	call("session.remove", "{\"ids\":[\"call\"]}");
	retire_all(&app.retire);
}

static int app_start(void **state)
{
	(void)state;
	return session_lab_open(&app, 16, 4999, 5003);
}

static int app_end(void **state)
{
	(void)state;
	return session_lab_close(&app);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(leads_to_nothing_retired),
		cmocka_unit_test(what_there_is_no_memory_for_is_refused),
		cmocka_unit_test(groups_follow_legs),
		cmocka_unit_test(no_more_groups_than_a_port_can_join),
		cmocka_unit_test(refused_and_removed_sessions_have_no_scope),
		cmocka_unit_test(ports_are_picked), cmocka_unit_test(ring_of_a_moved_key)};
	alarm(60); // a test that failed half way may not be able to clean up
	return cmocka_run_group_tests(tests, app_start, app_end);
}
