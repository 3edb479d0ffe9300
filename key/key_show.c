// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "key/key_show.h"

#include "base/counter.h"
#include "dataplane/relay_tables.h"
#include "key/key_domain.h"

static uint64_t ctx_packets(const struct relay *relay, uint32_t ctx)
{
	const struct stream_table *streams = &relay->streams;
	const struct stream_list *list = &relay->keys.streams[relay->keys.ctxs[ctx].space];
	uint64_t packets = list->packets;
	uint32_t i = atomic_load_explicit(&list->newest, memory_order_acquire);
	for (; i != 0; i = stream_sibling(&streams->streams[i - 1]))
		packets += counter_read(&streams->streams[i - 1].packets);
	return packets;
}

json_t *key_show(const struct keystore *store, const struct key_slot *slot)
{
	uint64_t packets = 0;
	for (uint32_t i = 0; i < slot->n_ctxs; i++)
		packets += ctx_packets(store->relay, slot->ctxs[i]);
	const char *domain = keystore_domain_name(store, slot->scope);
	json_t *out = json_object();
	json_object_set_new(out, "id", json_sprintf("%08x", slot->id));
	if (domain)
		json_object_set_new(out, "domain", json_string(domain));
	json_object_set_new(out, "type", json_string(key_type_names[slot->type]));
	json_object_set_new(out, "state", json_string(key_state_name(slot->state)));
	json_object_set_new(out, "activation", json_integer((json_int_t)slot->activation));
	json_object_set_new(out, "expiry", json_integer((json_int_t)slot->expiry));
	json_object_set_new(out, "contexts", json_integer((json_int_t)slot->n_ctxs));
	json_object_set_new(out, "packets", json_integer((json_int_t)packets));
	return out;
}
