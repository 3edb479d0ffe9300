// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "config/check.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { SETTING_PATH_SIZE = 128, COMPLAINT_SIZE = 512 };

// Writes "a.b[3].c" for a setting; the root is "".
static void setting_path(const config_setting_t *s, char path[SETTING_PATH_SIZE])
{
	path[0] = '\0';
	if (!s->parent)
		return;
	setting_path(s->parent, path);
	size_t len = strlen(path);
	if (!s->name)
		snprintf(path + len, SETTING_PATH_SIZE - len, "[%d]", config_setting_index(s));
	else
		snprintf(path + len, SETTING_PATH_SIZE - len, "%s%s", len > 0 ? "." : "", s->name);
}

// Strings of the file are quoted in complaints; what they hold must not break the line.
static void control_characters_mask(char *text)
{
	for (; *text != '\0'; text++) {
		if (iscntrl((unsigned char)*text))
			*text = '?';
	}
}

static void complaint_write(
	struct check *c, const char *file, unsigned line, const char *setting, char *message)
{
	control_characters_mask(message);
	fprintf(c->errors, "%s:%u: %s: %s\n", file ? file : c->path, line > 0 ? line : 1, setting,
		message);
	c->failed = true;
}

void check_complain(
	struct check *c, const config_setting_t *s, const char *name, const char *format, ...)
{
	char path[SETTING_PATH_SIZE];
	setting_path(s, path);
	size_t len = strlen(path);
	if (name)
		snprintf(path + len, sizeof(path) - len, "%s%s", len > 0 ? "." : "", name);
	char message[COMPLAINT_SIZE];
	va_list args;
	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	complaint_write(
		c, config_setting_source_file(s), config_setting_source_line(s), path, message);
}

void check_complain_file(struct check *c, const char *file, unsigned line, const char *format, ...)
{
	char message[COMPLAINT_SIZE];
	va_list args;
	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	complaint_write(c, file, line, "file", message);
}

void *check_calloc(struct check *c, size_t n, size_t size)
{
	void *p = calloc(n, size);
	if (!p)
		check_complain_file(c, NULL, 0, "out of memory; accepted: more memory");
	return p;
}

void check_set_text(struct check *c, char **out, const char *text)
{
	char *copy = strdup(text);
	if (!copy)
		check_complain_file(c, NULL, 0, "out of memory; accepted: more memory");
	free(*out);
	*out = copy;
}
