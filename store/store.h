// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Where a relay keeps what it knows for its next life: sealed records in a memfd that systemd's file descriptor store
// holds meanwhile. Whoever has something recorded keeps the place of its record, 0 for none. Control thread.

struct store;

#define STORE_FD_NAME "mcxrelay-store" // in LISTEN_FDNAMES

struct store_counts {
	uint64_t records, octets; // in use, the room that they take
	uint64_t skipped;         // records of an earlier life that did not open
	uint64_t lost;            // writes for which there was no room
};

// With the descriptor of an earlier life (or -1), which is the store's afterwards, or a new one. *fresh: the store is
// new, and its descriptor has to be handed to who keeps it. NULL with errno set. What is wrong with an earlier life's
// is told in the log. generation: of state_directory as it was found. Where that says that another life was in
// between, without the store, what is recorded is no longer true, and the store begins anew.
struct store *store_open(int fd, uint64_t generation, bool *fresh);

// The records stay in the file.
void store_close(struct store *store);

int store_fd(const struct store *store);

// state_directory is being written with that generation, and then has been: by that a store knows the life that
// follows its own. Each life writes it twice before it begins. store may be NULL: nothing is done.
void store_state_begin(struct store *store, uint64_t generation);
void store_state_end(struct store *store, uint64_t generation);

// Writes a record and drops the one before it at *place. What there is no room for is not recorded, the one before
// dropped: what is not known is better than what is no longer true. store may be NULL: nothing is done.
void store_put(
	struct store *store, uint32_t *place, const char *name, const void *body, size_t len);
void store_drop(struct store *store, uint32_t *place);

// The version of the record that was written last: each has a higher one than all before it, over all lives. 0 if store
// is NULL.
uint64_t store_version(const struct store *store);

// Whether records of an earlier life are to be restored: not, if three processes in a row have ended while they did.
bool store_restore_begin(struct store *store);
// Drops all records of earlier lives.
void store_restore_end(struct store *store);

// Calls visit with the place and the name of each record that an earlier life left, of several under one name only the
// newest: the others are told, and gone. visit may not put or drop.
void store_visit(
	struct store *store, void (*visit)(void *arg, uint32_t place, const char *name), void *arg);

// Opens such a record: its body and a NUL behind it, which the caller frees with secmem_free(). NULL: it does not open,
// and is told.
char *store_read(struct store *store, uint32_t place, size_t *len);

// The version of such a record, which is to be trusted if it opens.
uint64_t store_version_of(const struct store *store, uint32_t place);

struct store_counts store_counts(const struct store *store);
