// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "config/file.h"

#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

// Of numbers, names and keywords.
#define WORD_CHARACTERS "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_.*-"

// libconfig takes neither the mark that some editors put in front of UTF-8 nor a comment that ends with the file.
static char *text_adapt(struct check *c, char *text, size_t len)
{
	static const char mark[] = "\xef\xbb\xbf";
	size_t skipped = strncmp(text, mark, strlen(mark)) == 0 ? strlen(mark) : 0;
	char *adapted = check_calloc(c, len - skipped + 2, 1);
	if (adapted) {
		memcpy(adapted, text + skipped, len - skipped);
		if (len > skipped && text[len - 1] != '\n')
			adapted[len - skipped] = '\n';
	}
	free(text);
	return adapted;
}

char *file_read(struct check *c)
{
	FILE *file = fopen(c->path, "re");
	char *text = NULL;
	size_t size = 0;
	unsigned line = 1;
	if (!file)
		goto unreadable;
	ssize_t len = getdelim(&text, &size, '\0', file);
	if (len < 0 && !feof(file))
		goto unreadable;
	if (len <= 0) { // an empty file
		free(text);
		text = check_calloc(c, 1, 1);
	} else if (text[len - 1] == '\0') {
		for (const char *p = text; *p != '\0'; p++)
			line += *p == '\n';
		check_complain_file(c, NULL, line, "has a NUL octet; accepted: text");
		free(text);
		text = NULL;
	} else {
		text = text_adapt(c, text, (size_t)len);
	}
	fclose(file);
	return text;

unreadable:
	check_complain_file(
		c, NULL, 0, "cannot be read: %s; accepted: a readable file", strerror(errno));
	if (file)
		fclose(file);
	free(text);
	return NULL;
}

// The end of the string or comment that starts at p, or p if none does.
static const char *text_skip(const char *p)
{
	const char *end = p;
	if (*p == '"') {
		for (end = p + 1; *end != '\0' && *end != '"'; end++)
			end += *end == '\\' && end[1] != '\0';
		return *end != '\0' ? end + 1 : end;
	}
	if (*p == '#' || strncmp(p, "//", 2) == 0)
		return p + strcspn(p, "\n");
	if (strncmp(p, "/*", 2) == 0) {
		end = strstr(p + 2, "*/");
		return end ? end + 2 : p + strlen(p);
	}
	return end;
}

void file_check_integers(struct check *c, const char *text)
{
	unsigned line = 1;
	for (const char *p = text; *p != '\0';) {
		const char *end = text_skip(p);
		if (end == p && isdigit((unsigned char)*p)) {
			bool hex = p[0] == '0' && (p[1] == 'x' || p[1] == 'X');
			if (strtoull(p, NULL, hex ? 16 : 10) > INT32_MAX &&
				p[strspn(p, "0123456789abcdefABCDEFxX")] != 'L')
				check_complain_file(c, NULL, line,
					"an integer does not fit into 32 bits; accepted: "
					"-2147483647 to "
					"2147483647, or the suffix L");
		}
		if (end == p && (isalnum((unsigned char)*p) || *p == '_'))
			end = p + strspn(p, WORD_CHARACTERS);
		if (end == p)
			end++;
		for (; p < end; p++)
			line += *p == '\n';
	}
}
