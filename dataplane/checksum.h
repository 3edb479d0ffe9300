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

// Both halves of a number added to each other, twice: what the lower ones carry arrives in the upper ones.
static inline uint16_t checksum_fold(uint64_t sum)
{
	uint32_t half = (uint32_t)((sum + (sum << 32 | sum >> 32)) >> 32);
	return (uint16_t)((half + (half << 16 | half >> 16)) >> 16);
}

// Adds two sums. Of 16 bits each: they carry once.
static inline uint16_t checksum_add(uint16_t a, uint16_t b)
{
	uint32_t sum = (uint32_t)a + b;
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

typedef uint64_t checksum_lanes __attribute__((vector_size(16)));

static inline checksum_lanes checksum_load_lanes(const uint8_t *data)
{
	checksum_lanes words;
	memcpy(&words, data, sizeof(words));
	return words;
}

// The sum of len octets at any address. In each lane 32 bits are added at a time, which leaves room for the carries
// of 2^32 words: there is nothing to wait for, as there is from one addition with carry to the next.
static inline uint16_t checksum_sum(const uint8_t *data, uint16_t len)
{
	const checksum_lanes lower = {UINT32_MAX, UINT32_MAX};
	checksum_lanes low = {0, 0}, high = {0, 0};
	for (; len >= 32; len -= 32, data += 32) {
		checksum_lanes a = checksum_load_lanes(data), b = checksum_load_lanes(data + 16);
		low += a & lower;
		high += a >> 32;
		low += b & lower;
		high += b >> 32;
	}
	low += high;
	uint64_t sum = low[0] + low[1];
	for (; len >= 8; len -= 8, data += 8)
		sum = checksum_add64(sum, checksum_load64(data));
	return checksum_fold(checksum_add64(sum, checksum_tail(data, len)));
}
