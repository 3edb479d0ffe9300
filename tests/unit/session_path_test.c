// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

// What is made of the path's MTU, and of errors, that ICMP tells of a leg: what workers see, what is told and shown, and
// how long.

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

#include <rte_cycles.h>

#include "base/log.h"
#include "base/secmem.h"
#include "control/app.h"
#include "control/network_news.h"
#include "crypto/cipher_registry.h"
#include "host/news.h"
#include "session/leg_path.h"
#include "session/media_watch.h"
#include "session/session_legs.h"
#include "session/session_store.h"
#include "tests/unit/dataplane_lab.h"

enum { MTU = 1500, HEADERS = 28 };

static struct app app;
static uint64_t now; // TSC
static char told[64][512];
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

// One request, which must succeed; its answer, which the next one replaces.
static const char *call(const char *method, const char *params)
{
	static char text[8192];
	struct rpc rpc = {.methods = control_methods, .app = &app.api};
	size_t len;
	int n = snprintf(text, sizeof(text),
		"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\",\"params\":%s}", method, params);
	assert_true(n > 0 && (size_t)n < sizeof(text));
	char *answer = rpc_answer(&rpc, text, (size_t)n, &len);
	assert_non_null(answer);
	assert_true(len < sizeof(text));
	memcpy(text, answer, len);
	text[len] = '\0';
	secmem_free(answer);
	if (!strstr(text, "\"result\""))
		print_message("%s\n", text);
	assert_non_null(strstr(text, "\"result\""));
	return text;
}

#define LEG(id, udp_port, remote, more)                                                            \
	"{\"id\":\"" id "\",\"port\":\"ran\",\"local\":\"10.0.0.1:" udp_port "\",\"remote\":"      \
	"\"" remote "\"," more "\"protection\":{\"mode\":\"plain\"}}"
#define SESSION(legs)                                                                              \
	"{\"session\":{\"id\":\"call\",\"service\":\"mcvideo\",\"type\":\"group\",\"legs\":[" legs \
	"]}}"
#define APPLY(leg) "{\"session\":\"call\",\"legs\":[" leg "]}"
#define SENDER     LEG("a", "6000", "10.0.0.8:5000", "\"to\":[\"b\",\"c\"],")
#define NAMED      LEG("b", "6002", "10.0.0.9:5002", "")
#define OTHER      LEG("c", "6004", "10.0.0.9:5004", "")

static const struct session_leg *leg_of(const char *id)
{
	const struct session_leg *leg = session_leg_find(session_find(&app.sessions, "call"), id);
	assert_non_null(leg);
	return leg;
}

// What may be sent to a leg, in every fan-out that it is in.
static void expect_mtu(const char *id, uint16_t mtu)
{
	const struct session_leg *leg = leg_of(id);
	unsigned found = 0;
	for (uint32_t i = 0; i < app.sessions.n_touched; i++) {
		const struct leg *from = leg_get(&app.relay.legs, i);
		if (!from)
			continue;
		const struct fanout *fanout = atomic_load(from->fanout[SRTP_RTP]);
		for (uint32_t v = 0; v < fanout->n_variants; v++)
			for (uint32_t d = 0; d < fanout->variants[v].first.n; d++) {
				const struct fanout_dest *dest =
					&fanout->variants[v].first.dests[d];
				if (dest->leg != leg->index)
					continue;
				assert_int_equal(dest->payload_max, mtu - HEADERS);
				found++;
			}
	}
	assert_int_equal(found, 3);
	char text[32];
	snprintf(text, sizeof(text), "\"path_mtu\":%u", mtu);
	const char *answer = call("session.get", "{\"id\":\"call\"}");
	assert_int_equal(strstr(answer, text) != NULL, mtu != MTU);
}

static void hear(const char *id, enum news_type type, uint16_t mtu, uint8_t reason)
{
	const struct session_leg *leg = leg_of(id);
	struct news news = {
		.type = (uint8_t)type,
		.mtu = mtu,
		.unreachable = reason,
		.leg = leg->index,
		.serial = leg->serial,
		.addr = {.family = AF_INET, .addr = {10, 0, 0, 254}},
	};
	news_add(&app.relay, &news);
	network_news_tell(&app.sessions, &app.notices, now);
	assert_int_equal(app.relay.news->n, 0);
}

static void pass(double seconds)
{
	now += (uint64_t)(seconds * (double)rte_get_tsc_hz());
	app.notices.now_ms += (uint64_t)(seconds * 1000);
	media_watch_tick(&app.sessions, now);
}

static int session_begin(void **state)
{
	(void)state;
	n_told = 0;
	now = 1000 * rte_get_tsc_hz();
	app.notices.now_ms += 1000000;
	call("session.apply", SESSION(SENDER "," NAMED "," OTHER));
	return 0;
}

static int session_end(void **state)
{
	(void)state;
	call("session.remove", "{\"ids\":[\"call\"]}");
	retire_all(&app.retire);
	return 0;
}

#define TOLD_OF_B "path.mtu session=\"call\" leg=\"b\" address=10.0.0.9:5002 host=10.0.0.254 mtu="

// Each message lowers it (RFC 8201 4); the events say the newest.
static void mtu_only_becomes_less(void **state)
{
	(void)state;
	expect_mtu("b", MTU);
	hear("b", NEWS_PATH_MTU, 1400, 0);
	expect_mtu("b", 1400);
	expect_mtu("c", MTU); // of the same host: it learns for itself
	pass(0.1);
	expect_told(TOLD_OF_B "1400");
	hear("b", NEWS_PATH_MTU, 1400, 0);
	hear("b", NEWS_PATH_MTU, 1450, 0);
	expect_mtu("b", 1400);
	hear("b", NEWS_PATH_MTU, 1350, 0);
	hear("b", NEWS_PATH_MTU, 1300, 0);
	expect_mtu("b", 1300);
	pass(0.1);
	expect_silence();
	pass(10);
	expect_told(TOLD_OF_B "1300");
	pass(10);
	expect_silence();
}

// RFC 1191 6.3, RFC 8201 5.3; from when it became less on.
static void mtu_is_forgotten_after_ten_minutes(void **state)
{
	(void)state;
	hear("b", NEWS_PATH_MTU, 1400, 0);
	pass(300);
	hear("b", NEWS_PATH_MTU, 1300, 0);
	pass(590);
	expect_mtu("b", 1300);
	pass(10.1);
	expect_mtu("b", MTU);
	n_told = 0;
	pass(10);
	expect_silence();
	hear("b", NEWS_PATH_MTU, 1400, 0);
	expect_mtu("b", 1400);
	pass(0.1);
	expect_told(TOLD_OF_B "1400");
}

static void mtu_is_of_the_remote_host(void **state)
{
	(void)state;
	hear("b", NEWS_PATH_MTU, 1300, 0);
	call("leg.apply", APPLY(LEG("b", "6002", "10.0.0.9:5002", "\"dscp\":46,")));
	expect_mtu("b", 1300);
	call("leg.apply", APPLY(LEG("b", "6002", "10.0.0.9:7000", "")));
	expect_mtu("b", 1300);
	call("leg.apply", APPLY(LEG("b", "6002", "10.0.0.77:5002", "")));
	expect_mtu("b", MTU);
	pass(0.1);
	expect_silence(); // it is about where the leg is no more
	call("session.apply", SESSION(SENDER "," NAMED "," OTHER));
	expect_mtu("b", 1300);
	pass(0.1);
	expect_told(TOLD_OF_B "1300");
	call("leg.remove", "{\"session\":\"call\",\"ids\":[\"b\"]}");
	call("leg.apply", APPLY(NAMED)); // another leg
	call("leg.apply", APPLY(SENDER));
	expect_mtu("b", MTU);
}

// What was said of a leg is not taken for what takes its place.
static void news_of_a_leg_that_left(void **state)
{
	(void)state;
	const struct session_leg *leg = leg_of("b");
	const struct news news[] = {
		{.type = NEWS_PATH_MTU, .mtu = 1300, .leg = leg->index, .serial = leg->serial + 9},
		{.type = NEWS_UNREACHABLE, .leg = leg->index, .serial = leg->serial + 9},
	};
	for (size_t i = 0; i < RTE_DIM(news); i++)
		leg_path_hear(&app.sessions, &news[i], now);
	pass(0.1);
	expect_silence();
	expect_mtu("b", MTU);
}

#define UNREACHABLE_B "path.unreachable session=\"call\" leg=\"b\" address=10.0.0.9:5002 reason="

static void unreachable_is_told_and_counted(void **state)
{
	(void)state;
	assert_null(strstr(call("session.get", "{\"id\":\"call\"}"), "\"unreachable\""));
	hear("b", NEWS_UNREACHABLE, 0, UNREACHABLE_PORT);
	pass(0.1);
	expect_told(UNREACHABLE_B "port host=10.0.0.254 count=1");
	for (unsigned i = 0; i < 5; i++) {
		hear("b", NEWS_UNREACHABLE, 0, UNREACHABLE_PORT);
		pass(0.1);
	}
	expect_silence();
	assert_non_null(strstr(call("session.get", "{\"id\":\"call\"}"), "\"unreachable\":6"));
	pass(10);
	expect_told(UNREACHABLE_B "port host=10.0.0.254 count=5");
	hear("b", NEWS_UNREACHABLE, 0, UNREACHABLE_HOPS);
	pass(0.1);
	expect_told(UNREACHABLE_B "hops host=10.0.0.254 count=1");
	expect_silence();
	expect_mtu("b", MTU); // nothing stops
}

static int app_start(void **state)
{
	(void)state;
	static struct port_prefix prefix = {.addr = {.family = AF_INET}, .prefix_len = 24};
	struct port_options port = {.name = "ran",
		.device = "net_ring0",
		.prefixes = &prefix,
		.n_prefixes = 1,
		.mtu = MTU};
	const unsigned lcores[1] = {0};
	const char *unknown;
	char why[256];
	lab_start();
	inet_pton(AF_INET, "10.0.0.1", prefix.addr.addr);
	struct relay_options options = {
		.cipher = cipher_open(cipher_name(0), &unknown),
		.lcores = lcores,
		.n_workers = 1,
		.ports = &port,
		.n_ports = 1,
		.max_keys = 64,
		.max_legs = 16,
		.max_streams = 64,
	};
	if (relay_open(&app.relay, &options, why, sizeof(why)) != 0)
		return -1;
	app.ssrcs.used_up = 1; // no state directory
	return app_open(&app, &(struct config_limits){64, 64, 16, 64},
		&(struct config_mikey){.threads = 1, .queue = 1});
}

static int app_end(void **state)
{
	(void)state;
	app_close(&app);
	relay_close(&app.relay);
	return 0;
}

int main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, session_begin, session_end)
	const struct CMUnitTest tests[] = {
		test(mtu_only_becomes_less),
		test(mtu_is_forgotten_after_ten_minutes),
		test(mtu_is_of_the_remote_host),
		test(news_of_a_leg_that_left),
		test(unreachable_is_told_and_counted),
	};
	alarm(60); // a test that failed half way may not be able to clean up
	return cmocka_run_group_tests(tests, app_start, app_end);
}
