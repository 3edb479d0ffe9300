// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "crypto/srtp_kdf.h"

// Spaces of packet indices: one for each session key, however many key contexts use it. One root
// key that is given to two sessions, or to two domains, derives the same session keys: an index
// used in one of them counts as used in all (invariant 1). Identified by a keyed digest, so that no
// key octets are kept here. Control thread.

struct map;

enum { INDEX_SPACE_DIGEST_LEN = 16 };

struct index_spaces {
	struct map *by_digest;
	uint8_t seed[32];
	uint8_t (*digests)[INDEX_SPACE_DIGEST_LEN]; // by space
	uint32_t *users;                            // contexts that have it, by space
	uint32_t *unused;                           // stack of spaces to use again
	uint32_t max, n_touched, n_unused;
};

// Room for max spaces. 0, -ENOMEM or -EIO.
int index_spaces_init(struct index_spaces *spaces, uint32_t max);
void index_spaces_fini(struct index_spaces *spaces);

// The space of a session key, UINT32_MAX if there is none left or the library failed. Each take needs one release.
uint32_t index_space_take(struct index_spaces *spaces, const struct srtp_session *session);

// Whether there is no space left for a new key.
bool index_spaces_full(const struct index_spaces *spaces);

// True if this was the last user: its streams can be freed, and after them index_space_free().
bool index_space_release(struct index_spaces *spaces, uint32_t space);
void index_space_free(struct index_spaces *spaces, uint32_t space);
