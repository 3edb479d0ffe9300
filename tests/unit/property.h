// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "tests/unit/dataplane_lab.h"

// What tests of random senders have in common. A failure names the seed of its round.
//
//   PROPERTY_SEED     of the first round; random if it is 0. Each round has the seed of the one before + 1.
//   PROPERTY_ROUNDS   how many rounds, each with a relay of its own
//   PROPERTY_SECONDS  instead: for so long

extern unsigned property_burst; // of the round, which property_rounds() begins with 0

// A random number below a limit.
uint64_t chance(uint64_t below);

// Says what is wrong, in which round, and what the relay dropped until then; aborts.
void __attribute__((noreturn, format(printf, 2, 3))) property_wrong(
	const struct lab *lab, const char *what, ...);

// Runs rounds as the environment says; rounds of them if it says nothing.
void property_rounds(void (*round)(void), uint64_t rounds);

enum { MODEL_WINDOW = 1024 }; // packet indices

// A receiver of RFC 3711 3.3, for one SSRC: written from its text and Appendix A.
struct model {
	bool heard;
	uint64_t highest;
	uint64_t seen[MODEL_WINDOW]; // index + 1 at index modulo MODEL_WINDOW
};

// RFC 3711 Appendix A: v is chosen such that v * 2^16 + SEQ is next to the highest index.
uint64_t model_guess(const struct model *m, uint16_t seq);
bool model_is_new(const struct model *m, uint64_t index);
void model_take(struct model *m, uint64_t index);

// What the model says of an arrival.
enum verdict { MUST, MAY, NEVER };
extern const char *const verdict_texts[];

enum {
	ROAD_DELAYED = 20, // packets of one sender that others overtook
	ROAD_PASTS = 256,  // that may come again
};

// What happens to the packets of a sender on their way.
struct road {
	struct lab_packet delayed[ROAD_DELAYED];
	unsigned n_delayed;
	struct lab_packet past[ROAD_PASTS];
	unsigned n_past;
};

// A packet that others overtook, or one that came before or was lost; false: the next one that is said comes.
bool road_brings_late(struct road *road, struct lab_packet *packet);
// Whether the next one that is said is overtaken.
bool road_delays(const struct road *road);
void road_delay(struct road *road, const struct lab_packet *packet);
// Notes what was said.
void road_note(struct road *road, const struct lab_packet *packet);

// Has every worker fresh SSRCs, and takes what they ask of the control thread.
void property_refill(struct lab *lab);

// Frames to one worker in their order, and all that comes of it: copies; how many. Two workers.
unsigned property_push(struct lab *lab, uint8_t worker, struct rte_mbuf *mbufs[], uint16_t n,
	struct lab_copy copies[LAB_COPIES]);
