// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "base/address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool port_read(const char *text, uint16_t *port)
{
	size_t len = strlen(text);
	if (len == 0 || len > 5 || strspn(text, "0123456789") != len)
		return false;
	unsigned long value = strtoul(text, NULL, 10);
	*port = htons((uint16_t)value);
	return value >= 1 && value <= UINT16_MAX;
}

bool address_read(const char *text, struct endpoint *out)
{
	struct endpoint e = {};
	const char *colon = strrchr(text, ':');
	if (!colon || !port_read(colon + 1, &e.port))
		return false;
	bool bracket = text[0] == '[' && colon > text && colon[-1] == ']';
	const char *begin = bracket ? text + 1 : text;
	size_t len = (size_t)(colon - begin) - (bracket ? 1 : 0);
	char host[INET6_ADDRSTRLEN];
	if (len >= sizeof(host))
		return false;
	memcpy(host, begin, len);
	host[len] = '\0';
	e.family = bracket ? AF_INET6 : AF_INET;
	if (inet_pton(e.family, host, e.addr) != 1)
		return false;
	*out = e;
	return true;
}

void address_write_host(const struct endpoint *address, char text[HOST_TEXT_SIZE])
{
	inet_ntop(address->family, address->addr, text, HOST_TEXT_SIZE);
}

bool address_read_host(const char *text, struct endpoint *out)
{
	struct endpoint e = {.family = strchr(text, ':') ? AF_INET6 : AF_INET};
	char host[INET6_ADDRSTRLEN];
	size_t len = strlen(text);
	bool bracket = len >= 2 && text[0] == '[' && text[len - 1] == ']';
	if (bracket) {
		text++;
		len -= 2;
	}
	if (len >= sizeof(host) || (bracket && e.family == AF_INET))
		return false;
	memcpy(host, text, len);
	host[len] = '\0';
	if (inet_pton(e.family, host, e.addr) != 1)
		return false;
	*out = e;
	return true;
}

void address_write(const struct endpoint *address, char text[ADDRESS_TEXT_SIZE])
{
	char host[HOST_TEXT_SIZE];
	address_write_host(address, host);
	bool v6 = address->family == AF_INET6;
	snprintf(text, ADDRESS_TEXT_SIZE, "%s%s%s:%u", v6 ? "[" : "", host, v6 ? "]" : "",
		ntohs(address->port));
}
