// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/cipher.h"

// A symmetric crypto device of DPDK (QAT and its like) that does AES-GCM for all workers: one queue pair
// each, sessions by key context. docs/cryptodev.md says what it must be able to do.

struct rte_crypto_op;
struct rte_mempool;

enum {
	CRYPTODEV_NAME_MAX = 64,
	CRYPTODEV_POOLS_MAX = 256,    // into which sessions are divided
	CRYPTODEV_DESCRIPTORS = 1024, // in each queue pair
	CRYPTODEV_AAD_LEN =
		12, // octets. A session knows one length: that of an RTP header without CSRCs
		    // and extension, and of SRTCP that is encrypted (RFC 7714 9.2)
	CRYPTODEV_TIMEOUT_MS = 1000, // after which what the device was given is not waited for
};

// Sessions of a key context. control: wo before the context is published and after its grace period;
// worker: ro
struct cryptodev_key {
	void *encrypt;
	void *decrypt; // NULL if the device's comparison of tags is not relied on
};

// What of an operation the device reads and writes beside the packet. Stands behind each operation.
struct cryptodev_area {
	uint8_t iv[16];
	uint8_t aad[16];
	uint8_t tag[SRTP_GCM_TAG_LEN];
	void *user;
};

struct cryptodev {
	char title[CRYPTODEV_NAME_MAX + 16]; // "cryptodev:NAME"
	const char *name;                    // in it
	uint8_t id;
	bool created;               // by cryptodev_open()
	bool compares;              // tags in constant time
	struct cryptodev_key *keys; // by index of the key context
	uint32_t n_keys;            // size of keys
	uint32_t n_touched;         // control only: keys ever used
	struct rte_mempool *ops;
	struct rte_mempool *pools[CRYPTODEV_POOLS_MAX]; // control only: sessions
	unsigned n_pools;
	uint32_t pool_sessions;     // of one pool
	struct rte_mempool *likely; // pool that has a session to give
	bool exhausted; // control only: no memory for another pool; until a session is closed
};

// Finds the device, or makes it if its name is that of a virtual one ("crypto_aesni_gcm0"), with
// n_workers queue pairs and ops_per_worker operations for each; checks what it can do, starts it and
// tests it with the known answers of RFC 7714, in buffers from packets. NULL with a sentence in why. Main
// thread, before any worker runs.
struct cryptodev *cryptodev_open(const char *name, unsigned n_workers, unsigned ops_per_worker,
	uint32_t n_keys, struct rte_mempool *packets, char *why, size_t why_size);

// Stops it, closes and wipes all sessions. No worker uses it any more. NULL is ignored.
void cryptodev_close(struct cryptodev *device);

// Makes the sessions of a key context with an AES-GCM suite from its session key. -ENOMEM if there is no
// memory for them, -EIO if the device refuses. Control thread.
int cryptodev_key_open(
	struct cryptodev *device, uint32_t ctx, enum srtp_suite suite, const uint8_t *session_key);

// Closes them, if there are any, and wipes their memory. No worker can reach the context, and nothing that
// was given to the device needs it. Control thread.
void cryptodev_key_close(struct cryptodev *device, uint32_t ctx);

// Octets of memory for one key context, beside struct key_ctx.
size_t cryptodev_key_size(const struct cryptodev *device);

// Takes n <= 64 operations that are the caller's for good, each with its cryptodev_area. 0 or -ENOMEM.
int cryptodev_ops_take(struct cryptodev *device, struct rte_crypto_op *ops[], uint16_t n);
struct cryptodev_area *cryptodev_area_of(struct rte_crypto_op *op);

// Offers operations to a queue pair, takes finished ones from it. Both return how many; neither waits.
uint16_t cryptodev_enqueue(
	struct cryptodev *device, uint16_t queue_pair, struct rte_crypto_op *ops[], uint16_t n);
uint16_t cryptodev_dequeue(
	struct cryptodev *device, uint16_t queue_pair, struct rte_crypto_op *ops[], uint16_t n);
