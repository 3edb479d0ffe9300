// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors
//
// Compiled for AVX-512 with VAES and VPCLMULQDQ: nothing here may run on another CPU.

#include "crypto/gcm_vaes.h"

#include <immintrin.h>
#include <stddef.h>
#include <string.h>

#include "base/secmem.h"

// A packet is a row of lanes of 128 bits, four a vector: lane 0 is J0 for AES and the last block of the AAD for GHASH,
// lanes 1 to n are the text, lane n + 1 the lengths. So the counter of a lane is its number + 1 everywhere, and lane i
// of N is multiplied by the power N - i of the hash key, which the key has in this order at its end.
//
// A product of two lanes has 256 bits, and the products of a packet are added before they are reduced, which is done
// for four packets at once. GHASH has the bits of an octet in reverse: with the octets of all lanes reversed and the
// powers shifted left by one, carry-less products need no other correction (Gueron and Kounavis, "Intel Carry-Less
// Multiplication Instruction", algorithm 5).

enum {
	LANE = 16, // octets
	VECTOR = 4 * LANE,
	VECTORS_MAX = 4, // of a packet
	AT_ONCE = 4,     // packets that are reduced together
	ROUNDS_128 = 10,
	ROUNDS_256 = 14,
	FRAME_MAX = 1280, // octets of stack, more than a group takes
};

#define ALWAYS_INLINE static inline __attribute__((always_inline))
#define UNROLLED      _Pragma("GCC unroll 16")

// What is added to J0 with a counter of zero, for each of 16 lanes.
#define COUNTER(n) 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, n
static const uint8_t counters[VECTORS_MAX * VECTOR]
	__attribute__((aligned(VECTOR))) = {COUNTER(1), COUNTER(2), COUNTER(3), COUNTER(4),
		COUNTER(5), COUNTER(6), COUNTER(7), COUNTER(8), COUNTER(9), COUNTER(10),
		COUNTER(11), COUNTER(12), COUNTER(13), COUNTER(14), COUNTER(15), COUNTER(16)};

// Sums of products, not reduced: low, middle and high part.
struct products {
	__m512i low, middle, high;
};

ALWAYS_INLINE __m512i octets_reverse(__m512i v)
{
	return _mm512_shuffle_epi8(v, _mm512_broadcast_i32x4(_mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8,
					      9, 10, 11, 12, 13, 14, 15)));
}

ALWAYS_INLINE __m128i octets_reverse_lane(__m128i v)
{
	return _mm_shuffle_epi8(
		v, _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
}

ALWAYS_INLINE __m512i xor3(__m512i a, __m512i b, __m512i c)
{
	return _mm512_ternarylogic_epi64(a, b, c, 0x96);
}

ALWAYS_INLINE void products_add(struct products *sum, __m512i x, __m512i power)
{
	sum->low = _mm512_xor_si512(sum->low, _mm512_clmulepi64_epi128(x, power, 0x00));
	sum->middle = xor3(sum->middle, _mm512_clmulepi64_epi128(x, power, 0x01),
		_mm512_clmulepi64_epi128(x, power, 0x10));
	sum->high = _mm512_xor_si512(sum->high, _mm512_clmulepi64_epi128(x, power, 0x11));
}

// Each lane modulo x^128 + x^127 + x^126 + x^121 + 1, the polynomial of GHASH with its bits in reverse.
ALWAYS_INLINE __m512i products_reduce(__m512i low, __m512i middle, __m512i high)
{
	const __m512i polynomial = _mm512_set1_epi64((long long)0xc200000000000000);
	low = _mm512_xor_si512(low, _mm512_bslli_epi128(middle, 8));
	high = _mm512_xor_si512(high, _mm512_bsrli_epi128(middle, 8));
	UNROLLED
	for (int half = 0; half < 2; half++)
		low = _mm512_xor_si512(_mm512_shuffle_epi32(low, _MM_PERM_BADC),
			_mm512_clmulepi64_epi128(low, polynomial, 0x00));
	return _mm512_xor_si512(low, high);
}

// Lane i of the result is the sum of the lanes of v[i].
ALWAYS_INLINE __m512i lanes_add(__m512i a, __m512i b, __m512i c, __m512i d)
{
	__m512i ab = _mm512_xor_si512(
		_mm512_shuffle_i64x2(a, b, 0x44), _mm512_shuffle_i64x2(a, b, 0xee));
	__m512i cd = _mm512_xor_si512(
		_mm512_shuffle_i64x2(c, d, 0x44), _mm512_shuffle_i64x2(c, d, 0xee));
	return _mm512_xor_si512(
		_mm512_shuffle_i64x2(ab, cd, 0x88), _mm512_shuffle_i64x2(ab, cd, 0xdd));
}

ALWAYS_INLINE __m128i lane_multiply(__m128i x, __m128i power)
{
	struct products product = {};
	products_add(&product, _mm512_zextsi128_si512(x), _mm512_zextsi128_si512(power));
	return _mm512_castsi512_si128(products_reduce(product.low, product.middle, product.high));
}

// The AAD's last block, with what was hashed before it added; octets in their order.
ALWAYS_INLINE __m128i aad_last(const struct cipher_op *op, const uint8_t *powers_end)
{
	const uint8_t *aad = op->aad;
	uint32_t len = op->aad_len;
	__m128i hash = _mm_setzero_si128();
	if (__builtin_expect(len > LANE, 0)) {
		__m128i power = _mm_loadu_si128((const __m128i *)(powers_end - LANE));
		for (; len > LANE; aad += LANE, len -= LANE) {
			__m128i block = octets_reverse_lane(_mm_loadu_si128((const __m128i *)aad));
			hash = lane_multiply(_mm_xor_si128(hash, block), power);
		}
		hash = octets_reverse_lane(hash);
	}
	return _mm_xor_si128(hash, _mm_maskz_loadu_epi8((__mmask16)_bzhi_u32(0xffff, len), aad));
}

// Octets of vector v that are text, where text begins with lane 1.
ALWAYS_INLINE __mmask64 text_mask(ptrdiff_t v, uint32_t len)
{
	uint32_t end = LANE + len, before = (uint32_t)v * VECTOR;
	uint64_t mask = _bzhi_u64(~UINT64_C(0), end <= before           ? 0
						: end - before > VECTOR ? VECTOR
									: end - before);
	return v == 0 ? mask & ~UINT64_C(0xffff) : mask;
}

// AES of J0 and of the counters after it, by lanes. The first two arguments are constants.
ALWAYS_INLINE void lanes_encrypt(const ptrdiff_t vectors, const int rounds, const uint8_t *key,
	const uint8_t *iv, __m512i blocks[VECTORS_MAX])
{
	const __m512i j0 = _mm512_broadcast_i32x4(
		_mm_xor_si128(_mm_maskz_loadu_epi32(7, iv), _mm_load_si128((const __m128i *)key)));
	UNROLLED
	for (ptrdiff_t v = 0; v < vectors; v++)
		blocks[v] = _mm512_xor_si512(j0, _mm512_load_si512(counters + v * VECTOR));
	UNROLLED
	for (int round = 1; round < rounds; round++) {
		__m512i round_key =
			_mm512_broadcast_i32x4(_mm_load_si128((const __m128i *)key + round));
		UNROLLED
		for (ptrdiff_t v = 0; v < vectors; v++)
			blocks[v] = _mm512_aesenc_epi128(blocks[v], round_key);
	}
	const __m512i last_key =
		_mm512_broadcast_i32x4(_mm_load_si128((const __m128i *)key + rounds));
	UNROLLED
	for (ptrdiff_t v = 0; v < vectors; v++)
		blocks[v] = _mm512_aesenclast_epi128(blocks[v], last_key);
}

// One packet that takes so many vectors: text and the sum of its products. Returns the encrypted J0. The first three
// arguments are constants; the powers of the key end at octet end.
ALWAYS_INLINE __m128i packet_run(const ptrdiff_t vectors, const int rounds, const bool decrypt,
	struct cipher_op *op, uint16_t end, struct products *sum)
{
	const uint8_t *key = op->key, *powers_end = key + end;
	const uint32_t len = op->len, lanes = (len + LANE - 1) / LANE + 2;
	__m512i blocks[VECTORS_MAX];
	lanes_encrypt(vectors, rounds, key, op->iv, blocks);
	// Read before text is written beside it: a load that overlaps a masked store waits until that is in the cache.
	const __m128i aad = aad_last(op, powers_end);
	// Octets reversed, and with them the order of the two lengths.
	const __m128i lengths = _mm_set_epi64x((long long)op->aad_len * 8, (long long)len * 8);
	const __mmask8 lengths_mask = (__mmask8)(3 << 2 * ((lanes - 1) % 4));
	const __mmask8 last_mask = (__mmask8)((1 << 2 * ((lanes - 1) % 4 + 1)) - 1);
	const uint8_t *powers = powers_end - (size_t)LANE * lanes;
	sum->low = sum->middle = sum->high = _mm512_setzero_si512();
	UNROLLED
	for (ptrdiff_t v = 0; v < vectors; v++) {
		// Lane 0 stands before the text: no octet of it is read or written.
		const uint8_t *from = op->src + v * VECTOR - LANE;
		uint8_t *to = op->dst + v * VECTOR - LANE;
		const bool whole = v > 0 && v < vectors - 2;
		const __mmask64 mask = whole ? ~UINT64_C(0) : text_mask(v, len);
		__m512i in = whole ? _mm512_loadu_si512(from) : _mm512_maskz_loadu_epi8(mask, from);
		__m512i out = _mm512_xor_si512(in, blocks[v]);
		if (whole)
			_mm512_storeu_si512(to, out);
		else
			_mm512_mask_storeu_epi8(to, mask, out);
		__m512i hashed = decrypt ? in : _mm512_maskz_mov_epi8(mask, out);
		if (v == 0)
			hashed = _mm512_mask_broadcast_i32x4(hashed, 0x000f, aad);
		hashed = octets_reverse(hashed);
		__m512i power;
		if (v == vectors - 1) {
			hashed = _mm512_mask_broadcast_i64x2(hashed, lengths_mask, lengths);
			power = _mm512_maskz_loadu_epi64(last_mask, powers + v * VECTOR);
		} else {
			power = _mm512_loadu_si512(powers + v * VECTOR);
		}
		products_add(sum, hashed, power);
	}
	return _mm512_castsi512_si128(blocks[0]);
}

ALWAYS_INLINE __m128i packet_run_any(const int rounds, const bool decrypt, struct cipher_op *op,
	uint16_t end, struct products *sum)
{
	switch ((op->len + 2 * LANE - 1) / VECTOR) { // one less than the vectors
	case 0:
		return packet_run(1, rounds, decrypt, op, end, sum);
	case 1:
		return packet_run(2, rounds, decrypt, op, end, sum);
	case 2:
		return packet_run(3, rounds, decrypt, op, end, sum);
	default:
		return packet_run(4, rounds, decrypt, op, end, sum);
	}
}

// Up to AT_ONCE packets of one suite.
ALWAYS_INLINE void group_run(const int rounds, const bool decrypt, struct cipher_op *const ops[],
	uint32_t n, uint16_t end)
{
	struct products sums[AT_ONCE];
	__m128i j0[AT_ONCE];
	for (uint32_t i = 0; i < n; i++)
		j0[i] = packet_run_any(rounds, decrypt, ops[i], end, &sums[i]);
	for (uint32_t i = n; i < AT_ONCE; i++) {
		sums[i] = (struct products){};
		j0[i] = _mm_setzero_si128();
	}
	__m512i hash =
		products_reduce(lanes_add(sums[0].low, sums[1].low, sums[2].low, sums[3].low),
			lanes_add(sums[0].middle, sums[1].middle, sums[2].middle, sums[3].middle),
			lanes_add(sums[0].high, sums[1].high, sums[2].high, sums[3].high));
	__m512i j0s = _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_set_m128i(j0[1], j0[0])),
		_mm256_set_m128i(j0[3], j0[2]), 1);
	_Alignas(VECTOR) uint8_t tags[AT_ONCE][SRTP_GCM_TAG_LEN];
	_mm512_store_si512(tags, _mm512_xor_si512(octets_reverse(hash), j0s));
	for (uint32_t i = 0; i < n; i++)
		memcpy(ops[i]->tag, tags[i], SRTP_GCM_TAG_LEN);
}

static __attribute__((noinline)) void group_encrypt_128(
	struct cipher_op *const ops[], uint32_t n, uint16_t end)
{
	group_run(ROUNDS_128, false, ops, n, end);
}

static __attribute__((noinline)) void group_decrypt_128(
	struct cipher_op *const ops[], uint32_t n, uint16_t end)
{
	group_run(ROUNDS_128, true, ops, n, end);
}

static __attribute__((noinline)) void group_encrypt_256(
	struct cipher_op *const ops[], uint32_t n, uint16_t end)
{
	group_run(ROUNDS_256, false, ops, n, end);
}

static __attribute__((noinline)) void group_decrypt_256(
	struct cipher_op *const ops[], uint32_t n, uint16_t end)
{
	group_run(ROUNDS_256, true, ops, n, end);
}

// As many of the first as have one suite, up to AT_ONCE.
static uint32_t group_len(struct cipher_op *const ops[], uint32_t n)
{
	uint32_t len = 1;
	while (len < n && len < AT_ONCE && ops[len]->suite == ops[0]->suite)
		len++;
	return len;
}

// What a group left in vector registers, and in its frame where they were spilled.
static __attribute__((noinline, no_sanitize("address"))) void traces_wipe(void)
{
	uint8_t frame[FRAME_MAX];
	secmem_wipe(frame, sizeof(frame));
	__asm__ volatile("vzeroall\n" // 0 to 15
			 "vpxord %%zmm16, %%zmm16, %%zmm16\n"
			 "vpxord %%zmm17, %%zmm17, %%zmm17\n"
			 "vpxord %%zmm18, %%zmm18, %%zmm18\n"
			 "vpxord %%zmm19, %%zmm19, %%zmm19\n"
			 "vpxord %%zmm20, %%zmm20, %%zmm20\n"
			 "vpxord %%zmm21, %%zmm21, %%zmm21\n"
			 "vpxord %%zmm22, %%zmm22, %%zmm22\n"
			 "vpxord %%zmm23, %%zmm23, %%zmm23\n"
			 "vpxord %%zmm24, %%zmm24, %%zmm24\n"
			 "vpxord %%zmm25, %%zmm25, %%zmm25\n"
			 "vpxord %%zmm26, %%zmm26, %%zmm26\n"
			 "vpxord %%zmm27, %%zmm27, %%zmm27\n"
			 "vpxord %%zmm28, %%zmm28, %%zmm28\n"
			 "vpxord %%zmm29, %%zmm29, %%zmm29\n"
			 "vpxord %%zmm30, %%zmm30, %%zmm30\n"
			 "vpxord %%zmm31, %%zmm31, %%zmm31\n" ::
				 : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
		"xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "xmm16",
		"xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25",
		"xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31");
}

void gcm_vaes_burst(struct cipher_op *const ops[], uint16_t n, uint16_t powers_end, bool decrypt)
{
	for (uint32_t i = 0, len; i < n; i += len) {
		len = group_len(ops + i, n - i);
		if (ops[i]->suite == SRTP_AEAD_AES_128_GCM)
			(decrypt ? group_decrypt_128 : group_encrypt_128)(ops + i, len, powers_end);
		else
			(decrypt ? group_decrypt_256 : group_encrypt_256)(ops + i, len, powers_end);
	}
	traces_wipe();
}
