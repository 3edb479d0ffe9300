// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "identity/vault.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include "base/hex.h"
#include "base/log.h"
#include "base/secmem.h"

static const char magic[16] = "mcxrelay-kms-02\n";

enum {
	IV_LEN = 12,
	TAG_LEN = 16,
	AROUND = sizeof(magic) + IV_LEN + TAG_LEN, // a ciphertext
	NAME_LEN = 2 * SHA256_DIGEST_LENGTH,
	PATH_SIZE = 4096 + 128,
};

// --- sealing

// What a text is named by: a file under the name of another one is not taken for it.
static void digest_make(const char *name, char digest[NAME_LEN + 1])
{
	uint8_t octets[SHA256_DIGEST_LENGTH];
	SHA256((const uint8_t *)name, strlen(name), octets);
	hex_encode(octets, sizeof(octets), digest);
}

static bool seal_run(const struct vault *vault, bool encrypt, const char *digest, const uint8_t *iv,
	const uint8_t *in, size_t len, uint8_t *out, uint8_t *tag)
{
	int n;
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	bool ok = ctx &&
		  EVP_CipherInit_ex(ctx, EVP_aes_256_gcm(), NULL, vault->seal, iv, encrypt) == 1 &&
		  EVP_CipherUpdate(ctx, NULL, &n, (const uint8_t *)magic, sizeof(magic)) == 1 &&
		  EVP_CipherUpdate(ctx, NULL, &n, (const uint8_t *)digest, NAME_LEN) == 1 &&
		  EVP_CipherUpdate(ctx, out, &n, in, (int)len) == 1 &&
		  (encrypt || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG_LEN, tag) == 1) &&
		  EVP_CipherFinal_ex(ctx, out + n, &n) == 1 &&
		  (!encrypt || EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG_LEN, tag) == 1);
	EVP_CIPHER_CTX_free(ctx);
	return ok;
}

// --- files

static void path_make(
	const struct vault *vault, const char *digest, const char *end, char path[PATH_SIZE])
{
	snprintf(path, PATH_SIZE, "%s/%s%s", vault->directory, digest, end);
}

int vault_sync(const struct vault *vault)
{
	int fd = open(vault->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	int rc = fsync(fd) == 0 ? 0 : -errno;
	close(fd);
	return rc;
}

// Who has made the file path first writes it; it is in its place as a whole or not at all.
static int file_write(
	const struct vault *vault, const char *digest, const uint8_t *octets, size_t len)
{
	char path[PATH_SIZE], place[PATH_SIZE];
	path_make(vault, digest, ".new", path);
	path_make(vault, digest, "", place);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	int rc = access(place, F_OK) == 0 ? -EEXIST : 0;
	errno = ENOSPC; // what a short write means
	if (rc == 0 && (write(fd, octets, len) != (ssize_t)len || fsync(fd) != 0 ||
			       rename(path, place) != 0))
		rc = -errno;
	if (rc != 0)
		unlink(path);
	close(fd);
	if (rc == 0 && (rc = vault_sync(vault)) != 0)
		unlink(place);
	return rc;
}

int vault_put(const struct vault *vault, const char *name, const char *text, size_t len)
{
	char digest[NAME_LEN + 1];
	if (len > VAULT_TEXT_MAX)
		return -EFBIG;
	uint8_t *octets = secmem_malloc(len + AROUND);
	if (!octets)
		return -ENOMEM;
	digest_make(name, digest);
	uint8_t *iv = octets + sizeof(magic), *sealed = iv + IV_LEN;
	memcpy(octets, magic, sizeof(magic));
	int rc = -EIO;
	if (RAND_bytes(iv, IV_LEN) == 1 &&
		seal_run(vault, true, digest, iv, (const uint8_t *)text, len, sealed, sealed + len))
		rc = file_write(vault, digest, octets, len + AROUND);
	secmem_free(octets);
	return rc;
}

int vault_remove(const struct vault *vault, const char *name)
{
	char digest[NAME_LEN + 1], path[PATH_SIZE];
	digest_make(name, digest);
	path_make(vault, digest, "", path);
	return unlink(path) == 0 || errno == ENOENT ? 0 : -errno;
}

// --- reading

// What is in a file, or NULL with *complaint: *size octets, for secmem_free().
static uint8_t *file_read(int fd, size_t *size, const char **complaint)
{
	struct stat is;
	*complaint = "it is no such file";
	if (fstat(fd, &is) != 0 || is.st_size < AROUND || is.st_size > AROUND + VAULT_TEXT_MAX)
		return NULL;
	*size = (size_t)is.st_size;
	uint8_t *octets = secmem_malloc(*size);
	if (octets && read(fd, octets, *size) == (ssize_t)*size &&
		memcmp(octets, magic, sizeof(magic)) == 0)
		return octets;
	secmem_free(octets);
	return NULL;
}

static const char *file_take(const struct vault *vault, const char *digest, int fd,
	const char *(*take)(void *arg, const char *text, size_t len), void *arg)
{
	size_t size;
	const char *complaint;
	uint8_t *octets = file_read(fd, &size, &complaint);
	if (!octets)
		return complaint;
	size_t len = size - AROUND;
	uint8_t *iv = octets + sizeof(magic), *sealed = iv + IV_LEN;
	char *text = secmem_malloc(len + 1);
	complaint = "it was sealed with another key or under another name, or is damaged";
	if (text && seal_run(vault, false, digest, iv, sealed, len, (uint8_t *)text, sealed + len))
		complaint = take(arg, text, len);
	secmem_free(text);
	secmem_free(octets);
	return complaint;
}

static bool name_ok(const char *name)
{
	return strlen(name) == NAME_LEN && strspn(name, "0123456789abcdef") == NAME_LEN;
}

void vault_visit(const struct vault *vault,
	const char *(*take)(void *arg, const char *text, size_t len), void *arg)
{
	const struct dirent *entry;
	DIR *directory = opendir(vault->directory);
	while (directory && (entry = readdir(directory)) != NULL) {
		char path[PATH_SIZE + sizeof(entry->d_name)];
		snprintf(path, sizeof(path), "%s/%s", vault->directory, entry->d_name);
		if (!name_ok(entry->d_name)) {
			if (entry->d_name[0] != '.') // a write that was cut off
				unlink(path);
			continue;
		}
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		const char *complaint =
			fd >= 0 ? file_take(vault, entry->d_name, fd, take, arg) : strerror(errno);
		if (complaint)
			log_error("kms_not_restored file=%s reason=\"%s\"", path, complaint);
		if (fd >= 0)
			close(fd);
	}
	if (directory)
		closedir(directory);
}

static int seal_read(struct vault *vault, const char *path, char why[VAULT_WHY_SIZE])
{
	uint8_t octets[VAULT_SEAL_LEN + 1];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, octets, sizeof(octets)) : -1;
	int rc = n < 0 ? -errno : n == VAULT_SEAL_LEN ? 0 : -EINVAL;
	if (n < 0)
		snprintf(why, VAULT_WHY_SIZE, "mikey.seal: %s", strerror(-rc));
	else if (rc != 0)
		snprintf(why, VAULT_WHY_SIZE,
			"mikey.seal: the file has %s than 32 octets; accepted: 32",
			n < VAULT_SEAL_LEN ? "less" : "more");
	else
		memcpy(vault->seal, octets, VAULT_SEAL_LEN);
	secmem_wipe(octets, sizeof(octets));
	if (fd >= 0)
		close(fd);
	return rc;
}

int vault_open(struct vault *vault, const char *state_directory, const char *seal_path,
	char why[VAULT_WHY_SIZE])
{
	int rc = seal_read(vault, seal_path, why);
	if (rc != 0)
		return rc;
	if (snprintf(vault->directory, sizeof(vault->directory), "%s/kms", state_directory) >=
			(int)sizeof(vault->directory) ||
		(mkdir(vault->directory, 0700) != 0 && errno != EEXIST)) {
		snprintf(why, VAULT_WHY_SIZE, "kms: %s", strerror(errno));
		return -errno;
	}
	vault->open = true;
	return 0;
}
