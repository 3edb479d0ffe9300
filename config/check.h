// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <libconfig.h>
#include <stdbool.h>
#include <stdio.h>

// One reading of a file: where complaints go, and whether there were any.
struct check {
	const char *path;
	const char *const *ciphers; // up to a NULL
	FILE *errors;
	bool failed;
};

// Writes the line about a setting, or about its member that name (if not NULL) says.
void check_complain(struct check *c, const config_setting_t *s, const char *name,
	const char *format, ...) __attribute__((format(printf, 4, 5)));

// Writes the line about the file as a whole.
void check_complain_file(struct check *c, const char *file, unsigned line, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

void *check_calloc(struct check *c, size_t n, size_t size);

// Replaces a string by a copy of text.
void check_set_text(struct check *c, char **out, const char *text);
