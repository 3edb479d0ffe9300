// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "config/ports.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "config/config.h"

enum {
	ADDRESSES_MAX = 64, // of one port
	UDP_FIRST = 10000,  // by default
	UDP_LAST = 59999,
};

// A device goes to DPDK as one argument: what looks like an option or has spaces cannot be meant.
static void device_read(
	struct check *c, const config_setting_t *s, const struct member *m, void *out)
{
	const char *text = setting_string(c, s, m->accepted);
	if (!text)
		return;
	bool good = isalnum((unsigned char)text[0]) && strlen(text) <= m->max;
	for (size_t i = 0; text[i] != '\0'; i++) {
		if (!isgraph((unsigned char)text[i]))
			good = false;
	}
	if (good)
		check_set_text(c, out, text);
	else
		check_complain(c, s, NULL, "is \"%s\"; accepted: %s", text, m->accepted);
}

// "192.0.2.1/24" or "2001:db8::1/64".
static bool address_parse(const char *text, struct config_address *address)
{
	char host[INET6_ADDRSTRLEN];
	const char *slash = strchr(text, '/');
	if (!slash || (size_t)(slash - text) >= sizeof(host))
		return false;
	memcpy(host, text, (size_t)(slash - text));
	host[slash - text] = '\0';
	if (inet_pton(AF_INET, host, &address->v4) == 1)
		address->family = AF_INET;
	else if (inet_pton(AF_INET6, host, &address->v6) == 1)
		address->family = AF_INET6;
	else
		return false;
	unsigned prefix_len;
	if (!setting_parse_decimal(
		    slash + 1, 1, address->family == AF_INET ? 32 : 128, &prefix_len)) {
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
	const char *text = setting_string(c, s, accepted);
	if (!text)
		return;
	if (!address_parse(text, address)) {
		check_complain(c, s, NULL, "is \"%s\"; accepted: %s", text, accepted);
	} else if (address->family == AF_INET ? !is_host_v4(address->v4, address->prefix_len)
					      : !is_host_v6(&address->v6)) {
		check_complain(c, s, NULL,
			"is \"%s\", which no port can have; accepted: a unicast address of a host",
			text);
		address->family = AF_UNSPEC;
	}
}

static void addresses_read(
	struct check *c, const config_setting_t *s, const struct member *m, void *out)
{
	struct config_port *port = out;
	if (!setting_check_sequence(c, s, m))
		return;
	unsigned n = (unsigned)config_setting_length(s);
	port->addresses = check_calloc(c, n, sizeof(struct config_address));
	if (!port->addresses)
		return;
	port->n_addresses = n;
	for (unsigned i = 0; i < n; i++)
		address_read(c, config_setting_get_elem(s, i), &port->addresses[i]);
}

static void gateway_read(
	struct check *c, const config_setting_t *s, const struct member *m, void *out)
{
	struct config_port *port = out;
	const char *text = setting_string(c, s, m->accepted);
	if (!text)
		return;
	port->has_gateway = inet_pton(AF_INET, text, &port->gateway) == 1;
	if (!port->has_gateway)
		check_complain(c, s, NULL, "is \"%s\"; accepted: %s", text, m->accepted);
}

static void gateway6_read(
	struct check *c, const config_setting_t *s, const struct member *m, void *out)
{
	struct config_port *port = out;
	const char *text = setting_string(c, s, m->accepted);
	if (!text)
		return;
	port->has_gateway6 = inet_pton(AF_INET6, text, &port->gateway6) == 1;
	if (!port->has_gateway6)
		check_complain(c, s, NULL, "is \"%s\"; accepted: %s", text, m->accepted);
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
			check_complain(c, s, NULL,
				"is the port's own addresses[%u]; accepted: the address of a "
				"router",
				i);
			return;
		}
	}
	if (!on_link)
		check_complain(c, s, NULL,
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
		check_complain(c, config_setting_get_member(s, "mtu"), NULL,
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
			check_complain(c, s, NULL,
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
	if (strncmp(a, "0000:", 5) == 0)
		a += 5;
	if (strncmp(b, "0000:", 5) == 0)
		b += 5;
	size_t a_len = strcspn(a, ",");
	size_t b_len = strcspn(b, ",");
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
	const char *text;
	if (!config_setting_is_group(s) || !config_setting_lookup_string(s, name, &text))
		return;
	for (unsigned j = 0; j < i; j++) {
		const config_setting_t *other = config_setting_get_elem(list, j);
		const char *earlier;
		if (!config_setting_is_group(other) ||
			!config_setting_lookup_string(other, name, &earlier) ||
			!equal(text, earlier))
			continue;
		check_complain(c, config_setting_get_member(s, name), NULL,
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
	{"name", setting_read_name, offsetof(struct config_port, name), 0, 31, REQUIRED,
		"1 to 31 letters, digits, \"_\", \".\" and \"-\"", NULL},
	{"device", device_read, offsetof(struct config_port, device), 0, 255, REQUIRED,
		"a DPDK device such as \"0000:03:00.0\" or \"net_af_packet0,iface=eth1\"", NULL},
	{"addresses", addresses_read, 0, 1, ADDRESSES_MAX, REQUIRED,
		"an array of 1 to 64 addresses with prefix length", NULL},
	{"gateway", gateway_read, 0, 0, 0, OPTIONAL, "an IPv4 address such as \"192.0.2.254\"",
		NULL},
	{"gateway6", gateway6_read, 0, 0, 0, OPTIONAL, "an IPv6 address such as \"2001:db8::fe\"",
		NULL},
	{"vlan", setting_read_u16, offsetof(struct config_port, vlan), 0, 4094, OPTIONAL, NULL,
		NULL},
	{"mtu", setting_read_u16, offsetof(struct config_port, mtu), 576, 9000, OPTIONAL, NULL,
		NULL},
	{0},
};

void ports_read(struct check *c, const config_setting_t *s, const struct member *m, void *out)
{
	struct config *config = out;
	if (!setting_check_sequence(c, s, m))
		return;
	unsigned n = (unsigned)config_setting_length(s);
	config->ports = check_calloc(c, n, sizeof(struct config_port));
	if (!config->ports)
		return;
	config->n_ports = n;
	for (unsigned i = 0; i < n; i++) {
		const config_setting_t *element = config_setting_get_elem(s, i);
		struct config_port *port = &config->ports[i];
		port->mtu = 1500;
		port->udp_first = UDP_FIRST;
		port->udp_last = UDP_LAST;
		if (!config_setting_is_group(element)) {
			check_complain(c, element, NULL,
				"is %s; accepted: a group { name, device, addresses, ... }",
				setting_type_name(element));
			continue;
		}
		setting_read_members(c, element, port_members, port);
		port_check(c, element, port);
	}
	ports_check(c, s, config);
}

static void range_read(struct check *c, const config_setting_t *s, struct config_port *port)
{
	static const char accepted[] = "an array of the first and the last UDP port";
	const struct member m = {.min = 2, .max = 2, .accepted = accepted};
	uint32_t first, last;
	if (!setting_check_sequence(c, s, &m) ||
		!setting_integer(c, config_setting_get_elem(s, 0), 1, UINT16_MAX, &first) ||
		!setting_integer(c, config_setting_get_elem(s, 1), 1, UINT16_MAX, &last))
		return;
	if (((first + 1) & ~1u) > last)
		check_complain(c, s, NULL,
			"is %u to %u, without an even port; accepted: a range with one", first,
			last);
	port->udp_first = (uint16_t)first;
	port->udp_last = (uint16_t)last;
}

static struct config_port *port_named(const struct config *config, const char *name)
{
	for (unsigned i = 0; i < config->n_ports; i++)
		if (config->ports[i].name && strcmp(config->ports[i].name, name) == 0)
			return &config->ports[i];
	return NULL;
}

void udp_ports_read(struct check *c, const config_setting_t *s, const struct member *m, void *out)
{
	struct config *config = out;
	if (!config_setting_is_group(s)) {
		struct config_port all = {};
		range_read(c, s, &all);
		for (unsigned i = 0; i < config->n_ports; i++) {
			config->ports[i].udp_first = all.udp_first;
			config->ports[i].udp_last = all.udp_last;
		}
		return;
	}
	for (int i = 0; i < config_setting_length(s); i++) {
		const config_setting_t *range = config_setting_get_elem(s, (unsigned)i);
		struct config_port *port = port_named(config, config_setting_name(range));
		if (port)
			range_read(c, range, port);
		else
			check_complain(c, range, NULL, "is the name of no port; accepted: %s",
				m->accepted);
	}
}
