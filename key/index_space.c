// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "key/index_space.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "base/map.h"
#include "base/secmem.h"
#include "crypto/mcx_kdf.h"

int index_spaces_init(struct index_spaces *spaces, uint32_t max)
{
	*spaces = (struct index_spaces){.by_digest = map_new(), .max = max};
	spaces->digests = secmem_map(max * sizeof(*spaces->digests));
	spaces->users = secmem_map(max * sizeof(*spaces->users));
	spaces->unused = secmem_map(max * sizeof(*spaces->unused));
	if (!spaces->by_digest || !spaces->digests || !spaces->users || !spaces->unused)
		return -ENOMEM;
	return getrandom(spaces->seed, sizeof(spaces->seed), 0) == sizeof(spaces->seed) ? 0 : -EIO;
}

void index_spaces_fini(struct index_spaces *spaces)
{
	map_free(spaces->by_digest);
	secmem_unmap(spaces->digests, spaces->max * sizeof(*spaces->digests));
	secmem_unmap(spaces->users, spaces->max * sizeof(*spaces->users));
	secmem_unmap(spaces->unused, spaces->max * sizeof(*spaces->unused));
	secmem_wipe(spaces, sizeof(*spaces));
}

bool index_spaces_full(const struct index_spaces *spaces)
{
	return spaces->n_unused == 0 && spaces->n_touched == spaces->max;
}

uint32_t index_space_take(struct index_spaces *spaces, const struct srtp_session *session)
{
	uint8_t mac[32];
	struct kdf_param params[] = {
		{session->key, sizeof(session->key)}, {session->salt, sizeof(session->salt)}};
	if (mcx_kdf(spaces->seed, sizeof(spaces->seed), 0, params, 2, mac) != 0)
		return UINT32_MAX;
	uint32_t space =
		(uint32_t)(uintptr_t)map_get(spaces->by_digest, mac, INDEX_SPACE_DIGEST_LEN);
	if (space == 0 && index_spaces_full(spaces))
		return UINT32_MAX;
	if (space == 0) {
		space = spaces->n_unused > 0 ? spaces->unused[spaces->n_unused - 1]
					     : spaces->n_touched;
		void *value = (void *)(uintptr_t)(space + 1);
		if (map_put(spaces->by_digest, mac, INDEX_SPACE_DIGEST_LEN, value, NULL) != 0)
			return UINT32_MAX;
		if (spaces->n_unused > 0)
			spaces->n_unused--;
		else
			spaces->n_touched++;
		memcpy(spaces->digests[space], mac, INDEX_SPACE_DIGEST_LEN);
	} else {
		space--;
	}
	spaces->users[space]++;
	return space;
}

bool index_space_release(struct index_spaces *spaces, uint32_t space)
{
	if (--spaces->users[space] > 0)
		return false;
	map_remove(spaces->by_digest, spaces->digests[space], INDEX_SPACE_DIGEST_LEN);
	return true;
}

void index_space_free(struct index_spaces *spaces, uint32_t space)
{
	spaces->unused[spaces->n_unused++] = space;
}
