// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

// The Internet checksum (RFC 1071), before it is complemented. A sum can be made of words of any width and folded
// afterwards, and is the same in either byte order.

static inline uint64_t checksum_add64(uint64_t sum, uint64_t words)
{
	bool carry = __builtin_add_overflow(sum, words, &sum);
	return sum + carry; // ends around
}

static inline uint64_t checksum_load64(const uint8_t *data)
{
	uint64_t words;
	memcpy(&words, data, sizeof(words));
	return words;
}

static inline uint16_t checksum_fold(uint64_t sum)
{
	sum = (sum & UINT32_MAX) + (sum >> 32);
	sum = (sum & UINT16_MAX) + (sum >> 16 & UINT16_MAX) + (sum >> 32);
	sum = (sum & UINT16_MAX) + (sum >> 16);
	return (uint16_t)((sum & UINT16_MAX) + (sum >> 16));
}

// Adds two sums.
static inline uint16_t checksum_add(uint32_t a, uint32_t b)
{
	uint32_t sum = a + b;
	return (uint16_t)((sum & UINT16_MAX) + (sum >> 16));
}

// Fewer than 8 octets, as if they were followed by zeros.
static inline uint64_t checksum_tail(const uint8_t *data, size_t len)
{
	uint64_t sum = 0;
	uint32_t half = 0;
	uint16_t word = 0;
	if (len & 4) {
		memcpy(&half, data, sizeof(half));
		sum += half;
		data += sizeof(half);
	}
	if (len & 2) {
		memcpy(&word, data, sizeof(word));
		sum += word;
		data += sizeof(word);
	}
	word = 0;
	if (len & 1)
		memcpy(&word, data, 1);
	return sum + word;
}

// The sum of len octets at any address. Two sums at once: each addition waits for the carry of the one before.
static inline uint16_t checksum_sum(const uint8_t *data, size_t len)
{
	uint64_t even = 0, odd = 0;
	for (; len >= 32; len -= 32, data += 32) {
		even = checksum_add64(even, checksum_load64(data));
		odd = checksum_add64(odd, checksum_load64(data + 8));
		even = checksum_add64(even, checksum_load64(data + 16));
		odd = checksum_add64(odd, checksum_load64(data + 24));
	}
	for (; len >= 8; len -= 8, data += 8)
		even = checksum_add64(even, checksum_load64(data));
	odd = checksum_add64(odd, checksum_tail(data, len));
	return checksum_fold(checksum_add64(even, odd));
}
