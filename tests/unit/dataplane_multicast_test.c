// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

// Multicast groups of a port: what workers find, and what is said and answered by IGMP and MLD,
// octet by octet. The expected frames were put together apart from the relay's code.

#include <arpa/inet.h>
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

#include <rte_ip.h>
#include <rte_ring_elem.h>

#include "base/clock.h"
#include "tests/unit/dataplane_lab.h"

enum { FRAME_MAX = 1600, LATER_MS = 100000, QUERY_MS = 1000 };

static struct lab lab;

static const char igmp_join[] = "01005e000016020000000001080046c00028000040000102f9f80a000001e000"
				"0016940400002200e8f90000000104000000ef010203";
static const char igmp_leave[] = "01005e000016020000000001080046c00028000040000102f9f80a000001e000"
				 "0016940400002200e9f90000000103000000ef010203";
static const char igmp_state[] = "01005e000016020000000001080046c00028000040000102f9f80a000001e000"
				 "0016940400002200eaf90000000102000000ef010203";
static const char igmp_sources[] =
	"01005e000016020000000001080046c00030000040000102f9f00a000001e000"
	"0016940400002200d7920000000101000002ef0102030a0000320a000033";
static const char igmp_v2_report[] =
	"01005e010203020000000001080046c00020000040000102e9120a000001ef01"
	"0203940400001600f8faef010203";
static const char igmp_v2_leave[] =
	"01005e000002020000000001080046c00020000040000102fa140a000001e000"
	"0002940400001700f7faef010203";
static const char igmp_v1_report[] =
	"01005e010203020000000001080046c00020000040000102e9120a000001ef01"
	"0203940400001200fcfaef010203";
static const char mld_join[] = "33330000001602000000000186dd6000000000240001fe800000000000000000"
			       "00fffe000001ff0200000000000000000000000000163a000502000001008f00"
			       "70f00000000104000000ff150000000000000000000000000007";
static const char mld_leave[] = "33330000001602000000000186dd6000000000240001fe800000000000000000"
				"00fffe000001ff0200000000000000000000000000163a000502000001008f00"
				"71f00000000103000000ff150000000000000000000000000007";
static const char mld_state[] = "33330000001602000000000186dd6000000000240001fe800000000000000000"
				"00fffe000001ff0200000000000000000000000000163a000502000001008f00"
				"72f00000000102000000ff150000000000000000000000000007";
static const char mld_sources[] = "33330000001602000000000186dd6000000000340001fe800000000000000000"
				  "00fffe000001ff0200000000000000000000000000163a000502000001008f00"
				  "45d60000000101000001ff15000000000000000000000000000720010db80000"
				  "00000000000000000050";
static const char mld_v1_report[] =
	"33330000000702000000000186dd6000000000200001fe800000000000000000"
	"00fffe000001ff1500000000000000000000000000073a000502000001008300"
	"80f100000000ff150000000000000000000000000007";
static const char mld_v1_done[] = "33330000000202000000000186dd6000000000200001fe800000000000000000"
				  "00fffe000001ff0200000000000000000000000000023a000502000001008400"
				  "800900000000ff150000000000000000000000000007";

// What differs between the two protocols, where a test is of both.
static const struct protocol {
	const char *group, *source, *second;
	const char *join, *leave, *state, *sources, *older_report, *older_leave;
	uint8_t addr_len;
} protocols[] = {
	{"239.1.2.3", "10.0.0.50", "10.0.0.51", igmp_join, igmp_leave, igmp_state, igmp_sources,
		igmp_v2_report, igmp_v2_leave, 4},
	{"ff15::7", "2001:db8::50", NULL, mld_join, mld_leave, mld_state, mld_sources,
		mld_v1_report, mld_v1_done, 16},
};

static struct endpoint endpoint_of(const char *text)
{
	struct endpoint e = {.family = strchr(text, ':') ? AF_INET6 : AF_INET};
	assert_int_equal(inet_pton(e.family, text, e.addr), 1);
	return e;
}

static int lab_up(void **state)
{
	(void)state;
	lab_open(&lab, 1);
	port_set_mac(&lab.relay.ports[0], &(struct rte_ether_addr){{2, 0, 0, 0, 0, 1}});
	return 0;
}

static int lab_down(void **state)
{
	(void)state;
	lab_close(&lab);
	return 0;
}

static struct multicast *groups(void)
{
	return &lab.relay.multicast[0];
}

static const struct multicast_table *table(void)
{
	return atomic_load(&lab.relay.multicast_tables[0]);
}

static void publish(void)
{
	multicast_table_free(multicast_publish(&lab.relay, 0));
}

static struct multicast_group *join(const char *text)
{
	struct endpoint addr = endpoint_of(text);
	struct multicast_group *group = multicast_join(&lab.relay, 0, &addr);
	publish();
	return group;
}

static void leave(struct multicast_group *group)
{
	multicast_leave(&lab.relay, 0, group);
	publish();
}

// The next frame that control has worker 0 send; its length, 0 if there is none.
static uint16_t take_sent(uint8_t octets[FRAME_MAX])
{
	struct worker_mail mail;
	if (!worker_mail_take(&lab.relay.workers[0]->mailbox, &mail))
		return 0;
	assert_int_equal(mail.type, MAIL_SEND);
	assert_int_equal(mail.value, 0);
	uint16_t len = mail.mbuf->data_len;
	assert_true(len > 0 && len <= FRAME_MAX);
	memcpy(octets, rte_pktmbuf_mtod(mail.mbuf, void *), len);
	rte_pktmbuf_free(mail.mbuf);
	return len;
}

static void expect_sent(const char *hex)
{
	uint8_t octets[FRAME_MAX];
	char text[2 * FRAME_MAX + 1] = "";
	uint16_t len = take_sent(octets);
	for (uint16_t i = 0; i < len; i++)
		snprintf(text + 2 * (size_t)i, 3, "%02x", octets[i]);
	assert_string_equal(text, hex);
}

static void expect_silence(void)
{
	uint8_t octets[FRAME_MAX];
	assert_int_equal(take_sent(octets), 0);
}

static void tick_later(void)
{
	multicast_tick(&lab.relay, clock_now_ms() + LATER_MS);
}

// What was joined has been said, twice.
static void settle(void)
{
	uint8_t octets[FRAME_MAX];
	tick_later();
	tick_later();
	multicast_tick(&lab.relay, clock_now_ms() + 2 * LATER_MS);
	while (take_sent(octets) > 0)
		;
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(groups()->hosts[i].change_ms, 0);
}

// --- queries, as a router puts them together

struct query {
	uint8_t frame[FRAME_MAX];
	uint16_t len, ip_len, message; // octets; where the message begins
	bool ipv6;
};

// Both checksums, after a change.
static void query_seal(struct query *q)
{
	uint8_t *ip = q->frame + 14, *message = q->frame + q->message;
	uint16_t sum, len = q->len - q->message;
	memset(message + 2, 0, 2);
	if (q->ipv6) {
		struct rte_ipv6_hdr pseudo = {
			.payload_len = rte_cpu_to_be_16(len), .proto = IPPROTO_ICMPV6};
		memcpy(&pseudo.src_addr, ip + 8, 16);
		memcpy(&pseudo.dst_addr, ip + 24, 16);
		sum = rte_ipv6_udptcp_cksum(&pseudo, message);
	} else {
		memset(ip + 10, 0, 2);
		sum = (uint16_t)~rte_raw_cksum(ip, 24);
		memcpy(ip + 10, &sum, 2);
		sum = (uint16_t)~rte_raw_cksum(message, len);
	}
	memcpy(message + 2, &sum, 2);
}

static void query_resize(struct query *q, uint16_t message_len)
{
	q->len = q->message + message_len;
	uint16_t ip_len = (uint16_t)(q->len - 14 - (q->ipv6 ? 40 : 0));
	q->frame[q->ipv6 ? 18 : 16] = (uint8_t)(ip_len >> 8);
	q->frame[q->ipv6 ? 19 : 17] = (uint8_t)ip_len;
}

static void query_begin4(struct query *q, const uint8_t *group)
{
	static const uint8_t head[] = {0x01, 0x00, 0x5e, 0, 0, 1, 2, 0, 0, 0, 0, 9, 0x08, 0x00,
		0x46, 0xc0, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 10, 0, 0, 9, 224, 0, 0, 1, 0x94, 4, 0, 0};
	memcpy(q->frame, head, sizeof(head));
	q->message = sizeof(head);
	q->frame[q->message] = 0x11;
	q->frame[q->message + 1] = QUERY_MS / 100;
	memcpy(q->frame + q->message + 4, group, 4);
}

static void query_begin6(struct query *q, const uint8_t *group)
{
	static const uint8_t head[] = {0x33, 0x33, 0, 0, 0, 1, 2, 0, 0, 0, 0, 9, 0x86, 0xdd, 0x60,
		0, 0, 0, 0, 0, 0, 1, 0xfe, 0x80, [37] = 9, 0xff, 0x02, [53] = 1, 0x3a, 0, 5, 2, 0,
		0, 1, 0};
	memcpy(q->frame, head, sizeof(head));
	q->message = sizeof(head);
	q->frame[q->message] = 130;
	q->frame[q->message + 4] = QUERY_MS >> 8;
	q->frame[q->message + 5] = QUERY_MS & 0xff;
	memcpy(q->frame + q->message + 8, group, 16);
}

// A query of the newest version for a group, all groups if it is NULL, and for n sources.
static struct query query_make(const struct protocol *p, const char *group, unsigned n)
{
	struct query q = {.ipv6 = p->addr_len == 16};
	struct endpoint addr = {.family = q.ipv6 ? AF_INET6 : AF_INET};
	if (group)
		addr = endpoint_of(group);
	if (q.ipv6)
		query_begin6(&q, addr.addr);
	else
		query_begin4(&q, addr.addr);
	uint16_t fixed = q.ipv6 ? 28 : 12, at = q.message + fixed;
	q.frame[at - 1] = (uint8_t)n;
	for (unsigned i = 0; i < n; i++) {
		const char *text = i == 0 ? p->source : p->second;
		struct endpoint source = endpoint_of(text ? text : p->source);
		memcpy(q.frame + at + i * p->addr_len, source.addr, p->addr_len);
	}
	query_resize(&q, (uint16_t)(fixed + n * p->addr_len));
	query_seal(&q);
	return q;
}

// The same of the version before.
static struct query query_make_older(const struct protocol *p, const char *group)
{
	struct query q = query_make(p, group, 0);
	query_resize(&q, q.ipv6 ? 24 : 8);
	query_seal(&q);
	return q;
}

// From the wire through a worker to the control thread.
static void query_receive(const struct query *q)
{
	struct rte_mbuf *mbuf = lab_raw_frame(&lab, 0, q->frame, q->len);
	loop_process_burst(lab.relay.workers[0], &mbuf, 1);
	relay_poll_network(&lab.relay, 1);
}

static bool answer_is_due(void)
{
	for (unsigned i = 0; i < 2; i++)
		if (groups()->hosts[i].answer_ms != 0 || groups()->hosts[i].group_ms != 0)
			return true;
	return false;
}

// --- tests

static void join_and_leave_are_said_twice(void **state)
{
	(void)state;
	for (unsigned i = 0; i < RTE_DIM(protocols); i++) {
		const struct protocol *p = &protocols[i];
		struct multicast_host *host = &groups()->hosts[i];
		struct multicast_group *group = join(p->group);
		uint64_t now_ms = clock_now_ms();
		multicast_tick(&lab.relay, now_ms);
		expect_sent(p->join);
		assert_true(host->change_ms > now_ms &&
			    host->change_ms <= now_ms + MULTICAST_REPEAT_MS);
		multicast_tick(&lab.relay, host->change_ms - 1);
		expect_silence();
		multicast_tick(&lab.relay, host->change_ms);
		expect_sent(p->join);
		tick_later();
		expect_silence();
		// a second user changes nothing, nor does its going
		assert_ptr_equal(join(p->group), group);
		leave(group);
		tick_later();
		expect_silence();
		leave(group);
		multicast_tick(&lab.relay, clock_now_ms());
		expect_sent(p->leave);
		tick_later();
		expect_sent(p->leave);
		tick_later();
		expect_silence();
		assert_int_equal(groups()->n_groups, 0);
	}
}

static void back_before_its_leaving_was_said(void **state)
{
	(void)state;
	struct multicast_group *group = join("239.1.2.3");
	settle();
	leave(group);
	assert_null(group->legs);
	group = join("239.1.2.3");
	assert_non_null(group->legs);
	multicast_tick(&lab.relay, clock_now_ms());
	expect_sent(igmp_join);
	expect_silence();
}

static void what_every_node_is_in_is_not_said(void **state)
{
	(void)state;
	static const char *const quiet[] = {"224.0.0.1", "ff02::1", "ff01::5", "ff11::5"};
	struct multicast_group *joined[RTE_DIM(quiet)];
	for (unsigned i = 0; i < RTE_DIM(quiet); i++)
		joined[i] = join(quiet[i]);
	struct query q4 = query_make(&protocols[0], NULL, 0),
		     q6 = query_make(&protocols[1], NULL, 0);
	query_receive(&q4);
	query_receive(&q6);
	tick_later();
	for (unsigned i = 0; i < RTE_DIM(quiet); i++)
		leave(joined[i]);
	tick_later();
	expect_silence();
	assert_int_equal(groups()->n_groups, 0);
}

static void queries_are_answered(void **state)
{
	(void)state;
	for (unsigned i = 0; i < RTE_DIM(protocols); i++) {
		const struct protocol *p = &protocols[i];
		struct multicast_group *group = join(p->group);
		settle();
		struct query all = query_make(p, NULL, 0);
		uint64_t now_ms = clock_now_ms();
		query_receive(&all);
		uint64_t at_ms = groups()->hosts[i].answer_ms;
		assert_true(at_ms >= now_ms && at_ms <= clock_now_ms() + QUERY_MS);
		multicast_tick(&lab.relay, at_ms - 1);
		expect_silence();
		multicast_tick(&lab.relay, at_ms);
		expect_sent(p->state);
		struct query one = query_make(p, p->group, 0);
		query_receive(&one);
		assert_in_range(group->answer_ms, now_ms, clock_now_ms() + QUERY_MS);
		tick_later();
		expect_sent(p->state);
		struct query sources = query_make(p, p->group, p->second ? 2 : 1);
		query_receive(&sources);
		query_receive(&sources); // asks for nothing more
		tick_later();
		expect_sent(p->sources);
		// a question for all of it takes the place of one for sources
		query_receive(&sources);
		query_receive(&one);
		query_receive(&sources);
		tick_later();
		expect_sent(p->state);
		struct query other = query_make(p, i == 0 ? "239.9.9.9" : "ff15::99", 0);
		query_receive(&other);
		assert_false(answer_is_due());
		tick_later();
		expect_silence();
		leave(group);
		settle();
	}
}

static void more_sources_than_an_answer_names(void **state)
{
	(void)state;
	struct multicast_group *group = join("239.1.2.3");
	settle();
	struct query q = query_make(&protocols[0], "239.1.2.3", MULTICAST_SOURCES_MAX + 1);
	query_receive(&q);
	tick_later();
	expect_sent(igmp_state);
	q = query_make(&protocols[0], "239.1.2.3", MULTICAST_SOURCES_MAX);
	query_receive(&q);
	assert_int_equal(group->n_sources, 2); // the same ones again and again
}

// Response codes with an exponent (RFC 3376 4.1.1, RFC 3810 5.1.3): some answers of many come late.
static void long_response_times(void **state)
{
	(void)state;
	static const uint64_t longest_ms[2] = {3174400, 8387584};
	for (unsigned i = 0; i < RTE_DIM(protocols); i++) {
		join(protocols[i].group);
		settle();
		struct query q = query_make(&protocols[i], NULL, 0);
		memset(q.frame + q.message + (q.ipv6 ? 4 : 1), 0xff, q.ipv6 ? 2 : 1);
		query_seal(&q);
		uint64_t latest_ms = 0;
		for (unsigned n = 0; n < 200; n++) {
			groups()->hosts[i].answer_ms = 0;
			query_receive(&q);
			uint64_t delay_ms = groups()->hosts[i].answer_ms - clock_now_ms();
			assert_true((int64_t)delay_ms <= (int64_t)longest_ms[i]);
			latest_ms = RTE_MAX(latest_ms, groups()->hosts[i].answer_ms);
		}
		assert_true(latest_ms > clock_now_ms() + longest_ms[i] / 2);
	}
}

struct flaw {
	const char *what;
	uint8_t ipv6, sealed; // sealed: the checksums are right
	uint16_t at;          // in the frame
	uint8_t value;
	uint16_t message_len; // 0: as it is
};

static void malformed_queries_are_not_answered(void **state)
{
	(void)state;
	static const struct flaw flaws[] = {
		{"ttl", 0, 1, 22, 2, 0},
		{"no router alert", 0, 1, 34, 1, 0},
		{"router alert of another length", 0, 1, 35, 3, 0},
		{"option without an end", 0, 1, 35, 9, 0},
		{"another destination", 0, 1, 33, 2, 0},
		{"checksum", 0, 0, 40, 0x77, 0},
		{"type", 0, 1, 38, 0x16, 0},
		{"length between versions", 0, 1, 38, 0x11, 9},
		{"too short", 0, 1, 38, 0x11, 7},
		{"more sources than there are", 0, 1, 49, 1, 0},
		{"unicast group", 0, 1, 42, 10, 0},
		{"hop limit", 1, 1, 21, 2, 0},
		{"source not link-local", 1, 1, 22, 0x20, 0},
		{"no router alert", 1, 1, 56, 1, 0},
		{"router alert of another protocol", 1, 1, 59, 1, 0},
		{"option longer than its header", 1, 1, 57, 9, 0},
		{"unknown option that must not be skipped", 1, 1, 60, 0x80, 0},
		{"another destination", 1, 1, 53, 2, 0},
		{"checksum", 1, 0, 64, 0x77, 0},
		{"type", 1, 1, 62, 131, 0},
		{"code", 1, 1, 63, 1, 0},
		{"length between versions", 1, 1, 62, 130, 25},
		{"too short", 1, 1, 62, 130, 23},
		{"more sources than there are", 1, 1, 89, 1, 0},
		{"unicast group", 1, 1, 70, 0x20, 0},
		{"hop-by-hop header beyond the packet", 1, 1, 55, 200, 0},
	};
	for (unsigned i = 0; i < RTE_DIM(protocols); i++)
		join(protocols[i].group);
	settle();
	for (unsigned i = 0; i < RTE_DIM(flaws); i++) {
		const struct flaw *flaw = &flaws[i];
		const struct protocol *p = &protocols[flaw->ipv6];
		struct query q = query_make(p, p->group, 0);
		q.frame[flaw->at] = flaw->value;
		if (flaw->message_len > 0)
			query_resize(&q, flaw->message_len);
		if (flaw->sealed)
			query_seal(&q);
		query_receive(&q);
		if (answer_is_due())
			fail_msg("%s: answered", flaw->what);
	}
	tick_later();
	expect_silence();
	// a general query that asks for sources
	for (unsigned i = 0; i < RTE_DIM(protocols); i++) {
		struct query q = query_make(&protocols[i], NULL, 1);
		query_receive(&q);
		assert_false(answer_is_due());
		q = query_make(&protocols[i], protocols[i].group, 0);
		query_receive(&q);
		assert_true(answer_is_due()); // but for its flaw it would have been
		groups()->hosts[i].group_ms = 0;
	}
}

static void older_queriers(void **state)
{
	(void)state;
	for (unsigned i = 0; i < RTE_DIM(protocols); i++) {
		const struct protocol *p = &protocols[i];
		struct multicast_group *group = join(p->group);
		multicast_tick(&lab.relay, clock_now_ms());
		expect_sent(p->join);
		// the version changes: the repetition is not sent
		struct query q = query_make_older(p, NULL);
		query_receive(&q);
		assert_int_equal(groups()->hosts[i].age, MULTICAST_OLDER);
		assert_in_range(group->answer_ms, 1, clock_now_ms() + QUERY_MS);
		tick_later();
		expect_sent(p->older_report);
		expect_silence();
		q = query_make(p, p->group, 0); // a newer one is answered in the older version
		query_receive(&q);
		tick_later();
		expect_sent(p->older_report);
		leave(group);
		multicast_tick(&lab.relay, clock_now_ms());
		expect_sent(p->older_leave);
		settle();
		multicast_tick(&lab.relay, clock_now_ms() + MULTICAST_OLDER_MS + 1);
		assert_int_equal(groups()->hosts[i].age, MULTICAST_NEWEST);
		groups()->hosts[i].older_ms[MULTICAST_OLDER] = 0;
		group = join(p->group);
		multicast_tick(&lab.relay, clock_now_ms());
		expect_sent(p->join);
		leave(group);
		settle();
	}
}

static void igmp_version_1_querier(void **state)
{
	(void)state;
	struct multicast_group *group = join("239.1.2.3");
	settle();
	struct query q = query_make_older(&protocols[0], NULL);
	q.frame[q.message + 1] = 0;
	memset(q.frame + 34, 1, 4); // no router alert in those days
	query_seal(&q);
	query_receive(&q);
	assert_int_equal(groups()->hosts[0].age, MULTICAST_OLDEST);
	tick_later();
	expect_sent(igmp_v1_report);
	leave(group);
	tick_later();
	expect_silence();
}

static void large_answers_are_split(void **state)
{
	(void)state;
	enum { N = 400 };
	static const unsigned room[2] = {183, 72}; // records in 1,500 octets
	for (unsigned i = 0; i < N; i++) {
		char text[64];
		snprintf(text, sizeof(text), "239.5.%u.%u", i / 250, i % 250);
		join(text);
		snprintf(text, sizeof(text), "ff15:5::%x", i + 1);
		join(text);
	}
	for (unsigned version = 0; version < 2; version++) {
		uint8_t octets[FRAME_MAX];
		unsigned records = 0, frames = 0;
		if (version == 0)
			settle();
		struct query q = query_make(&protocols[version], NULL, 0);
		query_receive(&q);
		tick_later();
		for (uint16_t len; (len = take_sent(octets)) > 0; frames++) {
			const uint8_t *report = octets + (version ? 62 : 38);
			unsigned n = (unsigned)(report[6] << 8 | report[7]);
			assert_true(len - 14 <= LAB_MTU);
			assert_true(n == room[version] || records + n == N);
			assert_int_equal(report[0], version ? 143 : 0x22);
			if (version == 0)
				assert_int_equal(rte_raw_cksum(report, len - 38U), 0xffff);
			records += n;
		}
		assert_int_equal(records, N);
		assert_int_equal(frames, (N + room[version] - 1) / room[version]);
	}
}

static void table_finds_each_group_and_no_other(void **state)
{
	(void)state;
	struct multicast_group *joined[MULTICAST_GROUPS_MAX];
	char text[64];
	for (unsigned i = 0; i < MULTICAST_GROUPS_MAX; i++) {
		snprintf(text, sizeof(text), i % 2 ? "239.7.%u.%u" : "ff15:7:%x::%x", i / 250,
			i * 7919 % 251);
		struct endpoint addr = endpoint_of(text);
		joined[i] = multicast_join(&lab.relay, 0, &addr);
	}
	publish();
	assert_int_equal(multicast_count(groups()), MULTICAST_GROUPS_MAX);
	for (unsigned left = 0; left <= MULTICAST_GROUPS_MAX; left += 512) {
		for (unsigned i = 0; i < MULTICAST_GROUPS_MAX; i++) {
			const struct port_address *found =
				multicast_table_find(table(), &joined[i]->addr);
			if (i < left)
				assert_null(found);
			else
				assert_ptr_equal(found->legs, joined[i]->legs);
		}
		for (unsigned i = left; i < left + 512 && i < MULTICAST_GROUPS_MAX; i++)
			multicast_leave(&lab.relay, 0, joined[i]);
		publish();
	}
	struct endpoint other = endpoint_of("239.7.0.255");
	assert_null(multicast_table_find(table(), &other));
}

static void what_is_gone_stays_until_its_table_is_freed(void **state)
{
	(void)state;
	struct multicast_group *group = join("239.1.2.3");
	_Atomic uint32_t *legs = group->legs;
	atomic_store(&legs[5004], 1);
	multicast_leave(&lab.relay, 0, group);
	struct multicast_table *before = multicast_publish(&lab.relay, 0);
	assert_non_null(before);
	assert_int_equal(before->n_gone, 1);
	assert_int_equal(atomic_load(&before->groups[0].legs[5004]), 1); // a worker may look yet
	assert_null(multicast_publish(&lab.relay, 0));
	multicast_table_free(before);
}

// Media to a joined group reaches the leg, from whoever sends it; nothing else does.
static void media_to_a_group(void **state)
{
	(void)state;
	for (unsigned ipv6 = 0; ipv6 < 2; ipv6++) {
		lab_leg_add(&lab, (struct lab_leg){.ipv6 = ipv6, .group = true});
		lab_leg_add(&lab, (struct lab_leg){.ipv6 = ipv6, .muted = true, .port = 1});
	}
	lab_connect(&lab);
	struct lab_copy *copies = calloc(LAB_COPIES, sizeof(*copies));
	const struct lab_packet packet = {.len = 20, .ssrc = 1, .ctx = KEY_NONE, .index = 1};
	for (uint32_t leg = 0; leg < 4; leg += 2) {
		lab_push(&lab, 0, leg, &packet);
		assert_int_equal(lab_take(&lab, 0, copies), 3); // all legs but itself
		assert_true(lab_copy_is(&lab, &copies[0], &packet));
	}
	assert_int_equal(lab_drops(&lab, 0), 0);
	struct rte_mbuf *mbuf;
	for (uint32_t leg = 0; leg < 4; leg += 2) {
		const struct lab_leg *spec = &lab.specs[leg];
		uint16_t source = spec->ipv6 ? 22 : 26, destination = spec->ipv6 ? 53 : 33;
		uint8_t addr_len = endpoint_addr_len(&spec->local);
		const struct {
			uint16_t at;
			const uint8_t *octets;
			uint16_t len;
			enum drop_reason reason;
		} cases[] = {
			{source, spec->local.addr, addr_len, DROP_OWN_SOURCE},
			{destination, (const uint8_t[]){200}, 1, DROP_NOT_LOCAL},
			{(uint16_t)(destination + 3), (const uint8_t[]){1, 2}, 2, DROP_NO_LEG},
			{(uint16_t)(destination + 1 - addr_len), spec->local.addr, addr_len,
				DROP_NO_LEG},
		};
		for (unsigned i = 0; i < RTE_DIM(cases); i++) {
			uint64_t before = lab_drops_of(&lab, 0, cases[i].reason);
			mbuf = lab_packet_frame(&lab, leg, &packet);
			uint8_t *frame = rte_pktmbuf_mtod(mbuf, uint8_t *);
			memcpy(frame + cases[i].at, cases[i].octets, cases[i].len);
			if (i == 3) // the UDP port of the leg's own address
				memcpy(frame + destination + 3, &spec->local.port, 2);
			if (!spec->ipv6) {
				memset(frame + 24, 0, 2);
				uint16_t sum = (uint16_t)~rte_raw_cksum(frame + 14, 20);
				memcpy(frame + 24, &sum, 2);
			}
			loop_process_burst(lab.relay.workers[0], &mbuf, 1);
			assert_int_equal(lab_drops_of(&lab, 0, cases[i].reason), before + 1);
			assert_int_equal(lab_take(&lab, 0, copies), 0);
		}
	}
	free(copies);
}

// Queries leave room for ARP and ND, echo requests for queries.
static void queries_do_not_crowd_out_others(void **state)
{
	(void)state;
	const unsigned room = (PUNT_SIZE - 1) / LAB_PORTS * 3 / 4;
	struct worker *worker = lab.relay.workers[0];
	struct rte_mbuf *mbuf;
	join("239.1.2.3");
	struct query q = query_make(&protocols[0], NULL, 0);
	for (unsigned i = 0; i < PUNT_SIZE; i++) {
		mbuf = lab_raw_frame(&lab, 0, q.frame, q.len);
		loop_process_burst(worker, &mbuf, 1);
	}
	assert_int_equal(rte_ring_count(lab.relay.punt), room);
	assert_int_equal(lab_drops_of(&lab, 0, DROP_PUNT_FULL), PUNT_SIZE - room);
	static const uint8_t arp[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, [12] = 0x08, 0x06};
	mbuf = lab_raw_frame(&lab, 0, arp, sizeof(arp));
	loop_process_burst(worker, &mbuf, 1);
	assert_int_equal(rte_ring_count(lab.relay.punt), room + 1);
	// what is no query goes nowhere
	q.frame[q.message] = 0x16;
	query_seal(&q);
	mbuf = lab_raw_frame(&lab, 0, q.frame, q.len);
	loop_process_burst(worker, &mbuf, 1);
	assert_int_equal(lab_drops_of(&lab, 0, DROP_IP_PROTOCOL), 1);
}

static void solicited_node_groups(void **state)
{
	(void)state;
	multicast_open(&lab.relay, 0);
	struct endpoint group = endpoint_of("ff02::1:ff00:1");
	assert_non_null(multicast_member(groups(), &group));
	assert_int_equal(multicast_count(groups()), 1);
	settle();
	multicast_leave_all(&lab.relay);
	uint8_t octets[FRAME_MAX];
	assert_int_equal(take_sent(octets), 14 + 48 + 8 + 20);
	assert_int_equal(octets[62], 143);
	assert_int_equal(octets[70], MULTICAST_TO_INCLUDE);
	assert_memory_equal(octets + 74, group.addr, 16);
	expect_silence();
}

int main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, lab_up, lab_down)
	const struct CMUnitTest tests[] = {
		test(join_and_leave_are_said_twice),
		test(back_before_its_leaving_was_said),
		test(what_every_node_is_in_is_not_said),
		test(queries_are_answered),
		test(more_sources_than_an_answer_names),
		test(long_response_times),
		test(malformed_queries_are_not_answered),
		test(older_queriers),
		test(igmp_version_1_querier),
		test(large_answers_are_split),
		test(table_finds_each_group_and_no_other),
		test(what_is_gone_stays_until_its_table_is_freed),
		test(media_to_a_group),
		test(queries_do_not_crowd_out_others),
		test(solicited_node_groups),
	};
	alarm(60); // a test that failed half way may not be able to clean up
	lab_start();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
