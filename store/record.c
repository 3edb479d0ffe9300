// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "store/record.h"

#include <string.h>

#include <openssl/evp.h>
#include <openssl/rand.h>

#include "base/secmem.h"

enum { IV_LEN = 12 };

// What is at which octet of a record.
enum {
	AT_NAME_LEN = 4,
	AT_BODY_LEN = 8,
	AT_VERSION = 12,
	AT_WRAPPED = 20,
	AT_IV = AT_WRAPPED + RECORD_WRAPPED_LEN,
};

static const uint8_t magic[4] = "MCR1";

struct record_sealer {
	uint8_t cluster_key[RECORD_KEY_LEN];
	uint8_t wrapped[RECORD_WRAPPED_LEN]; // the data key of this process
	uint64_t n_sealed;
	EVP_CIPHER_CTX *seal;                     // has the data key
	uint8_t wrapped_last[RECORD_WRAPPED_LEN]; // of the record that was opened last
	EVP_CIPHER_CTX *open;                     // has its data key; valid if has_last
	bool has_last;
};

static void put(uint8_t *out, unsigned octets, uint64_t value)
{
	while (octets-- > 0) {
		out[octets] = (uint8_t)value;
		value >>= 8;
	}
}

static uint64_t get(const uint8_t *in, unsigned octets)
{
	uint64_t value = 0;
	for (unsigned i = 0; i < octets; i++)
		value = value << 8 | in[i];
	return value;
}

const char *record_finding_text(enum record_finding finding)
{
	static const char *const texts[] = {
		[RECORD_GOOD] = "is good",
		[RECORD_CUT] = "was cut off, or is no record",
		[RECORD_FOREIGN] = "was sealed under another cluster key",
		[RECORD_DAMAGED] = "was changed, or is another record's",
		[RECORD_NO_MEMORY] = "finds no memory",
	};
	return texts[finding];
}

// --- keys

// Wraps the key at in, or unwraps it: RECORD_WRAPPED_LEN octets on one side, RECORD_KEY_LEN on the other.
static bool wrap_run(const uint8_t *cluster_key, bool wrap, const uint8_t *in, uint8_t *out)
{
	uint8_t room[RECORD_WRAPPED_LEN + 8]; // OpenSSL may write a block more
	const int in_len = wrap ? RECORD_KEY_LEN : RECORD_WRAPPED_LEN;
	const int out_len = wrap ? RECORD_WRAPPED_LEN : RECORD_KEY_LEN;
	int n = -1;
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	if (!ctx)
		return false;
	EVP_CIPHER_CTX_set_flags(ctx, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
	bool ok = EVP_CipherInit_ex(ctx, EVP_aes_256_wrap(), NULL, cluster_key, NULL, wrap) == 1 &&
		  EVP_CipherUpdate(ctx, room, &n, in, in_len) == 1 && n == out_len;
	if (ok)
		memcpy(out, room, (size_t)out_len);
	EVP_CIPHER_CTX_free(ctx);
	secmem_wipe(room, sizeof(room));
	return ok;
}

static bool sealer_begin(struct record_sealer *sealer)
{
	uint8_t key[RECORD_KEY_LEN];
	bool ok = sealer->seal && sealer->open && RAND_priv_bytes(key, sizeof(key)) == 1 &&
		  wrap_run(sealer->cluster_key, true, key, sealer->wrapped) &&
		  EVP_EncryptInit_ex(sealer->seal, EVP_aes_256_gcm(), NULL, key, NULL) == 1;
	secmem_wipe(key, sizeof(key));
	return ok;
}

struct record_sealer *record_sealer_new(const uint8_t cluster_key[RECORD_KEY_LEN])
{
	struct record_sealer *sealer = secmem_malloc(sizeof(*sealer));
	if (!sealer)
		return NULL;
	*sealer =
		(struct record_sealer){.seal = EVP_CIPHER_CTX_new(), .open = EVP_CIPHER_CTX_new()};
	memcpy(sealer->cluster_key, cluster_key, RECORD_KEY_LEN);
	if (sealer_begin(sealer))
		return sealer;
	record_sealer_free(sealer);
	return NULL;
}

void record_sealer_free(struct record_sealer *sealer)
{
	if (!sealer)
		return;
	EVP_CIPHER_CTX_free(sealer->seal);
	EVP_CIPHER_CTX_free(sealer->open);
	secmem_free(sealer);
}

// --- sealing

bool record_seal(struct record_sealer *sealer, const char *name, uint64_t version, const void *body,
	size_t body_len, uint8_t *out)
{
	const size_t name_len = strlen(name);
	uint8_t *ciphertext = out + RECORD_HEAD_LEN + name_len;
	int n;
	if (name_len == 0 || name_len > RECORD_NAME_MAX || body_len > RECORD_BODY_MAX)
		return false;
	memset(out, 0, RECORD_HEAD_LEN);
	memcpy(out, magic, sizeof(magic));
	put(out + AT_NAME_LEN, 2, name_len);
	put(out + AT_BODY_LEN, 4, body_len);
	put(out + AT_VERSION, 8, version);
	memcpy(out + AT_WRAPPED, sealer->wrapped, RECORD_WRAPPED_LEN);
	put(out + AT_IV, IV_LEN, ++sealer->n_sealed);
	// NOLINTNEXTLINE(bugprone-not-null-terminated-result): no string there
	memcpy(out + RECORD_HEAD_LEN, name, name_len);
	return EVP_EncryptInit_ex(sealer->seal, NULL, NULL, NULL, out + AT_IV) == 1 &&
	       EVP_EncryptUpdate(sealer->seal, NULL, &n, out, (int)(RECORD_HEAD_LEN + name_len)) ==
		       1 &&
	       EVP_EncryptUpdate(sealer->seal, ciphertext, &n, body, (int)body_len) == 1 &&
	       EVP_EncryptFinal_ex(sealer->seal, ciphertext + body_len, &n) == 1 &&
	       EVP_CIPHER_CTX_ctrl(sealer->seal, EVP_CTRL_AEAD_GET_TAG, RECORD_TAG_LEN,
		       ciphertext + body_len) == 1;
}

// --- opening

bool record_peek(const uint8_t *octets, size_t len, struct record *record)
{
	if (len < RECORD_HEAD_LEN || memcmp(octets, magic, sizeof(magic)) != 0)
		return false;
	*record = (struct record){
		.name = (const char *)octets + RECORD_HEAD_LEN,
		.name_len = (uint16_t)get(octets + AT_NAME_LEN, 2),
		.version = get(octets + AT_VERSION, 8),
		.body_len = get(octets + AT_BODY_LEN, 4),
	};
	return record->name_len > 0 && record->name_len <= RECORD_NAME_MAX &&
	       record->body_len <= RECORD_BODY_MAX &&
	       len == record_sealed_len(record->name_len, record->body_len) &&
	       !memchr(record->name, '\0', record->name_len);
}

// Records that one process sealed have the same data key: it is unwrapped once for all that follow each other.
static bool data_key_take(struct record_sealer *sealer, const uint8_t *wrapped)
{
	uint8_t key[RECORD_KEY_LEN];
	if (sealer->has_last && memcmp(sealer->wrapped_last, wrapped, RECORD_WRAPPED_LEN) == 0)
		return true;
	sealer->has_last =
		wrap_run(sealer->cluster_key, false, wrapped, key) &&
		EVP_DecryptInit_ex(sealer->open, EVP_aes_256_gcm(), NULL, key, NULL) == 1;
	if (sealer->has_last)
		memcpy(sealer->wrapped_last, wrapped, RECORD_WRAPPED_LEN);
	secmem_wipe(key, sizeof(key));
	return sealer->has_last;
}

static bool ciphertext_open(
	EVP_CIPHER_CTX *ctx, const uint8_t *octets, const struct record *record, uint8_t *body)
{
	const size_t head_len = RECORD_HEAD_LEN + (size_t)record->name_len;
	uint8_t tag[RECORD_TAG_LEN];
	int n;
	memcpy(tag, octets + head_len + record->body_len, sizeof(tag));
	return EVP_DecryptInit_ex(ctx, NULL, NULL, NULL, octets + AT_IV) == 1 &&
	       EVP_DecryptUpdate(ctx, NULL, &n, octets, (int)head_len) == 1 &&
	       EVP_DecryptUpdate(ctx, body, &n, octets + head_len, (int)record->body_len) == 1 &&
	       EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, RECORD_TAG_LEN, tag) == 1 &&
	       EVP_DecryptFinal_ex(ctx, body + record->body_len, &n) == 1;
}

enum record_finding record_open(struct record_sealer *sealer, const uint8_t *octets, size_t len,
	struct record *record, char **body)
{
	*body = NULL;
	if (!record_peek(octets, len, record))
		return RECORD_CUT;
	if (!data_key_take(sealer, octets + AT_WRAPPED))
		return RECORD_FOREIGN;
	char *text = secmem_malloc(record->body_len + 1);
	if (!text)
		return RECORD_NO_MEMORY;
	if (!ciphertext_open(sealer->open, octets, record, (uint8_t *)text)) {
		secmem_free(text);
		return RECORD_DAMAGED;
	}
	text[record->body_len] = '\0';
	*body = text;
	return RECORD_GOOD;
}
