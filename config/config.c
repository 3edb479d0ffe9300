// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "config/config.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <libconfig.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>

enum {
	WORKERS_MAX = 64,
	CPU_MAX = 1023, // highest number of a CPU in the kernel's cpu_set_t
	PORTS_MAX = 16,
	ADDRESSES_MAX = 64, // of one port
	OPTIONAL = 0,       // values of member.required
	REQUIRED = 1,
	ENTRIES_MAX = 1 << 24, // of one table
	SETTING_PATH_SIZE = 128,
	COMPLAINT_SIZE = 512,
	UNIX_PATH_MAX = sizeof(((struct sockaddr_un *)0)->sun_path) - 1,
};

// Of numbers, names and keywords.
#define WORD_CHARACTERS "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_.*-"

// One reading of a file: where complaints go, and whether there were any.
struct check {
	const char *path;
	FILE *errors;
	bool failed;
};

struct member;
typedef void (*member_read_fn)(
	struct check *c, const config_setting_t *s, const struct member *m, void *out);

// One setting of a group: how it is read and where its value goes.
struct member {
	const char *name;
	member_read_fn read;
	size_t offset;     // of the value in the structure of its group
	uint32_t min, max; // of an integer; of the length of a string or sequence
	bool required;
	const char *accepted;         // in words; NULL for integers, whose range says it
	const struct member *members; // of a group, up to one without a name
};

// Writes "a.b[3].c" for a setting; the root is "".
static void setting_path(const config_setting_t *s, char path[SETTING_PATH_SIZE])
{
	size_t len;

	path[0] = '\0';
	if (s->parent == NULL)
		return;
	setting_path(s->parent, path);
	len = strlen(path);
	if (s->name == NULL)
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
	fprintf(c->errors, "%s:%u: %s: %s\n", file != NULL ? file : c->path, line > 0 ? line : 1,
		setting, message);
	c->failed = true;
}

// Writes the line about a setting, or about its member that name (if not NULL) says.
__attribute__((format(printf, 4, 5))) static void complain(
	struct check *c, const config_setting_t *s, const char *name, const char *format, ...)
{
	char path[SETTING_PATH_SIZE], message[COMPLAINT_SIZE];
	size_t len;
	va_list args;

	setting_path(s, path);
	len = strlen(path);
	if (name != NULL)
		snprintf(path + len, sizeof(path) - len, "%s%s", len > 0 ? "." : "", name);
	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	complaint_write(
		c, config_setting_source_file(s), config_setting_source_line(s), path, message);
}

// Writes the line about the file as a whole.
__attribute__((format(printf, 4, 5))) static void complain_file(
	struct check *c, const char *file, unsigned line, const char *format, ...)
{
	char message[COMPLAINT_SIZE];
	va_list args;

	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	complaint_write(c, file, line, "file", message);
}

static void *check_calloc(struct check *c, size_t n, size_t size)
{
	void *p = calloc(n, size);

	if (p == NULL)
		complain_file(c, NULL, 0, "out of memory; accepted: more memory");
	return p;
}

// Replaces a string by a copy of text.
static void text_set(struct check *c, char **out, const char *text)
{
	char *copy = strdup(text);

	if (copy == NULL)
		complain_file(c, NULL, 0, "out of memory; accepted: more memory");
	free(*out);
	*out = copy;
}

static const char *type_name(const config_setting_t *s)
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

// The text of a string, or NULL after a complaint that s is none.
static const char *string_get(struct check *c, const config_setting_t *s, const char *accepted)
{
	if (config_setting_type(s) != CONFIG_TYPE_STRING) {
		complain(c, s, NULL, "is %s; accepted: %s", type_name(s), accepted);
		return NULL;
	}
	return config_setting_get_string(s);
}

static bool integer_get(
	struct check *c, const config_setting_t *s, uint32_t min, uint32_t max, uint32_t *out)
{
	long long value;

	if (config_setting_type(s) != CONFIG_TYPE_INT &&
		config_setting_type(s) != CONFIG_TYPE_INT64) {
		complain(c, s, NULL, "is %s; accepted: an integer from %u to %u", type_name(s), min,
			max);
		return false;
	}
	value = config_setting_get_int64(s);
	if (value < min || value > max) {
		complain(
			c, s, NULL, "is %lld; accepted: an integer from %u to %u", value, min, max);
		return false;
	}
	*out = (uint32_t)value;
	return true;
}

// True if s is an array or a list with min to max elements.
static bool sequence_check(struct check *c, const config_setting_t *s, const struct member *m)
{
	int n;

	if (!config_setting_is_array(s) && !config_setting_is_list(s)) {
		complain(c, s, NULL, "is %s; accepted: %s", type_name(s), m->accepted);
		return false;
	}
	n = config_setting_length(s);
	if ((uint32_t)n < m->min || (uint32_t)n > m->max) {
		complain(c, s, NULL, "has %d elements; accepted: %s", n, m->accepted);
		return false;
	}
	return true;
}

// Readers: each takes one setting, complains or puts its value where out points.

static void read_u32(struct check *c, const config_setting_t *s, const struct member *m, void *out)
{
	integer_get(c, s, m->min, m->max, out);
}

static void read_bool(struct check *c, const config_setting_t *s, const struct member *m, void *out)
{
	if (config_setting_type(s) == CONFIG_TYPE_BOOL)
		*(bool *)out = config_setting_get_bool(s);
	else
		complain(c, s, NULL, "is %s; accepted: %s", type_name(s), m->accepted);
}

static void read_u16(struct check *c, const config_setting_t *s, const struct member *m, void *out)
{
	uint32_t value;

	if (integer_get(c, s, m->min, m->max, &value))
		*(uint16_t *)out = (uint16_t)value;
}

static void read_text(struct check *c, const config_setting_t *s, const struct member *m, void *out)
{
	const char *text = string_get(c, s, m->accepted);
	size_t len;

	if (text == NULL)
		return;
	len = strlen(text);
	if (len < m->min || len > m->max)
		complain(c, s, NULL, "has %zu octets; accepted: %s", len, m->accepted);
	else
		text_set(c, out, text);
}

// True if text has 1 to max characters, all letters, digits or one of others.
static bool is_word(const char *text, size_t max, const char *others)
{
	size_t len = strlen(text);

	for (size_t i = 0; i < len; i++) {
		if (!isalnum((unsigned char)text[i]) && strchr(others, text[i]) == NULL)
			return false;
	}
	return len >= 1 && len <= max;
}

static void read_name(struct check *c, const config_setting_t *s, const struct member *m, void *out)
{
	const char *text = string_get(c, s, m->accepted);

	if (text == NULL)
		return;
	if (is_word(text, m->max, "_.-"))
		text_set(c, out, text);
	else
		complain(c, s, NULL, "is \"%s\"; accepted: %s", text, m->accepted);
}

// A device goes to DPDK as one argument: what looks like an option or has spaces cannot be meant.
static void read_device(
	struct check *c, const config_setting_t *s, const struct member *m, void *out)
{
	const char *text = string_get(c, s, m->accepted);
	bool good;

	if (text == NULL)
		return;
	good = isalnum((unsigned char)text[0]) && strlen(text) <= m->max;
	for (size_t i = 0; text[i] != '\0'; i++) {
		if (!isgraph((unsigned char)text[i]))
			good = false;
	}
	if (good)
		text_set(c, out, text);
	else
		complain(c, s, NULL, "is \"%s\"; accepted: %s", text, m->accepted);
}

static void read_cipher(
	struct check *c, const config_setting_t *s, const struct member *m, void *out)
{
	static const char cryptodev[] = "cryptodev:";
	const size_t prefix_len = sizeof(cryptodev) - 1;
	const char *text = string_get(c, s, m->accepted);

	if (text == NULL)
		return;
	if (strcmp(text, "ipsec-mb") == 0 || strcmp(text, "openssl") == 0 ||
		(strncmp(text, cryptodev, prefix_len) == 0 &&
			is_word(text + prefix_len, m->max, "_.:-")))
		text_set(c, out, text);
	else
		complain(c, s, NULL, "is \"%s\"; accepted: %s", text, m->accepted);
}

static void read_mode(struct check *c, const config_setting_t *s, const struct member *m, void *out)
{
	const char *text = string_get(c, s, m->accepted);
	size_t len;

	if (text == NULL)
		return;
	len = strlen(text);
	if (len < 3 || len > 4 || strspn(text, "01234567") != len || strtoul(text, NULL, 8) > 0777)
		complain(c, s, NULL, "is \"%s\"; accepted: %s", text, m->accepted);
	else
		*(unsigned *)out = (unsigned)strtoul(text, NULL, 8);
}

static void read_level(
	struct check *c, const config_setting_t *s, const struct member *m, void *out)
{
	static const struct {
		const char *name;
		enum config_log_level level;
	} levels[] = {
		{"error", CONFIG_LOG_ERROR},
		{"warning", CONFIG_LOG_WARNING},
		{"info", CONFIG_LOG_INFO},
		{"debug", CONFIG_LOG_DEBUG},
	};
	const char *text = string_get(c, s, m->accepted);

	if (text == NULL)
		return;
	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
		if (strcmp(text, levels[i].name) == 0) {
			*(enum config_log_level *)out = levels[i].level;
			return;
		}
	}
	complain(c, s, NULL, "is \"%s\"; accepted: %s", text, m->accepted);
}

// A decimal number without sign, spaces or leading zero.
static bool decimal_parse(const char *text, unsigned min, unsigned max, unsigned *out)
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
	char host[INET6_ADDRSTRLEN + 2];
	const char *colon = strrchr(text, ':');
	struct in6_addr address;
	unsigned port;
	size_t len;

	if (colon == NULL || !decimal_parse(colon + 1, 1, 65535, &port))
		return false;
	len = (size_t)(colon - text);
	if (len == 0 || len >= sizeof(host))
		return false;
	memcpy(host, text, len);
	host[len] = '\0';
	if (host[0] != '[')
		return inet_pton(AF_INET, host, &address) == 1;
	if (host[len - 1] != ']')
		return false;
	host[len - 1] = '\0';
	return inet_pton(AF_INET6, host + 1, &address) == 1;
}

static void read_listen(
	struct check *c, const config_setting_t *s, const struct member *m, void *out)
{
	const char *text = string_get(c, s, m->accepted);

	if (text == NULL)
		return;
	if (is_listen_address(text))
		text_set(c, out, text);
	else
		complain(c, s, NULL, "is \"%s\"; accepted: %s", text, m->accepted);
}

// Complains about a setting that is none, with the names of its group.
static void complain_unknown(
	struct check *c, const config_setting_t *s, const struct member *members)
{
	char names[192];
	size_t len = 0;

	for (const struct member *m = members; m->name != NULL && len < sizeof(names); m++)
		len += (size_t)snprintf(names + len, sizeof(names) - len, "%s%s",
			m == members ? "" : ", ", m->name);
	complain(c, s, NULL, "is not a setting; accepted: %s", names);
}

// Reads a group into the structure at out, by the table of its members.
static void group_read(
	struct check *c, const config_setting_t *group, const struct member *members, void *out)
{
	const struct member *m;

	for (int i = 0; i < config_setting_length(group); i++) {
		const config_setting_t *s = config_setting_get_elem(group, (unsigned)i);
		for (m = members; m->name != NULL && strcmp(m->name, s->name) != 0; m++)
			;
		if (m->name == NULL)
			complain_unknown(c, s, members);
		else
			m->read(c, s, m, (char *)out + m->offset);
	}
	for (m = members; m->name != NULL; m++) {
		if (m->required && config_setting_get_member(group, m->name) == NULL)
			complain(c, group, m->name, "is missing; accepted: %s", m->accepted);
	}
}

static void read_group(
	struct check *c, const config_setting_t *s, const struct member *m, void *out)
{
	if (config_setting_is_group(s))
		group_read(c, s, m->members, out);
	else
		complain(c, s, NULL, "is %s; accepted: %s", type_name(s), m->accepted);
}

static void read_tls(struct check *c, const config_setting_t *s, const struct member *m, void *out)
{
	struct config_tls *tls = out;

	tls->enabled = true;
	read_group(c, s, m, out);
}

static void read_eal(struct check *c, const config_setting_t *s, const struct member *m, void *out)
{
	struct config *config = out;
	unsigned n;

	if (!sequence_check(c, s, m))
		return;
	n = (unsigned)config_setting_length(s);
	config->eal = check_calloc(c, n + 1, sizeof(char *));
	if (config->eal == NULL)
		return;
	config->n_eal = n;
	for (unsigned i = 0; i < n; i++) {
		const config_setting_t *element = config_setting_get_elem(s, i);
		const char *text = string_get(c, element, "a string");
		if (text != NULL && text[0] == '\0')
			complain(c, element, NULL, "is empty; accepted: an argument of DPDK");
		else if (text != NULL)
			text_set(c, &config->eal[i], text);
	}
}

static void read_lcores(
	struct check *c, const config_setting_t *s, const struct member *m, void *out)
{
	struct config *config = out;
	unsigned n;

	if (!sequence_check(c, s, m))
		return;
	if (config_setting_get_member(s->parent, "workers") != NULL)
		complain(c, s, NULL, "is given together with workers; accepted: one of the two");
	n = (unsigned)config_setting_length(s);
	config->lcores = check_calloc(c, n, sizeof(unsigned));
	if (config->lcores == NULL)
		return;
	config->n_workers = n;
	for (unsigned i = 0; i < n; i++) {
		const config_setting_t *element = config_setting_get_elem(s, i);
		config->lcores[i] = UINT32_MAX; // equal to no CPU if the element is wrong
		if (!integer_get(c, element, 0, CPU_MAX, &config->lcores[i]))
			continue;
		for (unsigned j = 0; j < i; j++) {
			if (config->lcores[j] == config->lcores[i])
				complain(c, element, NULL,
					"is also lcores[%u]; accepted: each CPU once", j);
		}
	}
}

// "192.0.2.1/24" or "2001:db8::1/64".
static bool address_parse(const char *text, struct config_address *address)
{
	char host[INET6_ADDRSTRLEN];
	const char *slash = strchr(text, '/');
	unsigned prefix_len;

	if (slash == NULL || (size_t)(slash - text) >= sizeof(host))
		return false;
	memcpy(host, text, (size_t)(slash - text));
	host[slash - text] = '\0';
	if (inet_pton(AF_INET, host, &address->v4) == 1)
		address->family = AF_INET;
	else if (inet_pton(AF_INET6, host, &address->v6) == 1)
		address->family = AF_INET6;
	else
		return false;
	if (!decimal_parse(slash + 1, 1, address->family == AF_INET ? 32 : 128, &prefix_len)) {
		address->family = AF_UNSPEC;
		return false;
	}
	address->prefix_len = (uint8_t)prefix_len;
	return true;
}

// True if a and b agree in their first n bits.
static bool bits_equal(const void *a, const void *b, unsigned n)
{
	const uint8_t *x = a, *y = b;
	unsigned mask = 0xff00U >> n % 8;

	if (memcmp(x, y, n / 8) != 0)
		return false;
	return n % 8 == 0 || ((x[n / 8] ^ y[n / 8]) & mask & 0xff) == 0;
}

// True if an interface may have the address: unicast, no loopback, not its subnet's first or last.
static bool is_host_v4(struct in_addr address, unsigned prefix_len)
{
	uint32_t a = ntohl(address.s_addr);
	uint32_t host_mask =
		prefix_len < 31 ? UINT32_MAX >> prefix_len : 0; // RFC 3021: /31 has none

	if (a >> 24 == 0 || a >> 24 == 127 || a >> 28 >= 14)
		return false;
	return host_mask == 0 || ((a & host_mask) != 0 && (a & host_mask) != host_mask);
}

static bool is_host_v6(const struct in6_addr *address)
{
	return !IN6_IS_ADDR_UNSPECIFIED(address) && !IN6_IS_ADDR_LOOPBACK(address) &&
	       !IN6_IS_ADDR_MULTICAST(address) && !IN6_IS_ADDR_V4MAPPED(address);
}

static void address_read(struct check *c, const config_setting_t *s, struct config_address *address)
{
	static const char accepted[] =
		"an address with its prefix length, such as \"192.0.2.1/24\" or \"2001:db8::1/64\"";
	const char *text = string_get(c, s, accepted);

	if (text == NULL)
		return;
	if (!address_parse(text, address)) {
		complain(c, s, NULL, "is \"%s\"; accepted: %s", text, accepted);
	} else if (address->family == AF_INET ? !is_host_v4(address->v4, address->prefix_len)
					      : !is_host_v6(&address->v6)) {
		complain(c, s, NULL,
			"is \"%s\", which no port can have; accepted: a unicast address of a host",
			text);
		address->family = AF_UNSPEC;
	}
}

static void read_addresses(
	struct check *c, const config_setting_t *s, const struct member *m, void *out)
{
	struct config_port *port = out;
	unsigned n;

	if (!sequence_check(c, s, m))
		return;
	n = (unsigned)config_setting_length(s);
	port->addresses = check_calloc(c, n, sizeof(struct config_address));
	if (port->addresses == NULL)
		return;
	port->n_addresses = n;
	for (unsigned i = 0; i < n; i++)
		address_read(c, config_setting_get_elem(s, i), &port->addresses[i]);
}

static void read_gateway(
	struct check *c, const config_setting_t *s, const struct member *m, void *out)
{
	struct config_port *port = out;
	const char *text = string_get(c, s, m->accepted);

	if (text == NULL)
		return;
	port->has_gateway = inet_pton(AF_INET, text, &port->gateway) == 1;
	if (!port->has_gateway)
		complain(c, s, NULL, "is \"%s\"; accepted: %s", text, m->accepted);
}

static void read_gateway6(
	struct check *c, const config_setting_t *s, const struct member *m, void *out)
{
	struct config_port *port = out;
	const char *text = string_get(c, s, m->accepted);

	if (text == NULL)
		return;
	port->has_gateway6 = inet_pton(AF_INET6, text, &port->gateway6) == 1;
	if (!port->has_gateway6)
		complain(c, s, NULL, "is \"%s\"; accepted: %s", text, m->accepted);
}

// A next hop is resolved by ARP or Neighbour Solicitation, so it must be on-link, and not the
// relay.
static void gateway_check(struct check *c, const config_setting_t *group, const char *name,
	int family, const void *gateway, const struct config_port *port)
{
	const config_setting_t *s = config_setting_get_member(group, name);
	unsigned bits = family == AF_INET ? 32 : 128;
	bool on_link =
		family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL((const struct in6_addr *)gateway);

	for (unsigned i = 0; i < port->n_addresses; i++) {
		const struct config_address *address = &port->addresses[i];
		if (address->family != family)
			continue;
		if (bits_equal(&address->v6, gateway, address->prefix_len))
			on_link = true;
		if (bits_equal(&address->v6, gateway, bits)) {
			complain(c, s, NULL,
				"is the port's own addresses[%u]; accepted: the address of a "
				"router",
				i);
			return;
		}
	}
	if (!on_link)
		complain(c, s, NULL,
			"is not on-link; accepted: an address inside a prefix of the port's %s",
			family == AF_INET ? "addresses" : "addresses, or a link-local one");
}

// What the settings of a port demand of each other.
static void port_check(struct check *c, const config_setting_t *s, const struct config_port *port)
{
	bool has_v6 = false;

	for (unsigned i = 0; i < port->n_addresses; i++)
		has_v6 |= port->addresses[i].family == AF_INET6;
	if (port->has_gateway)
		gateway_check(c, s, "gateway", AF_INET, &port->gateway, port);
	if (port->has_gateway6)
		gateway_check(c, s, "gateway6", AF_INET6, &port->gateway6, port);
	// RFC 8200, 5: no link with IPv6 has less.
	if (has_v6 && port->mtu < 1280)
		complain(c, config_setting_get_member(s, "mtu"), NULL,
			"is %u with an IPv6 address; accepted: an integer from 1280 to 9000",
			port->mtu);
}

static bool address_equal(const struct config_address *a, const struct config_address *b)
{
	return a->family != AF_UNSPEC && a->family == b->family &&
	       bits_equal(&a->v6, &b->v6, a->family == AF_INET ? 32 : 128);
}

// Complains if an address of a port (k-th, whose setting is s) came before, there or on an earlier
// port.
static void address_check_unique(struct check *c, const config_setting_t *s,
	const struct config_port *ports, unsigned port, unsigned k)
{
	for (unsigned i = 0; i <= port; i++) {
		unsigned n = i < port ? ports[i].n_addresses : k;
		for (unsigned j = 0; j < n; j++) {
			if (!address_equal(&ports[i].addresses[j], &ports[port].addresses[k]))
				continue;
			complain(c, s, NULL,
				"is also ports[%u].addresses[%u]; accepted: each address once", i,
				j);
			return;
		}
	}
}

// True if two device strings name one device: a vdev by its name before the arguments, a PCI
// address with or without its domain.
static bool device_equal(const char *a, const char *b)
{
	size_t a_len, b_len;

	if (strncmp(a, "0000:", 5) == 0)
		a += 5;
	if (strncmp(b, "0000:", 5) == 0)
		b += 5;
	a_len = strcspn(a, ",");
	b_len = strcspn(b, ",");
	return a_len == b_len && strncasecmp(a, b, a_len) == 0;
}

static bool text_equal(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

// Complains if the setting of port i that name says is one that an earlier port has, too.
static void port_check_unique(struct check *c, const config_setting_t *list, unsigned i,
	const char *name, bool (*equal)(const char *, const char *))
{
	const config_setting_t *s = config_setting_get_elem(list, i);
	const char *text, *earlier;

	if (!config_setting_is_group(s) || !config_setting_lookup_string(s, name, &text))
		return;
	for (unsigned j = 0; j < i; j++) {
		const config_setting_t *other = config_setting_get_elem(list, j);
		if (!config_setting_is_group(other) ||
			!config_setting_lookup_string(other, name, &earlier) ||
			!equal(text, earlier))
			continue;
		complain(c, config_setting_get_member(s, name), NULL,
			"is also the %s of ports[%u]; accepted: a %s of its own", name, j, name);
		return;
	}
}

// What the ports demand of each other.
static void ports_check(struct check *c, const config_setting_t *list, const struct config *config)
{
	for (unsigned i = 0; i < config->n_ports; i++) {
		port_check_unique(c, list, i, "name", text_equal);
		port_check_unique(c, list, i, "device", device_equal);
		for (unsigned k = 0; k < config->ports[i].n_addresses; k++) {
			const config_setting_t *addresses = config_setting_get_member(
				config_setting_get_elem(list, i), "addresses");
			address_check_unique(
				c, config_setting_get_elem(addresses, k), config->ports, i, k);
		}
	}
}

static const struct member port_members[] = {
	{"name", read_name, offsetof(struct config_port, name), 0, 31, REQUIRED,
		"1 to 31 letters, digits, \"_\", \".\" and \"-\"", NULL},
	{"device", read_device, offsetof(struct config_port, device), 0, 255, REQUIRED,
		"a DPDK device such as \"0000:03:00.0\" or \"net_af_packet0,iface=eth1\"", NULL},
	{"addresses", read_addresses, 0, 1, ADDRESSES_MAX, REQUIRED,
		"an array of 1 to 64 addresses with prefix length", NULL},
	{"gateway", read_gateway, 0, 0, 0, OPTIONAL, "an IPv4 address such as \"192.0.2.254\"",
		NULL},
	{"gateway6", read_gateway6, 0, 0, 0, OPTIONAL, "an IPv6 address such as \"2001:db8::fe\"",
		NULL},
	{"vlan", read_u16, offsetof(struct config_port, vlan), 0, 4094, OPTIONAL, NULL, NULL},
	{"mtu", read_u16, offsetof(struct config_port, mtu), 576, 9000, OPTIONAL, NULL, NULL},
	{0},
};

static void read_ports(
	struct check *c, const config_setting_t *s, const struct member *m, void *out)
{
	struct config *config = out;
	unsigned n;

	if (!sequence_check(c, s, m))
		return;
	n = (unsigned)config_setting_length(s);
	config->ports = check_calloc(c, n, sizeof(struct config_port));
	if (config->ports == NULL)
		return;
	config->n_ports = n;
	for (unsigned i = 0; i < n; i++) {
		const config_setting_t *element = config_setting_get_elem(s, i);
		struct config_port *port = &config->ports[i];
		port->mtu = 1500;
		if (!config_setting_is_group(element)) {
			complain(c, element, NULL,
				"is %s; accepted: a group { name, device, addresses, ... }",
				type_name(element));
			continue;
		}
		group_read(c, element, port_members, port);
		port_check(c, element, port);
	}
	ports_check(c, s, config);
}

#define ACCEPTED_LISTEN                                                                            \
	"an address with a port, such as \"192.0.2.1:7443\" or \"[2001:db8::1]:7443\""
#define ACCEPTED_PATH "a path of 1 to 4095 octets"
#define ACCEPTED_USER "a name of 1 to 32 letters, digits, \"_\", \".\" and \"-\""

static const struct member tls_members[] = {
	{"listen", read_listen, offsetof(struct config_tls, listen), 0, 0, REQUIRED,
		ACCEPTED_LISTEN, NULL},
	{"certificate", read_text, offsetof(struct config_tls, certificate), 1, 4095, REQUIRED,
		ACCEPTED_PATH, NULL},
	{"key", read_text, offsetof(struct config_tls, key), 1, 4095, REQUIRED, ACCEPTED_PATH,
		NULL},
	{"ca", read_text, offsetof(struct config_tls, ca), 1, 4095, REQUIRED, ACCEPTED_PATH, NULL},
	{"crl", read_text, offsetof(struct config_tls, crl), 1, 4095, OPTIONAL, ACCEPTED_PATH,
		NULL},
	{0},
};

static const struct member control_members[] = {
	{"unix", read_text, offsetof(struct config, control_unix), 1, UNIX_PATH_MAX, REQUIRED,
		"a path of 1 to 107 octets", NULL},
	{"mode", read_mode, offsetof(struct config, control_mode), 0, 0, OPTIONAL,
		"an octal string from \"0000\" to \"0777\"", NULL},
	{"group", read_text, offsetof(struct config, control_group), 0, 32, OPTIONAL,
		"the name of a group, at most 32 octets; \"\" leaves it alone", NULL},
	{"tls", read_tls, offsetof(struct config, control_tls), 0, 0, OPTIONAL,
		"a group { listen, certificate, key, ca, crl }", tls_members},
	{0},
};

static const struct member metrics_members[] = {
	{"listen", read_listen, offsetof(struct config, metrics_listen), 0, 0, REQUIRED,
		ACCEPTED_LISTEN, NULL},
	{0},
};

static const struct member limits_members[] = {
	{"keys", read_u32, offsetof(struct config_limits, keys), 1, ENTRIES_MAX, OPTIONAL, NULL,
		NULL},
	{"sessions", read_u32, offsetof(struct config_limits, sessions), 1, ENTRIES_MAX, OPTIONAL,
		NULL, NULL},
	{"legs", read_u32, offsetof(struct config_limits, legs), 1, ENTRIES_MAX, OPTIONAL, NULL,
		NULL},
	{"streams", read_u32, offsetof(struct config_limits, streams), 1, ENTRIES_MAX, OPTIONAL,
		NULL, NULL},
	{0},
};

static const struct member log_members[] = {
	{"level", read_level, offsetof(struct config, log_level), 0, 0, OPTIONAL,
		"\"error\", \"warning\", \"info\" or \"debug\"", NULL},
	{0},
};

static const struct member root_members[] = {
	{"workers", read_u32, offsetof(struct config, n_workers), 1, WORKERS_MAX, OPTIONAL, NULL,
		NULL},
	{"lcores", read_lcores, 0, 1, WORKERS_MAX, OPTIONAL, "an array of 1 to 64 CPU numbers",
		NULL},
	{"eal", read_eal, 0, 0, 64, OPTIONAL, "an array of at most 64 strings", NULL},
	{"cipher", read_cipher, offsetof(struct config, cipher), 0, 63, OPTIONAL,
		"\"ipsec-mb\", \"openssl\" or \"cryptodev:NAME\"", NULL},
	{"ports", read_ports, 0, 1, PORTS_MAX, REQUIRED,
		"a list of 1 to 16 groups { name, device, addresses, ... }", NULL},
	{"control", read_group, 0, 0, 0, REQUIRED, "a group { unix, ... }", control_members},
	{"metrics", read_group, 0, 0, 0, OPTIONAL, "a group { listen }", metrics_members},
	{"state_directory", read_text, offsetof(struct config, state_directory), 1, 4095, OPTIONAL,
		ACCEPTED_PATH, NULL},
	{"user", read_name, offsetof(struct config, user), 0, 32, OPTIONAL, ACCEPTED_USER, NULL},
	{"group", read_name, offsetof(struct config, group), 0, 32, OPTIONAL, ACCEPTED_USER, NULL},
	{"confine", read_bool, offsetof(struct config, confine), 0, 0, OPTIONAL, "true or false",
		NULL},
	{"limits", read_group, offsetof(struct config, limits), 0, 0, OPTIONAL,
		"a group { keys, sessions, legs, streams }", limits_members},
	{"log", read_group, 0, 0, 0, OPTIONAL, "a group { level }", log_members},
	{0},
};

static void root_read(struct check *c, const config_setting_t *root, struct config *config)
{
	const config_setting_t *group = config_setting_get_member(root, "group");

	group_read(c, root, root_members, config);
	if (group != NULL && config_setting_get_member(root, "user") == NULL)
		complain(c, group, NULL, "is given without user; accepted: both, or user alone");
}

// A configuration in which every setting has its default.
static struct config *config_new(struct check *c)
{
	struct config *config = check_calloc(c, 1, sizeof(*config));

	if (config == NULL)
		return NULL;
	text_set(c, &config->path, c->path);
	text_set(c, &config->cipher, "ipsec-mb");
	text_set(c, &config->state_directory, "/var/lib/mcxrelay");
	config->n_workers = 1;
	config->control_mode = 0600;
	config->limits = (struct config_limits){
		.keys = 1000000,
		.sessions = 100000,
		.legs = 1000000,
		.streams = 1000000,
	};
	config->log_level = CONFIG_LOG_INFO;
	config->confine = true;
	return config;
}

// The whole file as a string, or NULL after a complaint. It is not left to libconfig to read the
// file: its scanner ends the process when a read fails, as that of a directory does.
static char *file_read(struct check *c)
{
	FILE *file = fopen(c->path, "re");
	char *text = NULL;
	size_t size = 0;
	ssize_t len;
	unsigned line = 1;

	if (file == NULL)
		goto unreadable;
	len = getdelim(&text, &size, '\0', file);
	if (len < 0 && !feof(file))
		goto unreadable;
	if (len <= 0) { // an empty file
		free(text);
		text = check_calloc(c, 1, 1);
	} else if (text[len - 1] == '\0') {
		for (const char *p = text; *p != '\0'; p++)
			line += *p == '\n';
		complain_file(c, NULL, line, "has a NUL octet; accepted: text");
		free(text);
		text = NULL;
	}
	fclose(file);
	return text;

unreadable:
	complain_file(c, NULL, 0, "cannot be read: %s; accepted: a readable file", strerror(errno));
	if (file != NULL)
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
		return end != NULL ? end + 2 : p + strlen(p);
	}
	return end;
}

// libconfig 1.5 cuts an integer without the suffix L to 32 bits and says nothing: 4294967297 would
// be 1.
static void integers_check(struct check *c, const char *text)
{
	unsigned line = 1;

	for (const char *p = text; *p != '\0';) {
		const char *end = text_skip(p);
		if (end == p && isdigit((unsigned char)*p)) {
			bool hex = p[0] == '0' && (p[1] == 'x' || p[1] == 'X');
			if (strtoull(p, NULL, hex ? 16 : 10) > INT32_MAX &&
				p[strspn(p, "0123456789abcdefABCDEFxX")] != 'L')
				complain_file(c, NULL, line,
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

// Reads the settings of the text into config.
static void text_read(struct check *c, const char *text, struct config *config)
{
	config_t file;

	integers_check(c, text);
	if (c->failed)
		return;
	config_init(&file);
	if (config_read_string(&file, text) == CONFIG_TRUE)
		root_read(c, config_root_setting(&file), config);
	else
		complain_file(c, config_error_file(&file), (unsigned)config_error_line(&file),
			"%s; accepted: the syntax of libconfig, each setting once",
			config_error_text(&file));
	config_destroy(&file);
	if (config->control_group != NULL && config->control_group[0] == '\0') {
		free(config->control_group);
		config->control_group = NULL;
	}
}

struct config *config_load(const char *path, FILE *errors)
{
	struct check c = {.path = path, .errors = errors};
	struct config *config = config_new(&c);
	char *text = file_read(&c);

	if (config != NULL && text != NULL)
		text_read(&c, text, config);
	free(text);
	if (c.failed) {
		config_free(config);
		return NULL;
	}
	return config;
}

static void port_free(struct config_port *port)
{
	free(port->name);
	free(port->device);
	free(port->addresses);
}

void config_free(struct config *config)
{
	if (config == NULL)
		return;
	for (unsigned i = 0; i < config->n_ports; i++)
		port_free(&config->ports[i]);
	for (unsigned i = 0; i < config->n_eal; i++)
		free(config->eal[i]);
	free(config->ports);
	free(config->eal);
	free(config->lcores);
	free(config->path);
	free(config->cipher);
	free(config->control_unix);
	free(config->control_group);
	free(config->control_tls.listen);
	free(config->control_tls.certificate);
	free(config->control_tls.key);
	free(config->control_tls.ca);
	free(config->control_tls.crl);
	free(config->metrics_listen);
	free(config->state_directory);
	free(config->user);
	free(config->group);
	free(config);
}
