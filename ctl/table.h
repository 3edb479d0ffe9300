// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

// Aligned columns of text.

struct table;

// Titles end with NULL; those that begin with '>' are of columns aligned right.
struct table *table_new(const char *const titles[]);
// The next cell, row by row. What a terminal would not print as it is, is escaped.
void table_add(struct table *table, const char *text);
void table_add_number(struct table *table, long long number);
// Member of an object as text, "-" if there is none.
void table_add_member(struct table *table, const json_t *object, const char *name);
// At most so many rows, 0: all, and columns of the screen, 0: as many as it takes. Where there are too
// few, the first column becomes narrower, and then lines are cut. Frees the table.
void table_print(struct table *table, size_t rows, size_t columns);
// Text with control characters escaped, on stdout.
void text_print(const char *text);
// Unix time as UTC, in out[32].
const char *time_text(double seconds, bool milliseconds, char out[32]);
