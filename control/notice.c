// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "control/notice.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "control/address.h"
#include "control/app.h"
#include "control/log.h"

enum {
	NOTICE_LINE_SIZE = 900, // fits a line of the log
	NOTICE_TEXT_MAX = 300,  // octets of one id as it is written
};

static const struct {
	const char *label;
	uint32_t seconds;
	bool warning;
} types[NOTICE_N_TYPES] = {
#define _(name, label, seconds, warning) {label, seconds, warning},
	NOTICE_TYPES(_)
#undef _
};

const char *notice_label(enum notice_type type)
{
	return types[type].label;
}

// --- rate
// -----------------------------------------------------------------------------------------------------

// FNV-1a, 64 bits. Whoever finds two ids with one hash silences himself for some seconds.
static uint64_t hash_add(uint64_t hash, const void *octets, size_t len)
{
	for (size_t i = 0; i < len; i++)
		hash = (hash ^ ((const uint8_t *)octets)[i]) * UINT64_C(0x100000001b3);
	return hash;
}

static uint64_t notice_name(const struct notice *what)
{
	uint8_t type = (uint8_t)what->type;
	uint64_t hash = hash_add(UINT64_C(0xcbf29ce484222325), &type, 1);
	if (what->session)
		hash = hash_add(hash, what->session, strlen(what->session) + 1);
	if (what->leg)
		hash = hash_add(hash, what->leg, strlen(what->leg) + 1);
	if (what->key) {
		hash = hash_add(hash, &what->key->scope, sizeof(what->key->scope));
		hash = hash_add(hash, &what->key->id, sizeof(what->key->id));
	}
	return hash | 1;
}

// Whether it may be told now. Objects whose hashes share a place make each other forgotten: then
// more is told, never less.
static bool notice_is_due(struct app *app, const struct notice *what)
{
	struct notices *notices = &app->notices;
	uint64_t name = notice_name(what), now_ms = app->polled_ms;
	uint64_t place = (name >> 32) % NOTICE_OBJECTS;
	if (notices->told[place].name == name &&
		now_ms - notices->told[place].told_ms < UINT64_C(1000) * types[what->type].seconds)
		return false;
	if (notices->second != now_ms / 1000) {
		if (notices->n_lost > 0)
			log_warning("notices.lost count=%u", notices->n_lost);
		notices->second = now_ms / 1000;
		notices->n_lines = notices->n_lost = 0;
	}
	if (notices->n_lines == NOTICE_LINES_PER_SECOND) {
		notices->n_lost++;
		return false;
	}
	notices->n_lines++;
	notices->told[place].name = name;
	notices->told[place].told_ms = now_ms;
	return true;
}

// --- line
// -----------------------------------------------------------------------------------------------------

struct line {
	char text[NOTICE_LINE_SIZE];
	size_t len;
};

__attribute__((format(printf, 2, 3))) static void line_add(
	struct line *line, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	size_t room = sizeof(line->text) - line->len;
	int n = vsnprintf(line->text + line->len, room, format, args);
	va_end(args);
	if (n > 0)
		line->len += (size_t)n < room ? (size_t)n : room - 1;
}

// An id is a client's own text: in quotes, so that it can look like nothing else. A long one is cut.
static void line_add_id(struct line *line, const char *name, const char *id)
{
	if (!id)
		return;
	line_add(line, " %s=\"", name);
	size_t begin = line->len;
	for (; *id && line->len - begin < NOTICE_TEXT_MAX; id++) {
		uint8_t c = (uint8_t)*id;
		if (c == '"' || c == '\\')
			line_add(line, "\\%c", c);
		else if (c < ' ' || c == 0x7f)
			line_add(line, "\\x%02x", c);
		else
			line_add(line, "%c", c);
	}
	line_add(line, *id ? "...\"" : "\"");
}

static void line_add_key(struct line *line, const struct app *app, const struct key_slot *key)
{
	if (!key)
		return;
	line_add(line, " id=%08x type=%s", key->id, key_type_names[key->type]);
	line_add_id(line, "domain", keystore_domain_name(app, key->scope));
}

bool notice(struct app *app, const struct notice *what)
{
	struct line line = {.len = 0};
	char address[ADDRESS_TEXT_SIZE];
	if (!notice_is_due(app, what))
		return false;
	line_add(&line, "%s", types[what->type].label);
	line_add_key(&line, app, what->key);
	line_add_id(&line, "session", what->session);
	line_add_id(&line, "leg", what->leg);
	if (what->address) {
		address_write(what->address, address);
		line_add(&line, " address=%s", address);
	}
	if (what->count > 0)
		line_add(&line, " count=%llu", (unsigned long long)what->count);
	if (what->seconds > 0)
		line_add(&line, " seconds=%u", what->seconds);
	log_line(types[what->type].warning ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO, "%s", line.text);
	return true;
}
