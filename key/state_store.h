// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "key/state_record.h"
#include "store/store.h"

// The state directory: which SSRCs and SRTCP indices any run of the relay may have used (invariant 1
// of docs/security.md). One record has both, and two files, ssrc and srtcp, have the record each:
// both are on disk before anything is used that it newly covers, so that either of them stands for
// both. Control thread, startup.

struct state_store {
	int lock;                   // the directory, locked: one process at a time
	struct state_record record; // what both files cover
	struct store *store;        // which follows their generation; NULL: none does
};

// Locks the directory, makes it if it is not there, and reads its record. One without any file begins
// anew: its SSRCs have a random key, its SRTCP indices begin at random; it is refused if required.
// Writes nothing. 0, or -errno with a sentence in why.
int state_store_open(struct state_store *state, const char *directory, bool required, char *why,
	size_t why_size);
void state_store_close(struct state_store *state);

// Has both files cover other numbers, and returns 0 when that is on disk. Else -errno: what they covered
// before holds. They may be smaller than before if no more will be used.
int state_store_cover(struct state_store *state, uint32_t ssrc_next, uint32_t srtcp_next);

// Whether state_store_open() would take the directory, and what is in it, as a sentence in says. Changes
// nothing. 0, -ENOENT if there is no directory, -EACCES if it is not the caller's, else another -errno.
int state_store_check(const char *directory, bool required, char *says, size_t says_size);

// Begins anew, whatever is in the directory: with a fresh key for SSRCs, and above the SRTCP indices
// that its files know of, by far more than can have been used since they were written. 0 or -errno, and
// a sentence in says.
int state_store_renew(const char *directory, char *says, size_t says_size);
