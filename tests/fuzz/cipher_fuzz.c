// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

// libFuzzer entry: a burst of packets of AES-GCM, of lengths, alignments and suites that the input says, through every
// cipher that this machine has, each of which must give what the first one gives and touch nothing beside it.

#include <stdlib.h>
#include <string.h>

#include "crypto/cipher_registry.h"

enum { LEN_MAX = 4064, AAD_MAX = 256, BESIDE = 64, ROOM = 2 * BESIDE + LEN_MAX, PACKETS_MAX = 9 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

// Of one packet: 8 octets of the input.
struct shape {
	uint16_t len, aad_len;
	uint8_t at, aad_at, how, seed;
};
enum { HOW_256 = 1, HOW_IN_PLACE = 2 };

struct packet {
	uint8_t in[ROOM], out[ROOM], aad[AAD_MAX + BESIDE];
	_Alignas(CIPHER_KEY_ALIGN) uint8_t key[CIPHER_KEY_SIZE];
	struct cipher_op op;
};

static const struct cipher *ciphers[N_CIPHERS];
static struct packet packets[N_CIPHERS][PACKETS_MAX];

static void require(bool fact)
{
	if (!fact)
		abort();
}

static void ciphers_start(void)
{
	const char *why;
	for (size_t i = 0; i < N_CIPHERS; i++) {
		ciphers[i] = cipher_open(cipher_name(i), &why);
		if (!ciphers[i])
			ciphers[i] = cipher_open(cipher_auto, &why);
		require(ciphers[i] && ciphers[i]->thread_init() == 0);
	}
}

static void fill(uint8_t *out, size_t n, uint64_t x)
{
	for (size_t i = 0; i < n; i++) {
		x = x * 6364136223846793005 + 1442695040888963407;
		out[i] = (uint8_t)(x >> 56);
	}
}

static void packet_make(struct packet *p, const struct cipher *cipher, const struct shape *shape)
{
	uint8_t key[SRTP_KEY_MAX];
	const enum srtp_suite suite =
		shape->how & HOW_256 ? SRTP_AEAD_AES_256_GCM : SRTP_AEAD_AES_128_GCM;
	fill(key, sizeof(key), shape->seed);
	fill(p->in, sizeof(p->in), shape->seed + 1);
	fill(p->aad, sizeof(p->aad), shape->seed + 2);
	require(cipher->expand(suite, key, p->key) == 0);
	memcpy(p->out, p->in, sizeof(p->out));
	p->op = (struct cipher_op){
		.key = p->key,
		.src = (shape->how & HOW_IN_PLACE ? p->out : p->in) + shape->at % BESIDE,
		.dst = p->out + shape->at % BESIDE,
		.aad = p->aad + shape->aad_at % BESIDE,
		.len = shape->len % (LEN_MAX + 1),
		.aad_len = shape->aad_len % (AAD_MAX + 1),
		.suite = (uint8_t)suite,
	};
	fill(p->op.iv, CIPHER_IV_LEN, shape->seed + 3);
}

static void burst_run(size_t c, const struct shape shapes[], uint16_t n, bool decrypt)
{
	struct cipher_op *ops[PACKETS_MAX];
	for (uint16_t i = 0; i < n; i++) {
		packet_make(&packets[c][i], ciphers[c], &shapes[i]);
		ops[i] = &packets[c][i].op;
	}
	(decrypt ? ciphers[c]->decrypt_burst : ciphers[c]->encrypt_burst)(ops, n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct shape shapes[PACKETS_MAX];
	if (!ciphers[0])
		ciphers_start();
	if (size < 1 + sizeof(shapes[0]))
		return 0;
	uint16_t n = (uint16_t)((size - 1) / sizeof(shapes[0]));
	if (n > PACKETS_MAX)
		n = PACKETS_MAX;
	memcpy(shapes, data + 1, n * sizeof(shapes[0]));
	for (size_t c = 0; c < N_CIPHERS; c++) {
		burst_run(c, shapes, n, data[0] & 1);
		for (uint16_t i = 0; i < n; i++) {
			require(memcmp(packets[c][i].out, packets[0][i].out, ROOM) == 0);
			require(memcmp(packets[c][i].op.tag, packets[0][i].op.tag,
					SRTP_GCM_TAG_LEN) == 0);
		}
	}
	return 0;
}
