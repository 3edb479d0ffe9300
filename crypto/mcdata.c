// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "crypto/mcdata.h"

#include <pthread.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/rand.h>

#include "base/secmem.h"
#include "crypto/mcx_kdf.h"

enum {
	FC_MCDATA = 0x53, // F.1.5
	KDF_LEN = 32,
	TIME_LEN = 5,
	ID_LEN = 4,
	ALGORITHM_OFFSET = 1 + TIME_LEN + ID_LEN + 1,
	TLV_E_HEAD_LEN = 3,
	N_ALGORITHMS = MCDATA_DP_AES_256_GCM + 1
};

static const struct algorithm {
	const char *cipher;
	size_t key_len;
	size_t iv_len;
} algorithms[N_ALGORITHMS] = {
	[MCDATA_DP_AES_128_GCM] = {"AES-128-GCM", 16, 16},
	[MCDATA_DP_AES_256_GCM] = {"AES-256-GCM", 32, 32},
};

static pthread_once_t ciphers_once = PTHREAD_ONCE_INIT;
static EVP_CIPHER *ciphers[N_ALGORITHMS]; // NULL if the library has it not

static void ciphers_fetch(void)
{
	for (int i = MCDATA_DP_AES_128_GCM; i < N_ALGORITHMS; i++)
		ciphers[i] = EVP_CIPHER_fetch(NULL, algorithms[i].cipher, NULL);
}

const char *mcdata_status_text(enum mcdata_status status)
{
	static const char *const texts[] = {
#define _(name, text) [MCDATA_##name] = (text),
		MCDATA_STATUSES(_)
#undef _
	};
	return texts[status];
}

static bool algorithm_known(unsigned algorithm)
{
	return algorithm == MCDATA_DP_AES_128_GCM || algorithm == MCDATA_DP_AES_256_GCM;
}

static uint64_t integer_read(const uint8_t *octets, size_t len)
{
	uint64_t value = 0;
	for (size_t i = 0; i < len; i++)
		value = value << 8 | octets[i];
	return value;
}

static uint8_t *integer_write(uint8_t *octets, size_t len, uint64_t value)
{
	for (size_t i = len; i-- > 0; value >>= 8)
		octets[i] = (uint8_t)value;
	return octets + len;
}

// Octets before the IEI.
static size_t aad_len(enum mcdata_algorithm algorithm, bool signalling)
{
	return ALGORITHM_OFFSET + 1 + signalling + algorithms[algorithm].iv_len + ID_LEN;
}

enum mcdata_status mcdata_read(
	const uint8_t *octets, size_t len, bool signalling, struct mcdata_message *message)
{
	if (len < ALGORITHM_OFFSET + 1 + (size_t)signalling)
		return MCDATA_TOO_SHORT;
	struct mcdata_message m = {.header = {.message_type = octets[0]}, .aad = octets};
	m.header.time = integer_read(octets + 1, TIME_LEN);
	m.header.payload_id = (uint32_t)integer_read(octets + 1 + TIME_LEN, ID_LEN);
	m.header.sequence = octets[ALGORITHM_OFFSET - 1];
	m.header.algorithm = octets[ALGORITHM_OFFSET];
	if (!algorithm_known(m.header.algorithm))
		return MCDATA_ALGORITHM;
	if (signalling) {
		m.header.signalling_algorithm = octets[ALGORITHM_OFFSET + 1];
		if (!algorithm_known(m.header.signalling_algorithm))
			return MCDATA_SIGNALLING_ALGORITHM;
	}
	m.iv_len = algorithms[m.header.algorithm].iv_len;
	m.aad_len = aad_len((enum mcdata_algorithm)m.header.algorithm, signalling);
	if (len < m.aad_len + TLV_E_HEAD_LEN + MCDATA_TAG_LEN)
		return MCDATA_TOO_SHORT;
	const uint8_t *payload = octets + m.aad_len;
	m.iv = payload - ID_LEN - m.iv_len;
	m.header.dppk_id = (uint32_t)integer_read(payload - ID_LEN, ID_LEN);
	m.header.iei = payload[0];
	size_t payload_len = (size_t)integer_read(payload + 1, TLV_E_HEAD_LEN - 1);
	if (payload_len != len - m.aad_len - TLV_E_HEAD_LEN)
		return MCDATA_LENGTH;
	m.ciphertext = payload + TLV_E_HEAD_LEN;
	m.ciphertext_len = payload_len - MCDATA_TAG_LEN;
	*message = m;
	return MCDATA_OK;
}

enum mcdata_status mcdata_derive_dpck(const uint8_t *dppk, size_t dppk_len, uint32_t dppk_id,
	enum mcdata_algorithm algorithm, uint8_t dpck[MCDATA_DPCK_MAX])
{
	uint8_t id[ID_LEN];
	struct kdf_param param = {id, sizeof(id)};
	if (!algorithm_known(algorithm))
		return MCDATA_ALGORITHM;
	if (dppk_len != 16 && dppk_len != MCDATA_DPPK_MAX)
		return MCDATA_DPPK;
	integer_write(id, sizeof(id), dppk_id);
	uint8_t derived[KDF_LEN];
	if (mcx_kdf(dppk, dppk_len, FC_MCDATA, &param, 1, derived) < 0)
		return MCDATA_LIBRARY;
	// The least significant bits (F.1.5)
	size_t len = algorithms[algorithm].key_len;
	memcpy(dpck, derived + sizeof(derived) - len, len);
	secmem_wipe(derived, sizeof(derived));
	return MCDATA_OK;
}

// A context for one message, keyed and fed with what is only authenticated. The IV of 16 or 32
// octets goes into GCM as it is. Freeing the context cleanses it. NULL if the library failed.
static EVP_CIPHER_CTX *context_make(enum mcdata_algorithm algorithm, const uint8_t *dpck,
	bool encrypt, const uint8_t *iv, const uint8_t *aad, size_t aad_octets)
{
	size_t iv_len = algorithms[algorithm].iv_len;
	pthread_once(&ciphers_once, ciphers_fetch);
	EVP_CIPHER_CTX *ctx = ciphers[algorithm] ? EVP_CIPHER_CTX_new() : NULL;
	int n;
	if (ctx && EVP_CipherInit_ex2(ctx, ciphers[algorithm], NULL, NULL, encrypt, NULL) &&
		EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_IVLEN, (int)iv_len, NULL) &&
		EVP_CipherInit_ex2(ctx, NULL, dpck, iv, encrypt, NULL) &&
		EVP_CipherUpdate(ctx, NULL, &n, aad, (int)aad_octets))
		return ctx;
	EVP_CIPHER_CTX_free(ctx);
	return NULL;
}

// Decrypts into plaintext, which is to be thrown away unless the tag, compared by the library in
// constant time, matches.
static enum mcdata_status message_decrypt(
	const struct mcdata_message *m, const uint8_t *dpck, uint8_t *plaintext)
{
	enum mcdata_status status = MCDATA_LIBRARY;
	EVP_CIPHER_CTX *ctx = context_make(
		(enum mcdata_algorithm)m->header.algorithm, dpck, false, m->iv, m->aad, m->aad_len);
	uint8_t tag[MCDATA_TAG_LEN];
	memcpy(tag, m->ciphertext + m->ciphertext_len, sizeof(tag));
	int n;
	if (ctx && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, sizeof(tag), tag) &&
		EVP_CipherUpdate(ctx, plaintext, &n, m->ciphertext, (int)m->ciphertext_len))
		status = EVP_CipherFinal_ex(ctx, plaintext + m->ciphertext_len, &n) ? MCDATA_OK
										    : MCDATA_TAG;
	EVP_CIPHER_CTX_free(ctx);
	return status;
}

enum mcdata_status mcdata_unprotect(const struct mcdata_message *message, const uint8_t *dppk,
	size_t dppk_len, uint8_t *plaintext)
{
	uint8_t dpck[MCDATA_DPCK_MAX];
	enum mcdata_status status = mcdata_derive_dpck(dppk, dppk_len, message->header.dppk_id,
		(enum mcdata_algorithm)message->header.algorithm, dpck);
	if (status != MCDATA_OK)
		return status;
	// One octet more, for there may be none.
	uint8_t *unverified = secmem_malloc(message->ciphertext_len + 1);
	status = unverified ? message_decrypt(message, dpck, unverified) : MCDATA_LIBRARY;
	if (status == MCDATA_OK)
		memcpy(plaintext, unverified, message->ciphertext_len);
	secmem_free(unverified);
	secmem_wipe(dpck, sizeof(dpck));
	return status;
}

size_t mcdata_protected_len(const struct mcdata_header *header, size_t plaintext_len)
{
	if (!algorithm_known(header->algorithm))
		return 0;
	return aad_len((enum mcdata_algorithm)header->algorithm,
		       header->signalling_algorithm != MCDATA_NO_ALGORITHM) +
	       TLV_E_HEAD_LEN + plaintext_len + MCDATA_TAG_LEN;
}

static enum mcdata_status header_check(const struct mcdata_header *header)
{
	if (!algorithm_known(header->algorithm))
		return MCDATA_ALGORITHM;
	if (header->signalling_algorithm != MCDATA_NO_ALGORITHM &&
		!algorithm_known(header->signalling_algorithm))
		return MCDATA_SIGNALLING_ALGORITHM;
	if (!(header->message_type & MCDATA_PROTECTED_BIT))
		return MCDATA_TYPE;
	return header->time <= MCDATA_TIME_MAX ? MCDATA_OK : MCDATA_TIME;
}

// All fields before the IEI; returns where they end.
static uint8_t *header_write(const struct mcdata_header *header, const uint8_t *iv, uint8_t *out)
{
	*out++ = header->message_type;
	out = integer_write(out, TIME_LEN, header->time);
	out = integer_write(out, ID_LEN, header->payload_id);
	*out++ = header->sequence;
	*out++ = header->algorithm;
	if (header->signalling_algorithm != MCDATA_NO_ALGORITHM)
		*out++ = header->signalling_algorithm;
	memcpy(out, iv, algorithms[header->algorithm].iv_len);
	out += algorithms[header->algorithm].iv_len;
	return integer_write(out, ID_LEN, header->dppk_id);
}

// Writes the whole message to out, in the order of its fields.
static bool message_encrypt(const struct mcdata_header *header, const uint8_t *dpck,
	const uint8_t *plaintext, size_t plaintext_len, uint8_t *out)
{
	enum mcdata_algorithm algorithm = (enum mcdata_algorithm)header->algorithm;
	uint8_t iv[MCDATA_IV_MAX];
	if (RAND_bytes(iv, (int)algorithms[algorithm].iv_len) != 1)
		return false;
	uint8_t *payload = header_write(header, iv, out);
	EVP_CIPHER_CTX *ctx = context_make(algorithm, dpck, true, iv, out, (size_t)(payload - out));
	*payload++ = header->iei;
	payload = integer_write(payload, TLV_E_HEAD_LEN - 1, plaintext_len + MCDATA_TAG_LEN);
	uint8_t *tag = payload + plaintext_len;
	int n;
	bool ok = ctx && EVP_CipherUpdate(ctx, payload, &n, plaintext, (int)plaintext_len) &&
		  EVP_CipherFinal_ex(ctx, tag, &n) &&
		  EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, MCDATA_TAG_LEN, tag);
	EVP_CIPHER_CTX_free(ctx);
	return ok;
}

enum mcdata_status mcdata_protect(const struct mcdata_header *header, const uint8_t *dppk,
	size_t dppk_len, const uint8_t *plaintext, size_t plaintext_len, uint8_t *out, size_t room,
	size_t *len)
{
	enum mcdata_status status = header_check(header);
	if (status != MCDATA_OK)
		return status;
	if (plaintext_len > MCDATA_PLAINTEXT_MAX ||
		mcdata_protected_len(header, plaintext_len) > room)
		return MCDATA_ROOM;
	uint8_t dpck[MCDATA_DPCK_MAX];
	status = mcdata_derive_dpck(
		dppk, dppk_len, header->dppk_id, (enum mcdata_algorithm)header->algorithm, dpck);
	if (status != MCDATA_OK)
		return status;
	size_t made_len = mcdata_protected_len(header, plaintext_len);
	uint8_t *made = secmem_malloc(made_len);
	status = MCDATA_LIBRARY;
	if (made && message_encrypt(header, dpck, plaintext, plaintext_len, made)) {
		memcpy(out, made, made_len);
		*len = made_len;
		status = MCDATA_OK;
	}
	secmem_free(made);
	secmem_wipe(dpck, sizeof(dpck));
	return status;
}
