// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "dataplane/hold.h"

#include <string.h>

#include <rte_common.h>

#include "base/counter.h"
#include "dataplane/pool_share.h"
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

static bool hold_has_slot(const struct worker *worker, uint32_t leg, enum leg_side side)
{
	const uint32_t used = worker->legs[leg].shares[side].slots;
	return used < HOLD_SLOTS_PER_LEG &&
	       (side == SIDE_OWN || worker->strangers.slots < HOLD_STRANGER_SLOTS);
}

// Whether one more packet may wait, in a slot with others or alone (NULL).
static bool hold_has_room(const struct worker *worker, const struct hold_slot *slot,
	const struct packet *p, enum leg_side side)
{
	uint32_t most = pool_share(HOLD_TOTAL, worker->n_held, HOLD_PACKETS);
	if (side == SIDE_STRANGER)
		most = pool_share(HOLD_STRANGER_TOTAL, worker->strangers.packets, most);
	if (worker->n_held == HOLD_TOTAL ||
		worker->legs[p->leg->index].shares[side].packets >= most)
		return false;
	if (!slot)
		return true;
	// Where nobody is the client yet, whoever comes may be.
	bool beside = side == SIDE_STRANGER && p->leg->remote.family != AF_UNSPEC;
	return slot->n < HOLD_PACKETS && (!beside || slot->n_strangers < HOLD_STRANGER_PACKETS);
}

static enum drop_reason hold_ask(struct worker *worker, struct hold_slot *slot,
	const struct packet *p, enum leg_side side, const struct key_name *name)
{
	if (!hold_has_slot(worker, p->leg->index, side) ||
		!packet_token_take(worker, p, TOKEN_WORK))
		return DROP_DERIVE_LIMIT;
	struct control_mail mail = {
		.type = MAIL_DERIVE,
		.leg = p->leg->index,
		.derive = {.name = *name,
			.slot = (uint32_t)(slot - worker->hold),
			.stranger = side == SIDE_STRANGER},
	};
	if (!control_mail_put(&worker->mailbox, &mail))
		return DROP_DERIVE_LIMIT;
	worker->legs[p->leg->index].shares[side].slots++;
	worker->strangers.slots += side == SIDE_STRANGER;
	slot->name = *name;
	slot->leg = p->leg->index;
	slot->side = (uint8_t)side;
	return DROP_NONE;
}

static void slot_put(
	struct worker *worker, struct hold_slot *slot, struct packet *p, enum leg_side side)
{
	// There is one: worker->n_held of them are in use.
	uint16_t i = worker->held_unused;
	if (i != 0)
		worker->held_unused = worker->held[i - 1].next;
	else
		i = ++worker->held_touched;
	worker->held[i - 1] = (struct held_packet){
		.mbuf = packet_unparse(p), .leg = p->leg->index, .side = (uint8_t)side};
	if (slot->n == 0)
		slot->first = i;
	else
		worker->held[slot->last - 1].next = i;
	slot->last = i;
	slot->n++;
	worker->n_held++;
	worker->legs[p->leg->index].shares[side].packets++;
	slot->n_strangers = (uint16_t)(slot->n_strangers + (side == SIDE_STRANGER));
	worker->strangers.packets += side == SIDE_STRANGER;
}

// Control may have given the leg's index to another leg meanwhile, whose counters began at 0.
static void share_give_back(uint32_t *share)
{
	*share -= *share > 0;
}

// All that is in it, in order.
static void slot_empty(struct worker *worker, struct hold_slot *slot, struct rte_mbuf *mbufs[])
{
	uint16_t n = 0;
	for (uint16_t i = slot->first; n < slot->n; i = worker->held[i - 1].next) {
		const struct held_packet *held = &worker->held[i - 1];
		share_give_back(&worker->legs[held->leg].shares[held->side].packets);
		mbufs[n++] = held->mbuf;
	}
	worker->held[slot->last - 1].next = worker->held_unused;
	worker->held_unused = slot->first;
	worker->n_held -= n;
	worker->strangers.packets -= slot->n_strangers;
	slot->n_strangers = 0;
	slot->n = 0;
	share_give_back(&worker->legs[slot->leg].shares[slot->side].slots);
	worker->strangers.slots -= slot->side == SIDE_STRANGER;
}

// What the users of a closed GMK cannot be is refused before it costs anything.
static bool name_is_nobodys(
	const struct worker *worker, const struct packet *p, const struct key_name *name)
{
	return name->kind == KEY_BY_MKI && p->key &&
	       !guk_set_allows(&worker->relay->keys.guk_sets[p->key->root], (uint32_t)name->mki);
}

enum drop_reason hold_packet(
	struct worker *worker, struct packet *packet, const struct key_name *name)
{
	const enum leg_side side = packet_side(packet);
	struct hold_slot *slot = hold_find(worker, name);
	if (!slot && name_is_nobodys(worker, packet, name))
		return DROP_UNKNOWN_USER;
	if (!hold_has_room(worker, slot, packet, side))
		return DROP_HOLD_FULL;
	if (!slot) {
		slot = hold_peek(worker);
		if (!slot)
			return DROP_HOLD_FULL;
		enum drop_reason reason = hold_ask(worker, slot, packet, side, name);
		if (reason != DROP_NONE)
			return reason;
		hold_take(worker, slot);
	}
	slot_put(worker, slot, packet, side);
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
