// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "ctl/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"

enum {
	TABLE_GAP = 2,       // between columns
	TABLE_FIRST_MIN = 8, // what the first column keeps where the screen is narrow
};

struct table {
	const char *const *titles;
	size_t n_columns, n_cells, size;
	char **cells;
};

struct table *table_new(const char *const titles[])
{
	struct table *table = alloc_zero(1, sizeof(*table));
	table->titles = titles;
	while (titles[table->n_columns])
		table->n_columns++;
	return table;
}

// Text chosen by others must not control the terminal. out has room for four octets a character, and a NUL.
static void text_escape(const char *text, char *out)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text, next = (unsigned char)text[1];
		bool c1 = c == 0xc2 && next >= 0x80 && next < 0xa0; // U+0080 to U+009F
		if (c >= ' ' && c != 0x7f && !c1)
			*out++ = (char)c;
		else
			out += sprintf(out, "\\x%02x", c1 ? next : c);
		text += c1;
	}
	*out = '\0';
}

void text_print(const char *text)
{
	char *out = alloc_zero(4 * strlen(text) + 1, 1);
	text_escape(text, out);
	fputs(out, stdout);
	free(out);
}

void table_add(struct table *table, const char *text)
{
	if (table->n_cells == table->size) {
		table->size = table->size ? 2 * table->size : 256;
		table->cells = alloc_resize(table->cells, table->size, sizeof(*table->cells));
	}
	char *cell = alloc_zero(4 * strlen(text) + 1, 1);
	text_escape(text, cell);
	table->cells[table->n_cells++] = cell;
}

void table_add_number(struct table *table, long long number)
{
	char text[24];
	snprintf(text, sizeof(text), "%lld", number);
	table_add(table, text);
}

void table_add_member(struct table *table, const json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name);
	if (json_is_string(value))
		table_add(table, json_string_value(value));
	else if (json_is_integer(value))
		table_add_number(table, json_integer_value(value));
	else if (json_is_boolean(value))
		table_add(table, json_is_true(value) ? "yes" : "no");
	else
		table_add(table, "-");
}

// Characters, not octets.
static int text_width(const char *text)
{
	int n = 0;
	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

// Octets that so many characters of a text have.
static int text_octets(const char *text, int n)
{
	const char *end = text;
	for (; *end; end++) {
		bool begins = ((unsigned char)*end & 0xc0) != 0x80;
		if (begins && n-- == 0)
			break;
	}
	return (int)(end - text);
}

// Text in that many columns; text that does not fit ends with a tilde.
static void cell_print(const char *text, int width, bool right, bool last)
{
	int space = width - text_width(text);
	if (space < 0) {
		printf("%.*s~", text_octets(text, width - 1), text);
		space = 0;
	} else {
		printf("%*s%s", right ? space : 0, "", text);
	}
	if (!last)
		printf("%*s", (right ? 0 : space) + TABLE_GAP, "");
}

// Cells for which there is no room at all are left out.
static void row_print(const struct table *table, char *const *row, const int *widths)
{
	for (size_t c = 0; c < table->n_columns && widths[c] > 0; c++) {
		bool right = table->titles[c][0] == '>';
		const char *text = row ? row[c] : table->titles[c] + right;
		bool last = c + 1 == table->n_columns || widths[c + 1] == 0;
		cell_print(text, widths[c], right, last);
	}
	putchar('\n');
}

// Width that each column needs.
static void widths_measure(const struct table *table, int *widths)
{
	for (size_t c = 0; c < table->n_columns; c++) {
		widths[c] = text_width(table->titles[c] + (table->titles[c][0] == '>'));
		for (size_t i = c; i < table->n_cells; i += table->n_columns) {
			int width = text_width(table->cells[i]);
			if (width > widths[c])
				widths[c] = width;
		}
	}
}

// Width that each column gets on a screen.
static void widths_fit(const struct table *table, int *widths, int room)
{
	int over = -room - TABLE_GAP;
	for (size_t c = 0; c < table->n_columns; c++)
		over += widths[c] + TABLE_GAP;
	int first = widths[0] - over > TABLE_FIRST_MIN ? widths[0] - over : TABLE_FIRST_MIN;
	if (over > 0 && first < widths[0])
		widths[0] = first;
	for (size_t c = 0; c < table->n_columns; c++) {
		widths[c] = room < widths[c] ? room : widths[c];
		room -= widths[c] + TABLE_GAP;
		room = room > 0 ? room : 0;
	}
}

void table_print(struct table *table, size_t rows, size_t columns)
{
	int *widths = alloc_zero(table->n_columns, sizeof(*widths));
	widths_measure(table, widths);
	if (columns > 0)
		widths_fit(table, widths, (int)columns);
	row_print(table, NULL, widths);
	size_t n = table->n_cells / table->n_columns;
	for (size_t i = 0; i < n && (rows == 0 || i < rows); i++)
		row_print(table, table->cells + i * table->n_columns, widths);
	for (size_t i = 0; i < table->n_cells; i++)
		free(table->cells[i]);
	free(table->cells);
	free(table);
	free(widths);
}

const char *time_text(double seconds, bool milliseconds, char out[32])
{
	long long ms = (long long)(seconds * 1000 + 0.5);
	time_t whole = (time_t)(ms / 1000);
	struct tm utc;
	if (!gmtime_r(&whole, &utc) || strftime(out, 32, "%Y-%m-%dT%H:%M:%S", &utc) == 0)
		return "-";
	size_t len = strlen(out);
	if (milliseconds)
		snprintf(out + len, 32 - len, ".%03lldZ", ms % 1000);
	else
		snprintf(out + len, 32 - len, "Z");
	return out;
}
