// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "dataplane/hold.h"

#include "dataplane/worker.h"

// The slot that waits for name, else a free one, else NULL. Reads the tags, 1 KiB, not the slots.
static struct hold_slot *hold_find(struct worker *worker, const struct key_name *name, uint32_t tag)
{
	struct hold_slot *unused = NULL;
	for (unsigned i = 0; i < HOLD_SLOTS; i++) {
		if (worker->hold_tags[i] == tag && key_name_equal(&worker->hold[i].name, name))
			return &worker->hold[i];
		if (worker->hold_tags[i] == 0 && !unused)
			unused = &worker->hold[i];
	}
	return unused;
}

static uint32_t hold_tag(const struct worker *worker, const struct key_name *name)
{
	return (uint32_t)key_name_hash(&worker->relay->keys, name) | 1;
}

bool hold_waits(const struct worker *worker, const struct key_name *name)
{
	if (worker->n_held == 0)
		return false;
	uint32_t tag = hold_tag(worker, name);
	for (unsigned i = 0; i < HOLD_SLOTS; i++)
		if (worker->hold_tags[i] == tag && key_name_equal(&worker->hold[i].name, name))
			return true;
	return false;
}

static enum drop_reason hold_ask(
	struct worker *worker, struct hold_slot *slot, uint32_t leg, const struct key_name *name)
{
	struct leg_counters *counters = &worker->legs[leg];
	if (counters->held_slots >= HOLD_SLOTS_PER_LEG || !leg_token_take(worker, leg))
		return DROP_DERIVE_LIMIT;
	struct control_mail mail = {
		.type = MAIL_DERIVE,
		.leg = leg,
		.derive = {.name = *name, .slot = (uint32_t)(slot - worker->hold)},
	};
	if (!worker_post(worker, &mail))
		return DROP_DERIVE_LIMIT;
	counters->held_slots++;
	slot->name = *name;
	slot->leg = leg;
	return DROP_NONE;
}

enum drop_reason hold_packet(
	struct worker *worker, struct packet *packet, const struct key_name *name)
{
	uint32_t tag = hold_tag(worker, name);
	struct hold_slot *slot = hold_find(worker, name, tag);
	if (!slot || worker->n_held == HOLD_TOTAL)
		return DROP_HOLD_FULL;
	if (slot->n == 0) {
		enum drop_reason reason = hold_ask(worker, slot, packet->leg->index, name);
		if (reason != DROP_NONE)
			return reason;
		worker->hold_tags[slot - worker->hold] = tag;
	}
	if (slot->n == HOLD_PACKETS)
		return DROP_HOLD_FULL;
	slot->packets[slot->n++] = packet_unparse(packet);
	worker->n_held++;
	worker->counters.held++;
	return DROP_NONE;
}

void hold_resume(struct worker *worker, const struct worker_mail *mail)
{
	struct hold_slot *slot = &worker->hold[mail->value];
	struct rte_mbuf *packets[HOLD_PACKETS];
	uint16_t n = slot->n;
	for (uint16_t i = 0; i < n; i++)
		packets[i] = slot->packets[i];
	slot->n = 0;
	worker->n_held -= n;
	worker->hold_tags[mail->value] = 0;
	// 0 if control gave the leg's index to another leg meanwhile
	if (worker->legs[slot->leg].held_slots > 0)
		worker->legs[slot->leg].held_slots--;
	worker->resumed = true;
	worker->refused = mail->refused;
	worker->resumed_name = slot->name;
	for (uint16_t at = 0; at < n; at += WORKER_BURST)
		worker_process_burst(worker, packets + at, (uint16_t)RTE_MIN(n - at, WORKER_BURST));
	worker->resumed = false;
	worker->refused = DROP_NONE;
}

void hold_clear(struct worker *worker)
{
	for (unsigned i = 0; i < HOLD_SLOTS; i++) {
		rte_pktmbuf_free_bulk(worker->hold[i].packets, worker->hold[i].n);
		worker->hold[i].n = 0;
		worker->hold_tags[i] = 0;
	}
}
