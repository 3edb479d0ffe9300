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
#include <rte_cycles.h>

#include "base/log.h"
#include "control/app.h"
#include "dataplane/worker.h"
#include "session/media_watch.h"
#include "session/session_remove.h"
#include "session/session_store.h"
#include "tests/unit/dataplane_lab.h"

// Notices of what workers count, with counters and time of the test's choice. Two sessions: legs 0 and 1 are
// of "call", leg 2 is of "other".

enum { LEGS = 3 };

static struct app *app;
static struct worker workers[2];
static struct session call, other;
static struct session_leg legs[LEGS];
static uint64_t now; // TSC

static char told[256][1024];
static unsigned n_told;

void __wrap_log_line(enum log_level level, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

void __wrap_log_line(enum log_level level, const char *format, ...)
{
	va_list args;
	(void)level;
	assert_true(n_told < RTE_DIM(told));
	va_start(args, format);
	vsnprintf(told[n_told++], sizeof(told[0]), format, args);
	va_end(args);
}

static void session_open(
	struct session *session, const char *id, uint32_t first, uint32_t n_legs, uint32_t timeout)
{
	static char *const ids[LEGS] = {
		(char *)(uintptr_t)"a", (char *)(uintptr_t)"b", (char *)(uintptr_t)"c"};
	*session = (struct session){
		.spec = {.id = (char *)(uintptr_t)id, .timeout = timeout},
		.n_legs = n_legs,
		.heard_tsc = now,
	};
	TAILQ_INIT(&session->legs);
	for (uint32_t i = first; i < first + n_legs; i++) {
		legs[i] = (struct session_leg){
			.session = session, .index = i, .spec = {.id = ids[i]}};
		TAILQ_INSERT_TAIL(&session->legs, &legs[i], entry);
		app->sessions.by_leg[i] = &legs[i];
	}
}

static int setup(void **state)
{
	(void)state;
	app = calloc(1, sizeof(*app));
	assert_non_null(app);
	now = 1000 * rte_get_tsc_hz();
	n_told = 0;
	notices_init(&app->notices, &app->events);
	app->notices.now_ms = 1000000;
	app->relay.n_workers = 2;
	for (unsigned w = 0; w < 2; w++) {
		workers[w].legs = aligned_alloc(64, LEGS * sizeof(struct leg_counters));
		assert_non_null(workers[w].legs);
		memset(workers[w].legs, 0, LEGS * sizeof(struct leg_counters));
		app->relay.workers[w] = &workers[w];
	}
	app->keys = (struct keystore){
		.relay = &app->relay, .retire = &app->retire, .notices = &app->notices};
	assert_int_equal(sessions_init(&app->sessions, &app->keys, LEGS, LEGS), 0);
	app->sessions.n_touched = LEGS;
	session_open(&call, "call", 0, 2, 5);
	session_open(&other, "other", 2, 1, 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	sessions_fini(&app->sessions); // none is in its map
	for (unsigned w = 0; w < 2; w++)
		free(workers[w].legs);
	free(app);
	return 0;
}

static void hear(unsigned worker, uint32_t leg)
{
	workers[worker].legs[leg].last_rx_tsc = now;
}

// Time goes on, and the watch looks.
static void pass(double seconds)
{
	now += (uint64_t)(seconds * (double)rte_get_tsc_hz());
	app->notices.now_ms += (uint64_t)(seconds * 1000);
	media_watch_tick(&app->sessions, now);
}

static void expect_told(const char *line)
{
	assert_true(n_told > 0);
	assert_string_equal(told[0], line);
	memmove(told[0], told[1], --n_told * sizeof(told[0]));
}

static void expect_silence(void)
{
	if (n_told > 0)
		print_message("told: %s\n", told[0]);
	assert_int_equal(n_told, 0);
}

static void tells_each_start_once(void **state)
{
	(void)state;
	hear(1, 2);
	pass(0.1);
	expect_told("media.started session=\"other\" leg=\"c\"");
	hear(0, 0);
	pass(0.1);
	expect_told("media.started session=\"call\" leg=\"a\"");
	hear(0, 1);
	pass(0.1);
	expect_told("media.started session=\"call\" leg=\"b\"");
	for (unsigned i = 0; i < 30; i++) {
		hear(i % 2, i % LEGS);
		pass(1);
	}
	expect_silence();
}

static void tells_timeout_once_and_next_start(void **state)
{
	(void)state;
	hear(0, 0);
	pass(0.1);
	expect_told("media.started session=\"call\" leg=\"a\"");
	pass(4.8);
	hear(1, 1); // any leg will do
	pass(4.9);
	expect_told("media.started session=\"call\" leg=\"b\"");
	expect_silence();
	pass(0.2);
	expect_told("media.timeout session=\"call\" seconds=5");
	for (unsigned i = 0; i < 10; i++)
		pass(5);
	expect_silence();
	hear(0, 1);
	pass(0.1);
	expect_told("media.started session=\"call\" leg=\"b\"");
	pass(6);
	expect_told("media.timeout session=\"call\" seconds=5");
	expect_silence();
}

// The watch comes to leg b first: its session seems to be silent, but a was heard just now.
static void asks_all_legs_before_it_tells_a_timeout(void **state)
{
	(void)state;
	hear(0, 1);
	pass(0.1);
	expect_told("media.started session=\"call\" leg=\"b\"");
	now += 6 * rte_get_tsc_hz();
	hear(1, 0);
	pass(0.1);
	expect_told("media.started session=\"call\" leg=\"a\"");
	expect_silence();
}

static void tells_timeout_of_what_never_began(void **state)
{
	(void)state;
	pass(4.9);
	expect_silence();
	pass(0.2);
	expect_told("media.timeout session=\"call\" seconds=5");
	expect_silence();
}

static void longest_timeout_is_not_over(void **state)
{
	(void)state;
	call.spec.timeout = UINT32_MAX;
	pass(100);
	expect_silence();
}

// A worker reads its clock after the control thread did.
static void heard_after_now_is_no_timeout(void **state)
{
	(void)state;
	workers[0].legs[0].last_rx_tsc = now + rte_get_tsc_hz();
	pass(0.1);
	expect_told("media.started session=\"call\" leg=\"a\"");
	expect_silence();
}

static void tells_collisions_and_what_came_meanwhile(void **state)
{
	(void)state;
	workers[0].legs[1].drops[DROP_SSRC_COLLISION] = 1;
	pass(0.1);
	expect_told("ssrc.collision session=\"call\" leg=\"b\" count=1");
	for (unsigned i = 0; i < 8; i++) {
		workers[i % 2].legs[1].drops[DROP_SSRC_COLLISION] += 2;
		hear(0, 0);
		pass(1);
	}
	expect_told("media.started session=\"call\" leg=\"a\"");
	expect_silence();
	hear(0, 0);
	pass(2);
	expect_told("ssrc.collision session=\"call\" leg=\"b\" count=16");
	expect_silence();
}

static void tells_control_in_clear(void **state)
{
	(void)state;
	call.spec.timeout = 0;
	workers[0].legs[1].rx_unencrypted = 1;
	workers[1].legs[1].rx_unencrypted = 2;
	pass(0.1);
	expect_told("rtcp.unencrypted session=\"call\" leg=\"b\" count=3");
	pass(20);
	expect_silence();
	workers[0].legs[1].rx_unencrypted++;
	pass(0.1);
	expect_told("rtcp.unencrypted session=\"call\" leg=\"b\" count=1");
}

static void tells_many_failing_tags_only(void **state)
{
	(void)state;
	struct leg_counters *counters = &workers[0].legs[2];
	call.spec.timeout = 0;
	// three in ten seconds, for ever
	for (unsigned i = 0; i < 100; i++) {
		counters->drops[DROP_AUTH_FAIL] += 1;
		pass(10.0 / 3);
	}
	expect_silence();
	counters->drops[DROP_AUTH_FAIL] += MEDIA_WATCH_FAILS;
	pass(0.1);
	assert_int_equal(n_told, 1);
	assert_non_null(strstr(told[0], "auth.failing session=\"other\" leg=\"c\" count="));
	n_told = 0;
	counters->drops[DROP_AUTH_FAIL] += 500;
	pass(5);
	expect_silence();
	pass(5);
	expect_told("auth.failing session=\"other\" leg=\"c\" count=500");
}

static void tells_so_much_a_second(void **state)
{
	(void)state;
	char id[16];
	struct notice what = {.type = NOTICE_MEDIA_STARTED, .session = id};
	for (unsigned i = 0; i < NOTICE_LINES_PER_SECOND + 7; i++) {
		snprintf(id, sizeof(id), "%u", i);
		assert_int_equal(notice(&app->notices, &what), i < NOTICE_LINES_PER_SECOND);
	}
	assert_int_equal(n_told, NOTICE_LINES_PER_SECOND);
	app->notices.now_ms += 1000;
	n_told = 0;
	assert_true(notice(&app->notices, &what));
	expect_told("notices.lost count=7");
	expect_told("media.started session=\"206\"");
}

static void tells_same_once_a_second(void **state)
{
	(void)state;
	struct notice what = {.type = NOTICE_LEG_LEARNED, .session = "s", .leg = "l"};
	struct notice another = {.type = NOTICE_LEG_LEARNED, .session = "sl", .leg = ""};
	assert_true(notice(&app->notices, &what));
	assert_false(notice(&app->notices, &what));
	assert_true(notice(&app->notices, &another));
	app->notices.now_ms += 999;
	assert_false(notice(&app->notices, &what));
	app->notices.now_ms += 1;
	assert_true(notice(&app->notices, &what));
}

// Ids as long as they can be, all of them to be escaped, do not leave the line.
static void longest_ids_fit(void **state)
{
	(void)state;
	char id[SESSION_ID_MAX + 1];
	memset(id, '\n', SESSION_ID_MAX);
	id[SESSION_ID_MAX] = '\0';
	struct notice what = {.type = NOTICE_SSRC_COLLISION, .session = id, .leg = id, .count = 7};
	assert_true(notice(&app->notices, &what));
	assert_non_null(strstr(told[0], "\\x0a...\" leg=\"\\x0a"));
	assert_non_null(strstr(told[0], "\\x0a...\" count=7"));
}

#define watched(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		watched(tells_each_start_once),
		watched(tells_timeout_once_and_next_start),
		watched(asks_all_legs_before_it_tells_a_timeout),
		watched(tells_timeout_of_what_never_began),
		watched(longest_timeout_is_not_over),
		watched(heard_after_now_is_no_timeout),
		watched(tells_collisions_and_what_came_meanwhile),
		watched(tells_control_in_clear),
		watched(tells_many_failing_tags_only),
		watched(tells_so_much_a_second),
		watched(tells_same_once_a_second),
		watched(longest_ids_fit),
	};
	lab_start();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
