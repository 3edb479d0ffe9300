// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "mikey/xml_value.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/base64.h"
#include "base/hex.h"
#include "base/secmem.h"
#include "mikey/message.h"

#define WHITE " \t\r\n"

// --- text

static void trim(char *text)
{
	size_t before = strspn(text, WHITE), len = strlen(text + before);
	memmove(text, text + before, len + 1);
	while (len > 0 && strchr(WHITE, text[len - 1]))
		text[--len] = '\0';
}

char *xml_text(const xmlNode *element, struct mikey_fault *fault)
{
	if (xml_child(element)) {
		xml_fail(element, fault, MIKEY_XML_VALUE, "has elements in it; accepted: text");
		return NULL;
	}
	char *text = (char *)xmlNodeGetContent(element);
	if (text)
		trim(text);
	else
		xml_fail(element, fault, MIKEY_XML_VALUE, "there is no memory for its text");
	return text;
}

// A copy that is no secret.
static bool string_keep(
	const xmlNode *element, const char *text, char **out, struct xml_context *context)
{
	free(*out);
	*out = strdup(text);
	return *out || xml_fail(element, context->fault, MIKEY_XML_VALUE,
			       "there is no memory for its text");
}

bool xml_read_uri(const xmlNode *element, void *value, struct xml_context *context)
{
	char *text = xml_text(element, context->fault);
	if (!text)
		return false;
	const struct mikey_octets uri = {.octets = (const uint8_t *)text, .len = strlen(text)};
	bool ok = mikey_uri_ok(&uri) && !strpbrk(text, WHITE);
	ok = ok ? string_keep(element, text, value, context)
		: xml_fail(element, context->fault, MIKEY_ID_VALUE,
			  "is no URI; accepted: 1 to %u octets without white space", MIKEY_ID_MAX);
	secmem_free(text);
	return ok;
}

bool xml_read_string(const xmlNode *element, void *value, struct xml_context *context)
{
	char *text = xml_text(element, context->fault);
	if (!text)
		return false;
	bool ok = strlen(text) <= XML_STRING_MAX;
	ok = ok ? string_keep(element, text, value, context)
		: xml_fail(element, context->fault, MIKEY_XML_VALUE,
			  "has %zu octets; accepted: at most %u", strlen(text), XML_STRING_MAX);
	secmem_free(text);
	return ok;
}

bool xml_read_ignored(const xmlNode *element, void *value, struct xml_context *context)
{
	(void)element;
	(void)value;
	(void)context;
	return true;
}

// --- numbers and truth

// What a fault may quote: nothing as long as a key, which may stand in the wrong place.
static const char *shown(const char *text)
{
	return strlen(text) <= 32 ? text : "long text";
}

static bool digits_read(const char *text, uint64_t max, uint64_t *out)
{
	uint64_t number = 0;
	if (!*text)
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9' ||
			__builtin_mul_overflow(number, UINT64_C(10), &number) ||
			__builtin_add_overflow(number, (uint64_t)(*text - '0'), &number))
			return false;
	}
	*out = number;
	return number <= max;
}

static bool number_read(
	const xmlNode *element, uint64_t max, uint64_t *out, struct xml_context *context)
{
	char *text = xml_text(element, context->fault);
	if (!text)
		return false;
	bool ok = digits_read(text, max, out) ||
		  xml_fail(element, context->fault, MIKEY_XML_VALUE,
			  "is %s; accepted: 0 to %" PRIu64, shown(text), max);
	secmem_free(text);
	return ok;
}

bool xml_read_uint64(const xmlNode *element, void *value, struct xml_context *context)
{
	return number_read(element, UINT64_MAX, value, context);
}

bool xml_read_uint32(const xmlNode *element, void *value, struct xml_context *context)
{
	uint64_t number = 0;
	bool ok = number_read(element, UINT32_MAX, &number, context);
	*(uint32_t *)value = (uint32_t)number;
	return ok;
}

bool xml_read_boolean(const xmlNode *element, void *value, struct xml_context *context)
{
	char *text = xml_text(element, context->fault);
	if (!text)
		return false;
	const bool yes = strcmp(text, "true") == 0 || strcmp(text, "1") == 0;
	bool ok = yes || strcmp(text, "false") == 0 || strcmp(text, "0") == 0 ||
		  xml_fail(element, context->fault, MIKEY_XML_VALUE,
			  "is %s; accepted: true, false, 1, 0", shown(text));
	*(bool *)value = yes;
	secmem_free(text);
	return ok;
}

// --- times (xsd:dateTime)

struct moment {
	uint64_t year, month, day, hour, minute, second;
	int64_t zone; // seconds east of UTC
};

// n digits, no more than max, with an octet behind them that is not looked at. NULL if they are not.
static const char *take(const char *at, size_t n, uint64_t max, uint64_t *out)
{
	char digits[5] = "";
	if (!at || strnlen(at, n) < n)
		return NULL;
	memcpy(digits, at, n);
	return digits_read(digits, max, out) ? at + n : NULL;
}

static const char *take_sign(const char *at, char sign)
{
	return at && *at == sign ? at + 1 : NULL;
}

static const char *take_fraction(const char *at)
{
	if (!at || *at != '.')
		return at;
	size_t n = strspn(at + 1, "0123456789");
	return n > 0 ? at + 1 + n : NULL;
}

// Without a zone a time is in UTC.
static const char *take_zone(const char *at, int64_t *zone)
{
	uint64_t hours, minutes;
	if (!at || !*at)
		return at;
	if (*at == 'Z')
		return at + 1;
	const int64_t sign = *at == '-' ? -1 : 1;
	if (*at != '+' && *at != '-')
		return NULL;
	at = take(take_sign(take(at + 1, 2, 14, &hours), ':'), 2, 59, &minutes);
	if (!at || (hours == 14 && minutes > 0))
		return NULL;
	*zone = sign * (int64_t)(hours * 3600 + minutes * 60);
	return at;
}

static unsigned month_days(const struct moment *m)
{
	static const unsigned days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	const bool leap = (m->year % 4 == 0 && m->year % 100 != 0) || m->year % 400 == 0;
	return days[m->month - 1] + (m->month == 2 && leap);
}

static bool moment_read(const char *text, struct moment *m)
{
	const char *at = take_sign(take(text, 4, 9999, &m->year), '-');
	at = take_sign(take(at, 2, 12, &m->month), '-');
	at = take_sign(take(at, 2, 31, &m->day), 'T');
	at = take_sign(take(at, 2, 24, &m->hour), ':');
	at = take_sign(take(at, 2, 59, &m->minute), ':');
	at = take_zone(take_fraction(take(at, 2, 59, &m->second)), &m->zone);
	if (!at || *at || m->year == 0 || m->month == 0 || m->day == 0 || m->day > month_days(m))
		return false;
	return m->hour < 24 || (m->minute == 0 && m->second == 0);
}

// Days since 1970-01-01 in the Gregorian calendar, years beginning with March.
static int64_t days_of(const struct moment *m)
{
	const int64_t year = (int64_t)m->year - (m->month <= 2);
	const int64_t month = ((int64_t)m->month + 9) % 12;
	return 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 +
	       (int64_t)m->day - 719469;
}

bool xml_read_time(const xmlNode *element, void *value, struct xml_context *context)
{
	struct moment m = {};
	char *text = xml_text(element, context->fault);
	if (!text)
		return false;
	bool ok = moment_read(text, &m) ||
		  xml_fail(element, context->fault, MIKEY_XML_VALUE,
			  "is %s; accepted: a time such as 2026-11-28T22:00:00Z", shown(text));
	if (ok) {
		int64_t seconds = days_of(&m) * 86400 +
				  (int64_t)(m.hour * 3600 + m.minute * 60 + m.second) - m.zone;
		*(uint64_t *)value = seconds > 0 ? (uint64_t)seconds : 1;
	}
	secmem_free(text);
	return ok;
}

bool xml_time_write(uint64_t seconds, char text[XML_TIME_SIZE])
{
	const time_t time = (time_t)seconds;
	struct tm tm;
	return seconds < XML_TIME_END && gmtime_r(&time, &tm) &&
	       strftime(text, XML_TIME_SIZE, "%Y-%m-%dT%H:%M:%SZ", &tm) > 0;
}

// --- octets

// Line breaks and indentation, which hex and base64 have in XML.
static size_t white_remove(char *text)
{
	size_t len = 0;
	for (const char *at = text; *at; at++)
		if (!strchr(WHITE, *at))
			text[len++] = *at;
	text[len] = '\0';
	return len;
}

size_t xml_base64(const xmlNode *element, uint8_t *out, size_t room, struct mikey_fault *fault)
{
	char *text = xml_text(element, fault);
	if (!text)
		return 0;
	size_t len = white_remove(text), n = 0;
	bool ok = base64_room(len) <= room + 2 && base64_room(len) > 0;
	uint8_t *octets = ok ? secmem_malloc(base64_room(len)) : NULL;
	ok = octets && base64_decode(text, len, octets, &n) && n <= room;
	if (ok)
		memcpy(out, octets, n);
	else
		xml_fail(element, fault, MIKEY_XML_VALUE,
			"is not base64; accepted: base64 of 1 to %zu octets", room);
	secmem_free(octets);
	secmem_free(text);
	return ok ? n : 0;
}

bool xml_octets(const xmlNode *element, uint8_t *out, size_t len, struct mikey_fault *fault)
{
	char *text = xml_text(element, fault);
	if (!text)
		return false;
	size_t n = white_remove(text);
	bool ok = n == 2 * len && hex_decode(text, out, len);
	struct mikey_fault ignored;
	if (!ok)
		ok = n == base64_len(len) && xml_base64(element, out, len, &ignored) == len;
	if (!ok)
		xml_fail(element, fault, MIKEY_XML_VALUE,
			"has %zu characters; accepted: %zu octets as %zu hex digits or in base64, "
			"%zu characters",
			n, len, 2 * len, base64_len(len));
	secmem_free(text);
	return ok;
}
