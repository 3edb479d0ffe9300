// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "ctl/ctl.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int ctl_fail(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	fputs("mcxctl: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	return 1;
}

int ctl_option_refused(int argc, char **argv, int option)
{
	const char *text = optind > 0 && optind <= argc ? argv[optind - 1] : "";
	int len = (int)strcspn(text, "=");
	if (strncmp(text, "--", 2) != 0)
		return ctl_fail("an option is unknown or lacks its value; see mcxctl --help");
	return option == ':' ? ctl_fail("%.*s lacks its value; see mcxctl --help", len, text)
			     : ctl_fail("%.*s is no option; see mcxctl --help", len, text);
}

bool ctl_number_read(const char *text, unsigned max, unsigned *out)
{
	errno = 0;
	char *end;
	unsigned long value = strtoul(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || value > max || text[0] == '-')
		return false;
	*out = (unsigned)value;
	return true;
}

int ctl_json_print(json_t *value)
{
	json_dumpf(value, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(value);
	return 0;
}

// The library's own message may quote the text, and with it a key. It has no line of what it could
// not read.
static json_t *json_check(json_t *json, const char *what, const json_error_t *error, int read_error)
{
	if (!json && error->line > 0)
		ctl_fail("%s: no JSON at line %d, column %d; accepted: an object or array, each "
			 "member of an object once",
			what, error->line, error->column);
	else if (!json)
		ctl_fail("cannot read %s: %s", what, strerror(read_error));
	return json;
}

json_t *ctl_json_read(const char *text)
{
	json_error_t error = {.line = 0};
	const char *what = "params";
	if (!text)
		return json_object();
	errno = 0;
	json_t *json;
	if (strcmp(text, "-") == 0) {
		what = "stdin";
		json = json_loadf(stdin, JSON_REJECT_DUPLICATES, &error);
	} else if (text[0] == '@') {
		what = text + 1;
		json = json_load_file(what, JSON_REJECT_DUPLICATES, &error);
	} else {
		json = json_loads(text, JSON_REJECT_DUPLICATES, &error);
	}
	return json_check(json, what, &error, errno);
}

json_t *ctl_file_read(const char *path)
{
	if (strcmp(path, "-") == 0)
		return ctl_json_read(path);
	char name[4096];
	if (snprintf(name, sizeof(name), "@%s", path) >= (int)sizeof(name)) {
		ctl_fail("the file's name is too long");
		return NULL;
	}
	return ctl_json_read(name);
}
