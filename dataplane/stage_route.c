// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <rte_prefetch.h>

#include "dataplane/hold.h"
#include "dataplane/stages.h"
#include "dataplane/worker.h"

// Who speaks: the user whose GUK-ID the packet's MKI has, or whom the leg names. A leg's user does
// not stand for somebody else whose media comes over it.
static uint32_t packet_talker(const struct packet *p)
{
	if (p->ctx && p->key->is_gmk && p->key->own_mki != p->ctx->by_mki.mki)
		return (uint32_t)p->ctx->by_talker.mki;
	return p->leg->in[p->protocol].user;
}

// The name of the talker's context under the group's GMK. False if there is none to look for: the
// packet stays under its own key, or the talker is not known.
static bool talker_group_name(
	const struct packet *p, const struct fanout_group *group, struct key_name *name)
{
	if (packet_keeps_key(p, group))
		return false;
	*name = key_name_make(KEY_BY_TALKER, (uint64_t)group->root << 32 | p->talker, 0,
		group->cs_id, p->protocol, group->suite);
	return p->talker != 0 && p->leg->in[p->protocol].mode != LEG_OPAQUE;
}

// Finds all contexts of the talker. False if the packet is held because one has to be derived
// first. A group whose context cannot be had gets no copy, and keeps the others from nothing.
static bool packet_find_contexts(
	struct worker *worker, struct packet *p, const struct fanout *fanout)
{
	const struct key_table *keys = &worker->relay->keys;
	// Groups are asked for in their order: up to the one that was refused just now all have
	// been.
	bool ask = !worker->resumed || worker->refused == DROP_NONE;
	for (unsigned i = 0; i < fanout->n_talker_groups; i++) {
		const struct fanout_group *group = &fanout->groups[i];
		struct key_name name;
		p->out_ctx[i] = KEY_NONE;
		if (fanout_group_is_self(fanout, group, p->leg->index) ||
			!talker_group_name(p, group, &name))
			continue;
		p->out_ctx[i] = key_table_find(keys, &name, key_name_hash(keys, &name));
		bool waits = !worker->resumed && hold_waits(worker, &name);
		if (p->out_ctx[i] != KEY_NONE && !waits)
			continue;
		if (ask && hold_packet(worker, p, &name) == DROP_NONE)
			return false;
		ask = ask || key_name_equal(&name, &worker->resumed_name);
	}
	return true;
}

// What the receivers need of the packet: the octets as they came, the clear ones, or both.
static void packet_plan(struct packet *p, const struct fanout *fanout)
{
	p->keep_original = false;
	p->clear_uses = 0;
	for (unsigned i = 0; i < fanout->n_groups; i++) {
		const struct fanout_group *group = &fanout->groups[i];
		if (fanout_group_is_self(fanout, group, p->leg->index))
			continue;
		if (packet_passes(p, fanout, group))
			p->keep_original = true;
		else if (p->clear_uses < UINT8_MAX)
			p->clear_uses++;
	}
	const struct leg_protection *in = &p->leg->in[p->protocol];
	p->decrypt = p->ctx && (in->verify || p->clear_uses > 0);
}

// Has what the look-ups of a burst are going to read on its way: the buckets of the talkers' names, then
// the contexts. Of the first group that has to be looked up; few legs have more.
static void burst_prefetch_contexts(
	const struct key_table *keys, struct packet *packets[], uint16_t n)
{
	uint64_t hashes[WORKER_BURST];
	uint16_t n_hashes = 0;
	for (uint16_t i = 0; i < n; i++) {
		struct packet *p = packets[i];
		const struct fanout *fanout = p->leg->fanout[p->protocol];
		for (unsigned g = 0; g < fanout->n_talker_groups; g++) {
			struct key_name name;
			if (fanout_group_is_self(fanout, &fanout->groups[g], p->leg->index) ||
				!talker_group_name(p, &fanout->groups[g], &name))
				continue;
			hashes[n_hashes] = key_name_hash(keys, &name);
			rte_prefetch0(key_table_bucket(keys, hashes[n_hashes++]));
			break;
		}
	}
	for (uint16_t i = 0; i < n_hashes; i++)
		key_table_prefetch(keys, hashes[i]);
}

uint16_t stage_route(struct worker *worker, struct packet *packets[], uint16_t n)
{
	for (uint16_t i = 0; i < n; i++)
		packets[i]->talker = packet_talker(packets[i]);
	burst_prefetch_contexts(&worker->relay->keys, packets, n);
	uint16_t out = 0;
	for (uint16_t i = 0; i < n; i++) {
		struct packet *p = packets[i];
		const struct fanout *fanout = p->leg->fanout[p->protocol];
		if (!packet_find_contexts(worker, p, fanout))
			continue;
		packet_plan(p, fanout);
		packets[out++] = p;
	}
	return out;
}
