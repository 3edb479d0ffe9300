// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

// docs/schema/control-api.json, to hold values against and to make values of: JSON Schema of draft 2020-12, as far as it
// is used there. One thread. Aborts if the document has what is not read here.

enum { SCHEMA_WHY_SIZE = 256 };

void schema_open(const char *path);

// One of its $defs; NULL: there is none. Members in the order in which they stand in the document.
const json_t *schema_def(const char *name);
const json_t *schema_defs(void);

// The name that a $ref has, in $defs; NULL: the schema is none.
const char *schema_ref(const json_t *schema);

// Whether a value is as a schema says; why not.
bool schema_agrees(const json_t *schema, const json_t *value, char why[SCHEMA_WHY_SIZE]);

// Octets that decide what is made of a schema. Behind their end all are 0, for which the least is made.
struct choices {
	const uint8_t *octets;
	size_t len;
};

uint8_t choice(struct choices *choices);

// A value that a schema allows, or nearly: now and then one member is of another type, out of range, left out or
// unknown. Names and addresses are a few ones, so that what is made now speaks of what was made before. The caller
// releases it.
json_t *schema_make(const json_t *schema, struct choices *choices);
