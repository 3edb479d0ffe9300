// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Pieces of octets in a memfd, which outlives the process if somebody else has the descriptor as well. Whenever the
// process ends, a piece is there as a whole or not at all: its length is written last, and taken away first. What is
// given back is overwritten. Pages are locked while they are mapped, and are used as they are touched. Control thread.

enum {
	HEAP_CLASSES = 76,       // sizes of pieces, four to each power of two, up to 64 MiB
	HEAP_PIECE_HEAD_LEN = 16 // octets in front of a piece
};

struct heap_head;

struct heap {
	int fd;
	struct heap_head *head;        // the mapped file; NULL: closed
	uint64_t size;                 // octets of it
	uint64_t unused[HEAP_CLASSES]; // the first of each size, 0: none; the next is in it
	uint64_t used;                 // octets of pieces in use
};

// Octets at the begin of the file that are its user's.
struct heap_user {
	uint8_t key[32];
	uint64_t version;
	uint32_t n_restores;                 // that were begun and not ended
	uint64_t state_begun, state_written; // see store_state_begin()
};

// A new file of size octets, a multiple of 4,096. 0 or -errno.
int heap_create(struct heap *heap, const char *name, uint64_t size);

// A file that heap_create() made in an earlier process; heap has the descriptor afterwards. 0, or -errno with heap
// untouched: -EINVAL if it is another file, or one that others may cut. *cut: what is behind some octet makes no sense
// and is not there any more.
int heap_attach(struct heap *heap, int fd, bool *cut);

// Unmaps the file and closes the descriptor.
void heap_close(struct heap *heap);

struct heap_user *heap_user(const struct heap *heap);

// Room for len octets (not 0), zeroed: its place; 0: there is none. It is no piece before heap_keep().
uint64_t heap_take(struct heap *heap, uint32_t len);
void heap_keep(struct heap *heap, uint64_t place, uint32_t len);

// Overwrites a piece, or room that was not kept, and gives it back.
void heap_drop(struct heap *heap, uint64_t place);

// The octets of a place, and how many a piece has.
uint8_t *heap_octets(const struct heap *heap, uint64_t place);
uint32_t heap_len(const struct heap *heap, uint64_t place);

// Whether the piece was kept by an earlier process.
bool heap_is_old(const struct heap *heap, uint64_t place);

// The next piece behind a place, 0 is before the first; 0: there is none.
uint64_t heap_next(const struct heap *heap, uint64_t place);
