// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "dataplane/stream_share.h"

#include "dataplane/tokens.h"
#include "dataplane/worker_state.h"

static void stream_list_ask(struct worker *worker, struct stream_list *list, uint32_t scope)
{
	if (atomic_exchange_explicit(&list->crowded, true, memory_order_relaxed))
		return;
	struct control_mail mail = {.type = MAIL_CROWDED, .scope = scope};
	if (!control_mail_put(&worker->mailbox, &mail))
		atomic_store_explicit(&list->crowded, false, memory_order_relaxed);
}

// How many of a key's streams there are, after control was told if they are nearly too many.
static uint32_t stream_list_watch(struct worker *worker, struct stream_list *list,
	const _Atomic uint32_t *counted, uint32_t scope, uint32_t share)
{
	const uint32_t n = atomic_load_explicit(counted, memory_order_relaxed);
	if (n >= stream_share_high(share) &&
		!atomic_load_explicit(&list->crowded, memory_order_relaxed))
		stream_list_ask(worker, list, scope);
	return n;
}

enum drop_reason stream_admit(struct worker *worker, const struct packet *p)
{
	const struct stream_table *table = &worker->relay->streams;
	const uint32_t one = stream_share(table, STREAMS_OF_ONE);
	struct stream_list *list = &worker->relay->keys.streams[p->ctx->space];
	const uint32_t n = stream_list_watch(worker, list, &list->n, p->ctx->space, one);
	if (n < one)
		return packet_token_take(worker, p, TOKEN_BIRTH) ? DROP_NONE : DROP_STREAM_SHARE;
	// A GMK's session key is one user's.
	bool many = !p->key->is_gmk && n < stream_share(table, STREAMS_OF_MANY);
	return many && packet_token_take_spare(worker, p, TOKEN_BIRTH) ? DROP_NONE
								       : DROP_STREAM_SHARE;
}

bool stream_admit_outbound(struct worker *worker, const struct packet *p, uint32_t scope)
{
	const struct stream_table *table = &worker->relay->streams;
	struct stream_list *list = &worker->relay->keys.streams[scope];
	stream_list_watch(
		worker, list, &list->n_outbound, scope, stream_share(table, STREAMS_OF_ONE));
	return likely(!stream_table_crowded(table)) || packet_token_take(worker, p, TOKEN_BIRTH);
}
