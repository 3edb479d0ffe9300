// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "base/siphash.h"

// Aumasson and Bernstein, "SipHash: a fast short-input PRF", section 2; the initial and final
// constants of the variant with 128 bits are those of its authors.

enum { WORD_LEN = 8, COMPRESSION_ROUNDS = 2, FINALISATION_ROUNDS = 4 };

struct sip_state {
	uint64_t a, b, c, d;
};

static uint64_t word_read(const uint8_t *octets, size_t len)
{
	uint64_t word = 0;
	for (size_t i = 0; i < len; i++)
		word |= (uint64_t)octets[i] << 8 * i;
	return word;
}

static void word_write(uint8_t *octets, uint64_t word)
{
	for (unsigned i = 0; i < WORD_LEN; i++)
		octets[i] = (uint8_t)(word >> 8 * i);
}

static uint64_t rotate(uint64_t word, unsigned bits)
{
	return word << bits | word >> (64 - bits);
}

static void rounds(struct sip_state *s, unsigned n)
{
	while (n-- > 0) {
		s->a += s->b;
		s->c += s->d;
		s->b = rotate(s->b, 13) ^ s->a;
		s->d = rotate(s->d, 16) ^ s->c;
		s->a = rotate(s->a, 32) + s->d;
		s->c += s->b;
		s->d = rotate(s->d, 21) ^ s->a;
		s->b = rotate(s->b, 17) ^ s->c;
		s->c = rotate(s->c, 32);
	}
}

static void compress(struct sip_state *s, uint64_t word)
{
	s->d ^= word;
	rounds(s, COMPRESSION_ROUNDS);
	s->a ^= word;
}

static uint64_t finish(struct sip_state *s)
{
	rounds(s, FINALISATION_ROUNDS);
	return s->a ^ s->b ^ s->c ^ s->d;
}

void siphash128(const uint8_t key[SIPHASH_KEY_LEN], const uint8_t *data, size_t len,
	uint8_t out[SIPHASH_LEN])
{
	uint64_t k0 = word_read(key, WORD_LEN), k1 = word_read(key + WORD_LEN, WORD_LEN);
	struct sip_state s = {
		.a = k0 ^ UINT64_C(0x736f6d6570736575),
		.b = k1 ^ UINT64_C(0x646f72616e646f6d) ^ 0xee,
		.c = k0 ^ UINT64_C(0x6c7967656e657261),
		.d = k1 ^ UINT64_C(0x7465646279746573),
	};
	size_t whole = len - len % WORD_LEN;
	for (size_t i = 0; i < whole; i += WORD_LEN)
		compress(&s, word_read(data + i, WORD_LEN));
	compress(&s, (uint64_t)len << 56 | word_read(data + whole, len - whole));
	s.c ^= 0xee;
	word_write(out, finish(&s));
	s.b ^= 0xdd;
	word_write(out + WORD_LEN, finish(&s));
}
