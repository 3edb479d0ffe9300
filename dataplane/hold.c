// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "dataplane/hold.h"

#include <string.h>

#include <rte_common.h>

#include "base/counter.h"
#include "dataplane/tokens.h"
#include "dataplane/worker_state.h"

static uint16_t *hold_head(struct worker *worker, const struct key_name *name)
{
	return &worker->hold_heads[key_name_hash(&worker->relay->keys, name) % HOLD_SLOTS];
}

// The slot that waits for name, or NULL.
static struct hold_slot *hold_find(struct worker *worker, const struct key_name *name)
{
	for (uint16_t i = *hold_head(worker, name); i != 0; i = worker->hold[i - 1].next)
		if (key_name_equal(&worker->hold[i - 1].name, name))
			return &worker->hold[i - 1];
	return NULL;
}

// A free slot, or NULL. It stays free until hold_take().
static struct hold_slot *hold_peek(struct worker *worker)
{
	if (worker->hold_unused != 0)
		return &worker->hold[worker->hold_unused - 1];
	return worker->hold_touched < HOLD_SLOTS ? &worker->hold[worker->hold_touched] : NULL;
}

// Puts the free slot that hold_peek() found into the chain of its name.
static void hold_take(struct worker *worker, struct hold_slot *slot)
{
	if (worker->hold_unused != 0)
		worker->hold_unused = slot->next;
	else
		worker->hold_touched++;
	uint16_t *head = hold_head(worker, &slot->name);
	slot->next = *head;
	*head = (uint16_t)(slot - worker->hold + 1);
}

// The other way.
static void hold_give_back(struct worker *worker, struct hold_slot *slot)
{
	uint16_t self = (uint16_t)(slot - worker->hold + 1);
	uint16_t *link = hold_head(worker, &slot->name);
	while (*link != self)
		link = &worker->hold[*link - 1].next;
	*link = slot->next;
	slot->next = worker->hold_unused;
	worker->hold_unused = self;
}

bool hold_has(struct worker *worker, const struct key_name *name)
{
	return hold_find(worker, name);
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
	if (!control_mail_put(&worker->mailbox, &mail))
		return DROP_DERIVE_LIMIT;
	counters->held_slots++;
	slot->name = *name;
	slot->leg = leg;
	return DROP_NONE;
}

static void slot_put(struct worker *worker, struct hold_slot *slot, struct rte_mbuf *mbuf)
{
	// There is one: worker->n_held of them are in use.
	uint16_t i = worker->held_unused;
	if (i != 0)
		worker->held_unused = worker->held[i - 1].next;
	else
		i = ++worker->held_touched;
	worker->held[i - 1] = (struct held_packet){.mbuf = mbuf};
	if (slot->n == 0)
		slot->first = i;
	else
		worker->held[slot->last - 1].next = i;
	slot->last = i;
	slot->n++;
	worker->n_held++;
	worker->legs[slot->leg].held++;
}

// All that is in it, in order.
static void slot_empty(struct worker *worker, struct hold_slot *slot, struct rte_mbuf *mbufs[])
{
	uint16_t n = 0;
	for (uint16_t i = slot->first; n < slot->n; i = worker->held[i - 1].next)
		mbufs[n++] = worker->held[i - 1].mbuf;
	worker->held[slot->last - 1].next = worker->held_unused;
	worker->held_unused = slot->first;
	worker->n_held -= n;
	slot->n = 0;
}

// Control may have given the leg's index to another leg meanwhile, whose counters began at 0.
static void leg_give_back(struct worker *worker, uint32_t leg, uint16_t n)
{
	struct leg_counters *counters = &worker->legs[leg];
	counters->held_slots -= counters->held_slots > 0;
	counters->held -= RTE_MIN(counters->held, n);
}

enum drop_reason hold_packet(
	struct worker *worker, struct packet *packet, const struct key_name *name)
{
	struct hold_slot *slot = hold_find(worker, name);
	if (!slot)
		slot = hold_peek(worker);
	if (!slot || worker->n_held == HOLD_TOTAL)
		return DROP_HOLD_FULL;
	uint32_t leg = slot->n == 0 ? packet->leg->index : slot->leg;
	if (slot->n == HOLD_PACKETS || worker->legs[leg].held >= HOLD_PACKETS)
		return DROP_HOLD_FULL;
	if (slot->n == 0) {
		enum drop_reason reason = hold_ask(worker, slot, leg, name);
		if (reason != DROP_NONE)
			return reason;
		hold_take(worker, slot);
	}
	slot_put(worker, slot, packet_unparse(packet));
	counter_add(&worker->counters.held, 1);
	return DROP_NONE;
}

uint16_t hold_resume(struct worker *worker, uint32_t index, struct rte_mbuf *mbufs[HOLD_PACKETS],
	struct key_name *name)
{
	struct hold_slot *slot = &worker->hold[index];
	uint16_t n = slot->n;
	if (n == 0)
		return 0; // answered before
	slot_empty(worker, slot, mbufs);
	*name = slot->name;
	hold_give_back(worker, slot);
	leg_give_back(worker, slot->leg, n);
	return n;
}

void hold_clear(struct worker *worker)
{
	struct rte_mbuf *mbufs[HOLD_PACKETS];
	for (unsigned i = 0; i < HOLD_SLOTS; i++) {
		struct hold_slot *slot = &worker->hold[i];
		uint16_t n = slot->n;
		if (n == 0)
			continue;
		slot_empty(worker, slot, mbufs);
		rte_pktmbuf_free_bulk(mbufs, n);
	}
	memset(worker->hold_heads, 0, sizeof(worker->hold_heads));
	worker->hold_unused = 0;
	worker->hold_touched = 0;
}
