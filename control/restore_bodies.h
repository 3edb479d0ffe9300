// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

struct store;

// Bodies of records, in the order in which they come back.
struct bodies {
	struct body {
		json_t *json;
		json_int_t order;
		uint64_t version; // of its record
		bool leaves;      // it does not come back as it is
	} *all;
	uint32_t n, size;
};

// Adds the body of the record in that place, if it can be read; order: its member that says where it comes.
void bodies_add(struct bodies *bodies, struct store *store, uint32_t place, const char *order);

// Brings them into their order.
void bodies_sort(struct bodies *bodies);

// Frees those that leave.
void bodies_part(struct bodies *bodies);

void bodies_free(struct bodies *bodies);
