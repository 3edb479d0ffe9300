// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

// A transport address: IPv4 in the first 4 octets with the other 12 zero, or IPv6; network byte
// order.
struct endpoint {
	union {
		uint8_t addr[16];
		uint64_t words[2];
	};
	uint16_t port;  // network byte order
	uint8_t family; // AF_INET or AF_INET6; AF_UNSPEC: none
	uint8_t zero;
};

// An address of 4 or of 16 octets, without port. Stored in words as it is compared: octets stored one way and loaded
// another would wait for each other.
static inline struct endpoint endpoint_ipv4(const uint8_t *addr)
{
	uint32_t word;
	memcpy(&word, addr, sizeof(word));
	return (struct endpoint){
		.words = {ntohl(1) == 1 ? (uint64_t)word << 32 : word}, .family = AF_INET};
}

static inline struct endpoint endpoint_ipv6(const uint8_t *addr)
{
	uint64_t words[2];
	memcpy(words, addr, sizeof(words));
	return (struct endpoint){.words = {words[0], words[1]}, .family = AF_INET6};
}

static inline bool endpoint_same_addr(const struct endpoint *a, const struct endpoint *b)
{
	return a->words[0] == b->words[0] && a->words[1] == b->words[1] && a->family == b->family;
}

static inline bool endpoint_equal(const struct endpoint *a, const struct endpoint *b)
{
	return endpoint_same_addr(a, b) && a->port == b->port;
}

static inline bool endpoint_is_multicast(const struct endpoint *e)
{
	uint8_t first = (uint8_t)(ntohl(1) == 1 ? e->words[0] >> 56 : e->words[0]);
	return e->family == AF_INET ? first >> 4 == 0xe : first == 0xff;
}

// RFC 4291 2.5.6: fe80::/10.
static inline bool endpoint_is_link_local(const struct endpoint *e)
{
	return e->family == AF_INET6 && e->addr[0] == 0xfe && (e->addr[1] & 0xc0) == 0x80;
}

static inline uint8_t endpoint_addr_len(const struct endpoint *e)
{
	return e->family == AF_INET ? 4 : 16;
}
