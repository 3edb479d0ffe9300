// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "tests/unit/property_ledger.h"

#include <string.h>

enum { LEDGER_SIZE = 1 << 17, LEDGER_MAX = LEDGER_SIZE / 2 };

struct entry {
	uint64_t key; // the session key's name
	uint64_t index;
	uint32_t ssrc; // 0: any
	uint8_t protocol;
	bool used;
	uint64_t said; // hash of the plaintext
};

static struct entry entries[LEDGER_SIZE];
static unsigned n_entries;

void ledger_clear(void)
{
	memset(entries, 0, sizeof(entries));
	n_entries = 0;
}

static uint64_t mix(uint64_t hash, uint64_t value)
{
	hash = (hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
	return hash ^ hash >> 29;
}

static uint64_t said_by(struct lab *lab, const struct lab_packet *packet)
{
	uint8_t octets[LAB_PAYLOAD_MAX];
	struct lab_packet clear = *packet;
	clear.ctx = KEY_NONE;
	uint16_t len = lab_packet_write(lab, &clear, octets);
	uint64_t hash = mix(len, packet->unencrypted);
	for (uint16_t i = 0; i < len; i++)
		hash = mix(hash, octets[i]);
	return hash;
}

// The lab's session keys depend on their name alone, so a context that came again has the key that it had.
static struct entry entry_of(struct lab *lab, const struct lab_packet *packet, uint32_t ssrc)
{
	return (struct entry){
		.key = lab->relay.keys.ctxs[packet->ctx].by_mki.mki,
		.index = packet->own_index ? packet->own_index : packet->index,
		.ssrc = ssrc,
		.protocol = packet->protocol,
		.used = true,
	};
}

// The entry of that name, which is new if it is not used.
static struct entry *entry_find(const struct entry *wanted)
{
	uint64_t hash = mix(
		mix(wanted->key, wanted->index), (uint64_t)wanted->protocol << 32 | wanted->ssrc);
	for (;; hash++) {
		struct entry *e = &entries[hash % LEDGER_SIZE];
		if (!e->used || (e->key == wanted->key && e->index == wanted->index &&
					e->ssrc == wanted->ssrc && e->protocol == wanted->protocol))
			return e;
	}
}

static void entry_note(struct entry *e, const struct entry *as)
{
	lab_require(++n_entries < LEDGER_MAX);
	*e = *as;
}

bool ledger_agrees(struct lab *lab, const struct lab_packet *packet)
{
	struct entry wanted = entry_of(lab, packet, packet->ssrc);
	struct entry *e = entry_find(&wanted);
	wanted.said = said_by(lab, packet);
	if (e->used)
		return e->said == wanted.said;
	entry_note(e, &wanted);
	return true;
}

bool ledger_is_fresh(struct lab *lab, const struct lab_packet *packet)
{
	struct entry wanted = entry_of(lab, packet, 0);
	struct entry *e = entry_find(&wanted);
	if (e->used)
		return false;
	entry_note(e, &wanted);
	return true;
}
