// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/fanout.h"
#include "dataplane/key_table.h"
#include "dataplane/retire.h"

// A fan-out and what it is made of. A receiver is added, changed or removed at the same cost
// however many there are: their headers are kept in blocks, and the next fan-out shares all
// unchanged blocks with the one before. Control thread; workers read `fanout` alone.
//
// The owner states a class for all receivers that are protected by the same rule, which to the audience
// is a name of some octets: a class has the variant that follows from it, and gets another one when a
// key changes. Classes that have the same variant are one in the fan-out.

enum { AUDIENCE_BLOCK = 64 }; // receivers

struct audience_block {
	struct fanout_dest
		*dests; // room for AUDIENCE_BLOCK, of the only block of a class maybe less
	bool fresh;     // no fan-out has it yet
};

struct audience_class {
	struct fanout_variant variant; // only what is said of all receivers: up to ctx, and others
	struct audience_block *blocks; // full but for the last
	uint32_t n;                    // receivers
	uint32_t blocks_size;          // of the array
	uint32_t last_room;            // receivers that the last block has room for
	uint32_t last_shown;           // receivers of the last block that fan-outs have or had
	uint32_t position;             // in classes
	uint16_t rule_len;             // octets
	uint8_t rule[];                // that all its receivers follow, as the owner states it
};

// Where a receiver is.
struct audience_place {
	struct audience_class *class; // NULL: nowhere
	uint32_t at;
};

struct audience {
	struct fanout *_Atomic fanout;   // never NULL. control: rw, worker: ro
	struct audience_class **classes; // each with one receiver at least
	uint32_t n_classes, classes_size;
	bool changed;             // since fanout was made
	struct fanout_dest **old; // blocks that only fanout refers to
	uint32_t n_old, old_size;
};

// One without receivers; the caller ends it with audience_end(), or frees it at once if no worker
// has seen it.
struct audience *audience_new(void);
void audience_free(struct audience *audience);
// Frees it when no worker can reach it: nothing published refers to it any more. NULL is ignored.
void audience_end(struct audience *audience, struct retire *retire);

// The class of those that follow a rule; NULL: nobody does.
struct audience_class *audience_find_class(
	const struct audience *audience, const uint8_t rule[], size_t len);
// A class for the first receiver that follows the rule, which the caller puts into it next.
struct audience_class *audience_open_class(struct audience *audience, const uint8_t rule[],
	size_t len, const struct fanout_variant *variant);
void audience_set_variant(struct audience *audience, struct audience_class *class,
	const struct fanout_variant *variant);

struct audience_place audience_put(
	struct audience *audience, struct audience_class *class, const struct fanout_dest *dest);
// The receiver that was there has other headers now.
void audience_replace(
	struct audience *audience, struct audience_place place, const struct fanout_dest *dest);
// Takes the receiver out, and with the last one its class. Another leg may be in its place then:
// which, or LEG_NONE.
uint32_t audience_take(struct audience *audience, struct audience_place place);

// Makes the fan-out of what there is, shows it to workers and has the one before freed. keys: in
// which the contexts of the variants are.
void audience_publish(
	struct audience *audience, const struct key_table *keys, struct retire *retire);
