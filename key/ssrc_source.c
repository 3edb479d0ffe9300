// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "key/ssrc_source.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "crypto/mcx_kdf.h"
#include "key/state_store.h"

// Has the state cover another block before any of it is used. -EOVERFLOW: there is none.
static int block_reserve(struct ssrc_source *source)
{
	const struct state_record *covered = &source->state->record;
	if (source->next > UINT32_MAX - SSRC_BLOCK)
		return -EOVERFLOW;
	return state_store_cover(source->state, source->next + SSRC_BLOCK, covered->srtcp_next);
}

int ssrc_source_open(struct ssrc_source *source, struct state_store *state)
{
	*source = (struct ssrc_source){.state = state, .next = state->record.ssrc_next};
	int rc = block_reserve(source);
	return rc == -EOVERFLOW ? 0 : rc; // told when one is wanted
}

// A Feistel network of four rounds on two halves of 16 bits (Luby and Rackoff): a permutation
// whatever the round function.
static uint32_t ssrc_permute(const struct ssrc_source *source, uint32_t counter)
{
	const uint8_t *key = source->state->record.ssrc_key;
	uint16_t left = (uint16_t)(counter >> 16), right = (uint16_t)counter;
	for (uint8_t round = 0; round < 4; round++) {
		uint8_t half[2] = {(uint8_t)(right >> 8), (uint8_t)right}, mac[32];
		struct kdf_param param = {.octets = half, .len = sizeof(half)};
		if (mcx_kdf(key, sizeof(source->state->record.ssrc_key), round, &param, 1, mac) !=
			0)
			return 0;
		uint16_t next = left ^ (uint16_t)(mac[0] << 8 | mac[1]);
		left = right;
		right = next;
	}
	return (uint32_t)left << 16 | right;
}

// False if there is no SSRC for now.
static bool next_is_covered(struct ssrc_source *source)
{
	if (source->next < source->state->record.ssrc_next)
		return true;
	if (time(NULL) < source->retry)
		return false;
	int rc = block_reserve(source);
	source->retry = rc == 0 ? 0 : time(NULL) + 1;
	if (rc == -EOVERFLOW) {
		source->used_up = true;
		log_error("ssrc_used_up reason=\"replace all root keys, then begin anew by "
			  "mcxrelay --new-state\"");
	} else if (rc != 0) {
		log_limited(LOG_LEVEL_ERROR, "ssrc_not_reserved reason=\"%s\"", strerror(-rc));
	}
	return rc == 0;
}

uint32_t ssrc_source_take(struct ssrc_source *source)
{
	uint32_t ssrc = 0;
	while (ssrc == 0 && !source->used_up && next_is_covered(source))
		ssrc = ssrc_permute(source, source->next++);
	return ssrc;
}
