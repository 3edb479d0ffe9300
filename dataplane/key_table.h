// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <assert.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/cipher.h"
#include "dataplane/guk_set.h"

// Key contexts and the table that finds them. The control thread writes; workers read without a
// lock, between two of their quiescent states (rte_rcu_qsbr). A context is removed from the table
// first, wiped and used again only after every worker passed a quiescent state.

struct stream_list;

#define KEY_NONE UINT32_MAX

enum key_name_kind { KEY_BY_MKI, KEY_BY_TALKER };

// A name of a key context; each context has up to two. Compared as a whole.
//   by MKI:    scope, and mki: GMK-ID || GUK-ID, or a 4-octet key id in the upper half
//   by talker: scope 0, and mki: index of the root key in the upper half, of the user (0: none) in
//   the lower
struct key_name {
	uint64_t mki;
	uint32_t scope;   // number of the domain or session to which the root key belongs
	uint8_t cs_id;    // TS 33.180 table E.1.3-1
	uint8_t protocol; // enum srtp_protocol
	uint8_t suite;    // enum srtp_suite
	uint8_t kind;     // enum key_name_kind
};

// What a worker uses of a key: one protocol, one crypto session, one sender's CSB-ID.
// 17 cache lines with IPsec-MB 1.3, 21 with 2.0, 2 without it.
struct key_ctx {
	// Names: control writes them before publication, workers read. A by_talker of kind
	// KEY_BY_MKI is none.
	struct key_name by_mki, by_talker;
	uint8_t salt[SRTP_SALT_MAX]; // session salt
	uint8_t reserved[2];
	_Atomic uint32_t proven; // a tag verified, or a packet was sent. worker: wo, control: ro
	uint32_t serial;         // control: which of all contexts ever published this is
	uint32_t root;           // index of the root key
	uint32_t space;          // of packet indices: that of all contexts with this session key
	alignas(CIPHER_KEY_ALIGN) uint8_t key[CIPHER_KEY_SIZE]; // expanded session key
};

static_assert(sizeof(struct key_name) == 16, "compared and hashed as two words");
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "key_name_make() puts it together");
static_assert(offsetof(struct key_ctx, key) == 64, "all but the key in one cache line");

enum { KEY_BUCKET_SLOTS = 7 };

// One cache line: slots of (tag << 32 | context + 1), 0 empty, and how many names passed by here
// because it was full: a look-up goes on to the next bucket only if that is not 0.
struct key_bucket {
	alignas(64) _Atomic uint64_t slots[KEY_BUCKET_SLOTS];
	_Atomic uint64_t overflow;
};

// A session key that has two names (one root key in two sessions, say) has one space of packet
// indices: two packets under it must not have the same index, whatever name they were sent under.
// There are as many spaces as contexts.
struct key_table {
	struct key_bucket *buckets;
	uint64_t bucket_mask;
	struct key_ctx *ctxs; // secmem, size entries
	uint32_t size;
	uint32_t n_used;    // control only
	uint32_t n_touched; // control only: contexts ever used
	uint32_t *free;     // control only: stack of contexts to use again
	uint32_t n_free;    // control only
	uint64_t seed[2];   // random: names are chosen by others
	// Streams under a session key, by index space
	struct stream_list *streams;
	// Next SRTCP index to send with, by index space; 0: none sent yet. worker: rw, control: rw
	_Atomic uint32_t *srtcp_next;
	// Who may send under a GMK, by its index as root key; NULL: whoever has it. control: rw, worker: ro
	struct guk_set *_Atomic *guk_sets;
};

// Room for size contexts; memory is reserved, and used as contexts are added. 0 or -ENOMEM.
int key_table_init(struct key_table *table, uint32_t size);
void key_table_fini(struct key_table *table);

// mki of a name: of a key id and the GUK-ID under it, or the indices of a root key and a user. 0: none.
static inline uint64_t key_name_mki(uint32_t root, uint32_t user)
{
	return (uint64_t)root << 32 | user;
}

// A name made of two words. Written member by member and read as words at once, to be hashed, it
// would wait for the stores: a load that several stores feed does not get their values forwarded.
static inline struct key_name key_name_make(enum key_name_kind kind, uint64_t mki, uint32_t scope,
	uint8_t cs_id, uint8_t protocol, uint8_t suite)
{
	uint64_t w[2] = {mki, scope | (uint64_t)cs_id << 32 | (uint64_t)protocol << 40 |
				      (uint64_t)suite << 48 | (uint64_t)kind << 56};
	struct key_name name;
	__builtin_memcpy(&name, w, sizeof(name));
	return name;
}

static inline bool key_name_equal(const struct key_name *a, const struct key_name *b)
{
	uint64_t x[2], y[2];
	__builtin_memcpy(x, a, sizeof(x));
	__builtin_memcpy(y, b, sizeof(y));
	return ((x[0] ^ y[0]) | (x[1] ^ y[1])) == 0;
}

// Two rounds of a folded 128-bit product, keyed by the table's seed.
static inline uint64_t key_name_hash(const struct key_table *table, const struct key_name *name)
{
	uint64_t w[2];
	__builtin_memcpy(w, name, sizeof(w));
	unsigned __int128 m = (unsigned __int128)(w[0] ^ table->seed[0]) * (w[1] ^ table->seed[1]);
	uint64_t h = (uint64_t)m ^ (uint64_t)(m >> 64);
	m = (unsigned __int128)(h ^ table->seed[0]) * UINT64_C(0x9e3779b97f4a7c15);
	return (uint64_t)m ^ (uint64_t)(m >> 64);
}

static inline struct key_bucket *key_table_bucket(const struct key_table *table, uint64_t hash)
{
	return &table->buckets[hash & table->bucket_mask];
}

typedef uint32_t key_lanes __attribute__((vector_size(16), may_alias));

// Bit n: slot n of the bucket has the tag of that hash; an empty one has tag 0. All slots at once
// and without branches, because the slot of a name is not predictable. A hint: the caller reads the
// slot again (key_bucket_ctx), so it need not be atomic, and ThreadSanitizer is not told of these
// loads, which no atomic load can do. Overflow, which looks like a slot, is left out.
__attribute__((no_sanitize("thread"))) static inline unsigned key_bucket_match(
	const struct key_bucket *bucket, uint64_t hash)
{
	const uint32_t tag = (uint32_t)(hash >> 32);
	const key_lanes wanted = {tag, tag, tag, tag};
	const key_lanes *pairs = (const key_lanes *)(const void *)bucket;
	key_lanes low = __builtin_shufflevector(pairs[0], pairs[1], 1, 3, 5, 7);
	key_lanes high = __builtin_shufflevector(pairs[2], pairs[3], 1, 3, 5, 7);
	key_lanes bits = ((key_lanes)(low == wanted) & (key_lanes){1, 2, 4, 8}) |
			 ((key_lanes)(high == wanted) & (key_lanes){16, 32, 64, 0});
	bits |= __builtin_shufflevector(bits, bits, 2, 3, 0, 1);
	return bits[0] | bits[1];
}

// The context in a slot, or KEY_NONE if it has just been removed. acquire: the context was filled
// before its slot was (key_table_publish).
static inline uint32_t key_bucket_ctx(const struct key_bucket *bucket, unsigned slot)
{
	return (uint32_t)atomic_load_explicit(&bucket->slots[slot], memory_order_acquire) - 1;
}

// The context that may have a name with that hash, prefetched; KEY_NONE if its bucket has none. For
// key_table_find_likely(), between the same two quiescent states.
static inline uint32_t key_table_prefetch(const struct key_table *table, uint64_t hash)
{
	const struct key_bucket *bucket = key_table_bucket(table, hash);
	unsigned match = key_bucket_match(bucket, hash);
	if (match == 0)
		return KEY_NONE;
	uint32_t ctx = key_bucket_ctx(bucket, (unsigned)__builtin_ctz(match));
	if (ctx != KEY_NONE)
		__builtin_prefetch(&table->ctxs[ctx]);
	return ctx;
}

// The context of that name, or KEY_NONE. Any worker, or control. hash is key_name_hash() of name.
uint32_t key_table_find(const struct key_table *table, const struct key_name *name, uint64_t hash);

static inline bool key_ctx_has_name(const struct key_ctx *ctx, const struct key_name *name)
{
	return key_name_equal(name->kind == KEY_BY_MKI ? &ctx->by_mki : &ctx->by_talker, name);
}

// key_table_find() with the answer that key_table_prefetch() gave: its bucket need not be read again if
// that is the one.
static inline uint32_t key_table_find_likely(
	const struct key_table *table, const struct key_name *name, uint64_t hash, uint32_t likely)
{
	if (likely != KEY_NONE && key_ctx_has_name(&table->ctxs[likely], name))
		return likely;
	return key_table_find(table, name, hash);
}

// A look-up in three steps, each for all packets of a burst before the next: what one reads, the one before prefetched.
struct key_lookup {
	struct key_name name; // set before the first step
	uint64_t hash;
	uint32_t likely; // as key_table_prefetch() answered
};

static inline void key_lookup_hash(const struct key_table *table, struct key_lookup *lookup)
{
	lookup->hash = key_name_hash(table, &lookup->name);
	__builtin_prefetch(key_table_bucket(table, lookup->hash));
}

static inline void key_lookup_prefetch(const struct key_table *table, struct key_lookup *lookup)
{
	lookup->likely = key_table_prefetch(table, lookup->hash);
}

static inline uint32_t key_lookup_find(
	const struct key_table *table, const struct key_lookup *lookup)
{
	return key_table_find_likely(table, &lookup->name, lookup->hash, lookup->likely);
}

// Takes an unused context for the control thread to fill; KEY_NONE if there is none left.
uint32_t key_table_alloc(struct key_table *table);

// Makes a filled context visible under by_mki, and under by_talker. The other members are written
// before.
void key_table_publish(struct key_table *table, uint32_t ctx);

// Gives a published context a name by talker; it had none. Control thread.
void key_table_name_talker(struct key_table *table, uint32_t ctx, const struct key_name *by_talker);

// Takes both names out of the table. Workers may use the context until their next quiescent state.
void key_table_unpublish(struct key_table *table, uint32_t ctx);

// Wipes a context that no worker can reach and makes it available again.
void key_table_free(struct key_table *table, uint32_t ctx);
