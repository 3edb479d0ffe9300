// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "event/notice.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#include "base/address.h"
#include "base/log.h"
#include "event/subscription.h"

enum {
	NOTICE_LINE_SIZE = 900, // fits a line of the log
	NOTICE_TEXT_MAX = 300,  // octets of one id as it is written
	EVENT_TIME_DIGITS = 13, // of Unix seconds with milliseconds
	MAC_TEXT_SIZE = 18,     // with NUL
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

const char *const notice_labels[NOTICE_N_TYPES + 1] = {
#define _(name, label, seconds, warning) label,
	NOTICE_TYPES(_)
#undef _
};

void notices_init(struct notices *notices, struct subscriptions *events)
{
	*notices = (struct notices){.events = events};
}

const char *notice_label(enum notice_type type)
{
	return types[type].label;
}

// --- rate

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
	if (what->reason)
		hash = hash_add(hash, what->reason, strlen(what->reason) + 1);
	if (what->port)
		hash = hash_add(hash, what->port, strlen(what->port) + 1);
	if (what->host && !what->leg) // who says something of a leg can be made up
		hash = hash_add(hash, what->host, sizeof(*what->host));
	if (what->worker)
		hash = hash_add(hash, what->worker, sizeof(*what->worker));
	return hash | 1;
}

// Where it is remembered that it was told. Objects whose hashes share a place make each other
// forgotten: then more is told, never less.
static uint64_t notice_place(uint64_t name)
{
	return (name >> 32) % NOTICE_OBJECTS;
}

static bool told_before(const struct notices *notices, uint64_t name, enum notice_type type)
{
	uint64_t place = notice_place(name);
	return notices->told[place].name == name && notices->now_ms - notices->told[place].told_ms <
							    UINT64_C(1000) * types[type].seconds;
}

static void told_now(struct notices *notices, uint64_t name)
{
	uint64_t place = notice_place(name);
	notices->told[place].name = name;
	notices->told[place].told_ms = notices->now_ms;
}

// A new second has room for more.
static void second_begin(struct notices *notices)
{
	if (notices->second == notices->now_ms / 1000)
		return;
	if (notices->n_lost > 0)
		log_warning("notices.lost count=%u", notices->n_lost);
	notices->second = notices->now_ms / 1000;
	notices->n_lines = notices->n_lost = notices->n_events = 0;
}

static void mac_write(const uint8_t mac[6], char text[MAC_TEXT_SIZE])
{
	snprintf(text, MAC_TEXT_SIZE, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2],
		mac[3], mac[4], mac[5]);
}

// --- line

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

static void line_add_key(struct line *line, const struct notice_key *key)
{
	if (!key)
		return;
	line_add(line, " id=%08x", key->id);
	if (key->type)
		line_add(line, " type=%s", key->type);
	line_add_id(line, "domain", key->domain);
}

// False if there are too many lines.
static bool notice_log(struct notices *notices, const struct notice *what)
{
	struct line line = {.len = 0};
	if (notices->n_lines == NOTICE_LINES_PER_SECOND) {
		notices->n_lost++;
		return false;
	}
	notices->n_lines++;
	line_add(&line, "%s", types[what->type].label);
	line_add_key(&line, what->key);
	line_add_id(&line, "session", what->session);
	line_add_id(&line, "leg", what->leg);
	if (what->address) {
		char address[ADDRESS_TEXT_SIZE];
		address_write(what->address, address);
		line_add(&line, " address=%s", address);
	}
	if (what->reason)
		line_add(&line, " reason=%s", what->reason);
	line_add_id(&line, "port", what->port);
	if (what->host) {
		char host[HOST_TEXT_SIZE];
		address_write_host(what->host, host);
		line_add(&line, " host=%s", host);
	}
	if (what->mac) {
		char mac[MAC_TEXT_SIZE];
		mac_write(what->mac, mac);
		line_add(&line, " mac=%s", mac);
	}
	if (what->mtu > 0)
		line_add(&line, " mtu=%u", what->mtu);
	if (what->worker)
		line_add(&line, " worker=%u", *what->worker);
	if (what->state)
		line_add(&line, " state=%s", what->state);
	line_add_id(&line, "initiator", what->initiator);
	line_add_id(&line, "receiver", what->receiver);
	line_add_id(&line, "uri", what->uri);
	line_add_id(&line, "kms", what->kms);
	if (what->to > 0)
		line_add(&line, " to=%llu", (unsigned long long)what->to);
	if (what->count > 0)
		line_add(&line, " count=%llu", (unsigned long long)what->count);
	if (what->seconds > 0)
		line_add(&line, " seconds=%u", what->seconds);
	log_line(types[what->type].warning ? LOG_LEVEL_WARNING : LOG_LEVEL_INFO, "%s", line.text);
	return true;
}

// --- event

static void set_text(json_t *event, const char *name, const char *text)
{
	if (text)
		json_object_set_new(event, name, json_string(text));
}

static void set_key(json_t *event, const struct notice_key *key)
{
	json_object_set_new(event, "key", json_sprintf("%08x", key->id));
	set_text(event, "key_type", key->type);
	set_text(event, "domain", key->domain);
	set_text(event, "session", key->session);
}

static json_t *event_params(const struct notice *what)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	int64_t ms = now.tv_sec * 1000 + now.tv_nsec / 1000000;
	json_t *event =
		json_pack("{s:s,s:f}", "type", types[what->type].label, "time", (double)ms / 1000);
	if (what->key)
		set_key(event, what->key);
	set_text(event, "session", what->session);
	set_text(event, "leg", what->leg);
	if (what->address) {
		char address[ADDRESS_TEXT_SIZE];
		address_write(what->address, address);
		set_text(event, "address", address);
	}
	set_text(event, "reason", what->reason);
	set_text(event, "port", what->port);
	if (what->host) {
		char host[HOST_TEXT_SIZE];
		address_write_host(what->host, host);
		set_text(event, "host", host);
	}
	if (what->mac) {
		char mac[MAC_TEXT_SIZE];
		mac_write(what->mac, mac);
		set_text(event, "mac", mac);
	}
	if (what->mtu > 0)
		json_object_set_new(event, "mtu", json_integer(what->mtu));
	if (what->worker)
		json_object_set_new(event, "worker", json_integer(*what->worker));
	set_text(event, "state", what->state);
	set_text(event, "initiator", what->initiator);
	set_text(event, "receiver", what->receiver);
	set_text(event, "uri", what->uri);
	set_text(event, "kms", what->kms);
	if (what->to > 0)
		json_object_set_new(event, "to", json_integer((json_int_t)what->to));
	if (what->count > 0)
		json_object_set_new(event, "count", json_integer((json_int_t)what->count));
	if (what->seconds > 0)
		json_object_set_new(event, "seconds", json_integer(what->seconds));
	return event;
}

// False if nobody has it.
static bool notice_event(struct notices *notices, const struct notice *what)
{
	static const char head[] = "{\"jsonrpc\":\"2.0\",\"method\":\"event\",\"params\":";
	size_t begin = sizeof(head) - 1;
	if (notices->n_events == NOTICE_EVENTS_PER_SECOND) {
		subscriptions_lose(notices->events, what->type);
		return false;
	}
	if (!subscriptions_want(notices->events, what->type))
		return false;
	notices->n_events++;
	char text[SUBSCRIPTION_EVENT_MAX];
	memcpy(text, head, begin);
	json_t *params = event_params(what);
	size_t len = json_dumpb(params, text + begin, sizeof(text) - begin,
		JSON_COMPACT | JSON_REAL_PRECISION(EVENT_TIME_DIGITS));
	json_decref(params);
	if (len == 0 || len > sizeof(text) - begin) {
		subscriptions_lose(notices->events, what->type);
		return false;
	}
	// Its last brace comes with the number of events lost.
	return subscriptions_tell(notices->events, what->type, text, begin + len - 1);
}

bool notice(struct notices *notices, const struct notice *what)
{
	uint64_t name = notice_name(what);
	if (told_before(notices, name, what->type))
		return false;
	second_begin(notices);
	bool told = notice_event(notices, what);
	told |= notice_log(notices, what);
	if (told)
		told_now(notices, name);
	return told;
}
