// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "bench/gen/link.h"
#include "bench/gen/sink.h"
#include "bench/gen/source.h"

// One thread sends and receives, turn by turn, so that both ends of a time are on one clock.

struct run {
	struct gen_calls *calls;
	struct link *in, *out; // the same if there is one port only
	struct source source;
	struct sink sink;
	struct rte_mbuf *waiting[LINK_BURST]; // made, and not taken by the port yet
	uint16_t n_waiting;
	uint64_t sent;      // handed to the port
	uint64_t warmed_up; // the same, before measuring began
	uint64_t refused;   // times that the port took fewer than there were
	double wanted_pps;  // 0: as many as are taken
	double seconds;     // that sending took
};

void run_open(struct run *run, struct gen_calls *calls, struct link *in, struct link *out);
void run_close(struct run *run);

// Sends packets of each stream until every one was heard. False, with a message printed, if that
// takes too long.
bool run_warm_up(struct run *run);

// Sends for the time that the options say, and waits for what is still under way.
void run_measure(struct run *run);
