// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <inttypes.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/property.h"

// Random senders, protected and plain, through a network that loses, repeats, reorders and forges packets and lets them
// arrive at another worker; they jump, restart and change their SSRC. What a plain and a protected listener get is
// compared with a model of RFC 3550 and RFC 3711, packet by packet, however they stand in bursts. property.h has the
// settings.

enum {
	PLAIN_LISTENER,
	BOB, // gets all under a key of his, without ROC on the wire
	SENDERS = 6,
	BURSTS = 150, // of a round
	SPACES = 64,  // SSRCs that Bob heard
};

struct sender {
	bool plain;
	uint32_t leg, ssrc;
	uint16_t roc_rate;
	uint8_t worker;
	uint64_t next;             // index of the next packet
	const struct lab_key *key; // NULL: plain
	struct model model;        // of what the relay takes
	unsigned steady;           // plain: packets in sequence since anything else was sent
	uint32_t later;            // its timestamps go on when it restarts
	uint64_t first; // plain: index of the one before these, which may belong to nothing
	uint64_t came[MODEL_WINDOW]; // plain: what came, at index modulo MODEL_WINDOW
	struct road road;
};

struct arrival {
	struct sender *from;
	struct lab_packet packet;
	bool forged;
};

static struct lab lab;
static struct lab_copy copies[LAB_COPIES];
static struct sender senders[SENDERS];
static const struct lab_key *bob_key;
static struct {
	uint32_t ssrc;
	struct model model;
} bob[SPACES];
static unsigned n_bob;
static uint32_t next_ssrc;

// --- model

static enum verdict judge_protected(const struct sender *s, const struct arrival *a)
{
	const struct lab_packet *p = &a->packet;
	if (a->forged || p->ssrc != s->ssrc || !model_is_new(&s->model, p->index))
		return a->forged || p->ssrc == s->ssrc ? NEVER : MAY;
	uint64_t guess = model_guess(&s->model, (uint16_t)p->index);
	if (guess == p->index || (!s->model.heard && p->roc))
		return MUST;
	// A carried ROC gets a second try so often; without it a first one may be a rollover away.
	return p->roc || !s->model.heard ? MAY : NEVER;
}

// What tells a packet from others of its sender, whose timestamps do not repeat.
static uint64_t packet_mark(const struct lab_packet *p)
{
	return (uint64_t)p->later << 32 | p->index;
}

// RFC 3550 A.1, where it leaves no room: in sequence, or the same packet soon again.
static enum verdict judge_plain(const struct sender *s, const struct arrival *a)
{
	const struct lab_packet *p = &a->packet;
	if (p->ssrc != s->ssrc || s->steady < 3 || !s->model.heard)
		return MAY;
	if (p->index == s->model.highest + 1) // several may come again in sequence, too
		return s->came[p->index % MODEL_WINDOW] == packet_mark(p) ? MAY : MUST;
	bool soon = p->index > s->first && p->index <= s->model.highest &&
		    s->model.highest - p->index < 60;
	return soon && s->model.seen[p->index % MODEL_WINDOW] == p->index + 1 ? NEVER : MAY;
}

static void note_plain(struct sender *s, const struct arrival *a)
{
	const struct lab_packet *p = &a->packet;
	bool next = s->model.heard && p->index == s->model.highest + 1;
	bool late = s->model.heard && s->steady >= 3 && p->index <= s->model.highest &&
		    s->model.highest - p->index < 60;
	if (p->ssrc != s->ssrc)
		return;
	s->steady = next ? s->steady + 1 : late ? s->steady : 0;
	if (!next && !late) {
		s->model = (struct model){.heard = false};
		s->first = p->index;
	}
	model_take(&s->model, p->index);
	s->came[p->index % MODEL_WINDOW] = packet_mark(p);
}

// --- what listeners got

static uint32_t copy_ssrc(const struct lab_copy *copy)
{
	return srtp_read32(copy->payload + 8);
}

// The next copy to a listener from *at on that is of that SSRC, or, if any is set, of none of the protected senders.
static const struct lab_copy *copy_next(
	unsigned n, unsigned *at, uint32_t leg, uint32_t ssrc, bool any)
{
	for (; *at < n; (*at)++) {
		bool protected_ssrc = false;
		for (unsigned i = 0; i < SENDERS; i++)
			protected_ssrc |=
				!senders[i].plain && senders[i].ssrc == copy_ssrc(&copies[*at]);
		if (copies[*at].leg == leg &&
			(any ? !protected_ssrc : copy_ssrc(&copies[*at]) == ssrc))
			return &copies[*at];
	}
	return NULL;
}

static struct model *bob_model(uint32_t ssrc)
{
	for (unsigned i = 0; i < n_bob; i++)
		if (bob[i].ssrc == ssrc)
			return &bob[i].model;
	lab_require(n_bob < SPACES);
	bob[n_bob].ssrc = ssrc;
	bob[n_bob].model = (struct model){.heard = false};
	return &bob[n_bob++].model;
}

// Bob knows no more than RFC 3711 3.3.1 lets him know. Invariant 1: no index twice.
static void bob_hears_plain(const struct lab_copy *copy, const struct lab_packet *said)
{
	struct model *m = bob_model(copy_ssrc(copy));
	struct lab_packet packet = *said;
	uint64_t index = model_guess(m, (uint16_t)said->index);
	packet.ssrc = copy_ssrc(copy);
	packet.ctx = bob_key->ctx[SRTP_RTP];
	packet.mki_len = bob_key->mki_len;
	packet.own_index = index;
	packet.roc = false;
	if (!lab_copy_is(&lab, copy, &packet))
		property_wrong(
			&lab, "Bob is not in step with %08x at index %" PRIx64, packet.ssrc, index);
	if (!model_is_new(m, index))
		property_wrong(&lab, "%08x has index %" PRIx64 " twice", packet.ssrc, index);
	model_take(m, index);
}

static void bob_hears_protected(const struct lab_copy *copy, const struct lab_packet *said)
{
	struct lab_packet packet = *said;
	packet.ctx = bob_key->ctx[SRTP_RTP];
	packet.mki_len = bob_key->mki_len;
	packet.roc = false;
	if (!copy || !lab_copy_is(&lab, copy, &packet))
		property_wrong(&lab, "Bob did not get %08x %" PRIx64 " as it was said", said->ssrc,
			said->index);
	if (!model_is_new(bob_model(said->ssrc), said->index))
		property_wrong(&lab, "%08x has index %" PRIx64 " twice", said->ssrc, said->index);
	model_take(bob_model(said->ssrc), said->index);
}

// --- what senders do

static void sender_restart(struct sender *s)
{
	bool old = s->plain && s->ssrc != 0 && chance(2);
	if (!old)
		s->ssrc = 0x10000000 + ++next_ssrc * 0x10001;
	s->next = s->plain    ? 1 + chance(60000)
		  : chance(3) ? chance(0x8000)
			      : 0xff00 + chance(0x100);
	if (!s->plain && s->roc_rate == 1)
		s->next += chance(4) << 16;
	s->model = (struct model){.heard = false};
	s->steady = 0;
	s->later += 1 << 20;
	s->road = (struct road){.n_past = 0};
}

static struct lab_packet sender_say(struct sender *s)
{
	struct lab_packet packet = {
		.len = (uint16_t)(20 + chance(100)),
		.ssrc = s->ssrc,
		.ctx = s->plain ? KEY_NONE : s->key->ctx[SRTP_RTP],
		.index = s->next,
		.later = s->later,
		.mki_len = s->plain ? 0 : s->key->mki_len,
		.roc = !s->plain && srtp_carries_roc(s->roc_rate, (uint16_t)s->next),
	};
	s->next++;
	road_note(&s->road, &packet);
	return packet;
}

// The next packet that arrives of a sender.
static struct arrival sender_next(struct sender *s)
{
	struct arrival a = {.from = s};
	if (road_brings_late(&s->road, &a.packet))
		return a;
	if (chance(16) == 0)
		s->next += chance(3) ? chance(20) : chance(s->plain ? 20 : 900); // lost
	while (road_delays(&s->road)) {
		struct lab_packet packet = sender_say(s);
		road_delay(&s->road, &packet);
	}
	a.packet = sender_say(s);
	a.forged = !s->plain && chance(20) == 0;
	return a;
}

// --- a burst

static struct rte_mbuf *arrival_frame(const struct arrival *a)
{
	struct rte_mbuf *mbuf = lab_packet_frame(&lab, a->from->leg, &a->packet);
	if (a->forged)
		rte_pktmbuf_mtod(mbuf, uint8_t *)[mbuf->data_len - 12 - chance(20)] ^= 1;
	return mbuf;
}

static void check_arrival(const struct arrival *a, unsigned n, unsigned at[SENDERS][2])
{
	struct sender *s = a->from;
	unsigned *mine = at[s - senders];
	enum verdict verdict = s->plain ? judge_plain(s, a) : judge_protected(s, a);
	struct lab_packet clear = a->packet;
	clear.ctx = KEY_NONE;
	const struct lab_copy *copy = copy_next(n, &mine[0], PLAIN_LISTENER, a->packet.ssrc, false);
	bool heard = copy && !a->forged && lab_copy_is(&lab, copy, &clear);
	if (verdict != MAY && heard != (verdict == MUST))
		property_wrong(&lab, "%s %08x %" PRIx64 " %s", s->plain ? "plain" : "protected",
			a->packet.ssrc, a->packet.index, verdict_texts[verdict]);
	if (heard)
		mine[0]++;
	if (s->plain) {
		const struct lab_copy *bobs = copy_next(n, &mine[1], BOB, 0, true);
		bool same =
			bobs && memcmp(bobs->payload, copy ? copy->payload : bobs->payload, 8) == 0;
		if (heard && same) {
			bob_hears_plain(bobs, &a->packet);
			mine[1]++;
		} else if (verdict == MUST) {
			property_wrong(&lab, "plain %08x %" PRIx64 " is not heard by Bob",
				a->packet.ssrc, a->packet.index);
		}
		note_plain(s, a);
	} else if (heard) {
		bob_hears_protected(copy_next(n, &mine[1], BOB, a->packet.ssrc, false), &a->packet);
		mine[1]++;
		if (a->packet.ssrc == s->ssrc)
			model_take(&s->model, a->packet.index);
	}
}

// One plain sender at most in a burst, so that what Bob gets under a fresh SSRC is of that one.
static unsigned burst_make(struct arrival arrivals[WORKER_BURST], uint8_t worker)
{
	struct sender *of[SENDERS];
	unsigned n_of = 0, n = 0;
	bool plain = false;
	for (unsigned i = 0; i < SENDERS; i++) {
		struct sender *s = &senders[i];
		if (s->worker != worker || (s->plain && plain))
			continue;
		plain |= s->plain;
		of[n_of++] = s;
	}
	for (unsigned most = n_of > 0 ? 1 + (unsigned)chance(WORKER_BURST) : 0; n < most; n++)
		arrivals[n] = sender_next(of[chance(n_of)]);
	return n;
}

static void burst_run(void)
{
	struct arrival arrivals[WORKER_BURST];
	unsigned at[SENDERS][2] = {{0}};
	uint8_t worker = (uint8_t)chance(2);
	struct sender *s = &senders[chance(SENDERS)];
	if (chance(12) == 0)
		s->worker ^= 1; // roams
	if (chance(40) == 0)
		sender_restart(s);
	property_refill(&lab);
	unsigned n = burst_make(arrivals, worker);
	if (n == 0)
		return;
	struct rte_mbuf *mbufs[WORKER_BURST];
	for (unsigned i = 0; i < n; i++)
		mbufs[i] = arrival_frame(&arrivals[i]);
	unsigned taken = property_push(&lab, worker, mbufs, (uint16_t)n, copies);
	for (unsigned i = 0; i < n; i++)
		check_arrival(&arrivals[i], taken, at);
	for (unsigned i = 0; i < SENDERS; i++) {
		if (senders[i].plain || senders[i].worker != worker)
			continue;
		if (copy_next(taken, &at[i][0], PLAIN_LISTENER, senders[i].ssrc, false))
			property_wrong(&lab, "%08x is heard once more", senders[i].ssrc);
		if (copy_next(taken, &at[i][1], BOB, senders[i].ssrc, false))
			property_wrong(&lab, "Bob gets %08x once more", senders[i].ssrc);
	}
}

static void round_run(void)
{
	static const uint16_t rates[] = {0, 1, 10};
	n_bob = 0;
	next_ssrc = 0;
	lab_open(&lab, 2);
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_PLAIN, .muted = true});
	bob_key = lab_key_add(&lab, 4, 0, false);
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_SRTP, .key = bob_key, .muted = true});
	for (unsigned i = 0; i < SENDERS; i++) {
		struct sender *s = &senders[i];
		*s = (struct sender){.plain = chance(3) == 0, .worker = (uint8_t)chance(2)};
		s->roc_rate = rates[chance(3)];
		s->key = s->plain ? NULL : lab_key_add(&lab, 4, s->roc_rate, false);
		s->leg = lab_leg_add(&lab, (struct lab_leg){.mode = s->plain ? LEG_PLAIN : LEG_SRTP,
						   .key = s->key,
						   .deaf = true,
						   .port = (uint8_t)chance(2),
						   .ipv6 = chance(2) == 0});
		sender_restart(s);
	}
	lab_connect(&lab);
	for (; property_burst < BURSTS; property_burst++)
		burst_run();
	lab_close(&lab);
}

static void random_senders_are_heard_as_the_model_says(void **unused)
{
	(void)unused;
	property_rounds(round_run, 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_senders_are_heard_as_the_model_says),
	};
	lab_start();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
