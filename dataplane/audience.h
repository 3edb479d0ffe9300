// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "dataplane/audience_types.h"
#include "dataplane/retire.h"

// A fan-out and what it is made of. A receiver is added, changed or removed at the same cost
// however many there are: their headers are kept in blocks, and the next fan-out shares all
// unchanged blocks with the one before. Control thread; workers read `fanout` alone.
//
// The owner states a class for all receivers that are protected by the same rule, which to the audience
// is a name of some octets: a class has the variant that follows from it, and gets another one when a
// key changes. Classes that have the same variant are one in the fan-out. However many classes there
// are, a change costs the same as well: their variants stand in bins, of which unchanged ones are shared.

// One without receivers; keys: in which the contexts of its variants are. The caller ends it with audience_end(), or frees it at once if no worker
// has seen it.
struct audience *audience_new(const struct key_table *keys);
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

// Makes the fan-out of what there is, shows it to workers and has the one before freed.
void audience_publish(struct audience *audience, struct retire *retire);
