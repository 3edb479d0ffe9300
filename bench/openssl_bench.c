// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <rte_cycles.h>

#include "bench/bench.h"

// Decrypt, verify and encrypt by OpenSSL's EVP, in a loop of its own, each key expanded once in a
// context of its own: no SRTP around it.

enum {
	N_USERS = 500, // each with a key in and a key out: 1,000
	CHUNK_PACKETS = 256,
	PACKET_ROOM = 256, // octets
	KEY_LEN = 16,
	IV_LEN = 12,
	TAG_LEN = 16,
	HEADER_LEN = 12,
	PAYLOAD_LEN = 160,
};

struct user {
	EVP_CIPHER_CTX *sender, *in, *out;
	uint64_t index;
};

struct openssl_packet {
	uint32_t user;
	uint64_t iv[(IV_LEN + 7) / 8];
	uint8_t octets[PACKET_ROOM];
	uint8_t tag[TAG_LEN];
};

struct openssl_thread {
	struct user users[N_USERS];
	uint64_t random;
	struct openssl_packet packets[CHUNK_PACKETS];
};

struct openssl_state {
	unsigned n_workers;
	struct openssl_thread *threads;
};

static EVP_CIPHER_CTX *context_create(uint64_t seed, int encrypt)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint64_t key[KEY_LEN / 8] = {bench_random(&seed), bench_random(&seed)};
	bench_require(ctx && EVP_CipherInit_ex(ctx, EVP_aes_128_gcm(), NULL, (uint8_t *)key, NULL,
				     encrypt) == 1);
	return ctx;
}

static void *openssl_open(const struct bench *bench, unsigned n_workers)
{
	(void)bench;
	struct openssl_state *state = bench_alloc(sizeof(*state));
	state->n_workers = n_workers;
	state->threads = bench_alloc(n_workers * sizeof(*state->threads));
	for (unsigned w = 0; w < n_workers; w++) {
		state->threads[w].random = w + 1;
		for (unsigned i = 0; i < N_USERS; i++) {
			struct user *user = &state->threads[w].users[i];
			user->sender = context_create(i, 1);
			user->in = context_create(i, 0);
			user->out = context_create(N_USERS + i, 1);
		}
	}
	return state;
}

static bool packet_encrypt(EVP_CIPHER_CTX *ctx, struct openssl_packet *p)
{
	uint8_t *text = p->octets + HEADER_LEN;
	int n;
	return EVP_EncryptInit_ex(ctx, NULL, NULL, NULL, (uint8_t *)p->iv) &&
	       EVP_EncryptUpdate(ctx, NULL, &n, p->octets, HEADER_LEN) &&
	       EVP_EncryptUpdate(ctx, text, &n, text, PAYLOAD_LEN) &&
	       EVP_EncryptFinal_ex(ctx, text + PAYLOAD_LEN, &n) &&
	       EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_LEN, p->tag);
}

static bool packet_decrypt(EVP_CIPHER_CTX *ctx, struct openssl_packet *p)
{
	uint8_t *text = p->octets + HEADER_LEN;
	int n;
	return EVP_DecryptInit_ex(ctx, NULL, NULL, NULL, (uint8_t *)p->iv) &&
	       EVP_DecryptUpdate(ctx, NULL, &n, p->octets, HEADER_LEN) &&
	       EVP_DecryptUpdate(ctx, text, &n, text, PAYLOAD_LEN) &&
	       EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_LEN, p->tag) &&
	       EVP_DecryptFinal_ex(ctx, text + PAYLOAD_LEN, &n);
}

static void packet_make(struct openssl_thread *t, struct openssl_packet *p)
{
	p->user = bench_random_below(&t->random, N_USERS);
	struct user *user = &t->users[p->user];
	p->iv[0] = user->index++;
	bench_require(packet_encrypt(user->sender, p));
}

static struct chunk openssl_run(void *arg, unsigned worker)
{
	struct openssl_state *state = arg;
	struct openssl_thread *t = &state->threads[worker];
	bool good = true;
	for (unsigned i = 0; i < CHUNK_PACKETS; i++)
		packet_make(t, &t->packets[i]);
	uint64_t start = rte_rdtsc_precise();
	for (unsigned i = 0; i < CHUNK_PACKETS; i++) {
		struct openssl_packet *p = &t->packets[i];
		good = packet_decrypt(t->users[p->user].in, p) && good;
		good = packet_encrypt(t->users[p->user].out, p) && good;
	}
	uint64_t cycles = rte_rdtsc_precise() - start;
	bench_require(good);
	return (struct chunk){cycles, CHUNK_PACKETS};
}

static void openssl_close(void *arg)
{
	struct openssl_state *state = arg;
	for (unsigned w = 0; w < state->n_workers; w++)
		for (unsigned i = 0; i < N_USERS; i++) {
			EVP_CIPHER_CTX_free(state->threads[w].users[i].sender);
			EVP_CIPHER_CTX_free(state->threads[w].users[i].in);
			EVP_CIPHER_CTX_free(state->threads[w].users[i].out);
		}
	free(state->threads);
	free(state);
}

const struct bench openssl_benches[] = {
	{.name = "openssl-reencrypt-160",
		.what = "OpenSSL EVP: decrypt and encrypt, no SRTP",
		.keys = 2 * N_USERS,
		.octets = PAYLOAD_LEN,
		.open = openssl_open,
		.run = openssl_run,
		.close = openssl_close},
	{},
};
