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
#include "tests/unit/property_ledger.h"

// A ring of GMKs turns over again and again, each with a profile of its own. Senders turn over at times of their own,
// while their packets under the key before are still on their way; some go on counting (RFC 3711 3.3.1), some begin anew
// at ROC 0. Bob has the ring, Carl another GMK that stays, Dora a key that stays. property.h has the settings.

enum { PLAIN, BOB, CARL, DORA, LISTENERS };
enum {
	SENDERS = 4,
	GENERATIONS = 6, // keys of the ring
	RING = 3,        // of them at a time
	BURSTS_OF_KEY = 40,
	LIVES = 3, // in which a sender begins anew
	RTCP_INDICES = 1000000,
	FRESH = 0xf0000000, // where fresh SSRCs begin
};

struct sender {
	uint32_t leg, ssrc, index; // index: of its user
	uint32_t guk_id;           // under each GMK
	uint8_t worker;
	unsigned generation; // that it sends under
	unsigned life;
	uint64_t next[SRTP_N_PROTOCOLS]; // index of the next packet
	struct model models[GENERATIONS][SRTP_N_PROTOCOLS];
	struct model out; // of what left under its SSRC and another key
	uint32_t fresh
		[GENERATIONS]; // SSRC under which media of a key leaves under another, 0: its own
	uint64_t ahead;        // highest index of that, and of those in this burst
	struct road roads[SRTP_N_PROTOCOLS];
};

struct arrival {
	struct sender *from;
	struct lab_packet packet;
	unsigned generation;
	bool forged;
};

static struct lab lab;
static struct lab_copy copies[LAB_COPIES];
static bool taken[LAB_COPIES]; // of copies
static struct sender senders[SENDERS];
static const struct lab_key *ring[GENERATIONS], *carl_key, *dora_key;
static uint32_t ring_ctx[GENERATIONS][SENDERS][SRTP_N_PROTOCOLS];
static uint32_t carl_ctx[SENDERS][SRTP_N_PROTOCOLS];
static unsigned newest, oldest; // generations in the ring: one to three

// --- the ring

static void legs_follow(void)
{
	for (uint32_t i = 0; i < lab.n_legs; i++) {
		if (i == PLAIN || i == CARL || i == DORA)
			continue;
		lab.specs[i].key = ring[newest];
		lab.specs[i].before = oldest < newest ? ring[newest - 1] : NULL;
		lab.specs[i].older = oldest + 1 < newest ? ring[oldest] : NULL;
	}
	lab_connect(&lab);
}

static const struct lab_key *gmk_add(void)
{
	static const uint16_t rates[] = {0, 1, 10};
	return lab_key_add(&lab, chance(2) ? 8 : 4, rates[chance(3)], true);
}

static void generation_begin(unsigned generation)
{
	ring[generation] = gmk_add();
	for (unsigned i = 0; i < SENDERS; i++)
		lab_talker_add(&lab, ring[generation], senders[i].guk_id, senders[i].index,
			ring_ctx[generation][i]);
	newest = generation;
}

// Some begin to count anew with the new key.
static void sender_turn_over(struct sender *s)
{
	if (s->generation == newest)
		return;
	s->generation = newest;
	s->next[SRTP_RTCP] = chance(2000);
	if (s->life < LIVES && chance(3) == 0) {
		s->life++;
		s->next[SRTP_RTP] =
			chance(2) ? chance(0x10000) : (s->next[SRTP_RTP] - chance(500)) & 0xffff;
	}
}

// The oldest key goes, and what is on its way under it.
static void generation_end(void)
{
	for (unsigned i = 0; i < SENDERS; i++) {
		if (senders[i].generation == oldest)
			sender_turn_over(&senders[i]);
		for (unsigned protocol = 0; protocol < SRTP_N_PROTOCOLS; protocol++)
			senders[i].roads[protocol] = (struct road){.n_past = 0};
	}
	unsigned gone = oldest++;
	legs_follow();
	for (unsigned i = 0; i < SENDERS; i++)
		lab_talker_remove(&lab, ring_ctx[gone][i]);
}

// --- senders

static unsigned generation_of(const struct sender *s, const struct lab_packet *packet)
{
	unsigned generation = newest;
	while (ring_ctx[generation][s - senders][packet->protocol] != packet->ctx)
		lab_require(generation-- > oldest);
	return generation;
}

static struct lab_packet sender_say(struct sender *s, uint8_t protocol)
{
	const struct lab_key *key = ring[s->generation];
	struct lab_packet packet = {
		.protocol = protocol,
		.len = (uint16_t)(20 + chance(100)),
		.ssrc = s->ssrc,
		.ctx = ring_ctx[s->generation][s - senders][protocol],
		.index = s->next[protocol]++,
		.mki_len = key->mki_len,
		.unencrypted = protocol == SRTP_RTCP && chance(3) == 0,
		// Tells whose it is, and of which life and key.
		.later = (uint32_t)(s - senders) << 30 | s->life << 28 | s->generation << 25,
	};
	packet.roc =
		protocol == SRTP_RTP && srtp_carries_roc(key->roc_rate, (uint16_t)packet.index);
	road_note(&s->roads[protocol], &packet);
	return packet;
}

static struct arrival sender_next(struct sender *s)
{
	struct arrival a = {.from = s};
	uint8_t protocol = chance(5) == 0 ? SRTP_RTCP : SRTP_RTP;
	struct road *road = &s->roads[protocol];
	if (!road_brings_late(road, &a.packet)) {
		if (chance(16) == 0)
			s->next[protocol] += chance(3) ? chance(20) : chance(900); // lost
		while (road_delays(road)) {
			struct lab_packet packet = sender_say(s, protocol);
			road_delay(road, &packet);
		}
		a.packet = sender_say(s, protocol);
		a.forged = chance(20) == 0;
	}
	a.generation = generation_of(s, &a.packet);
	return a;
}

static struct rte_mbuf *arrival_frame(const struct arrival *a)
{
	struct rte_mbuf *mbuf = lab_packet_frame(&lab, a->from->leg, &a->packet);
	if (a->forged)
		rte_pktmbuf_mtod(mbuf, uint8_t *)[mbuf->data_len - 13 - chance(15)] ^= 1;
	return mbuf;
}

// --- model

// What a stream that is new under its key can be told from: the packets under the other keys of the ring, of which one
// went furthest.
static const struct model *model_beside(const struct arrival *a)
{
	const struct model *beside = NULL;
	for (unsigned generation = oldest; generation <= newest; generation++) {
		const struct model *m = &a->from->models[generation][a->packet.protocol];
		if (generation != a->generation && m->heard &&
			(!beside || m->highest > beside->highest))
			beside = m;
	}
	return beside;
}

static enum verdict judge_new(const struct arrival *a)
{
	const uint64_t index = a->packet.index;
	const struct model *beside = model_beside(a);
	if (beside)
		return model_guess(beside, (uint16_t)index) == index || index >> 16 == 0 ? MUST
											 : MAY;
	return index >> 16 <= 1 ? MUST : MAY;
}

static enum verdict judge(const struct arrival *a)
{
	const struct lab_packet *p = &a->packet;
	const struct model *m = &a->from->models[a->generation][p->protocol];
	if (a->forged || !model_is_new(m, p->index))
		return NEVER;
	if (p->protocol == SRTP_RTCP || p->roc)
		return MUST;
	if (!m->heard)
		return judge_new(a);
	if (model_guess(m, (uint16_t)p->index) == p->index)
		return MUST;
	return p->index > m->highest ? MAY : NEVER;
}

// --- what listeners got

static struct lab_packet packet_for(
	unsigned listener, const struct lab_copy *copy, const struct arrival *a)
{
	struct lab_packet packet = a->packet;
	const unsigned sender = (unsigned)(a->from - senders);
	if (listener == PLAIN) {
		packet.ctx = KEY_NONE;
		return packet;
	}
	const struct lab_key *key = listener == BOB    ? ring[a->generation]
				    : listener == CARL ? carl_key
						       : dora_key;
	if (listener == CARL)
		packet.ctx = carl_ctx[sender][packet.protocol];
	else if (listener == DORA)
		packet.ctx = dora_key->ctx[packet.protocol];
	packet.mki_len = key->mki_len;
	packet.roc = packet.protocol == SRTP_RTP &&
		     srtp_carries_roc(key->roc_rate, (uint16_t)packet.index);
	if (listener == BOB)
		return packet;
	if (packet.protocol == SRTP_RTP) {
		packet.ssrc = srtp_read32(copy->payload + 8);
		return packet;
	}
	packet.unencrypted = false;
	packet.own_index = srtp_read32(copy->payload + copy->len - key->mki_len - SRTCP_INDEX_LEN) &
			   SRTCP_INDEX_MAX;
	return packet;
}

// Whether a copy is of what was said. Of media the SSRC may be a fresh one, so it is known by its timestamp; streams under
// two keys may be with two workers, so the order tells nothing of RTCP.
static bool copy_is_of(
	unsigned listener, const struct lab_copy *copy, const struct arrival *a, bool rtcp)
{
	if (!rtcp)
		return srtp_read32(copy->payload + 4) ==
		       (uint32_t)a->packet.index * 160 + a->packet.later;
	if (srtp_read32(copy->payload + 4) != a->packet.ssrc)
		return false;
	const struct lab_packet packet = packet_for(listener, copy, a);
	return lab_copy_is(&lab, copy, &packet);
}

static struct lab_copy *copy_find(unsigned n, unsigned listener, const struct arrival *a)
{
	const bool rtcp = a->packet.protocol == SRTP_RTCP;
	for (unsigned i = 0; i < n; i++) {
		struct lab_copy *copy = &copies[i];
		if (copy->leg == listener && !taken[i] && (copy->payload[1] == 200) == rtcp &&
			copy_is_of(listener, copy, a, rtcp))
			return copy;
	}
	return NULL;
}

// Whoever counts anew and meets used indices stays under the fresh SSRC from then on; nobody else gets one.
static bool ssrc_is_right(const struct arrival *a, uint32_t ssrc)
{
	struct sender *s = a->from;
	uint32_t *fresh = &s->fresh[a->generation];
	if (*fresh == 0 && s->life > 0 && ssrc >= FRESH)
		*fresh = ssrc;
	return ssrc == (*fresh != 0 ? *fresh : s->ssrc);
}

static void listener_check(unsigned listener, const struct lab_copy *copy, const struct arrival *a)
{
	const struct lab_packet packet = packet_for(listener, copy, a);
	const bool keeps_ssrc = listener == BOB || packet.protocol == SRTP_RTCP;
	if (!lab_copy_is(&lab, copy, &packet) ||
		(keeps_ssrc ? packet.ssrc != a->packet.ssrc : !ssrc_is_right(a, packet.ssrc)))
		property_wrong(&lab, "listener %u does not get %08x %" PRIx64 " as it was said",
			listener, a->packet.ssrc, packet.index);
	if (!ledger_agrees(&lab, &packet) ||
		(packet.own_index != 0 &&
			(packet.own_index < LAB_SRTCP_FLOOR || !ledger_is_fresh(&lab, &packet))))
		property_wrong(&lab, "%08x has index %" PRIx64 " twice", packet.ssrc,
			packet.own_index ? packet.own_index : packet.index);
}

// Under a key that stays a sender's two lives meet: those of the newest key are heard in any case. Late ones may come to
// another worker, which is slower than the one that has the newest.
static bool must_be_sent_on(unsigned listener, const struct arrival *a)
{
	const struct sender *s = a->from;
	return listener == BOB || a->packet.protocol == SRTP_RTCP || a->generation == newest ||
	       (s->life == 0 && model_is_new(&s->out, a->packet.index) &&
		       a->packet.index + MODEL_WINDOW > s->ahead);
}

static void listeners_hear(const struct arrival *a, unsigned n)
{
	bool own = false;
	for (unsigned listener = BOB; listener < LISTENERS; listener++) {
		struct lab_copy *copy = copy_find(n, listener, a);
		if (!copy && must_be_sent_on(listener, a))
			property_wrong(&lab,
				"listener %u does not get %08x %" PRIx64
				" of key %u, life %u; last %" PRIx64 " under its SSRC",
				listener, a->packet.ssrc, a->packet.index, a->generation,
				a->from->life, a->from->out.highest);
		if (!copy)
			continue;
		listener_check(listener, copy, a);
		taken[copy - copies] = true;
		own |= listener != BOB && srtp_read32(copy->payload + 8) == a->packet.ssrc;
	}
	if (own && a->packet.protocol == SRTP_RTP)
		model_take(&a->from->out, a->packet.index);
}

static void arrival_check(const struct arrival *a, unsigned n)
{
	const struct lab_packet *p = &a->packet;
	enum verdict verdict = judge(a);
	struct lab_packet clear = *p;
	clear.ctx = KEY_NONE;
	struct lab_copy *copy = copy_find(n, PLAIN, a);
	bool heard = copy && !a->forged && lab_copy_is(&lab, copy, &clear);
	if (verdict != MAY && heard != (verdict == MUST))
		property_wrong(&lab, "%s %08x %" PRIx64 " of key %u, life %u %s",
			p->protocol == SRTP_RTP ? "RTP" : "RTCP", p->ssrc, p->index, a->generation,
			a->from->life, verdict_texts[verdict]);
	if (!heard)
		return;
	taken[copy - copies] = true;
	listeners_hear(a, n);
	model_take(&a->from->models[a->generation][p->protocol], p->index);
}

// --- a burst

static void limits_forget(void)
{
	lab_tokens_forget(&lab);
}

static void burst_run(void)
{
	struct arrival arrivals[WORKER_BURST];
	struct rte_mbuf *mbufs[WORKER_BURST];
	struct sender *of[SENDERS];
	unsigned n_of = 0;
	uint8_t worker = (uint8_t)chance(2);
	property_refill(&lab);
	limits_forget();
	for (unsigned i = 0; i < SENDERS; i++) {
		if (chance(12) == 0)
			senders[i].worker ^= 1;
		if (chance(15) == 0)
			sender_turn_over(&senders[i]);
		if (senders[i].worker == worker)
			of[n_of++] = &senders[i];
	}
	uint16_t n = n_of > 0 ? (uint16_t)(1 + chance(WORKER_BURST)) : 0;
	for (uint16_t i = 0; i < n; i++) {
		arrivals[i] = sender_next(of[chance(n_of)]);
		mbufs[i] = arrival_frame(&arrivals[i]);
	}
	unsigned n_copies = n > 0 ? property_push(&lab, worker, mbufs, n, copies) : 0;
	memset(taken, 0, sizeof(taken));
	for (unsigned i = 0; i < SENDERS; i++)
		senders[i].ahead = senders[i].out.highest;
	for (uint16_t i = 0; i < n; i++)
		if (arrivals[i].packet.protocol == SRTP_RTP)
			arrivals[i].from->ahead =
				RTE_MAX(arrivals[i].from->ahead, arrivals[i].packet.index);
	for (uint16_t i = 0; i < n; i++)
		arrival_check(&arrivals[i], n_copies);
	for (unsigned i = 0; i < n_copies; i++)
		if (!taken[i])
			property_wrong(&lab, "listener %u hears what nobody said, or once more",
				copies[i].leg);
}

// --- a round

static void world_open(void)
{
	carl_key = lab_key_add(&lab, 8, (uint16_t)chance(2), true);
	dora_key = lab_key_add(&lab, 4, (uint16_t)chance(2), false);
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_PLAIN, .muted = true});
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_SRTP, .muted = true});
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_SRTP, .key = carl_key, .muted = true});
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_SRTP, .key = dora_key, .muted = true});
	for (unsigned i = 0; i < SENDERS; i++) {
		struct sender *s = &senders[i];
		*s = (struct sender){
			.ssrc = 0x10000001 + i * 0x10001,
			.index = 1 + i,
			.guk_id = 0x0a000001 + i * 0x10003,
			.worker = (uint8_t)chance(2),
			.next = {chance(2) ? chance(0x4000) : 0xff00 + chance(0x200), chance(2000)},
		};
		s->leg = lab_leg_add(&lab, (struct lab_leg){.mode = LEG_SRTP,
						   .deaf = true,
						   .user = s->index,
						   .guk_id = s->guk_id,
						   .port = (uint8_t)chance(2)});
		lab_talker_add(&lab, carl_key, s->guk_id + 0x500000, s->index, carl_ctx[i]);
	}
}

static void round_run(void)
{
	ledger_clear();
	lab_open(&lab, 2);
	atomic_store(&lab.relay.srtcp_limit, LAB_SRTCP_FLOOR + RTCP_INDICES);
	world_open();
	newest = oldest = 0;
	for (unsigned generation = 0; generation < GENERATIONS; generation++) {
		generation_begin(generation);
		legs_follow();
		for (unsigned i = 0; i < BURSTS_OF_KEY; i++, property_burst++) {
			if (oldest < newest && chance(BURSTS_OF_KEY) == 0)
				generation_end();
			burst_run();
		}
		if (oldest + RING - 1 == newest)
			generation_end();
	}
	lab_close(&lab);
}

static void senders_turn_over_as_the_model_says(void **unused)
{
	(void)unused;
	property_rounds(round_run, 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(senders_turn_over_as_the_model_says),
	};
	lab_start();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
