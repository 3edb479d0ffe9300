// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

// Which ICMP errors the relay believes (RFC 792, RFC 1191, RFC 4443): from the wire through a worker to the news.

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <rte_cycles.h>

#include "base/clock.h"
#include "dataplane/loop.h"
#include "dataplane/worker_state.h"
#include "host/host.h"
#include "host/icmp_error.h"
#include "host/news.h"
#include "host/relay.h"
#include "tests/unit/dataplane_lab.h"

enum { FRAME_MAX = 1600, QUOTED = 1400, QUOTE = 128 };

static struct lab lab;

// Of two legs, one on an untagged port and one on a VLAN, each family once.
static const struct path {
	uint8_t port;
	const char *local, *remote, *router;
	uint16_t mtu_min;
} paths[] = {
	{0, "10.0.0.1", "10.0.0.50", "10.0.0.254", ICMP_MTU_MIN_IPV4},
	{1, "2001:db8:1::1", "2001:db8:ffff::50", "2001:db8:1::fe", ICMP_MTU_MIN_IPV6},
	{1, "10.0.1.1", "192.0.2.50", "10.0.1.254", ICMP_MTU_MIN_IPV4},
	{0, "2001:db8::1", "2001:db8::50", "2001:db8::fe", ICMP_MTU_MIN_IPV6},
};

static struct endpoint endpoint_of(const char *text, uint16_t port)
{
	struct endpoint e = {.family = strchr(text, ':') ? AF_INET6 : AF_INET, .port = htons(port)};
	assert_int_equal(inet_pton(e.family, text, e.addr), 1);
	return e;
}

static int lab_up(void **state)
{
	(void)state;
	lab_open(&lab, 1);
	for (uint32_t i = 0; i < RTE_DIM(paths); i++) {
		struct lab_leg leg = {
			.mode = LEG_PLAIN,
			.port = paths[i].port,
			.ipv6 = strchr(paths[i].local, ':') != NULL,
		};
		assert_int_equal(lab_leg_add(&lab, leg), i);
		struct lab_leg *spec = &lab.specs[i];
		spec->local = endpoint_of(paths[i].local, (uint16_t)(6000 + 2 * i));
		spec->remote = endpoint_of(paths[i].remote, (uint16_t)(5000 + 2 * i));
	}
	lab_connect(&lab);
	for (uint32_t i = 0; i < RTE_DIM(paths); i++)
		lab.relay.workers[0]->legs[i].last_tx_tsc = rte_rdtsc();
	return 0;
}

static int lab_down(void **state)
{
	(void)state;
	lab_close(&lab);
	return 0;
}

// An error as it is on the wire; all but octets is an offset.
struct error {
	uint8_t octets[FRAME_MAX];
	uint16_t ip, icmp, quote, len;
	bool ipv6;
	uint8_t port;
};

static void write16(uint8_t *out, unsigned value)
{
	out[0] = (uint8_t)(value >> 8);
	out[1] = (uint8_t)value;
}

static uint32_t sum_octets(const uint8_t *octets, unsigned len, uint32_t sum)
{
	for (unsigned i = 0; i < len; i++)
		sum += i % 2 ? octets[i] : (uint32_t)octets[i] << 8;
	return sum;
}

static unsigned sum_fold(uint32_t sum)
{
	while (sum > 0xffff)
		sum = (sum & 0xffff) + (sum >> 16);
	return ~sum & 0xffff;
}

// Makes the lengths and checksums of IP and ICMP right.
static void error_seal(struct error *e)
{
	uint8_t *ip = e->octets + e->ip, *icmp = e->octets + e->icmp;
	unsigned icmp_len = (unsigned)e->len - e->icmp;
	write16(icmp + 2, 0);
	if (e->ipv6) {
		write16(ip + 4, icmp_len);
		uint32_t pseudo = sum_octets(ip + 8, 32, icmp_len + IPPROTO_ICMPV6);
		write16(icmp + 2, sum_fold(sum_octets(icmp, icmp_len, pseudo)));
		return;
	}
	write16(ip + 2, (unsigned)e->len - e->ip);
	write16(ip + 10, 0);
	write16(ip + 10, sum_fold(sum_octets(ip, (unsigned)e->icmp - e->ip, 0)));
	write16(icmp + 2, sum_fold(sum_octets(icmp, icmp_len, 0)));
}

// An IP header; its length.
static uint16_t ip_write(
	uint8_t *ip, const char *from, const char *to, uint8_t protocol, uint16_t payload_len)
{
	struct endpoint source = endpoint_of(from, 0), destination = endpoint_of(to, 0);
	if (source.family == AF_INET6) {
		ip[0] = 0x60;
		write16(ip + 4, payload_len);
		ip[6] = protocol;
		ip[7] = 61;
		memcpy(ip + 8, source.addr, 16);
		memcpy(ip + 24, destination.addr, 16);
		return 40;
	}
	ip[0] = 0x45;
	write16(ip + 2, payload_len + 20U);
	ip[6] = 0x40;
	ip[8] = 61;
	ip[9] = protocol;
	memcpy(ip + 12, source.addr, 4);
	memcpy(ip + 16, destination.addr, 4);
	return 20;
}

// An error of the router about a packet of QUOTED octets to a leg, QUOTE of which are quoted. rest: octets 4 to 7.
static struct error error_make(uint32_t leg, uint8_t type, uint8_t code, uint32_t rest)
{
	const struct path *path = &paths[leg];
	const struct port *port = &lab.relay.ports[path->port];
	struct error e = {.ipv6 = strchr(path->local, ':') != NULL, .port = path->port};
	memcpy(e.octets, &port->mac, 6);
	memcpy(e.octets + 6, "\2\0\0\0\0\x63", 6);
	if (port->vlan != 0) {
		write16(e.octets + 12, 0x8100);
		write16(e.octets + 14, port->vlan);
	}
	e.ip = port->l2_len;
	write16(e.octets + e.ip - 2, e.ipv6 ? 0x86dd : 0x0800);
	e.icmp = e.ip + ip_write(e.octets + e.ip, path->router, path->local,
				e.ipv6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP, 0);
	e.octets[e.icmp] = type;
	e.octets[e.icmp + 1] = code;
	write16(e.octets + e.icmp + 4, rest >> 16);
	write16(e.octets + e.icmp + 6, rest & 0xffff);
	e.quote = e.icmp + 8;
	uint16_t header_len = e.ipv6 ? 40 : 20;
	ip_write(e.octets + e.quote, path->local, path->remote, IPPROTO_UDP, QUOTED - header_len);
	uint8_t *udp = e.octets + e.quote + header_len;
	write16(udp, 6000 + 2 * leg);
	write16(udp + 2, 5000 + 2 * leg);
	write16(udp + 4, QUOTED - header_len);
	e.len = e.quote + QUOTE;
	error_seal(&e);
	return e;
}

static struct error too_big(uint32_t leg, uint32_t mtu)
{
	bool ipv6 = strchr(paths[leg].local, ':') != NULL;
	return ipv6 ? error_make(leg, 2, 0, mtu) : error_make(leg, 3, 4, mtu);
}

static void hear(const struct error *e)
{
	struct rte_mbuf *mbuf = lab_raw_frame(&lab, e->port, e->octets, e->len);
	loop_process_burst(lab.relay.workers[0], &mbuf, 1);
	relay_poll_network(&lab.relay, 1);
}

static void expect_nothing(void)
{
	assert_int_equal(lab.relay.news->n, 0);
	lab.relay.news->quotes_ms = 0; // another second begins
}

static void expect_news(uint32_t leg, enum news_type type, uint16_t mtu, uint8_t reason)
{
	struct endpoint router = endpoint_of(paths[leg].router, 0);
	assert_int_equal(lab.relay.news->n, 1);
	const struct news *news = &lab.relay.news->news[0];
	assert_int_equal(news->type, type);
	assert_int_equal(news->leg, leg);
	assert_int_equal(news->serial, lab.legs[leg].serial);
	assert_int_equal(news->mtu, mtu);
	if (type == NEWS_UNREACHABLE)
		assert_int_equal(news->unreachable, reason);
	assert_true(endpoint_equal(&news->addr, &router));
	lab.relay.news->n = 0;
}

static void tells_mtu(void **state)
{
	(void)state;
	for (uint32_t leg = 0; leg < RTE_DIM(paths); leg++) {
		static const uint16_t more[] = {0, 20, QUOTED - 1 - ICMP_MTU_MIN_IPV6};
		for (size_t i = 0; i < RTE_DIM(more); i++) {
			uint16_t mtu = paths[leg].mtu_min + more[i];
			struct error e = too_big(leg, mtu);
			hear(&e);
			expect_news(leg, NEWS_PATH_MTU, mtu, 0);
		}
		// of no link, or of one that the packet fits
		const uint32_t none[] = {1, 68, paths[leg].mtu_min - 1U, QUOTED, 1500, 9000,
			0x10000 + 1300, UINT32_MAX};
		for (size_t i = 0; i < RTE_DIM(none); i++) {
			struct error e = too_big(leg, none[i]);
			if (!e.ipv6 && none[i] > UINT16_MAX)
				continue; // the field has 16 bits
			hear(&e);
			expect_nothing();
		}
	}
	struct error large = too_big(0, 1300); // than which the port sends none
	write16(large.octets + large.quote + 2, LAB_MTU + 1);
	write16(large.octets + large.quote + 24, LAB_MTU + 1 - 20);
	error_seal(&large);
	hear(&large);
	expect_nothing();
	struct error code = error_make(1, 2, 7, 1300); // of any code (RFC 4443 3.2)
	hear(&code);
	expect_news(1, NEWS_PATH_MTU, 1300, 0);
}

// RFC 1191 5: a router that does not say. In IPv6 there is none.
static void guesses_mtu_that_is_not_told(void **state)
{
	static const uint16_t guesses[][2] = {
		{1500, 1492}, {1493, 1492}, {1492, 1006}, {1400, 1006}, {577, 576}, {576, 0}};
	(void)state;
	for (size_t i = 0; i < RTE_DIM(guesses); i++) {
		struct error e = too_big(0, 0);
		write16(e.octets + e.quote + 2, guesses[i][0]);
		write16(e.octets + e.quote + 24, guesses[i][0] - 20U);
		error_seal(&e);
		hear(&e);
		if (guesses[i][1] != 0)
			expect_news(0, NEWS_PATH_MTU, guesses[i][1], 0);
		else
			expect_nothing();
	}
	struct error e = too_big(1, 0);
	hear(&e);
	expect_nothing();
}

static void tells_what_is_unreachable(void **state)
{
	enum { NONE = UNREACHABLE_N };
	static const struct {
		uint32_t leg;
		uint8_t type, code, reason;
	} cases[] = {
		{0, 3, 0, UNREACHABLE_NET},
		{0, 3, 1, UNREACHABLE_HOST},
		{0, 3, 2, UNREACHABLE_PORT},
		{0, 3, 3, UNREACHABLE_PORT},
		{0, 3, 5, UNREACHABLE_NET},
		{0, 3, 6, UNREACHABLE_NET},
		{0, 3, 7, UNREACHABLE_HOST},
		{0, 3, 9, UNREACHABLE_PROHIBITED},
		{0, 3, 10, UNREACHABLE_PROHIBITED},
		{0, 3, 13, UNREACHABLE_PROHIBITED},
		{0, 3, 15, UNREACHABLE_PROHIBITED},
		{0, 3, 16, NONE},
		{0, 4, 0, NONE}, // source quench (RFC 6633)
		{0, 5, 1, NONE}, // redirect
		{0, 11, 0, UNREACHABLE_HOPS},
		{0, 11, 1, NONE}, // reassembly: the relay sends no fragments
		{0, 12, 0, NONE},
		{1, 1, 0, UNREACHABLE_NET},
		{1, 1, 1, UNREACHABLE_PROHIBITED},
		{1, 1, 2, UNREACHABLE_NET},
		{1, 1, 3, UNREACHABLE_HOST},
		{1, 1, 4, UNREACHABLE_PORT},
		{1, 1, 5, UNREACHABLE_PROHIBITED},
		{1, 1, 6, UNREACHABLE_PROHIBITED},
		{1, 1, 7, NONE},
		{1, 3, 0, UNREACHABLE_HOPS},
		{1, 3, 1, NONE},
		{1, 4, 1, NONE},
		{1, 137, 0, NONE}, // redirect
		{2, 3, 3, UNREACHABLE_PORT},
		{3, 1, 4, UNREACHABLE_PORT},
	};
	(void)state;
	for (size_t i = 0; i < RTE_DIM(cases); i++) {
		struct error e = error_make(cases[i].leg, cases[i].type, cases[i].code, 0);
		hear(&e);
		if (cases[i].reason != NONE)
			expect_news(cases[i].leg, NEWS_UNREACHABLE, 0, cases[i].reason);
		else
			expect_nothing();
	}
}

// What makes an error one that the relay does not believe: an octet that is another, at a place of one of its parts.
static void believes_only_what_quotes_its_packet(void **state)
{
	enum part { IP, ICMP, QUOTED_IP, QUOTED_UDP };
	static const struct {
		bool ipv6;
		enum part part;
		uint8_t at, octet;
		bool sealed; // with right checksums nevertheless
	} cases[] = {
		/*  1 */ {false, ICMP, 2, 0, false}, // checksum
		/*  2 */ {false, ICMP, 100, 1, false},
		/*  3 */ {false, QUOTED_IP, 0, 0x46, true}, // options
		/*  4 */ {false, QUOTED_IP, 0, 0x65, true},
		/*  5 */ {false, QUOTED_IP, 9, IPPROTO_TCP, true},
		/*  6 */ {false, QUOTED_IP, 8, 65, true},   // TTL
		/*  7 */ {false, QUOTED_IP, 6, 0x20, true}, // a fragment
		/*  8 */ {false, QUOTED_IP, 7, 1, true},    // another one
		/*  9 */ {false, QUOTED_IP, 15, 2, true},   // from another address
		/* 10 */ {false, QUOTED_IP, 19, 51, true},  // to another address
		/* 11 */ {false, QUOTED_IP, 2, 7, true},    // of another length
		/* 12 */ {false, QUOTED_UDP, 1, 0, true},   // from another port
		/* 13 */ {false, QUOTED_UDP, 3, 0, true},   // to another port
		/* 14 */ {false, QUOTED_UDP, 5, 0, true},   // of another length
		/* 15 */ {false, IP, 12, 224, true},        // said by a group
		/* 16 */ {false, IP, 12, 127, true},
		/* 17 */ {false, IP, 19, 2, true}, // to a host that is not the relay
		/* 18 */ {true, ICMP, 2, 0, false},
		/* 19 */ {true, ICMP, 100, 1, false},
		/* 20 */ {true, QUOTED_IP, 0, 0x40, true},
		/* 21 */ {true, QUOTED_IP, 6, IPPROTO_FRAGMENT, true}, // extension headers
		/* 22 */ {true, QUOTED_IP, 6, IPPROTO_HOPOPTS, true},
		/* 23 */ {true, QUOTED_IP, 7, 65, true},
		/* 24 */ {true, QUOTED_IP, 23, 2, true},
		/* 25 */ {true, QUOTED_IP, 39, 51, true},
		/* 26 */ {true, QUOTED_IP, 4, 0xff, true},
		/* 27 */ {true, QUOTED_UDP, 1, 0, true},
		/* 28 */ {true, QUOTED_UDP, 3, 0, true},
		/* 29 */ {true, QUOTED_UDP, 5, 0, true},
		/* 30 */ {true, IP, 8, 0xff, true},
		/* 31 */ {true, IP, 39, 2, true},
		/* 32 */ {true, IP, 6, IPPROTO_DSTOPTS, true}, // in front of ICMPv6
	};
	(void)state;
	for (size_t i = 0; i < RTE_DIM(cases); i++) {
		struct error e = too_big(cases[i].ipv6 ? 1 : 0, 1300);
		hear(&e);
		expect_news(cases[i].ipv6 ? 1 : 0, NEWS_PATH_MTU, 1300, 0);
		const unsigned parts[] = {e.ip, e.icmp, e.quote, e.quote + (e.ipv6 ? 40U : 20U)};
		uint8_t *octet = &e.octets[parts[cases[i].part] + cases[i].at];
		if (*octet == cases[i].octet)
			print_error("case %zu changes nothing\n", i + 1);
		assert_int_not_equal(*octet, cases[i].octet);
		*octet = cases[i].octet;
		if (cases[i].sealed)
			error_seal(&e);
		hear(&e);
		if (lab.relay.news->n != 0)
			print_error("case %zu\n", i + 1);
		expect_nothing();
	}
}

// A quote ends where its router likes, but not before the ports.
static void quotes_may_be_short(void **state)
{
	(void)state;
	for (uint32_t leg = 0; leg < 2; leg++) {
		struct error whole = too_big(leg, 1300);
		unsigned least = whole.quote + (whole.ipv6 ? 40U : 20U) + 8;
		for (uint16_t len = whole.icmp; len <= whole.len; len++) {
			struct error e = whole;
			e.len = len;
			if (len >= e.icmp + 4)
				error_seal(&e);
			hear(&e);
			if (len >= least)
				expect_news(leg, NEWS_PATH_MTU, 1300, 0);
			else
				expect_nothing();
		}
		// the frame ends before the packet
		struct error e = whole;
		e.len -= 1;
		hear(&e);
		expect_nothing();
		// and behind it: padding
		e.len = whole.len + 7;
		hear(&e);
		expect_news(leg, NEWS_PATH_MTU, 1300, 0);
	}
}

// Options of the outer header, which a router may add (RFC 1122 3.2.1.8), are skipped.
static void skips_options(void **state)
{
	(void)state;
	struct error e = too_big(0, 1300);
	memmove(e.octets + e.icmp + 8, e.octets + e.icmp, (size_t)(e.len - e.icmp));
	memcpy(e.octets + e.icmp, "\x94\4\0\0\1\1\1\0", 8); // router alert, padding
	e.octets[e.ip] = 0x47;
	e.icmp += 8;
	e.quote += 8;
	e.len += 8;
	error_seal(&e);
	hear(&e);
	expect_news(0, NEWS_PATH_MTU, 1300, 0);
}

static void believes_only_what_is_of_a_leg_in_use(void **state)
{
	struct leg_counters *counters = &lab.relay.workers[0]->legs[0];
	(void)state;
	struct error e = error_make(0, 3, 3, 0);
	counters->last_tx_tsc = 0; // nothing was sent
	hear(&e);
	expect_nothing();
	counters->last_tx_tsc = rte_rdtsc() - (ICMP_QUOTE_SECONDS + 1) * rte_get_tsc_hz();
	hear(&e);
	expect_nothing();
	counters->last_tx_tsc = rte_rdtsc();
	hear(&e);
	expect_news(0, NEWS_UNREACHABLE, 0, UNREACHABLE_PORT);
	lab.specs[0].remote.port = htons(5999); // it moved
	lab_connect(&lab);
	hear(&e);
	expect_nothing();
}

// RFC 1122 3.2.2, RFC 4443 2.4 (e).
static void errors_about_groups(void **state)
{
	(void)state;
	for (uint32_t leg = 0; leg < 2; leg++) {
		const char *group = leg == 0 ? "239.1.1.1" : "ff0e::7";
		struct endpoint addr = endpoint_of(group, (uint16_t)(5000 + 2 * leg));
		lab.specs[leg].remote = addr;
		lab_connect(&lab);
		struct error big = too_big(leg, 1300);
		struct error port = leg == 0 ? error_make(0, 3, 3, 0) : error_make(1, 1, 4, 0);
		memcpy(big.octets + big.quote + (leg == 0 ? 16 : 24), addr.addr, leg == 0 ? 4 : 16);
		memcpy(port.octets + port.quote + (leg == 0 ? 16 : 24), addr.addr,
			leg == 0 ? 4 : 16);
		error_seal(&big);
		error_seal(&port);
		hear(&port);
		expect_nothing();
		hear(&big);
		if (leg == 0)
			expect_nothing();
		else
			expect_news(leg, NEWS_PATH_MTU, 1300, 0);
	}
}

static void guesses_are_bounded(void **state)
{
	struct news_list *news = lab.relay.news;
	(void)state;
	struct error right = error_make(0, 3, 3, 0), wrong = right;
	wrong.octets[wrong.quote + 20 + 3]++;
	error_seal(&wrong);
	news->quotes_ms = clock_now_ms() + 100000; // no other second begins
	for (unsigned i = 0; i < ICMP_WRONG_PER_SECOND - 1; i++)
		hear(&wrong);
	hear(&right);
	expect_news(0, NEWS_UNREACHABLE, 0, UNREACHABLE_PORT);
	hear(&wrong);
	hear(&right);
	expect_nothing(); // and a second passes
	hear(&right);
	expect_news(0, NEWS_UNREACHABLE, 0, UNREACHABLE_PORT);
	news->quotes_ms = clock_now_ms() + 100000;
	news->quotes_right = 0;
	for (unsigned i = 0; i < ICMP_RIGHT_PER_SECOND; i++) {
		hear(&right);
		expect_news(0, NEWS_UNREACHABLE, 0, UNREACHABLE_PORT);
	}
	hear(&right);
	expect_nothing();
}

int main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, lab_up, lab_down)
	const struct CMUnitTest tests[] = {
		test(tells_mtu),
		test(guesses_mtu_that_is_not_told),
		test(tells_what_is_unreachable),
		test(believes_only_what_quotes_its_packet),
		test(quotes_may_be_short),
		test(skips_options),
		test(believes_only_what_is_of_a_leg_in_use),
		test(errors_about_groups),
		test(guesses_are_bounded),
	};
	alarm(60); // a test that failed half way may not be able to clean up
	lab_start();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
