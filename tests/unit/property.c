// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "tests/unit/property.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <sys/random.h>

unsigned property_burst;
const char *const verdict_texts[] = {"must be heard", "may be heard", "must not be heard"};

static uint64_t seed, state;
static uint32_t next_fresh;

uint64_t chance(uint64_t below)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return (state * UINT64_C(0x2545f4914f6cdd1d) >> 16) % below;
}

void property_wrong(const struct lab *lab, const char *what, ...)
{
	va_list args;
	va_start(args, what);
	fprintf(stderr, "PROPERTY_SEED=%" PRIu64 " PROPERTY_ROUNDS=1: burst %u: ", seed,
		property_burst);
	vfprintf(stderr, what, args);
	fprintf(stderr, "\n");
	va_end(args);
	for (unsigned w = 0; w < lab->relay.n_workers; w++)
		for (unsigned i = 0; i < DROP_N_REASONS; i++) {
			uint64_t n = lab_drops_of(lab, (uint8_t)w, (enum drop_reason)i);
			if (n != 0)
				fprintf(stderr, "worker %u dropped %" PRIu64 " %s\n", w, n,
					drop_label((enum drop_reason)i));
		}
	abort();
}

static uint64_t setting(const char *name, uint64_t without)
{
	const char *text = getenv(name);
	return text ? strtoull(text, NULL, 10) : without;
}

void property_rounds(void (*round)(void), uint64_t rounds)
{
	uint64_t seconds = setting("PROPERTY_SECONDS", 0), n = 0;
	time_t begin = time(NULL);
	rounds = setting("PROPERTY_ROUNDS", rounds);
	seed = setting("PROPERTY_SEED", 1);
	if (seed == 0)
		lab_require(getrandom(&seed, 4, 0) == 4);
	printf("from PROPERTY_SEED=%" PRIu64 "\n", seed);
	for (; seconds > 0 ? (uint64_t)(time(NULL) - begin) < seconds : n < rounds; n++, seed++) {
		state = seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
		next_fresh = 0;
		property_burst = 0;
		round();
	}
	printf("%" PRIu64 " rounds\n", n);
}

// --- model

uint64_t model_guess(const struct model *m, uint16_t seq)
{
	if (!m->heard)
		return seq;
	int64_t roc = (int64_t)(m->highest >> 16), v;
	int s_l = (int)(m->highest & 0xffff);
	if (s_l < 32768)
		v = (int)seq - s_l > 32768 && roc > 0 ? roc - 1 : roc;
	else
		v = s_l - 32768 > (int)seq ? roc + 1 : roc;
	return (uint64_t)v << 16 | seq;
}

bool model_is_new(const struct model *m, uint64_t index)
{
	if (!m->heard || index > m->highest)
		return true;
	return m->highest - index < MODEL_WINDOW && m->seen[index % MODEL_WINDOW] != index + 1;
}

void model_take(struct model *m, uint64_t index)
{
	m->seen[index % MODEL_WINDOW] = index + 1;
	if (!m->heard || index > m->highest)
		m->highest = index;
	m->heard = true;
}

// --- road

bool road_brings_late(struct road *road, struct lab_packet *packet)
{
	uint64_t what = chance(100);
	if (road->n_delayed > 0 && what < 30) {
		unsigned at = (unsigned)chance(road->n_delayed);
		*packet = road->delayed[at];
		road->delayed[at] = road->delayed[--road->n_delayed];
		return true;
	}
	if (road->n_past > 0 && what < 36) {
		*packet = road->past[chance(road->n_past < ROAD_PASTS ? road->n_past : ROAD_PASTS)];
		return true;
	}
	return false;
}

bool road_delays(const struct road *road)
{
	return road->n_delayed < ROAD_DELAYED && chance(10) == 0;
}

void road_delay(struct road *road, const struct lab_packet *packet)
{
	road->delayed[road->n_delayed++] = *packet;
}

void road_note(struct road *road, const struct lab_packet *packet)
{
	road->past[road->n_past++ % ROAD_PASTS] = *packet;
}

// --- the relay

void property_refill(struct lab *lab)
{
	for (unsigned w = 0; w < lab->relay.n_workers; w++) {
		struct worker *worker = lab->relay.workers[w];
		while (worker->n_ssrcs < 16)
			worker->ssrcs[worker->n_ssrcs++] = 0xf0000000 + next_fresh++;
		struct control_mail mail;
		while (control_mail_take(&worker->mailbox, &mail))
			;
	}
}

unsigned property_push(struct lab *lab, uint8_t worker, struct rte_mbuf *mbufs[], uint16_t n,
	struct lab_copy copies[LAB_COPIES])
{
	uint8_t other = worker ^ 1;
	loop_process_burst(lab->relay.workers[worker], mbufs, n);
	unsigned taken = lab_take(lab, worker, copies);
	while (lab_push_handed_over(lab, other) > 0)
		taken += lab_take(lab, other, copies + taken);
	return taken;
}
