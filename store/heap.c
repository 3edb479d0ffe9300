// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "store/heap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/secmem.h"

enum {
	UNIT = 64,    // octets: a piece with its head has a multiple
	FIRST = 4096, // octet of the first piece
	SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL,
};

static const char magic[16] = "mcxrelay-heap-1";

struct heap_head {
	char magic[16];
	uint64_t size;
	_Atomic uint64_t end; // of all pieces that there ever were
	uint32_t life;        // number of the process that has it
	struct heap_user user;
};

// What stands before a piece. The number of units never changes: so the next piece is found.
struct piece {
	uint32_t units;
	_Atomic uint32_t len; // 0: unused
	uint32_t life;        // of the process that kept it
	uint32_t reserved;
	union {
		uint64_t next; // unused: the next of its size
		uint8_t octets[UNIT - HEAP_PIECE_HEAD_LEN];
	};
};

_Static_assert(sizeof(struct heap_head) <= FIRST, "the first piece is behind the head");
_Static_assert(sizeof(struct piece) == UNIT, "the least piece has one unit");

static struct piece *piece_at(const struct heap *heap, uint64_t place)
{
	return (struct piece *)((uint8_t *)heap->head + place);
}

// --- sizes

// Units of a size: 1, 2, 3, 4, then 5, 6, 7, 8, then 10, 12, 14, 16 and so on.
static uint32_t class_units(unsigned class)
{
	return class < 4 ? class + 1 : (class % 4 + 5) << (class / 4 - 1);
}

// The least size that has so many units; HEAP_CLASSES: none has.
static unsigned class_of(uint64_t units)
{
	unsigned class = 0;
	while (class < HEAP_CLASSES && class_units(class) < units)
		class ++;
	return class;
}

// --- the file

// NULL with errno set.
static struct heap_head *file_map(int fd, uint64_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
	if (p == MAP_FAILED)
		return NULL;
	secmem_keep(p, size);
	return p;
}

int heap_create(struct heap *heap, const char *name, uint64_t size)
{
	struct heap_head *head = NULL;
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)size) == 0 && fcntl(fd, F_ADD_SEALS, SEALS) == 0)
		head = file_map(fd, size);
	if (!head) {
		int rc = -errno;
		close(fd);
		return rc;
	}
	*heap = (struct heap){.fd = fd, .head = head, .size = size};
	head->size = size;
	head->life = 1;
	atomic_store(&head->end, FIRST);
	memcpy(head->magic, magic, sizeof(magic));
	return 0;
}

// Whether a piece can stand there.
static bool piece_fits(const struct heap *heap, uint64_t place, uint64_t end)
{
	const struct piece *piece = piece_at(heap, place);
	const unsigned class = class_of(piece->units);
	return class < HEAP_CLASSES && class_units(class) == piece->units &&
	       piece->units * (uint64_t)UNIT <= end - place &&
	       atomic_load(&piece->len) <= piece->units * (uint64_t)UNIT - HEAP_PIECE_HEAD_LEN;
}

static void unused_add(struct heap *heap, uint64_t place)
{
	struct piece *piece = piece_at(heap, place);
	uint64_t *first = &heap->unused[class_of(piece->units)];
	secmem_wipe(piece->octets, (size_t)piece->units * UNIT - HEAP_PIECE_HEAD_LEN);
	piece->next = *first;
	*first = place;
}

// Looks at all pieces. False if something makes no sense: what follows it is given up.
static bool heap_survey(struct heap *heap)
{
	uint64_t end = atomic_load(&heap->head->end), place = FIRST;
	bool whole = end >= FIRST && end <= heap->size && end % UNIT == 0;
	if (!whole)
		end = heap->size;
	while (place < end && piece_fits(heap, place, end)) {
		const struct piece *piece = piece_at(heap, place);
		const uint64_t next = place + piece->units * (uint64_t)UNIT;
		if (atomic_load(&piece->len) == 0)
			unused_add(heap, place);
		else
			heap->used += piece->units * (uint64_t)UNIT;
		place = next;
	}
	whole = whole && place == end;
	atomic_store(&heap->head->end, place);
	return whole;
}

int heap_attach(struct heap *heap, int fd, bool *cut)
{
	struct stat is;
	int seals = fcntl(fd, F_GET_SEALS);
	if (seals < 0 || (seals & F_SEAL_SHRINK) == 0 || fstat(fd, &is) != 0 || is.st_size < FIRST)
		return -EINVAL;
	const uint64_t size = (uint64_t)is.st_size;
	struct heap_head *head = file_map(fd, size);
	if (!head)
		return -errno;
	if (memcmp(head->magic, magic, sizeof(magic)) != 0 || head->size != size) {
		munmap(head, size);
		return -EINVAL;
	}
	*heap = (struct heap){.fd = fd, .head = head, .size = size};
	head->life++;
	*cut = !heap_survey(heap);
	return 0;
}

void heap_close(struct heap *heap)
{
	if (!heap->head)
		return;
	munmap(heap->head, heap->size);
	close(heap->fd);
	*heap = (struct heap){.fd = -1};
}

struct heap_user *heap_user(const struct heap *heap)
{
	return &heap->head->user;
}

// --- pieces

// At the end of all: its size is there before the end is behind it.
static uint64_t piece_append(struct heap *heap, unsigned class)
{
	const uint64_t place = atomic_load_explicit(&heap->head->end, memory_order_relaxed);
	const uint64_t octets = class_units(class) * (uint64_t)UNIT;
	if (octets > heap->size - place)
		return 0;
	// What was given up may stand there.
	secmem_wipe(piece_at(heap, place), octets);
	piece_at(heap, place)->units = class_units(class);
	atomic_store_explicit(&heap->head->end, place + octets, memory_order_release);
	return place;
}

uint64_t heap_take(struct heap *heap, uint32_t len)
{
	const unsigned class = class_of(((uint64_t)len + HEAP_PIECE_HEAD_LEN + UNIT - 1) / UNIT);
	if (class == HEAP_CLASSES)
		return 0;
	uint64_t place = heap->unused[class];
	if (place == 0) {
		place = piece_append(heap, class);
	} else {
		heap->unused[class] = piece_at(heap, place)->next;
		piece_at(heap, place)->next = 0;
	}
	if (place != 0)
		heap->used += class_units(class) * (uint64_t)UNIT;
	return place;
}

void heap_keep(struct heap *heap, uint64_t place, uint32_t len)
{
	struct piece *piece = piece_at(heap, place);
	piece->life = heap->head->life;
	atomic_store_explicit(&piece->len, len, memory_order_release);
}

void heap_drop(struct heap *heap, uint64_t place)
{
	struct piece *piece = piece_at(heap, place);
	atomic_store_explicit(&piece->len, 0, memory_order_release);
	heap->used -= piece->units * (uint64_t)UNIT;
	unused_add(heap, place);
}

uint8_t *heap_octets(const struct heap *heap, uint64_t place)
{
	return piece_at(heap, place)->octets;
}

uint32_t heap_len(const struct heap *heap, uint64_t place)
{
	return atomic_load_explicit(&piece_at(heap, place)->len, memory_order_relaxed);
}

bool heap_is_old(const struct heap *heap, uint64_t place)
{
	return piece_at(heap, place)->life != heap->head->life;
}

uint64_t heap_next(const struct heap *heap, uint64_t place)
{
	const uint64_t end = atomic_load_explicit(&heap->head->end, memory_order_relaxed);
	do
		place = place == 0 ? FIRST : place + piece_at(heap, place)->units * (uint64_t)UNIT;
	while (place < end && heap_len(heap, place) == 0);
	return place < end ? place : 0;
}
