// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "crypto/srtp.h"
#include "dataplane/drop.h"
#include "dataplane/fanout.h"

// What stage_protect makes of packets, and stage_output sends. A job needs nothing of its packet.

struct leg;
struct rte_mbuf;

struct output_job {
	const struct leg *leg;                // from which the packet came
	const struct fanout_variant *variant; // the receivers
	// The RTP or RTCP packet alone. With a ctx, before op is run: without tag, but as long as the result can be.
	struct rte_mbuf *mbuf;
	uint32_t ctx;      // key context to protect under with op; KEY_NONE: sent as it is
	bool shared;       // others read mbuf, too: receivers get copies
	struct srtp_op op; // src and dst are mbuf's data
};

// Jobs in the order in which they leave.
struct output_list {
	struct output_job *jobs;
	uint16_t n, room;
};

// What stage_protect remembers of the packet that it is at.
struct protect_state {
	struct fanout_walk walk; // zeroed: has not begun
	uint32_t n_served;       // variants that are not the sender alone
	uint32_t claimed_space;  // where its index was claimed last, but its own; UINT32_MAX: none
	bool claimed_encrypt;    // SRTCP: with that E bit
	enum drop_reason untranslated; // why there is no translation
	uint64_t claimed_index;        // in claimed_space
	struct rte_mbuf
		*translated; // of plain media or RTCP, for protected variants; NULL: none yet
};

// At the first variant of a packet.
static const struct protect_state protect_state_none = {.claimed_space = UINT32_MAX};

// Forgets a packet that is not at its end.
void protect_state_free(struct protect_state *state);
