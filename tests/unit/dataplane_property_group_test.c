// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <inttypes.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "tests/unit/property.h"
#include "tests/unit/property_ledger.h"

// Talkers of a GMK, each with media and SRTCP (E = 1 and 0), some over legs of their own, others over one leg of a
// gateway; new ones come, whom the relay does not know yet. They send in their profile's layout or in another one (TS
// 33.180 7.4.2, RFC 4771), from addresses that change. Listeners under the same GMK, under another one, under a key of
// one user and in clear are compared with a model of RFC 3711, and so is what the relay learns of addresses. The test has
// the part of the control thread. property.h has the settings.

enum { PLAIN, BOB, CARL, DORA, LISTENERS };
enum { GMK, OTHER_GMK, N_GMKS };
enum {
	SENDERS = 4,
	OWN_LEGS = 2, // of the first ones; the others share one
	BURSTS = 150, // of a round
	ADDRESSES = 3,
	RTCP_INDICES = 1000000, // that the relay has
};

struct user {
	uint32_t index;
	uint32_t guk_id[N_GMKS];
	uint32_t ctx[N_GMKS][SRTP_N_PROTOCOLS]; // KEY_NONE: the relay does not know of it
};

struct sender {
	struct user user;
	uint32_t leg, ssrc;
	uint8_t mki_len; // of what it sends, octets
	uint16_t roc_rate;
	uint8_t worker;
	uint16_t port;                   // from which it sends
	uint64_t next[SRTP_N_PROTOCOLS]; // index of the next packet
	struct model models[SRTP_N_PROTOCOLS];
	struct road roads[SRTP_N_PROTOCOLS];
};

struct arrival {
	struct sender *from;
	struct lab_packet packet;
	bool forged;
};

// Which copies to each listener were looked at, by sender and protocol.
typedef unsigned cursors[SENDERS][SRTP_N_PROTOCOLS][LISTENERS];

// How often each address is, or should be, reported as new.
typedef unsigned learnt[LAB_LEGS][ADDRESSES][SRTP_N_PROTOCOLS];

static struct lab lab;
static struct lab_copy copies[LAB_COPIES];
static struct sender senders[SENDERS];
static const struct lab_key *gmks[N_GMKS], *dora_key;
static uint32_t next_ssrc, next_user;
static bool open_group; // whatever GUK-ID a packet has, a context is derived for it

// --- users, as the control thread has them

static void user_add(struct user *user, unsigned gmk)
{
	lab_talker_add(&lab, gmks[gmk], user->guk_id[gmk], user->index, user->ctx[gmk]);
}

static void user_forget(struct user *user, unsigned gmk)
{
	lab_talker_remove(&lab, user->ctx[gmk]);
	memset(user->ctx[gmk], 0xff, sizeof(user->ctx[gmk]));
}

static struct user user_new(void)
{
	struct user user = {.index = ++next_user};
	memset(user.ctx, 0xff, sizeof(user.ctx));
	for (unsigned gmk = 0; gmk < N_GMKS; gmk++)
		user.guk_id[gmk] = 0x0a000000 + next_user * 0x10003 + gmk * 0x500000;
	return user;
}

static enum drop_reason derive(const struct key_name *name)
{
	if (key_table_find(&lab.relay.keys, name, key_name_hash(&lab.relay.keys, name)) != KEY_NONE)
		return DROP_NONE;
	for (unsigned i = 0; i < SENDERS; i++)
		for (unsigned gmk = 0; gmk < N_GMKS; gmk++) {
			struct user *user = &senders[i].user;
			uint64_t mki = name->kind == KEY_BY_MKI
					       ? key_name_mki(gmks[gmk]->id, user->guk_id[gmk])
					       : key_name_mki(gmks[gmk]->root, user->index);
			if (name->mki == mki) {
				user_add(user, gmk);
				return DROP_NONE;
			}
		}
	if (!open_group || name->kind != KEY_BY_MKI || name->mki >> 32 != gmks[GMK]->id)
		return DROP_UNKNOWN_USER;
	uint32_t nobodys[SRTP_N_PROTOCOLS];
	lab_talker_add(&lab, gmks[GMK], (uint32_t)name->mki, 0, nobodys);
	return DROP_NONE;
}

static uint16_t address_port(uint32_t leg, unsigned address)
{
	return address == 0 ? (uint16_t)(6000 + leg) : (uint16_t)(7000 + address);
}

static unsigned address_of_port(uint16_t port)
{
	return port > 7000 ? port - 7000U : 0;
}

static void mail_answer(uint8_t worker, const struct control_mail *mail, learnt reported)
{
	if (mail->type == MAIL_LEARN) {
		uint16_t port = ntohs(mail->learn.addr.port);
		reported[mail->leg][address_of_port(port)][mail->learn.protocol]++;
	} else if (mail->type == MAIL_DERIVE) {
		struct worker_mail resume = {.type = MAIL_RESUME,
			.value = mail->derive.slot,
			.refused = derive(&mail->derive.name)};
		loop_resume(lab.relay.workers[worker], &resume);
	}
}

// Answers a worker's mail, until there is none; what it sent then.
static unsigned worker_answer(uint8_t worker, struct lab_copy *room, learnt reported)
{
	struct control_mail mail;
	unsigned taken = 0;
	while (control_mail_take(&lab.relay.workers[worker]->mailbox, &mail)) {
		mail_answer(worker, &mail, reported);
		taken += lab_take(&lab, worker, room + taken);
	}
	return taken;
}

// All that comes of a burst: what was held for a context, too.
static unsigned burst_push(uint8_t worker, struct rte_mbuf *mbufs[], uint16_t n, learnt reported)
{
	unsigned taken = property_push(&lab, worker, mbufs, n, copies), before;
	do {
		before = taken;
		for (uint8_t w = 0; w < 2; w++) {
			taken += worker_answer(w, copies + taken, reported);
			while (lab_push_handed_over(&lab, w) > 0)
				taken += lab_take(&lab, w, copies + taken);
		}
	} while (taken > before);
	return taken;
}

// --- senders

static void leg_follow_user(struct sender *s)
{
	if (s - senders >= OWN_LEGS)
		return;
	lab.specs[s->leg].user = s->user.index;
	lab.specs[s->leg].guk_id = s->user.guk_id[GMK];
	lab_connect(&lab);
}

// Its layout: that of the profile, or another one, of which the relay can tell whose it is.
static void sender_choose_layout(struct sender *s)
{
	static const uint16_t rates[] = {0, 1, 10};
	const bool own_leg = s - senders < OWN_LEGS;
	s->mki_len = gmks[GMK]->mki_len;
	s->roc_rate = gmks[GMK]->roc_rate;
	if (!own_leg || chance(2) == 0) {
		s->mki_len = own_leg && chance(2) == 0 ? 4 : 8;
		s->roc_rate = rates[chance(3)];
	}
}

// Under another SSRC, for a new stream cannot be told from one whose ROC is lost.
static void sender_restart(struct sender *s, bool other_user)
{
	if (other_user) {
		s->user = user_new();
		leg_follow_user(s);
	}
	s->ssrc = 0x10000000 + ++next_ssrc * 0x10001;
	s->next[SRTP_RTP] = chance(3) ? chance(0x8000) : 0xff00 + chance(0x100);
	sender_choose_layout(s);
	if (s->roc_rate == 1)
		s->next[SRTP_RTP] += chance(4) << 16;
	s->next[SRTP_RTCP] = chance(2000);
	for (unsigned protocol = 0; protocol < SRTP_N_PROTOCOLS; protocol++) {
		s->models[protocol] = (struct model){.heard = false};
		s->roads[protocol] = (struct road){.n_past = 0};
	}
}

static struct lab_packet sender_say(struct sender *s, uint8_t protocol)
{
	struct lab_packet packet = {
		.protocol = protocol,
		.len = (uint16_t)(20 + chance(100)),
		.ssrc = s->ssrc,
		.index = s->next[protocol]++,
		.mki_len = s->mki_len,
		.unencrypted = protocol == SRTP_RTCP && chance(3) == 0,
		.source_port = s->port,
	};
	packet.roc = protocol == SRTP_RTP && srtp_carries_roc(s->roc_rate, (uint16_t)packet.index);
	road_note(&s->roads[protocol], &packet);
	return packet;
}

// The next packet that arrives of a sender.
static struct arrival sender_next(struct sender *s)
{
	struct arrival a = {.from = s};
	uint8_t protocol = chance(4) == 0 ? SRTP_RTCP : SRTP_RTP;
	struct road *road = &s->roads[protocol];
	if (road_brings_late(road, &a.packet))
		return a;
	if (chance(16) == 0)
		s->next[protocol] += chance(3) ? chance(20) : chance(900); // lost
	if (protocol == SRTP_RTP && s->roc_rate == 1 && chance(200) == 0)
		s->next[protocol] += chance(200000);
	while (road_delays(road)) {
		struct lab_packet packet = sender_say(s, protocol);
		road_delay(road, &packet);
	}
	a.packet = sender_say(s, protocol);
	a.forged = chance(20) == 0;
	return a;
}

static struct rte_mbuf *arrival_frame(const struct arrival *a)
{
	struct user *user = &a->from->user;
	struct lab_packet packet = a->packet;
	const bool known = user->ctx[GMK][SRTP_RTP] != KEY_NONE;
	if (!known)
		user_add(user, GMK);
	packet.ctx = user->ctx[GMK][packet.protocol];
	struct rte_mbuf *mbuf = lab_packet_frame(&lab, a->from->leg, &packet);
	if (!known)
		user_forget(user, GMK);
	if (a->forged)
		rte_pktmbuf_mtod(mbuf, uint8_t *)[mbuf->data_len - 13 - chance(15)] ^= 1;
	return mbuf;
}

// --- what listeners got

static enum verdict judge(const struct arrival *a)
{
	const struct lab_packet *p = &a->packet;
	const struct model *m = &a->from->models[p->protocol];
	if (a->forged || !model_is_new(m, p->index))
		return NEVER;
	if (p->protocol == SRTP_RTCP || p->roc || model_guess(m, (uint16_t)p->index) == p->index)
		return MUST;
	if (!m->heard)
		return p->index >> 16 == 1 ? MUST : MAY;
	return p->index > m->highest ? MAY : NEVER; // found again after a silence
}

static uint8_t copy_protocol(const struct lab_copy *copy)
{
	return copy->payload[1] == 200 ? SRTP_RTCP : SRTP_RTP;
}

static const struct lab_copy *copy_next(
	unsigned n, unsigned *at, unsigned listener, const struct sender *s, uint8_t protocol)
{
	for (; *at < n; (*at)++)
		if (copies[*at].leg == listener && copy_protocol(&copies[*at]) == protocol &&
			srtp_read32(copies[*at].payload + (protocol == SRTP_RTP ? 8 : 4)) ==
				s->ssrc)
			return &copies[*at];
	return NULL;
}

// The context and layout in which a listener gets a packet.
static struct lab_packet packet_for(
	unsigned listener, const struct lab_copy *copy, const struct arrival *a)
{
	const struct user *user = &a->from->user;
	struct lab_packet packet = a->packet;
	const uint8_t protocol = packet.protocol;
	const struct lab_key *key = listener == DORA ? dora_key : gmks[listener == CARL];
	packet.ctx =
		listener == DORA ? dora_key->ctx[protocol] : user->ctx[listener == CARL][protocol];
	packet.mki_len = key->mki_len;
	packet.roc =
		protocol == SRTP_RTP && srtp_carries_roc(key->roc_rate, (uint16_t)packet.index);
	if (listener == BOB || protocol == SRTP_RTP)
		return packet;
	// SRTCP under another key is the relay's own.
	packet.unencrypted = false;
	packet.own_index = srtp_read32(copy->payload + copy->len - key->mki_len - SRTCP_INDEX_LEN) &
			   SRTCP_INDEX_MAX;
	return packet;
}

static void listener_hears(unsigned listener, const struct lab_copy *copy, const struct arrival *a)
{
	const char *what = a->packet.protocol == SRTP_RTP ? "RTP" : "RTCP";
	if (!copy)
		property_wrong(&lab, "listener %u does not get %s %08x %" PRIx64, listener, what,
			a->packet.ssrc, a->packet.index);
	struct lab_packet packet = packet_for(listener, copy, a);
	if (packet.ctx == KEY_NONE || !lab_copy_is(&lab, copy, &packet))
		property_wrong(&lab, "listener %u does not get %s %08x %" PRIx64 " as it was said",
			listener, what, packet.ssrc, packet.index);
	if (!ledger_agrees(&lab, &packet) ||
		(packet.own_index != 0 &&
			(packet.own_index < LAB_SRTCP_FLOOR || !ledger_is_fresh(&lab, &packet))))
		property_wrong(&lab, "%s %08x has index %" PRIx64 " twice", what, packet.ssrc,
			packet.own_index ? packet.own_index : packet.index);
}

static void arrival_check(const struct arrival *a, unsigned n, cursors at, learnt expected)
{
	struct sender *s = a->from;
	const struct lab_packet *p = &a->packet;
	struct model *m = &s->models[p->protocol];
	unsigned *mine = at[s - senders][p->protocol];
	enum verdict verdict = judge(a);
	struct lab_packet clear = *p;
	clear.ctx = KEY_NONE;
	const struct lab_copy *copy = copy_next(n, &mine[PLAIN], PLAIN, s, p->protocol);
	bool heard = copy && !a->forged && lab_copy_is(&lab, copy, &clear);
	if (verdict != MAY && heard != (verdict == MUST))
		property_wrong(&lab, "%s %08x %" PRIx64 " (MKI %u, ROC rate %u) %s",
			p->protocol == SRTP_RTP ? "RTP" : "RTCP", p->ssrc, p->index, p->mki_len,
			s->roc_rate, verdict_texts[verdict]);
	if (!heard)
		return;
	mine[PLAIN]++;
	for (unsigned listener = BOB; listener < LISTENERS; listener++) {
		listener_hears(
			listener, copy_next(n, &mine[listener], listener, s, p->protocol), a);
		mine[listener]++;
	}
	if ((!m->heard || p->index > m->highest) &&
		htons(p->source_port) != lab.specs[s->leg].remote.port)
		expected[s->leg][address_of_port(p->source_port)][p->protocol]++;
	model_take(m, p->index);
}

static void no_more_is_heard(unsigned n, cursors at)
{
	for (unsigned i = 0; i < SENDERS; i++)
		for (unsigned protocol = 0; protocol < SRTP_N_PROTOCOLS; protocol++)
			for (unsigned listener = 0; listener < LISTENERS; listener++)
				if (copy_next(n, &at[i][protocol][listener], listener, &senders[i],
					    (uint8_t)protocol))
					property_wrong(&lab, "listener %u hears %08x once more",
						listener, senders[i].ssrc);
}

// --- a burst

// Time has passed: what is limited a second may be had again.
static void limits_forget(void)
{
	lab_tokens_forget(&lab);
}

// Senders of one worker, and of one user at most whom the relay does not know: so many contexts are asked for at once.
static uint16_t burst_make(struct arrival arrivals[WORKER_BURST], uint8_t worker)
{
	struct sender *of[SENDERS];
	unsigned n_of = 0;
	bool unknown = false;
	for (unsigned i = 0; i < SENDERS; i++) {
		struct sender *s = &senders[i];
		bool is_new = s->user.ctx[GMK][SRTP_RTP] == KEY_NONE;
		if (s->worker != worker || (is_new && unknown))
			continue;
		unknown |= is_new;
		of[n_of++] = s;
	}
	uint16_t n = n_of > 0 ? (uint16_t)(1 + chance(WORKER_BURST)) : 0;
	for (uint16_t i = 0; i < n; i++)
		arrivals[i] = sender_next(of[chance(n_of)]);
	return n;
}

static void senders_change(void)
{
	struct sender *s = &senders[chance(SENDERS)];
	if (chance(12) == 0)
		s->worker ^= 1; // another queue
	if (chance(15) == 0)
		s->port = address_port(s->leg, (unsigned)chance(ADDRESSES));
	if (chance(30) == 0)
		sender_restart(s, chance(2));
}

// The control thread's answer to an address that was learnt.
static void addresses_follow(learnt reported)
{
	for (uint32_t leg = LISTENERS; leg < lab.n_legs; leg++)
		for (unsigned address = 0; address < ADDRESSES; address++)
			if (reported[leg][address][SRTP_RTP] > 0)
				lab.specs[leg].remote.port = htons(address_port(leg, address));
	lab_connect(&lab);
}

static void burst_run(void)
{
	struct arrival arrivals[WORKER_BURST];
	struct rte_mbuf *mbufs[WORKER_BURST];
	cursors at = {{{0}}};
	learnt expected = {{{0}}}, reported = {{{0}}};
	uint8_t worker = (uint8_t)chance(2);
	senders_change();
	property_refill(&lab);
	limits_forget();
	uint16_t n = burst_make(arrivals, worker);
	for (uint16_t i = 0; i < n; i++)
		mbufs[i] = arrival_frame(&arrivals[i]);
	unsigned taken = n > 0 ? burst_push(worker, mbufs, n, reported) : 0;
	for (uint16_t i = 0; i < n; i++)
		arrival_check(&arrivals[i], taken, at, expected);
	no_more_is_heard(taken, at);
	if (memcmp(expected, reported, sizeof(expected)) != 0)
		property_wrong(&lab, "not the newest packets tell the address");
	addresses_follow(reported);
}

// --- a round

static void listeners_add(void)
{
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_PLAIN, .muted = true});
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_SRTP, .key = gmks[GMK], .muted = true});
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_SRTP,
				  .key = gmks[OTHER_GMK],
				  .muted = true,
				  .port = (uint8_t)chance(2)});
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_SRTP, .key = dora_key, .muted = true});
}

static const struct lab_key *gmk_add(void)
{
	static const uint16_t rates[] = {0, 1, 10};
	return lab_key_add(&lab, chance(4) == 0 ? 4 : 8, rates[chance(3)], true);
}

static void senders_add(void)
{
	uint32_t shared = LEG_NONE;
	for (unsigned i = 0; i < SENDERS; i++) {
		struct sender *s = &senders[i];
		struct lab_leg spec = {.mode = LEG_SRTP,
			.key = gmks[GMK],
			.deaf = true,
			.learn = true,
			.port = (uint8_t)chance(2),
			.ipv6 = chance(2) == 0};
		*s = (struct sender){.worker = (uint8_t)chance(2)};
		s->leg = i > OWN_LEGS ? shared : lab_leg_add(&lab, spec);
		shared = s->leg;
		s->port = address_port(s->leg, 0);
	}
}

static void round_run(void)
{
	next_ssrc = next_user = 0;
	ledger_clear();
	lab_open(&lab, 2);
	atomic_store(&lab.relay.srtcp_limit, LAB_SRTCP_FLOOR + RTCP_INDICES);
	open_group = chance(2);
	gmks[GMK] = gmk_add();
	gmks[OTHER_GMK] = gmk_add();
	dora_key = lab_key_add(&lab, 4, 0, false);
	listeners_add();
	senders_add();
	lab_connect(&lab);
	for (unsigned i = 0; i < SENDERS; i++)
		sender_restart(&senders[i], true);
	for (; property_burst < BURSTS; property_burst++)
		burst_run();
	lab_close(&lab);
}

static void talkers_are_heard_as_the_model_says(void **unused)
{
	(void)unused;
	property_rounds(round_run, 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(talkers_are_heard_as_the_model_says),
	};
	lab_start();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
