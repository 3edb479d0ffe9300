// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "dataplane/tokens.h"

#include "dataplane/worker_state.h"

static bool token_take(struct worker *worker, uint32_t leg, uint32_t keep)
{
	struct leg_counters *counters = &worker->legs[leg];
	uint64_t per_token = worker->tsc_hz / LEG_TOKENS_PER_SECOND;
	if (counters->token_tsc == 0) {
		counters->token_tsc = worker->now;
		counters->tokens = LEG_TOKENS;
	}
	uint64_t earned = (worker->now - counters->token_tsc) / per_token;
	counters->token_tsc += earned * per_token;
	if (earned > LEG_TOKENS - counters->tokens)
		counters->tokens = LEG_TOKENS;
	else
		counters->tokens += (uint32_t)earned;
	if (counters->tokens <= keep)
		return false;
	counters->tokens--;
	return true;
}

bool leg_token_take(struct worker *worker, uint32_t leg)
{
	return token_take(worker, leg, 0);
}

bool leg_token_take_spare(struct worker *worker, uint32_t leg)
{
	return token_take(worker, leg, LEG_TOKENS / 2);
}
