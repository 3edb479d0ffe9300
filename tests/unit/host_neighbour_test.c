// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

// Next hops: what ARP and Neighbour Discovery packets make of what is known of them (RFC 826, RFC 4861 7.2), and how
// the relay stands up for its own addresses (RFC 5227).

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <rte_arp.h>
#include <rte_icmp.h>
#include <rte_ip.h>

#include "base/clock.h"
#include "dataplane/punt.h"
#include "host/frame.h"
#include "host/host.h"
#include "host/neighbour.h"
#include "host/news.h"
#include "host/own_address.h"
#include "tests/unit/dataplane_lab.h"

enum { FRAME_MAX = 256, SOLICITED = 0x40, OVERRIDE = 0x20 };

static struct lab lab;

static const struct rte_ether_addr own_mac = {{2, 0, 0, 0, 0, 1}};
static const struct rte_ether_addr mac_a = {{2, 0, 0, 0, 0, 0xaa}};
static const struct rte_ether_addr mac_b = {{2, 0, 0, 0, 0, 0xbb}};

static int lab_up(void **state)
{
	(void)state;
	lab_open(&lab, 1);
	port_set_mac(&lab.relay.ports[0], &own_mac);
	return 0;
}

static int lab_down(void **state)
{
	(void)state;
	lab_close(&lab);
	return 0;
}

static struct endpoint endpoint_of(const char *text)
{
	struct endpoint e = {.family = strchr(text, ':') ? AF_INET6 : AF_INET};
	assert_int_equal(inet_pton(e.family, text, e.addr), 1);
	return e;
}

// The next frame that control has worker 0 send; its length, 0 if there is none.
static uint16_t take_sent(uint8_t octets[FRAME_MAX])
{
	struct worker_mail mail;
	if (!worker_mail_take(&lab.relay.workers[0]->mailbox, &mail))
		return 0;
	uint16_t len = mail.mbuf->data_len;
	assert_true(mail.type == MAIL_SEND && len <= FRAME_MAX);
	memcpy(octets, rte_pktmbuf_mtod(mail.mbuf, void *), len);
	rte_pktmbuf_free(mail.mbuf);
	return len;
}

static void expect_silence(void)
{
	uint8_t octets[FRAME_MAX];
	assert_int_equal(take_sent(octets), 0);
}

static const struct rte_ether_addr broadcast = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

static void expect_solicitation(const struct rte_ether_addr *to)
{
	uint8_t octets[FRAME_MAX];
	assert_int_not_equal(take_sent(octets), 0);
	assert_memory_equal(octets, to, 6);
}

static void hear(const uint8_t *frame, uint16_t len)
{
	struct rte_mbuf *mbuf = lab_raw_frame(&lab, 0, frame, len);
	host_input(&lab.relay, mbuf);
	rte_pktmbuf_free(mbuf);
}

// An ARP packet as a host sends it.
static void hear_arp(
	uint16_t opcode, const struct rte_ether_addr *mac, const char *sender, const char *target)
{
	uint8_t frame[60] = {[12] = 0x08, 0x06};
	struct rte_arp_hdr arp = {
		.arp_hardware = RTE_BE16(1),
		.arp_protocol = RTE_BE16(0x0800),
		.arp_hlen = 6,
		.arp_plen = 4,
		.arp_opcode = rte_cpu_to_be_16(opcode),
		.arp_data = {.arp_sha = *mac},
	};
	memcpy(&arp.arp_data.arp_sip, endpoint_of(sender).addr, 4);
	memcpy(&arp.arp_data.arp_tip, endpoint_of(target).addr, 4);
	memset(frame, 0xff, 6);
	memcpy(frame + 6, mac, 6);
	memcpy(frame + 14, &arp, sizeof(arp));
	hear(frame, sizeof(frame));
}

struct nd {
	uint8_t type, flags, option; // option: type of one with a link-layer address, 0: none
	const char *source, *destination, *target;
	struct rte_ether_addr from, mac;
};

static void hear_nd(const struct nd *nd)
{
	uint8_t frame[14 + 40 + 24 + 8] = {[12] = 0x86, 0xdd}, *message = frame + 54;
	uint16_t len = nd->option != 0 ? 32 : 24;
	struct rte_ipv6_hdr ip = {
		.vtc_flow = RTE_BE32(6u << 28),
		.payload_len = rte_cpu_to_be_16(len),
		.proto = IPPROTO_ICMPV6,
		.hop_limits = 255,
	};
	memcpy(&ip.src_addr, endpoint_of(nd->source).addr, 16);
	memcpy(&ip.dst_addr, endpoint_of(nd->destination).addr, 16);
	memcpy(frame + 6, &nd->from, 6);
	memcpy(frame + 14, &ip, sizeof(ip));
	message[0] = nd->type;
	message[4] = nd->flags;
	memcpy(message + 8, endpoint_of(nd->target).addr, 16);
	message[24] = nd->option;
	message[25] = 1;
	memcpy(message + 26, &nd->mac, 6);
	uint16_t sum = rte_ipv6_udptcp_cksum(&ip, message);
	memcpy(message + 2, &sum, 2);
	hear(frame, (uint16_t)(54 + len));
}

static struct neighbour *take(const char *text)
{
	struct endpoint addr = endpoint_of(text);
	uint32_t index = neighbour_take(&lab.relay, 0, &addr);
	assert_int_not_equal(index, NEIGHBOUR_NONE);
	return &lab.relay.neighbours.entries[index];
}

static void give_back(struct neighbour *n)
{
	uint8_t octets[FRAME_MAX];
	neighbour_release(&lab.relay, (uint32_t)(n - lab.relay.neighbours.entries));
	while (take_sent(octets) > 0)
		;
}

static void expect_mac(const struct neighbour *n, const struct rte_ether_addr *mac)
{
	struct rte_ether_addr known;
	bool is_known = neighbour_mac(
		&lab.relay.neighbours, (uint32_t)(n - lab.relay.neighbours.entries), &known);
	assert_int_equal(is_known, mac != NULL);
	if (mac)
		assert_memory_equal(&known, mac, sizeof(known));
}

// That, and nothing else, is news.
static void expect_moved(const char *addr, const struct rte_ether_addr *mac)
{
	struct endpoint host = endpoint_of(addr);
	assert_int_equal(lab.relay.news->n, 1);
	const struct news *news = &lab.relay.news->news[0];
	assert_int_equal(news->type, NEWS_NEIGHBOUR_MOVED);
	assert_true(endpoint_same_addr(&news->addr, &host));
	assert_memory_equal(&news->mac, mac, 6);
	lab.relay.news->n = 0;
}

// A tick when the time of the neighbour's state is over.
static void let_time_pass(struct neighbour *n)
{
	lab.relay.neighbours.tick_ms = 0;
	neighbour_tick(&lab.relay, n->due_ms);
}

#define HOST6 "2001:db8::50"

// RFC 4861 7.2.5 and appendix C: the state, what comes, the state then and the link-layer address.
static void advertisements(void **state)
{
	static const struct {
		enum neighbour_state before;
		uint8_t flags;
		const struct rte_ether_addr *mac; // in the option, NULL: no option
		enum neighbour_state after;
		const struct rte_ether_addr *known;
	} cases[] = {
		/*  1 */ {NEIGHBOUR_INCOMPLETE, SOLICITED, NULL, NEIGHBOUR_INCOMPLETE, NULL},
		/*  2 */ {NEIGHBOUR_INCOMPLETE, SOLICITED, &mac_a, NEIGHBOUR_REACHABLE, &mac_a},
		/*  3 */ {NEIGHBOUR_INCOMPLETE, 0, &mac_a, NEIGHBOUR_STALE, &mac_a},
		/*  4 */ {NEIGHBOUR_INCOMPLETE, OVERRIDE, &mac_a, NEIGHBOUR_STALE, &mac_a},
		/*  5 */ {NEIGHBOUR_REACHABLE, SOLICITED, NULL, NEIGHBOUR_REACHABLE, &mac_a},
		/*  6 */ {NEIGHBOUR_REACHABLE, 0, NULL, NEIGHBOUR_REACHABLE, &mac_a},
		/*  7 */ {NEIGHBOUR_REACHABLE, 0, &mac_a, NEIGHBOUR_REACHABLE, &mac_a},
		/*  8 */ {NEIGHBOUR_REACHABLE, 0, &mac_b, NEIGHBOUR_STALE, &mac_a},
		/*  9 */ {NEIGHBOUR_REACHABLE, SOLICITED, &mac_b, NEIGHBOUR_STALE, &mac_a},
		/* 10 */ {NEIGHBOUR_REACHABLE, OVERRIDE, &mac_b, NEIGHBOUR_STALE, &mac_b},
		/* 11 */
		{NEIGHBOUR_REACHABLE, SOLICITED | OVERRIDE, &mac_b, NEIGHBOUR_REACHABLE, &mac_b},
		/* 12 */ {NEIGHBOUR_PROBE, SOLICITED, NULL, NEIGHBOUR_REACHABLE, &mac_a},
		/* 13 */ {NEIGHBOUR_PROBE, 0, &mac_a, NEIGHBOUR_PROBE, &mac_a},
		/* 14 */ {NEIGHBOUR_PROBE, 0, &mac_b, NEIGHBOUR_PROBE, &mac_a},
		/* 15 */ {NEIGHBOUR_PROBE, SOLICITED, &mac_b, NEIGHBOUR_PROBE, &mac_a},
		/* 16 */ {NEIGHBOUR_PROBE, OVERRIDE, &mac_b, NEIGHBOUR_STALE, &mac_b},
		/* 17 */ {NEIGHBOUR_STALE, SOLICITED, NULL, NEIGHBOUR_REACHABLE, &mac_a},
		/* 18 */
		{NEIGHBOUR_STALE, SOLICITED | OVERRIDE, &mac_a, NEIGHBOUR_REACHABLE, &mac_a},
		/* 19 */ {NEIGHBOUR_STALE, SOLICITED, &mac_b, NEIGHBOUR_STALE, &mac_a},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct neighbour *n = take(HOST6);
		if (cases[i].before != NEIGHBOUR_INCOMPLETE)
			neighbour_hear(&lab.relay, 0,
				&(struct neighbour_claim){.addr = n->addr,
					.mac = mac_a,
					.solicited = cases[i].before != NEIGHBOUR_STALE});
		if (cases[i].before == NEIGHBOUR_PROBE)
			let_time_pass(n);
		assert_int_equal(n->state, cases[i].before);
		hear_nd(&(struct nd){
			.type = ND_ADVERTISEMENT,
			.flags = cases[i].flags,
			.option = cases[i].mac ? 2 : 0,
			.source = HOST6,
			.destination = cases[i].flags & SOLICITED ? "2001:db8::1" : "ff02::1",
			.target = HOST6,
			.from = cases[i].mac ? *cases[i].mac : mac_a,
			.mac = cases[i].mac ? *cases[i].mac : mac_a,
		});
		if (n->state != cases[i].after)
			print_error("case %zu\n", i + 1);
		assert_int_equal(n->state, cases[i].after);
		expect_mac(n, cases[i].known);
		give_back(n);
	}
}

// RFC 4861 7.1: each of these would move the neighbour if it were valid.
static void invalid_messages(void **state)
{
	static const struct nd messages[] = {
		{ND_ADVERTISEMENT, SOLICITED | OVERRIDE, 2, HOST6, "ff02::1", HOST6, mac_b, mac_b},
		{ND_SOLICITATION, 0, 1, "::", "ff02::1:ff00:1", "2001:db8::1", mac_b, mac_b},
		{ND_SOLICITATION, 0, 1, HOST6, "ff02::1:ff00:1", "ff02::1", mac_b, mac_b},
		// for somebody else: a host does not look at it (RFC 4861 7.2.3)
		{ND_SOLICITATION, 0, 1, HOST6, "ff02::1:ff00:77", "2001:db8::77", mac_b, mac_b},
	};
	(void)state;
	struct neighbour *n = take(HOST6);
	neighbour_hear(&lab.relay, 0,
		&(struct neighbour_claim){.addr = n->addr, .mac = mac_a, .solicited = true});
	uint8_t octets[FRAME_MAX];
	assert_int_not_equal(take_sent(octets), 0);
	for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++) {
		hear_nd(&messages[i]);
		expect_mac(n, &mac_a);
		expect_silence();
	}
	give_back(n);
}

// One that does not say its link-layer address is answered where it came from, and moves nobody.
static void solicitation_without_an_option(void **state)
{
	(void)state;
	uint8_t octets[FRAME_MAX];
	hear_nd(&(struct nd){
		ND_SOLICITATION, 0, 0, HOST6, "2001:db8::1", "2001:db8::1", mac_b, mac_b});
	assert_int_not_equal(take_sent(octets), 0);
	assert_memory_equal(octets, &mac_b, 6);
	assert_int_equal(octets[58], SOLICITED | OVERRIDE);
	expect_silence();
}

static void solicitation_moves_its_sender(void **state)
{
	(void)state;
	struct neighbour *n = take(HOST6);
	neighbour_hear(&lab.relay, 0,
		&(struct neighbour_claim){.addr = n->addr, .mac = mac_a, .solicited = true});
	hear_nd(&(struct nd){
		ND_SOLICITATION, 0, 1, HOST6, "ff02::1:ff00:1", "2001:db8::1", mac_b, mac_b});
	expect_mac(n, &mac_b);
	assert_int_equal(n->state, NEIGHBOUR_STALE);
	give_back(n);
}

// Two minutes: a neighbour that answers each probe without saying its address stays.
static void stays_while_it_answers(void **state)
{
	static const char *const hosts[] = {HOST6, "10.0.0.50"};
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct neighbour *n = take(hosts[i]);
		neighbour_hear(&lab.relay, 0,
			&(struct neighbour_claim){
				.addr = n->addr, .mac = mac_a, .solicited = true});
		for (unsigned probe = 0; probe < 4; probe++) {
			let_time_pass(n);
			assert_int_equal(n->state, NEIGHBOUR_PROBE);
			if (i == 0)
				hear_nd(&(struct nd){ND_ADVERTISEMENT, SOLICITED, 0, HOST6,
					"2001:db8::1", HOST6, mac_a, mac_a});
			else
				hear_arp(2, &mac_a, hosts[i], "10.0.0.1");
			assert_int_equal(n->state, NEIGHBOUR_REACHABLE);
			expect_mac(n, &mac_a);
		}
		give_back(n);
	}
}

static void is_forgotten_when_nobody_answers(void **state)
{
	(void)state;
	struct neighbour *n = take("10.0.0.50");
	neighbour_hear(&lab.relay, 0,
		&(struct neighbour_claim){.addr = n->addr, .mac = mac_a, .solicited = true});
	for (unsigned i = 0; i <= NEIGHBOUR_PROBES; i++) {
		expect_mac(n, &mac_a);
		let_time_pass(n);
	}
	expect_mac(n, NULL);
	assert_int_equal(n->state, NEIGHBOUR_INCOMPLETE);
	for (unsigned i = 0; i < 2 + NEIGHBOUR_PROBES; i++) {
		bool to_it = i == 1 || i == 2;
		expect_solicitation(to_it ? &mac_a : &broadcast);
	}
	expect_silence();
	give_back(n);
}

// The milliseconds after an answer at which it is solicited next, and each time to whom: at most n, as long as nothing
// is heard.
static unsigned solicitations_after(
	struct neighbour *n, uint64_t for_ms, uint64_t at_ms[], struct rte_ether_addr to[])
{
	uint8_t octets[FRAME_MAX];
	unsigned sent = 0;
	uint64_t answered_ms = n->due_ms - NEIGHBOUR_CHECK_MS;
	for (uint64_t ms = 0; ms < for_ms; ms++) {
		neighbour_tick(&lab.relay, answered_ms + ms);
		if (take_sent(octets) == 0)
			continue;
		at_ms[sent] = ms;
		memcpy(&to[sent++], octets, 6);
	}
	return sent;
}

// Nothing tells that a next hop has another link-layer address than a second ago, but that it does not answer there:
// all hosts are asked in time for media to go on within two seconds, and until then packets go where it was.
static void silent_change_is_noticed_within_two_seconds(void **state)
{
	static const char *const hosts[] = {HOST6, "10.0.0.50"};
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		uint64_t at_ms[16];
		struct rte_ether_addr to[16];
		struct neighbour *n = take(hosts[i]);
		uint8_t octets[FRAME_MAX];
		assert_int_not_equal(take_sent(octets), 0);
		neighbour_hear(&lab.relay, 0,
			&(struct neighbour_claim){
				.addr = n->addr, .mac = mac_a, .solicited = true});
		lab.relay.neighbours.tick_ms = 0;
		unsigned sent = solicitations_after(n, 1700, at_ms, to);
		assert_int_equal(sent, NEIGHBOUR_QUICK_PROBES);
		for (unsigned s = 0; s < sent; s++)
			assert_int_equal(rte_is_same_ether_addr(&to[s], &mac_a),
				s < NEIGHBOUR_UNICAST_PROBES);
		assert_true(at_ms[0] >= 1000 && at_ms[NEIGHBOUR_UNICAST_PROBES] < 1500);
		expect_mac(n, &mac_a);
		if (i == 0)
			hear_nd(&(struct nd){ND_ADVERTISEMENT, SOLICITED | OVERRIDE, 2, HOST6,
				"2001:db8::1", HOST6, mac_b, mac_b});
		else
			hear_arp(2, &mac_b, hosts[i], "10.0.0.1");
		expect_mac(n, &mac_b);
		expect_moved(hosts[i], &mac_b);
		give_back(n);
	}
}

// Whoever says that it is elsewhere is probed there at once; if he does not answer, it comes back.
static void claims_are_probed_at_once(void **state)
{
	(void)state;
	struct neighbour *n = take("10.0.0.50");
	expect_solicitation(&broadcast);
	hear_arp(2, &mac_a, "10.0.0.50", "10.0.0.1");
	hear_arp(1, &mac_b, "10.0.0.50", "10.0.0.50");
	expect_mac(n, &mac_b);
	expect_moved("10.0.0.50", &mac_b);
	assert_true(n->due_ms <= clock_now_ms());
	for (unsigned i = 0; i <= NEIGHBOUR_UNICAST_PROBES; i++) {
		let_time_pass(n);
		expect_solicitation(i < NEIGHBOUR_UNICAST_PROBES ? &mac_b : &broadcast);
	}
	hear_arp(2, &mac_a, "10.0.0.50", "10.0.0.1");
	expect_mac(n, &mac_a);
	assert_int_equal(n->state, NEIGHBOUR_REACHABLE);
	expect_moved("10.0.0.50", &mac_a);
	give_back(n);
}

// However many are due at once.
static void solicitations_are_paced(void **state)
{
	enum { HOSTS = 3 * NEIGHBOUR_TICK_SOLICITS };
	uint8_t octets[FRAME_MAX];
	unsigned sent, all = 0;
	(void)state;
	neighbour_table_fini(&lab.relay.neighbours);
	assert_int_equal(neighbour_table_init(&lab.relay.neighbours, HOSTS), 0);
	for (unsigned i = 0; i < HOSTS; i++) {
		struct endpoint addr = {.family = AF_INET, .addr = {10, 0, 1, 0}};
		addr.addr[2] += (uint8_t)(i >> 8);
		addr.addr[3] = (uint8_t)i;
		neighbour_take(&lab.relay, 0, &addr);
	}
	while (take_sent(octets) > 0)
		;
	uint64_t now_ms = clock_now_ms() + NEIGHBOUR_RETRY_MS;
	for (unsigned ms = 0; ms < 3 * NEIGHBOUR_TICK_MS; ms++) {
		neighbour_tick(&lab.relay, now_ms + ms);
		for (sent = 0; take_sent(octets) > 0; sent++)
			;
		assert_true(sent <= NEIGHBOUR_TICK_SOLICITS);
		all += sent;
	}
	assert_int_equal(all, HOSTS);
}

// The port has another interface: all are asked anew, and packets go on meanwhile.
static void doubt_asks_all(void **state)
{
	(void)state;
	struct neighbour *known = take("10.0.0.50"), *unknown = take("10.0.0.51");
	expect_solicitation(&broadcast);
	expect_solicitation(&broadcast);
	hear_arp(2, &mac_a, "10.0.0.50", "10.0.0.1");
	neighbour_doubt(&lab.relay, 1);
	lab.relay.neighbours.tick_ms = 0;
	neighbour_tick(&lab.relay, clock_now_ms());
	expect_silence();
	neighbour_doubt(&lab.relay, 0);
	lab.relay.neighbours.tick_ms = 0;
	neighbour_tick(&lab.relay, clock_now_ms());
	expect_solicitation(&broadcast);
	expect_solicitation(&broadcast);
	expect_silence();
	expect_mac(known, &mac_a);
	give_back(known);
	give_back(unknown);
}

// RFC 826: what a packet says of its sender is noted, whoever it is for; only a reply to the relay proves that the
// sender hears it.
static void arp_packets(void **state)
{
	static const struct {
		uint16_t opcode;
		const char *target;
		const struct rte_ether_addr *mac;
		enum neighbour_state after;
	} cases[] = {
		{2, "10.0.0.1", &mac_a, NEIGHBOUR_REACHABLE}, // answer
		{1, "10.0.0.1", &mac_b, NEIGHBOUR_STALE},     // question
		{1, "10.0.0.77", &mac_b, NEIGHBOUR_STALE},    // question to another host
		{1, "10.0.0.50", &mac_b, NEIGHBOUR_STALE},    // gratuitous
		{2, "10.0.0.50", &mac_b, NEIGHBOUR_STALE},    // gratuitous, as a reply
	};
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct neighbour *n = take("10.0.0.50");
		neighbour_hear(&lab.relay, 0,
			&(struct neighbour_claim){
				.addr = n->addr, .mac = mac_a, .solicited = true});
		hear_arp(cases[i].opcode, cases[i].mac, "10.0.0.50", cases[i].target);
		expect_mac(n, cases[i].mac);
		assert_int_equal(n->state, cases[i].after);
		give_back(n);
	}
	struct neighbour *n = take("10.0.0.50");
	hear_arp(3, &mac_b, "10.0.0.50", "10.0.0.1"); // reverse ARP, which nobody here speaks
	expect_mac(n, NULL);
	give_back(n);
}

static void expect_announcement(bool ipv6)
{
	uint8_t octets[FRAME_MAX];
	assert_int_equal(take_sent(octets), ipv6 ? 14 + 40 + 32 : 14 + 28);
	assert_memory_equal(octets + 6, &own_mac, 6);
	struct endpoint own = endpoint_of(ipv6 ? "2001:db8::1" : "10.0.0.1");
	if (ipv6) {
		assert_memory_equal(octets, "\x33\x33\0\0\0\1", 6);
		assert_int_equal(octets[54], ND_ADVERTISEMENT);
		assert_int_equal(octets[58], OVERRIDE);
		assert_memory_equal(octets + 22, own.addr, 16);
		assert_memory_equal(octets + 62, own.addr, 16);
		assert_memory_equal(octets + 80, &own_mac, 6);
	} else {
		assert_memory_equal(octets, "\xff\xff\xff\xff\xff\xff", 6);
		assert_memory_equal(octets + 20, "\0\1", 2); // a request (RFC 5227 3)
		assert_memory_equal(octets + 22, &own_mac, 6);
		assert_memory_equal(octets + 28, own.addr, 4);
		assert_memory_equal(octets + 32, "\0\0\0\0\0\0", 6);
		assert_memory_equal(octets + 38, own.addr, 4);
	}
}

// RFC 5227 2.1.1 and RFC 4862 5.4.2: from nobody yet, to all who may have it.
static void expect_probe(bool ipv6)
{
	uint8_t octets[FRAME_MAX];
	assert_int_equal(take_sent(octets), ipv6 ? 14 + 40 + 24 : 14 + 28);
	assert_memory_equal(octets + 6, &own_mac, 6);
	struct endpoint own = endpoint_of(ipv6 ? "2001:db8::1" : "10.0.0.1"), nobody = {};
	if (ipv6) {
		assert_memory_equal(octets, "\x33\x33\xff\0\0\1", 6);
		assert_int_equal(octets[21], 255);
		assert_memory_equal(octets + 22, nobody.addr, 16);
		assert_memory_equal(octets + 38, endpoint_of("ff02::1:ff00:1").addr, 16);
		assert_int_equal(octets[54], ND_SOLICITATION);
		assert_memory_equal(octets + 62, own.addr, 16);
		struct rte_ipv6_hdr ip;
		memcpy(&ip, octets + 14, sizeof(ip));
		assert_true(frame_icmp6_checksum_ok(&ip, octets + 54));
	} else {
		assert_memory_equal(octets, "\xff\xff\xff\xff\xff\xff", 6);
		assert_memory_equal(octets + 20, "\0\1", 2);
		assert_memory_equal(octets + 22, &own_mac, 6);
		assert_memory_equal(octets + 28, nobody.addr, 4);
		assert_memory_equal(octets + 32, nobody.addr, 6);
		assert_memory_equal(octets + 38, own.addr, 4);
	}
}

static void expect_probes_and_announcements(void)
{
	for (unsigned ipv6 = 0; ipv6 < 2; ipv6++) {
		expect_probe(ipv6 == 1);
		expect_announcement(ipv6 == 1);
	}
}

// RFC 5227 2.3, RFC 4861 7.2.6.
static void own_addresses_are_announced_twice(void **state)
{
	(void)state;
	uint64_t now_ms = clock_now_ms();
	own_address_announce(&lab.relay, 0);
	own_address_tick(&lab.relay, now_ms);
	expect_probes_and_announcements();
	own_address_tick(&lab.relay, now_ms + OWN_ADDRESS_INTERVAL_MS - 1);
	expect_silence();
	own_address_tick(&lab.relay, now_ms + OWN_ADDRESS_INTERVAL_MS);
	expect_probes_and_announcements();
	own_address_tick(&lab.relay, now_ms + 10 * OWN_ADDRESS_INTERVAL_MS);
	expect_silence();
}

static void expect_conflict(const char *addr)
{
	struct endpoint own = endpoint_of(addr);
	assert_int_equal(lab.relay.news->n, 1);
	const struct news *news = &lab.relay.news->news[0];
	assert_int_equal(news->type, NEWS_CONFLICT);
	assert_true(endpoint_same_addr(&news->addr, &own));
	assert_memory_equal(&news->mac, &mac_b, 6);
	lab.relay.news->n = 0;
}

// RFC 5227 2.4: told each time, contradicted once in ten seconds.
static void conflicts_are_told_and_defended(void **state)
{
	static const struct nd claims[] = {
		{ND_ADVERTISEMENT, OVERRIDE, 2, "2001:db8::1", "ff02::1", "2001:db8::1", mac_b,
			mac_b},
		{ND_ADVERTISEMENT, 0, 0, "2001:db8::1", "ff02::1", "2001:db8::1", mac_b, mac_b},
		{ND_SOLICITATION, 0, 1, "2001:db8::1", "ff02::1:ff00:1", "2001:db8::1", mac_b,
			mac_b},
	};
	(void)state;
	for (uint16_t opcode = 1; opcode <= 2; opcode++) {
		lab.relay.ports[0].defend_ms = 0;
		hear_arp(opcode, &mac_b, "10.0.0.1", "10.0.0.1");
		expect_conflict("10.0.0.1");
		expect_announcement(false);
		hear_arp(opcode, &mac_b, "10.0.0.1", "10.0.0.50");
		expect_conflict("10.0.0.1");
		expect_silence();
	}
	for (size_t i = 0; i < sizeof(claims) / sizeof(claims[0]); i++) {
		lab.relay.ports[0].defend_ms = 0;
		hear_nd(&claims[i]);
		expect_conflict("2001:db8::1");
		expect_announcement(true);
	}
	// what comes back of the relay's own is no conflict, nor is a probe
	hear_arp(1, &own_mac, "10.0.0.1", "10.0.0.1");
	expect_silence();
	hear_arp(1, &mac_b, "0.0.0.0", "10.0.0.1");
	uint8_t octets[FRAME_MAX];
	assert_int_not_equal(take_sent(octets), 0);
	assert_int_equal(octets[21], 2);
	assert_int_equal(lab.relay.news->n, 0);
}

static void news_are_bounded(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2 * NEWS_MAX; i++)
		hear_arp(1, &mac_b, "10.0.0.1", "10.0.0.1");
	assert_int_equal(lab.relay.news->n, NEWS_STRANGERS_MAX);
	uint8_t octets[FRAME_MAX];
	while (take_sent(octets) > 0)
		;
}

int main(void)
{
#define test(name) cmocka_unit_test_setup_teardown(name, lab_up, lab_down)
	const struct CMUnitTest tests[] = {
		test(advertisements),
		test(invalid_messages),
		test(solicitation_without_an_option),
		test(solicitation_moves_its_sender),
		test(stays_while_it_answers),
		test(is_forgotten_when_nobody_answers),
		test(silent_change_is_noticed_within_two_seconds),
		test(claims_are_probed_at_once),
		test(solicitations_are_paced),
		test(doubt_asks_all),
		test(arp_packets),
		test(own_addresses_are_announced_twice),
		test(conflicts_are_told_and_defended),
		test(news_are_bounded),
	};
	alarm(60); // a test that failed half way may not be able to clean up
	lab_start();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
