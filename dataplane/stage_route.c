// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "dataplane/hold.h"
#include "dataplane/stages.h"
#include "dataplane/worker.h"

// Who speaks: the user whose GUK-ID the packet's MKI has, or whom the leg names. A leg's user does
// not stand for somebody else whose media comes over it.
static uint32_t packet_talker(const struct packet *p)
{
	const struct leg_protection *in = &p->leg->in[p->protocol];
	if (p->ctx && in->is_gmk && in->own_mki != p->ctx->by_mki.mki)
		return (uint32_t)p->ctx->by_talker.mki;
	return in->user;
}

// The context of this talker under the group's GMK. Returns false if it has to be derived first.
static bool talker_group_find(struct worker *worker, const struct packet *p,
	const struct fanout_group *group, struct key_name *name, uint32_t *ctx)
{
	const struct key_table *keys = &worker->relay->keys;
	*ctx = KEY_NONE;
	if (p->ctx && p->ctx->root == group->root && p->ctx->by_mki.cs_id == group->cs_id &&
		p->ctx->by_mki.suite == group->suite) {
		*ctx = p->ctx_index;
		return true;
	}
	if (p->talker == 0 || p->leg->in[p->protocol].mode == LEG_OPAQUE)
		return true;
	*name = (struct key_name){
		.mki = (uint64_t)group->root << 32 | p->talker,
		.cs_id = group->cs_id,
		.protocol = p->protocol,
		.suite = group->suite,
		.kind = KEY_BY_TALKER,
	};
	*ctx = key_table_find(keys, name, key_name_hash(keys, name));
	return *ctx != KEY_NONE || (worker->resumed && worker->refused != DROP_NONE);
}

// Finds all contexts of the talker; false with the missing one's name if there is one to derive.
static bool packet_find_contexts(
	struct worker *worker, struct packet *p, const struct fanout *fanout, struct key_name *name)
{
	for (unsigned i = 0; i < fanout->n_talker_groups; i++) {
		const struct fanout_group *group = &fanout->groups[i];
		p->out_ctx[i] = KEY_NONE;
		if (fanout_group_is_self(fanout, group, p->leg->index))
			continue;
		if (!talker_group_find(worker, p, group, name, &p->out_ctx[i]))
			return false;
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

uint16_t stage_route(struct worker *worker, struct packet *packets[], uint16_t n)
{
	uint16_t out = 0;
	for (uint16_t i = 0; i < n; i++) {
		struct packet *p = packets[i];
		const struct fanout *fanout = p->leg->fanout[p->protocol];
		struct key_name name;
		p->talker = packet_talker(p);
		if (!packet_find_contexts(worker, p, fanout, &name)) {
			enum drop_reason reason = hold_packet(worker, p, &name);
			if (reason != DROP_NONE)
				worker_drop(worker, p, reason);
			continue;
		}
		packet_plan(p, fanout);
		packets[out++] = p;
	}
	return out;
}
