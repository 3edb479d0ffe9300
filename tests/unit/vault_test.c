// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

// Sealed texts: what comes back is what was put under that name, and what could not be put is not there.

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/sha.h>

#include "base/hex.h"
#include "identity/vault.h"

static struct vault vault;
static char directory[] = "/tmp/vault.XXXXXX";
static unsigned n_taken, n_syncs, syncs_before_failure; // 0: none fails
static char taken[64];

int __real_fsync(int fd);
int __wrap_fsync(int fd);

int __wrap_fsync(int fd)
{
	n_syncs++;
	if (syncs_before_failure == 0 || --syncs_before_failure > 0)
		return __real_fsync(fd);
	errno = EIO;
	return -1;
}

static const char *take(void *arg, const char *text, size_t len)
{
	(void)arg;
	assert_true(len < sizeof(taken));
	memcpy(taken, text, len);
	taken[len] = '\0';
	n_taken++;
	return NULL;
}

static unsigned visit(void)
{
	n_taken = 0;
	vault_visit(&vault, take, NULL);
	return n_taken;
}

static void place_of(const char *name, char place[256])
{
	uint8_t digest[SHA256_DIGEST_LENGTH];
	char text[2 * SHA256_DIGEST_LENGTH + 1];
	SHA256((const uint8_t *)name, strlen(name), digest);
	hex_encode(digest, sizeof(digest), text);
	snprintf(place, 256, "%s/kms/%s", directory, text);
}

static void a_text_comes_back(void **state)
{
	(void)state;
	assert_int_equal(vault_put(&vault, "a", "of a", 4), 0);
	assert_int_equal(vault_put(&vault, "a", "more", 4), -EEXIST);
	assert_int_equal(visit(), 1);
	assert_string_equal(taken, "of a");
	assert_int_equal(vault_remove(&vault, "a"), 0);
	assert_int_equal(visit(), 0);
	assert_int_equal(vault_remove(&vault, "a"), 0);
}

static void a_text_under_another_name_is_refused(void **state)
{
	char ours[256], theirs[256];
	(void)state;
	place_of("a", ours);
	place_of("b", theirs);
	assert_int_equal(vault_put(&vault, "a", "of a", 4), 0);
	assert_int_equal(link(ours, theirs), 0);
	assert_int_equal(visit(), 1);
	assert_int_equal(vault_remove(&vault, "a"), 0);
	assert_int_equal(visit(), 0);
	assert_int_equal(vault_remove(&vault, "b"), 0);
}

// However many there are.
static void what_is_removed_is_synced_once(void **state)
{
	(void)state;
	assert_int_equal(vault_put(&vault, "a", "of a", 4), 0);
	assert_int_equal(vault_put(&vault, "b", "of b", 4), 0);
	n_syncs = 0;
	assert_int_equal(vault_remove(&vault, "a"), 0);
	assert_int_equal(vault_remove(&vault, "b"), 0);
	assert_int_equal(n_syncs, 0);
	assert_int_equal(vault_sync(&vault), 0);
	assert_int_equal(n_syncs, 1);
	syncs_before_failure = 1;
	assert_int_equal(vault_sync(&vault), -EIO);
}

// First the file, then the directory.
static void a_text_that_is_not_on_disk_is_not_there(void **state)
{
	(void)state;
	for (unsigned n = 1; n <= 2; n++) {
		syncs_before_failure = n;
		assert_int_equal(vault_put(&vault, "a", "of a", 4), -EIO);
		assert_int_equal(syncs_before_failure, 0);
		assert_int_equal(visit(), 0);
	}
	assert_int_equal(vault_put(&vault, "a", "of a", 4), 0);
	assert_int_equal(vault_remove(&vault, "a"), 0);
}

static void a_text_is_no_longer_than_what_is_read(void **state)
{
	char *text = calloc(1, VAULT_TEXT_MAX + 1);
	(void)state;
	assert_non_null(text);
	assert_int_equal(vault_put(&vault, "a", text, VAULT_TEXT_MAX + 1), -EFBIG);
	assert_int_equal(visit(), 0);
	free(text);
}

static int begin(void **state)
{
	char path[64], why[VAULT_WHY_SIZE];
	static const uint8_t seal[VAULT_SEAL_LEN] = {1, 2, 3};
	(void)state;
	if (!mkdtemp(directory))
		return -1;
	snprintf(path, sizeof(path), "%s/seal", directory);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	bool ok =
		fd >= 0 && write(fd, seal, sizeof(seal)) == (ssize_t)sizeof(seal) && close(fd) == 0;
	return ok ? vault_open(&vault, directory, path, why) : -1;
}

static int end(void **state)
{
	char path[64];
	(void)state;
	snprintf(path, sizeof(path), "%s/seal", directory);
	unlink(path);
	snprintf(path, sizeof(path), "%s/kms", directory);
	return rmdir(path) == 0 ? rmdir(directory) : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_text_comes_back),
		cmocka_unit_test(a_text_under_another_name_is_refused),
		cmocka_unit_test(what_is_removed_is_synced_once),
		cmocka_unit_test(a_text_that_is_not_on_disk_is_not_there),
		cmocka_unit_test(a_text_is_no_longer_than_what_is_read),
	};
	return cmocka_run_group_tests(tests, begin, end);
}
