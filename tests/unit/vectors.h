// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Known answers from tests/vectors: [section], key = value, '#' starts a comment line. The
// directory is that of the environment variable MCXRELAY_VECTORS or, without it, VECTORS_DIR. A
// file, section or key that is missing or malformed ends the program with a message.

struct vector_entry {
	const char *key;
	const char *value;
};

struct vector {
	const char *name;
	size_t n_entries;
	struct vector_entry *entries;
};

struct vectors {
	char *text; // the file, to which the strings point
	size_t n;
	struct vector *items;
};

// The caller gives the result to vectors_free().
struct vectors *vectors_read(const char *file);
void vectors_free(struct vectors *vectors);

const struct vector *vectors_find(const struct vectors *vectors, const char *name);

bool vector_has(const struct vector *vector, const char *key);
const char *vector_text(const struct vector *vector, const char *key);

// Hex octets of a value, at most room; returns how many.
size_t vector_octets(const struct vector *vector, const char *key, uint8_t *out, size_t room);

// A value of at most 16 hex digits, big-endian.
uint64_t vector_hex(const struct vector *vector, const char *key);

// A decimal value.
unsigned long vector_decimal(const struct vector *vector, const char *key);
