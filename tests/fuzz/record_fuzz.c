// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

// libFuzzer entry: the input as a sealed record, as a file with pieces, and as a body, which must survive being sealed.
// What opens was sealed with the key; an input cannot have been.

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/secmem.h"
#include "store/heap.h"
#include "store/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FILE_SIZE = 16384 };

static const uint8_t cluster_key[RECORD_KEY_LEN] = {42};

static void require(bool fact)
{
	if (!fact)
		abort();
}

// Buffers end where they end.
static void open_input(struct record_sealer *sealer, const uint8_t *data, size_t size)
{
	struct record record;
	char *body;
	uint8_t *exact = calloc(1, size + (size == 0));
	require(exact);
	memcpy(exact, data, size);
	if (record_peek(exact, size, &record))
		require(record.name + record.name_len + record.body_len + RECORD_TAG_LEN ==
			(const char *)exact + size);
	require(record_open(sealer, exact, size, &record, &body) != RECORD_GOOD && !body);
	free(exact);
}

static void round_trip(struct record_sealer *sealer, const uint8_t *data, size_t size)
{
	const size_t len = record_sealed_len(1, size);
	struct record record;
	char *body;
	uint8_t *sealed = malloc(len);
	require(sealed && record_seal(sealer, "x", size, data, size, sealed));
	require(record_open(sealer, sealed, len, &record, &body) == RECORD_GOOD);
	require(record.body_len == size && memcmp(body, data, size) == 0);
	secmem_free(body);
	if (size > 0) {
		sealed[data[0] % len] ^= (uint8_t)(1 << data[0] % 8);
		require(record_open(sealer, sealed, len, &record, &body) != RECORD_GOOD);
	}
	free(sealed);
}

// Somebody wrote over the file: pieces that are found lie in it, and it goes on to be used.
static void read_file(const uint8_t *data, size_t size)
{
	struct heap heap, again;
	bool cut;
	require(heap_create(&heap, "fuzz", FILE_SIZE) == 0);
	size_t n = size < FILE_SIZE - 4096 ? size : FILE_SIZE - 4096;
	uint64_t end = 4096 + n / 64 * 64;
	memcpy((uint8_t *)heap.head + 4096, data, n);
	memcpy((uint8_t *)heap.head + 24, &end, sizeof(end));
	require(heap_attach(&again, dup(heap.fd), &cut) == 0);
	heap_close(&heap);
	for (uint64_t at = heap_next(&again, 0); at != 0;) {
		const uint64_t next = heap_next(&again, at);
		require(heap_octets(&again, at) + heap_len(&again, at) <=
			(uint8_t *)again.head + FILE_SIZE);
		heap_drop(&again, at);
		at = next;
	}
	require(again.used == 0);
	heap_take(&again, 100);
	heap_close(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct record_sealer *sealer = record_sealer_new(cluster_key);
	require(sealer);
	open_input(sealer, data, size);
	round_trip(sealer, data, size);
	read_file(data, size);
	record_sealer_free(sealer);
	return 0;
}
