// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "tests/unit/vectors.h"

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hex.h"

static char *file_read(const char *path)
{
	char *text = NULL;
	size_t size = 0;
	FILE *file = fopen(path, "r");
	if (!file)
		err(1, "%s", path);
	if (getdelim(&text, &size, '\0', file) <= 0)
		errx(1, "%s: empty", path);
	fclose(file);
	return text;
}

// Cuts white space off both ends.
static char *trim(char *text)
{
	text += strspn(text, " \t\r");
	size_t len = strlen(text);
	while (len > 0 && strchr(" \t\r", text[len - 1]))
		text[--len] = '\0';
	return text;
}

static void *grown(void *array, size_t n, size_t size)
{
	array = reallocarray(array, n, size);
	if (!array)
		err(1, NULL);
	return array;
}

static void section_add(struct vectors *vectors, char *line)
{
	line[strcspn(line, "]")] = '\0';
	vectors->items = grown(vectors->items, vectors->n + 1, sizeof(*vectors->items));
	vectors->items[vectors->n++] = (struct vector){.name = line + 1};
}

static void entry_add(struct vectors *vectors, char *line)
{
	char *equals = strchr(line, '=');
	if (!equals || vectors->n == 0)
		errx(1, "%s: neither section nor key = value", line);
	struct vector *vector = &vectors->items[vectors->n - 1];
	*equals = '\0';
	vector->entries = grown(vector->entries, vector->n_entries + 1, sizeof(*vector->entries));
	vector->entries[vector->n_entries++] =
		(struct vector_entry){.key = trim(line), .value = trim(equals + 1)};
}

struct vectors *vectors_read(const char *file)
{
	const char *dir = getenv("MCXRELAY_VECTORS");
	char path[4096];
#ifdef VECTORS_DIR
	if (!dir)
		dir = VECTORS_DIR;
#endif
	if (!dir)
		errx(1, "MCXRELAY_VECTORS is not set");
	snprintf(path, sizeof(path), "%s/%s", dir, file);
	struct vectors *vectors = calloc(1, sizeof(*vectors));
	if (!vectors)
		err(1, NULL);
	vectors->text = file_read(path);
	char *rest = vectors->text;
	for (char *line = strsep(&rest, "\n"); line; line = strsep(&rest, "\n")) {
		line = trim(line);
		if (*line == '[')
			section_add(vectors, line);
		else if (*line != '#' && *line != '\0')
			entry_add(vectors, line);
	}
	if (vectors->n == 0)
		errx(1, "%s: no section", path);
	return vectors;
}

void vectors_free(struct vectors *vectors)
{
	for (size_t i = 0; i < vectors->n; i++)
		free(vectors->items[i].entries);
	free(vectors->items);
	free(vectors->text);
	free(vectors);
}

const struct vector *vectors_find(const struct vectors *vectors, const char *name)
{
	for (size_t i = 0; i < vectors->n; i++) {
		if (strcmp(vectors->items[i].name, name) == 0)
			return &vectors->items[i];
	}
	errx(1, "no section %s", name);
}

// Its value, NULL if it is not there.
static const char *value_find(const struct vector *vector, const char *key)
{
	for (size_t i = 0; i < vector->n_entries; i++) {
		if (strcmp(vector->entries[i].key, key) == 0)
			return vector->entries[i].value;
	}
	return NULL;
}

bool vector_has(const struct vector *vector, const char *key)
{
	return value_find(vector, key);
}

const char *vector_text(const struct vector *vector, const char *key)
{
	const char *value = value_find(vector, key);
	if (!value)
		errx(1, "%s: no %s", vector->name, key);
	return value;
}

size_t vector_octets(const struct vector *vector, const char *key, uint8_t *out, size_t room)
{
	const char *value = vector_text(vector, key);
	size_t size = strlen(value) / 2;
	if (size > room || !hex_decode(value, out, size))
		errx(1, "%s: %s is not hex or is too long", vector->name, key);
	return size;
}

uint64_t vector_hex(const struct vector *vector, const char *key)
{
	uint8_t octets[8];
	uint64_t number = 0;
	size_t n = vector_octets(vector, key, octets, sizeof(octets));
	for (size_t i = 0; i < n; i++)
		number = number << 8 | octets[i];
	return number;
}

unsigned long vector_decimal(const struct vector *vector, const char *key)
{
	const char *value = vector_text(vector, key);
	char *end;
	unsigned long number = strtoul(value, &end, 10);
	if (*value == '\0' || *end != '\0')
		errx(1, "%s: %s is not a number", vector->name, key);
	return number;
}
