// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "control/metrics_plain.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/secmem.h"

enum { FAMILY_SIZE = 128 };

// What its samples are called, and what it is called there.
struct family {
	char name[FAMILY_SIZE];
	const char *suffix, *type;
};

// "# TYPE name type" of a family.
static struct family family_read(const char *line)
{
	struct family family = {.suffix = "", .type = ""};
	char type[16] = "";
	if (sscanf(line, "# TYPE %127s %15s", family.name, type) != 2)
		return family;
	family.type = strcmp(type, "counter") == 0     ? "counter"
		      : strcmp(type, "histogram") == 0 ? "histogram"
						       : "gauge";
	if (strcmp(type, "counter") == 0)
		family.suffix = "_total";
	else if (strcmp(type, "info") == 0)
		family.suffix = "_info";
	return family;
}

// The type comes before the help, and before the samples.
static int line_write(struct evbuffer *out, const char *line, struct family *family)
{
	static const char help[] = "# HELP ";
	if (strncmp(line, "# TYPE ", strlen("# TYPE ")) == 0) {
		*family = family_read(line);
		return evbuffer_add_printf(
			out, "# TYPE %s%s %s\n", family->name, family->suffix, family->type);
	}
	if (strncmp(line, help, strlen(help)) == 0)
		return evbuffer_add_printf(out, "# HELP %s%s%s\n", family->name, family->suffix,
			line + strlen(help) + strlen(family->name));
	return line[0] == '#' ? 0 : evbuffer_add_printf(out, "%s\n", line);
}

int metrics_make_plain(struct evbuffer *out, struct evbuffer *in)
{
	struct family family = {.suffix = "", .type = ""};
	char *line;
	int rc = 0;
	while ((line = evbuffer_readln(in, NULL, EVBUFFER_EOL_LF))) {
		if (rc >= 0)
			rc = line_write(out, line, &family);
		secmem_free(line); // libevent's memory comes from there
	}
	return rc < 0 || evbuffer_get_length(in) > 0 ? -1 : 0;
}
