// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "dataplane/tokens.h"

#include "dataplane/worker_state.h"

struct token_rate {
	uint32_t at_once, per_second;
};

static const struct {
	struct token_rate side[SIDE_N];
	struct token_rate strangers; // of all legs, at one worker
} rates[TOKEN_N_KINDS] = {
#define _(name, own, own_rate, strange, strange_rate, all, all_rate)                               \
	{{{own, own_rate}, {strange, strange_rate}}, {all, all_rate}},
	TOKEN_KINDS(_)
#undef _
};

static void bucket_fill(
	const struct worker *worker, struct token_bucket *bucket, const struct token_rate *rate)
{
	const uint64_t per_token = worker->tsc_hz / rate->per_second + 1; // never 0
	if (bucket->at == 0) {
		*bucket = (struct token_bucket){.at = worker->now, .n = rate->at_once};
		return;
	}
	const uint64_t earned =
		worker->now > bucket->at ? (worker->now - bucket->at) / per_token : 0;
	bucket->at += earned * per_token;
	bucket->n = earned >= rate->at_once ? rate->at_once
					    : RTE_MIN(rate->at_once, bucket->n + (uint32_t)earned);
}

static bool bucket_has(const struct worker *worker, struct token_bucket *bucket,
	const struct token_rate *rate, uint32_t keep)
{
	bucket_fill(worker, bucket, rate);
	return bucket->n > keep;
}

enum leg_side packet_side(const struct packet *p)
{
	return endpoint_equal(&p->leg->remote, &p->source) ||
			       endpoint_equal(&p->leg->source, &p->source)
		       ? SIDE_OWN
		       : SIDE_STRANGER;
}

static bool token_take(
	struct worker *worker, const struct packet *p, enum token_kind kind, bool spare)
{
	const enum leg_side side = packet_side(p);
	struct token_bucket *leg = &worker->legs[p->leg->index].shares[side].tokens[kind];
	struct token_bucket *all = &worker->strangers.tokens[kind];
	const struct token_rate *rate = &rates[kind].side[side];
	if (!bucket_has(worker, leg, rate, spare ? rate->at_once / 2 : 0))
		return false;
	if (side == SIDE_STRANGER) {
		if (!bucket_has(worker, all, &rates[kind].strangers, 0))
			return false;
		all->n--;
	}
	leg->n--;
	return true;
}

bool packet_token_take(struct worker *worker, const struct packet *p, enum token_kind kind)
{
	return token_take(worker, p, kind, false);
}

bool packet_token_take_spare(struct worker *worker, const struct packet *p, enum token_kind kind)
{
	return token_take(worker, p, kind, true);
}

static bool work_take(struct worker *worker, uint32_t leg, uint32_t keep)
{
	struct token_bucket *bucket = &worker->legs[leg].shares[SIDE_OWN].tokens[TOKEN_WORK];
	if (!bucket_has(worker, bucket, &rates[TOKEN_WORK].side[SIDE_OWN], keep))
		return false;
	bucket->n--;
	return true;
}

bool leg_token_take(struct worker *worker, uint32_t leg)
{
	return work_take(worker, leg, 0);
}

bool leg_token_take_spare(struct worker *worker, uint32_t leg)
{
	return work_take(worker, leg, LEG_TOKENS / 2);
}
