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

// The first group from i on whose context has to be looked up, and its name; those before it have
// none. n_talker_groups: there is no such group any more.
static unsigned talker_group_next(
	struct packet *p, const struct fanout *fanout, unsigned i, struct key_name *name)
{
	for (; i < fanout->n_talker_groups; i++) {
		const struct fanout_group *group = &fanout->groups[i];
		p->out_ctx[i] = KEY_NONE;
		if (group->only_leg != p->leg->index && talker_group_name(p, group, name))
			break;
	}
	return i;
}

// A context of a packet's talker to look up.
struct talker_lookup {
	struct key_name name;
	uint64_t hash;
	uint32_t likely; // as key_table_prefetch() answered
	unsigned group;
};

// Finds all contexts of the talker, from that of the first group on. False if the packet is held
// because one has to be derived first. A group whose context cannot be had gets no copy, and keeps
// the others from nothing.
static bool packet_find_contexts(struct worker *worker, struct packet *p,
	const struct fanout *fanout, struct talker_lookup *lookup)
{
	const struct key_table *keys = &worker->relay->keys;
	// Groups are asked for in their order: up to the one that was refused just now all have
	// been.
	bool ask = !worker->resumed || worker->refused == DROP_NONE;
	while (lookup->group < fanout->n_talker_groups) {
		const struct key_name *name = &lookup->name;
		uint32_t ctx = key_table_find_likely(keys, name, lookup->hash, lookup->likely);
		p->out_ctx[lookup->group] = ctx;
		bool waits = !worker->resumed && hold_waits(worker, name);
		if (ctx == KEY_NONE || waits) {
			if (ask && hold_packet(worker, p, name) == DROP_NONE)
				return false;
			ask = ask || key_name_equal(name, &worker->resumed_name);
		}
		lookup->group = talker_group_next(p, fanout, lookup->group + 1, &lookup->name);
		lookup->hash = key_name_hash(keys, &lookup->name);
		lookup->likely = KEY_NONE;
	}
	return true;
}

// What the receivers need of the packet: the octets as they came, the clear ones, or both; and the
// context that prefetch.c asks for.
static void packet_plan(struct packet *p, const struct fanout *fanout)
{
	p->keep_original = false;
	p->clear_uses = 0;
	p->first_out = KEY_NONE;
	for (unsigned i = 0; i < fanout->n_groups; i++) {
		const struct fanout_group *group = &fanout->groups[i];
		if (group->only_leg == p->leg->index)
			continue;
		if (packet_passes(p, fanout, group)) {
			p->keep_original = true;
			continue;
		}
		if (p->clear_uses < UINT8_MAX)
			p->clear_uses++;
		if (p->first_out == KEY_NONE && group->mode == LEG_SRTP)
			p->first_out = packet_out_ctx(p, fanout, group);
	}
	const struct leg_protection *in = &p->leg->in[p->protocol];
	p->decrypt = p->ctx && (in->verify || p->clear_uses > 0);
}

// Has what the look-ups of a burst are going to read on its way: the buckets of the talkers' names, then
// the contexts. Of the first group that has to be looked up; few legs have more.
static void burst_prefetch_contexts(const struct key_table *keys, struct packet *packets[],
	uint16_t n, struct talker_lookup lookups[])
{
	for (uint16_t i = 0; i < n; i++) {
		const struct fanout *fanout = packets[i]->leg->fanout[packets[i]->protocol];
		struct talker_lookup *lookup = &lookups[i];
		lookup->group = talker_group_next(packets[i], fanout, 0, &lookup->name);
		if (lookup->group == fanout->n_talker_groups)
			continue;
		lookup->hash = key_name_hash(keys, &lookup->name);
		rte_prefetch0(key_table_bucket(keys, lookup->hash));
	}
	for (uint16_t i = 0; i < n; i++) {
		const struct fanout *fanout = packets[i]->leg->fanout[packets[i]->protocol];
		if (lookups[i].group < fanout->n_talker_groups)
			lookups[i].likely = key_table_prefetch(keys, lookups[i].hash);
	}
}

uint16_t stage_route(struct worker *worker, struct packet *packets[], uint16_t n)
{
	struct talker_lookup lookups[WORKER_BURST];
	for (uint16_t i = 0; i < n; i++)
		packets[i]->talker = packet_talker(packets[i]);
	burst_prefetch_contexts(&worker->relay->keys, packets, n, lookups);
	uint16_t out = 0;
	for (uint16_t i = 0; i < n; i++) {
		struct packet *p = packets[i];
		const struct fanout *fanout = p->leg->fanout[p->protocol];
		if (!packet_find_contexts(worker, p, fanout, &lookups[i]))
			continue;
		packet_plan(p, fanout);
		packets[out++] = p;
	}
	return out;
}
