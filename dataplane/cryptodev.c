// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

// DPDK 22.11 calls rte_cryptodev_sym_session_pool_create() experimental; there is no other way to a session.
#define ALLOW_EXPERIMENTAL_API

#include "dataplane/cryptodev.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cryptodev.h>
#include <rte_cycles.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>

#include "base/secmem.h"
#include "crypto/cipher_registry.h"
#include "dataplane/driver_error.h"

enum {
	POOL_SESSIONS_MIN = 4096,
	AREA_OFFSET = sizeof(struct rte_crypto_op) + sizeof(struct rte_crypto_sym_op),
	IV_OFFSET = AREA_OFFSET + offsetof(struct cryptodev_area, iv),
};

#define PREFIX "cryptodev:"

static_assert(CRYPTODEV_AAD_LEN == 12, "the known answers have it, too");

struct cryptodev_area *cryptodev_area_of(struct rte_crypto_op *op)
{
	return (struct cryptodev_area *)((uint8_t *)op + AREA_OFFSET);
}

uint16_t cryptodev_enqueue(
	struct cryptodev *device, uint16_t queue_pair, struct rte_crypto_op *ops[], uint16_t n)
{
	return rte_cryptodev_enqueue_burst(device->id, queue_pair, ops, n);
}

uint16_t cryptodev_dequeue(
	struct cryptodev *device, uint16_t queue_pair, struct rte_crypto_op *ops[], uint16_t n)
{
	return rte_cryptodev_dequeue_burst(device->id, queue_pair, ops, n);
}

// --- sessions

static void memory_lock(
	struct rte_mempool *pool, void *arg, struct rte_mempool_memhdr *memory, unsigned i)
{
	(void)pool;
	(void)arg;
	(void)i;
	secmem_lock(memory->addr, memory->len);
}

static struct rte_mempool *pool_add(struct cryptodev *device)
{
	char name[RTE_MEMPOOL_NAMESIZE];
	if (device->n_pools == CRYPTODEV_POOLS_MAX)
		return NULL;
	snprintf(name, sizeof(name), "sessions_%u", device->n_pools);
	// Control alone takes and gives back: no cache.
	struct rte_mempool *pool = rte_cryptodev_sym_session_pool_create(name,
		device->pool_sessions, rte_cryptodev_sym_get_private_session_size(device->id), 0, 0,
		SOCKET_ID_ANY);
	if (!pool)
		return NULL;
	rte_mempool_mem_iter(pool, memory_lock, NULL);
	return device->pools[device->n_pools++] = pool;
}

static struct rte_mempool *pool_find(struct cryptodev *device)
{
	if (device->likely && rte_mempool_avail_count(device->likely) > 0)
		return device->likely;
	for (unsigned i = 0; i < device->n_pools; i++)
		if (rte_mempool_avail_count(device->pools[i]) > 0)
			return device->likely = device->pools[i];
	device->likely = NULL;
	// Only once: DPDK would log each refusal.
	if (!device->exhausted)
		device->likely = pool_add(device);
	device->exhausted = !device->likely;
	return device->likely;
}

static int session_open(struct cryptodev *device, enum srtp_suite suite, const uint8_t *session_key,
	enum rte_crypto_aead_operation direction, void **session)
{
	struct rte_crypto_sym_xform xform = {
		.type = RTE_CRYPTO_SYM_XFORM_AEAD,
		.aead =
			{
				.op = direction,
				.algo = RTE_CRYPTO_AEAD_AES_GCM,
				.key = {.data = session_key, .length = srtp_suite_key_len(suite)},
				.iv = {.offset = IV_OFFSET, .length = CIPHER_IV_LEN},
				.digest_length = SRTP_GCM_TAG_LEN,
				.aad_length = CRYPTODEV_AAD_LEN,
			},
	};
	struct rte_mempool *pool = pool_find(device);
	if (!pool)
		return -ENOMEM;
	*session = rte_cryptodev_sym_session_create(device->id, &xform, pool);
	return *session ? 0 : -EIO;
}

static void session_close(struct cryptodev *device, void **session)
{
	if (!*session)
		return;
	struct rte_mempool *pool = rte_mempool_from_obj(*session);
	rte_cryptodev_sym_session_free(device->id, *session);
	// Drivers differ in what they leave. Only this thread takes from the pool.
	secmem_wipe(*session, pool->elt_size);
	device->likely = pool;
	device->exhausted = false;
	*session = NULL;
}

int cryptodev_key_open(
	struct cryptodev *device, uint32_t ctx, enum srtp_suite suite, const uint8_t *session_key)
{
	struct cryptodev_key *key = &device->keys[ctx];
	assert(!key->encrypt && !key->decrypt); // or they would stay with the device for good
	if (ctx >= device->n_touched)
		device->n_touched = ctx + 1;
	int rc =
		session_open(device, suite, session_key, RTE_CRYPTO_AEAD_OP_ENCRYPT, &key->encrypt);
	if (rc == 0 && device->compares)
		rc = session_open(
			device, suite, session_key, RTE_CRYPTO_AEAD_OP_DECRYPT, &key->decrypt);
	if (rc != 0)
		cryptodev_key_close(device, ctx);
	return rc;
}

void cryptodev_key_close(struct cryptodev *device, uint32_t ctx)
{
	session_close(device, &device->keys[ctx].encrypt);
	session_close(device, &device->keys[ctx].decrypt);
}

size_t cryptodev_key_size(const struct cryptodev *device)
{
	const struct rte_mempool *pool = device->pools[0];
	size_t session = pool->header_size + pool->elt_size + pool->trailer_size + sizeof(void *);
	return sizeof(struct cryptodev_key) + session * (device->compares ? 2 : 1);
}

// --- what the device must be able to do

// A list of what is missing, for one sentence.
struct missing {
	char *text;
	size_t size, len;
};

static void missing_add(struct missing *missing, bool has, const char *what)
{
	if (has || missing->len >= missing->size)
		return;
	int len = snprintf(missing->text + missing->len, missing->size - missing->len, "%s%s",
		missing->len > 0 ? ", " : "", what);
	missing->len += len > 0 ? (size_t)len : 0;
}

static bool range_has(const struct rte_crypto_param_range *range, uint16_t value)
{
	if (value < range->min || value > range->max)
		return false;
	return range->increment == 0 ? value == range->min || value == range->max
				     : (value - range->min) % range->increment == 0;
}

static void aead_check(uint8_t id, struct missing *missing)
{
	struct rte_cryptodev_sym_capability_idx gcm = {
		.type = RTE_CRYPTO_SYM_XFORM_AEAD, .algo.aead = RTE_CRYPTO_AEAD_AES_GCM};
	const struct rte_cryptodev_symmetric_capability *can =
		rte_cryptodev_sym_capability_get(id, &gcm);
	missing_add(missing, can, "AEAD AES-GCM");
	if (!can)
		return;
	missing_add(missing, range_has(&can->aead.key_size, 16), "keys of 16 octets");
	missing_add(missing, range_has(&can->aead.key_size, 32), "keys of 32 octets");
	missing_add(missing, range_has(&can->aead.iv_size, CIPHER_IV_LEN), "an IV of 12 octets");
	missing_add(
		missing, range_has(&can->aead.digest_size, SRTP_GCM_TAG_LEN), "a tag of 16 octets");
	missing_add(missing, range_has(&can->aead.aad_size, CRYPTODEV_AAD_LEN), "AAD of 12 octets");
}

// Whether the driver or hardware is known to compare tags in constant time. That of the IPsec-MB
// drivers calls memcmp().
static bool driver_compares(const char *driver)
{
	static const char *const drivers[] = {"crypto_qat", "crypto_openssl"};
	for (unsigned i = 0; i < RTE_DIM(drivers); i++)
		if (strcmp(driver, drivers[i]) == 0)
			return true;
	return false;
}

static int device_check(struct cryptodev *device, unsigned n_workers, char *why, size_t why_size)
{
	struct rte_cryptodev_info info;
	char text[256] = "", queue_pairs[80], sessions[80];
	struct missing missing = {text, sizeof(text), 0};
	rte_cryptodev_info_get(device->id, &info);
	device->compares = driver_compares(info.driver_name);
	uint64_t n_sessions = (uint64_t)device->n_keys * (device->compares ? 2 : 1);
	snprintf(queue_pairs, sizeof(queue_pairs),
		"%u queue pairs, one for each worker (it has %u)", n_workers,
		info.max_nb_queue_pairs);
	snprintf(sessions, sizeof(sessions), "%lu sessions for limits.keys (it has %u)", n_sessions,
		info.sym.max_nb_sessions);
	missing_add(&missing, info.feature_flags & RTE_CRYPTODEV_FF_SYMMETRIC_CRYPTO,
		"symmetric crypto");
	aead_check(device->id, &missing);
	missing_add(&missing, info.feature_flags & RTE_CRYPTODEV_FF_OOP_LB_IN_LB_OUT,
		"operations out of place");
	missing_add(&missing, info.max_nb_queue_pairs >= n_workers, queue_pairs);
	missing_add(&missing,
		info.sym.max_nb_sessions == 0 || info.sym.max_nb_sessions >= n_sessions, sessions);
	if (missing.len == 0)
		return 0;
	snprintf(why, why_size, "%s (driver %s) lacks what is needed: %s", device->title,
		info.driver_name, text);
	return -ENOTSUP;
}

// --- known answers

static int op_run(struct cryptodev *device, struct rte_crypto_op *op)
{
	uint64_t end = rte_rdtsc() + rte_get_tsc_hz() / 1000 * CRYPTODEV_TIMEOUT_MS;
	struct rte_crypto_op *done = NULL;
	bool given = false;
	op->status = RTE_CRYPTO_OP_STATUS_NOT_PROCESSED;
	do {
		given = given || cryptodev_enqueue(device, 0, &op, 1) == 1;
		if (given && cryptodev_dequeue(device, 0, &done, 1) == 1)
			return done->status;
	} while (rte_rdtsc() < end);
	return -ETIMEDOUT;
}

static void known_fill(struct rte_crypto_op *op, void *session, struct rte_mbuf *from,
	struct rte_mbuf *to, const struct cipher_known *known)
{
	struct cryptodev_area *area = cryptodev_area_of(op);
	memcpy(area->iv, known->iv, CIPHER_IV_LEN);
	memcpy(area->aad, known->aad, CRYPTODEV_AAD_LEN);
	rte_crypto_op_attach_sym_session(op, session);
	op->sym->m_src = from;
	op->sym->m_dst = to;
	op->sym->aead.data.offset = 0;
	op->sym->aead.data.length = known->len;
}

// One direction of one suite, out of place. For a decryption the tag is put there before.
static int known_run(struct cryptodev *device, struct rte_crypto_op *op, void *session,
	struct rte_mbuf *mbufs[2], const struct cipher_known *known, const uint8_t *from)
{
	memcpy(rte_pktmbuf_mtod(mbufs[0], void *), from, known->len);
	memset(rte_pktmbuf_mtod(mbufs[1], void *), 0, known->len);
	known_fill(op, session, mbufs[0], mbufs[1], known);
	return op_run(device, op);
}

static int suite_test(struct cryptodev *device, enum srtp_suite suite, struct rte_crypto_op *op,
	struct rte_mbuf *mbufs[2])
{
	struct cipher_known known = cipher_known(suite);
	struct cryptodev_key *key = &device->keys[0];
	uint8_t *tag = cryptodev_area_of(op)->tag, *out = rte_pktmbuf_mtod(mbufs[1], uint8_t *);
	int rc = cryptodev_key_open(device, 0, suite, known.key);
	if (rc != 0)
		return rc;
	rc = known_run(device, op, key->encrypt, mbufs, &known, known.plaintext);
	if (rc == 0 && (memcmp(out, known.ciphertext, known.len) != 0 ||
			       memcmp(tag, known.tag, SRTP_GCM_TAG_LEN) != 0))
		rc = -EIO;
	// A device that has no session to decrypt uses the one to encrypt, and ignores its tag.
	void *decrypt = key->decrypt ? key->decrypt : key->encrypt;
	memcpy(tag, known.tag, SRTP_GCM_TAG_LEN);
	if (rc == 0)
		rc = known_run(device, op, decrypt, mbufs, &known, known.ciphertext);
	if (rc == 0 && memcmp(out, known.plaintext, known.len) != 0)
		rc = -EIO;
	memcpy(tag, known.tag, SRTP_GCM_TAG_LEN);
	tag[SRTP_GCM_TAG_LEN - 1] ^= 1;
	if (rc == 0 && key->decrypt &&
		known_run(device, op, decrypt, mbufs, &known, known.ciphertext) !=
			RTE_CRYPTO_OP_STATUS_AUTH_FAILED)
		rc = -EIO;
	cryptodev_key_close(device, 0);
	return rc;
}

static int device_test(
	struct cryptodev *device, struct rte_mempool *packets, char *why, size_t why_size)
{
	struct rte_mbuf *mbufs[2] = {};
	struct rte_crypto_op *op = NULL;
	int rc = rte_pktmbuf_alloc_bulk(packets, mbufs, 2);
	if (rc == 0)
		rc = cryptodev_ops_take(device, &op, 1);
	for (int suite = 0; rc == 0 && srtp_suite_is_aead((enum srtp_suite)suite); suite++) {
		uint16_t len = cipher_known((enum srtp_suite)suite).len;
		for (unsigned i = 0; i < 2; i++) {
			mbufs[i]->pkt_len = len;
			mbufs[i]->data_len = len;
		}
		rc = suite_test(device, (enum srtp_suite)suite, op, mbufs);
	}
	if (rc != 0)
		snprintf(why, why_size, "%s %s", device->title,
			rc == -ETIMEDOUT ? "does not answer"
			: rc == -ENOMEM  ? "has no memory for sessions"
					 : "differs from the known answers of RFC 7714");
	// What a device that did not answer may still write to stays where it is.
	if (rc != -ETIMEDOUT) {
		rte_pktmbuf_free_bulk(mbufs, mbufs[0] ? 2 : 0);
		if (op)
			rte_mempool_put(device->ops, op);
	}
	return rc > 0 ? -EIO : rc;
}

// --- opening

// A virtual device is named after its driver and a number; it gets as many queue pairs as it is told to have.
static int device_find(struct cryptodev *device, unsigned n_workers, char *why, size_t why_size)
{
	int id = rte_cryptodev_get_dev_id(device->name);
	int rc = id < 0 ? -ENODEV : 0;
	if (id < 0 && strncmp(device->name, "crypto_", 7) == 0) {
		char arguments[40];
		snprintf(arguments, sizeof(arguments), "max_nb_queue_pairs=%u", n_workers);
		rc = rte_eal_hotplug_add("vdev", device->name, arguments);
		device->created = rc == 0;
		id = rte_cryptodev_get_dev_id(device->name);
	}
	if (id >= 0) {
		device->id = (uint8_t)id;
		return 0;
	}
	bool unknown = rc == -ENODEV || rc == -EFAULT; // the latter: no driver has such a device
	int len = snprintf(why, why_size,
		"%s: there is no such crypto device%s%s; accepted: a virtual one as "
		"crypto_aesni_gcm0",
		device->title, unknown ? "" : ": ", unknown ? "" : driver_error(rc));
	for (uint8_t other = 0; other < RTE_CRYPTO_MAX_DEVS && len > 0 && (size_t)len < why_size;
		other++)
		if (rte_cryptodev_is_valid_dev(other))
			len += snprintf(why + len, why_size - (size_t)len, ", %s",
				rte_cryptodev_name_get(other));
	return -ENODEV;
}

static int device_start(struct cryptodev *device, unsigned n_workers, char *why, size_t why_size)
{
	int socket = rte_cryptodev_socket_id(device->id);
	struct rte_cryptodev_config config = {
		.socket_id = socket,
		.nb_queue_pairs = (uint16_t)n_workers,
		.ff_disable = RTE_CRYPTODEV_FF_ASYMMETRIC_CRYPTO | RTE_CRYPTODEV_FF_SECURITY,
	};
	struct rte_cryptodev_qp_conf queue_pair = {.nb_descriptors = CRYPTODEV_DESCRIPTORS};
	int rc = rte_cryptodev_configure(device->id, &config);
	for (uint16_t i = 0; rc == 0 && i < n_workers; i++)
		rc = rte_cryptodev_queue_pair_setup(device->id, i, &queue_pair, socket);
	if (rc == 0)
		rc = rte_cryptodev_start(device->id);
	if (rc != 0)
		snprintf(why, why_size, "%s does not start with %u queue pairs: %s", device->title,
			n_workers, driver_error(rc));
	return rc;
}

static int memory_open(struct cryptodev *device, unsigned n_ops, char *why, size_t why_size)
{
	uint64_t n_sessions = (uint64_t)device->n_keys * (device->compares ? 2 : 1);
	uint64_t share = (n_sessions + CRYPTODEV_POOLS_MAX - 1) / CRYPTODEV_POOLS_MAX;
	device->pool_sessions = (uint32_t)RTE_MAX(share, (uint64_t)POOL_SESSIONS_MIN);
	device->keys = secmem_map(device->n_keys * sizeof(*device->keys));
	device->ops = rte_crypto_op_pool_create("crypto_ops", RTE_CRYPTO_OP_TYPE_SYMMETRIC, n_ops,
		0, sizeof(struct cryptodev_area), SOCKET_ID_ANY);
	if (device->keys && device->ops && pool_add(device))
		return 0;
	snprintf(why, why_size,
		"no memory for %s: %u operations, and sessions by %u at a time; "
		"accepted: more in "
		"the eal setting (-m, --socket-mem)",
		device->title, n_ops, device->pool_sessions);
	return -ENOMEM;
}

struct cryptodev *cryptodev_open(const char *name, unsigned n_workers, unsigned ops_per_worker,
	uint32_t n_keys, struct rte_mempool *packets, char *why, size_t why_size)
{
	struct cryptodev *device = calloc(1, sizeof(*device));
	if (!device) {
		snprintf(why, why_size, "no memory");
		return NULL;
	}
	snprintf(device->title, sizeof(device->title), PREFIX "%s", name);
	device->name = device->title + sizeof(PREFIX) - 1;
	device->n_keys = n_keys;
	if (device_find(device, n_workers, why, why_size) != 0) {
		free(device);
		return NULL;
	}
	if (device_check(device, n_workers, why, why_size) != 0 ||
		device_start(device, n_workers, why, why_size) != 0 ||
		memory_open(device, n_workers * ops_per_worker + 1, why, why_size) != 0 ||
		device_test(device, packets, why, why_size) != 0) {
		cryptodev_close(device);
		return NULL;
	}
	return device;
}

void cryptodev_close(struct cryptodev *device)
{
	if (!device)
		return;
	for (uint32_t i = 0; i < device->n_touched; i++)
		cryptodev_key_close(device, i);
	rte_cryptodev_stop(device->id);
	if (device->created)
		rte_eal_hotplug_remove("vdev", device->name);
	else
		rte_cryptodev_close(device->id);
	for (unsigned i = 0; i < device->n_pools; i++)
		rte_mempool_free(device->pools[i]);
	rte_mempool_free(device->ops);
	secmem_unmap(device->keys, device->n_keys * sizeof(*device->keys));
	free(device);
}

int cryptodev_ops_take(struct cryptodev *device, struct rte_crypto_op *ops[], uint16_t n)
{
	if (rte_crypto_op_bulk_alloc(device->ops, RTE_CRYPTO_OP_TYPE_SYMMETRIC, ops, n) != n)
		return -ENOMEM;
	for (uint16_t i = 0; i < n; i++) {
		struct cryptodev_area *area = cryptodev_area_of(ops[i]);
		rte_iova_t iova = rte_mempool_virt2iova(ops[i]) + AREA_OFFSET;
		memset(area, 0, sizeof(*area));
		ops[i]->sess_type = RTE_CRYPTO_OP_WITH_SESSION;
		ops[i]->sym->aead.aad.data = area->aad;
		ops[i]->sym->aead.aad.phys_addr = iova + offsetof(struct cryptodev_area, aad);
		ops[i]->sym->aead.digest.data = area->tag;
		ops[i]->sym->aead.digest.phys_addr = iova + offsetof(struct cryptodev_area, tag);
	}
	return 0;
}
