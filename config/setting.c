// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "config/setting.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

const char *setting_type_name(const config_setting_t *s)
{
	switch (config_setting_type(s)) {
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64:
		return "an integer";
	case CONFIG_TYPE_FLOAT:
		return "a number with a fraction";
	case CONFIG_TYPE_STRING:
		return "a string";
	case CONFIG_TYPE_BOOL:
		return "a boolean";
	case CONFIG_TYPE_ARRAY:
		return "an array";
	case CONFIG_TYPE_LIST:
		return "a list";
	case CONFIG_TYPE_GROUP:
		return "a group";
	default:
		return "of no known type";
	}
}

const char *setting_string(struct check *c, const config_setting_t *s, const char *accepted)
{
	if (config_setting_type(s) != CONFIG_TYPE_STRING) {
		check_complain(c, s, NULL, "is %s; accepted: %s", setting_type_name(s), accepted);
		return NULL;
	}
	return config_setting_get_string(s);
}

bool setting_integer(
	struct check *c, const config_setting_t *s, uint32_t min, uint32_t max, uint32_t *out)
{
	long long value;

	if (config_setting_type(s) != CONFIG_TYPE_INT &&
		config_setting_type(s) != CONFIG_TYPE_INT64) {
		check_complain(c, s, NULL, "is %s; accepted: an integer from %u to %u",
			setting_type_name(s), min, max);
		return false;
	}
	value = config_setting_get_int64(s);
	if (value < min || value > max) {
		check_complain(
			c, s, NULL, "is %lld; accepted: an integer from %u to %u", value, min, max);
		return false;
	}
	*out = (uint32_t)value;
	return true;
}

bool setting_check_sequence(struct check *c, const config_setting_t *s, const struct member *m)
{
	if (!config_setting_is_array(s) && !config_setting_is_list(s)) {
		check_complain(
			c, s, NULL, "is %s; accepted: %s", setting_type_name(s), m->accepted);
		return false;
	}
	int n = config_setting_length(s);
	if ((uint32_t)n < m->min || (uint32_t)n > m->max) {
		check_complain(c, s, NULL, "has %d elements; accepted: %s", n, m->accepted);
		return false;
	}
	return true;
}

void setting_read_u32(struct check *c, const config_setting_t *s, const struct member *m, void *out)
{
	setting_integer(c, s, m->min, m->max, out);
}

void setting_read_bool(
	struct check *c, const config_setting_t *s, const struct member *m, void *out)
{
	if (config_setting_type(s) == CONFIG_TYPE_BOOL)
		*(bool *)out = config_setting_get_bool(s);
	else
		check_complain(
			c, s, NULL, "is %s; accepted: %s", setting_type_name(s), m->accepted);
}

void setting_read_u16(struct check *c, const config_setting_t *s, const struct member *m, void *out)
{
	uint32_t value;
	if (setting_integer(c, s, m->min, m->max, &value))
		*(uint16_t *)out = (uint16_t)value;
}

void setting_read_text(
	struct check *c, const config_setting_t *s, const struct member *m, void *out)
{
	const char *text = setting_string(c, s, m->accepted);
	if (!text)
		return;
	size_t len = strlen(text);
	if (len < m->min || len > m->max)
		check_complain(c, s, NULL, "has %zu octets; accepted: %s", len, m->accepted);
	else
		check_set_text(c, out, text);
}

bool setting_is_word(const char *text, size_t max, const char *others)
{
	size_t len = strlen(text);
	for (size_t i = 0; i < len; i++) {
		if (!isalnum((unsigned char)text[i]) && !strchr(others, text[i]))
			return false;
	}
	return len >= 1 && len <= max;
}

void setting_read_name(
	struct check *c, const config_setting_t *s, const struct member *m, void *out)
{
	const char *text = setting_string(c, s, m->accepted);
	if (!text)
		return;
	if (setting_is_word(text, m->max, "_.-"))
		check_set_text(c, out, text);
	else
		check_complain(c, s, NULL, "is \"%s\"; accepted: %s", text, m->accepted);
}

void setting_read_mode(
	struct check *c, const config_setting_t *s, const struct member *m, void *out)
{
	const char *text = setting_string(c, s, m->accepted);
	if (!text)
		return;
	size_t len = strlen(text);
	if (len < 3 || len > 4 || strspn(text, "01234567") != len || strtoul(text, NULL, 8) > 0777)
		check_complain(c, s, NULL, "is \"%s\"; accepted: %s", text, m->accepted);
	else
		*(unsigned *)out = (unsigned)strtoul(text, NULL, 8);
}

bool setting_parse_decimal(const char *text, unsigned min, unsigned max, unsigned *out)
{
	size_t len = strlen(text);
	if (len < 1 || len > 5 || strspn(text, "0123456789") != len || (text[0] == '0' && len > 1))
		return false;
	*out = (unsigned)strtoul(text, NULL, 10);
	return *out >= min && *out <= max;
}

// "192.0.2.1:7443" or "[2001:db8::1]:7443".
static bool is_listen_address(const char *text)
{
	const char *colon = strrchr(text, ':');
	unsigned port;
	if (!colon || !setting_parse_decimal(colon + 1, 1, 65535, &port))
		return false;
	size_t len = (size_t)(colon - text);
	char host[INET6_ADDRSTRLEN + 2];
	if (len == 0 || len >= sizeof(host))
		return false;
	memcpy(host, text, len);
	host[len] = '\0';
	struct in6_addr address;
	if (host[0] != '[')
		return inet_pton(AF_INET, host, &address) == 1;
	if (host[len - 1] != ']')
		return false;
	host[len - 1] = '\0';
	return inet_pton(AF_INET6, host + 1, &address) == 1;
}

void setting_read_listen(
	struct check *c, const config_setting_t *s, const struct member *m, void *out)
{
	const char *text = setting_string(c, s, m->accepted);
	if (!text)
		return;
	if (is_listen_address(text))
		check_set_text(c, out, text);
	else
		check_complain(c, s, NULL, "is \"%s\"; accepted: %s", text, m->accepted);
}

// Complains about a setting that is none, with the names of its group.
static void complain_unknown(
	struct check *c, const config_setting_t *s, const struct member *members)
{
	char names[192];
	size_t len = 0;
	for (const struct member *m = members; m->name && len < sizeof(names); m++)
		len += (size_t)snprintf(names + len, sizeof(names) - len, "%s%s",
			m == members ? "" : ", ", m->name);
	check_complain(c, s, NULL, "is not a setting; accepted: %s", names);
}

void setting_read_members(
	struct check *c, const config_setting_t *group, const struct member *members, void *out)
{
	const struct member *m;
	for (int i = 0; i < config_setting_length(group); i++) {
		const config_setting_t *s = config_setting_get_elem(group, (unsigned)i);
		for (m = members; m->name && strcmp(m->name, s->name) != 0; m++)
			;
		if (!m->name)
			complain_unknown(c, s, members);
		else
			m->read(c, s, m, (char *)out + m->offset);
	}
	for (m = members; m->name; m++) {
		if (m->required && !config_setting_get_member(group, m->name))
			check_complain(c, group, m->name, "is missing; accepted: %s", m->accepted);
	}
}

void setting_read_group(
	struct check *c, const config_setting_t *s, const struct member *m, void *out)
{
	if (config_setting_is_group(s))
		setting_read_members(c, s, m->members, out);
	else
		check_complain(
			c, s, NULL, "is %s; accepted: %s", setting_type_name(s), m->accepted);
}
