// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "store/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/rand.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/map.h"
#include "base/secmem.h"
#include "store/heap.h"
#include "store/record.h"

// Address space, and memory only as it is used: a million legs take one.
#define STORE_SIZE (UINT64_C(16) << 30)

enum { RESTORES_MAX = 3 };

struct store {
	struct heap heap;
	struct record_sealer *sealer;
	struct store_counts counts;
};

// --- begin and end

// The key with which records of this file are sealed goes with it: nobody has one without the other.
static int store_begin(struct store *store)
{
	struct heap_user *user = heap_user(&store->heap);
	store->sealer = record_sealer_new(user->key);
	for (uint64_t at = heap_next(&store->heap, 0); at != 0; at = heap_next(&store->heap, at))
		store->counts.records++;
	return store->sealer ? 0 : -ENOMEM;
}

static int store_renew(struct store *store, uint64_t generation)
{
	int rc = heap_create(&store->heap, STORE_FD_NAME, STORE_SIZE);
	if (rc == 0 && RAND_priv_bytes(heap_user(&store->heap)->key, RECORD_KEY_LEN) != 1)
		rc = -EIO;
	if (rc != 0)
		return rc;
	store_state_begin(store, generation);
	store_state_end(store, generation);
	return store_begin(store);
}

// One more may be a new state, which was made by hand: that is no life.
static bool state_follows(const struct heap_user *user, uint64_t generation)
{
	return generation >= user->state_written && generation <= user->state_begun + 1;
}

static bool store_resume(struct store *store, int fd, uint64_t generation)
{
	bool cut = false;
	int rc = heap_attach(&store->heap, fd, &cut);
	if (rc != 0) {
		log_error("store_not_taken reason=\"the descriptor is no file of an earlier "
			  "mcxrelay: %s\"",
			strerror(-rc));
		close(fd);
		return false;
	}
	if (!state_follows(heap_user(&store->heap), generation)) {
		log_error("store_outdated reason=\"a relay without store has run since, or "
			  "state_directory is another one; what is recorded is not restored\"");
		store->counts.skipped++;
		return false;
	}
	if (cut) {
		log_error("store_cut reason=\"what stands behind some record makes no sense\"");
		store->counts.skipped++;
	}
	return store_begin(store) == 0;
}

struct store *store_open(int fd, uint64_t generation, bool *fresh)
{
	struct store *store = alloc_zero(1, sizeof(*store));
	*fresh = fd < 0 || !store_resume(store, fd, generation);
	int rc = 0;
	if (*fresh) {
		heap_close(&store->heap);
		rc = store_renew(store, generation);
	}
	if (rc == 0)
		return store;
	store_close(store);
	errno = -rc;
	return NULL;
}

void store_close(struct store *store)
{
	if (!store)
		return;
	record_sealer_free(store->sealer);
	heap_close(&store->heap);
	free(store);
}

int store_fd(const struct store *store)
{
	return store->heap.fd;
}

void store_state_begin(struct store *store, uint64_t generation)
{
	if (store)
		heap_user(&store->heap)->state_begun = generation;
}

void store_state_end(struct store *store, uint64_t generation)
{
	if (store)
		heap_user(&store->heap)->state_written = generation;
}

// --- writing

// A place as others keep it: pieces begin at a multiple of 64 octets.
enum { PLACE_UNIT = 64 };

_Static_assert(STORE_SIZE / PLACE_UNIT <= UINT32_MAX, "each place has a number");

void store_put(struct store *store, uint32_t *place, const char *name, const void *body, size_t len)
{
	if (!store)
		return;
	struct heap *heap = &store->heap;
	const size_t sealed = record_sealed_len(strlen(name), len);
	uint64_t now = len <= RECORD_BODY_MAX ? heap_take(heap, (uint32_t)sealed) : 0;
	if (now != 0 && record_seal(store->sealer, name, ++heap_user(heap)->version, body, len,
				heap_octets(heap, now))) {
		heap_keep(heap, now, (uint32_t)sealed);
		store->counts.records++;
	} else {
		if (now != 0)
			heap_drop(heap, now);
		now = 0;
		store->counts.lost++;
		log_limited(LOG_LEVEL_ERROR,
			"not_recorded octets=%zu reason=\"the store is full, or OpenSSL failed; a "
			"restart will not bring it back\"",
			sealed);
	}
	store_drop(store, place);
	*place = (uint32_t)(now / PLACE_UNIT);
}

static void piece_drop(struct store *store, uint64_t place)
{
	heap_drop(&store->heap, place);
	store->counts.records--;
}

void store_drop(struct store *store, uint32_t *place)
{
	if (!store || *place == 0)
		return;
	piece_drop(store, (uint64_t)*place * PLACE_UNIT);
	*place = 0;
}

uint64_t store_version(const struct store *store)
{
	return store ? heap_user(&store->heap)->version : 0;
}

// --- reading

static void tell_skipped(struct store *store, const struct record *record, const char *why)
{
	char name[RECORD_NAME_MAX + 1], quoted[LOG_QUOTED_SIZE];
	memcpy(name, record->name, record->name_len);
	name[record->name_len] = '\0';
	log_warning("record_skipped name=%s reason=\"it %s\"", log_quoted(quoted, name), why);
	store->counts.skipped++;
}

// A piece of which not even the name is known.
static void tell_nameless(struct store *store, uint64_t place)
{
	log_warning("record_skipped name=\"\" octet=%llu reason=\"it %s\"",
		(unsigned long long)place, record_finding_text(RECORD_CUT));
	store->counts.skipped++;
}

static bool piece_peek(const struct store *store, uint64_t place, struct record *record)
{
	return record_peek(heap_octets(&store->heap, place), heap_len(&store->heap, place), record);
}

// The older one of two records of one name goes. It is left when a process ends between two steps of store_put(), or
// was put there by somebody else.
static void survey_take(struct store *store, struct map *newest, uint64_t place)
{
	struct record is, was;
	if (!piece_peek(store, place, &is)) {
		tell_nameless(store, place);
		piece_drop(store, place);
		return;
	}
	uint64_t before = (uint64_t)(uintptr_t)map_get(newest, is.name, is.name_len);
	if (before != 0 && piece_peek(store, before, &was) && was.version >= is.version) {
		tell_skipped(store, &is, "is older than one that was seen");
		piece_drop(store, place);
		return;
	}
	if (before != 0) {
		tell_skipped(store, &was, "is older than one that was seen");
		piece_drop(store, before);
	}
	map_add(newest, is.name, is.name_len, (void *)(uintptr_t)place);
}

void store_visit(
	struct store *store, void (*visit)(void *arg, uint32_t place, const char *name), void *arg)
{
	struct map *newest = map_make();
	struct map_cursor cursor = {0};
	void *value;
	for (uint64_t at = heap_next(&store->heap, 0); at != 0; at = heap_next(&store->heap, at))
		survey_take(store, newest, at);
	while ((value = map_next(newest, &cursor)) != NULL) {
		char name[RECORD_NAME_MAX + 1];
		memcpy(name, cursor.key, cursor.key_len);
		name[cursor.key_len] = '\0';
		visit(arg, (uint32_t)((uintptr_t)value / PLACE_UNIT), name);
	}
	map_free(newest);
}

char *store_read(struct store *store, uint32_t place, size_t *len)
{
	const uint64_t at = (uint64_t)place * PLACE_UNIT;
	struct record record;
	char *body;
	enum record_finding finding = record_open(store->sealer, heap_octets(&store->heap, at),
		heap_len(&store->heap, at), &record, &body);
	if (finding != RECORD_GOOD)
		tell_skipped(store, &record, record_finding_text(finding));
	*len = record.body_len;
	return body;
}

uint64_t store_version_of(const struct store *store, uint32_t place)
{
	struct record record;
	return piece_peek(store, (uint64_t)place * PLACE_UNIT, &record) ? record.version : 0;
}

bool store_restore_begin(struct store *store)
{
	struct heap_user *user = heap_user(&store->heap);
	if (user->n_restores++ < RESTORES_MAX)
		return true;
	log_error("not_restored reason=\"%d processes have ended while they restored what is "
		  "recorded\"",
		RESTORES_MAX);
	store->counts.skipped += store->counts.records;
	return false;
}

void store_restore_end(struct store *store)
{
	heap_user(&store->heap)->n_restores = 0;
	for (uint64_t at = heap_next(&store->heap, 0); at != 0;) {
		const uint64_t next = heap_next(&store->heap, at);
		if (heap_is_old(&store->heap, at))
			piece_drop(store, at);
		at = next;
	}
}

struct store_counts store_counts(const struct store *store)
{
	struct store_counts counts = store ? store->counts : (struct store_counts){};
	if (store)
		counts.octets = store->heap.used;
	return counts;
}
