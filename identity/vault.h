// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Texts with secrets on disk, each sealed with AES-256-GCM under one key and named by the digest of its
// name, so that neither is told by a file: magic (16) | IV (12) | ciphertext | tag (16). The tag is also of the
// magic and the name of the file. That a file is an old copy of itself is not seen.

enum { VAULT_SEAL_LEN = 32, VAULT_WHY_SIZE = 192, VAULT_TEXT_MAX = 1 << 20 };

// In secret memory: secmem_map().
struct vault {
	char directory[4096];
	uint8_t seal[VAULT_SEAL_LEN];
	bool open;
};

// Makes the directory kms in the state directory if there is none, and reads the key from a file of 32
// octets. 0, or -errno with a sentence in why.
int vault_open(struct vault *vault, const char *state_directory, const char *seal_path,
	char why[VAULT_WHY_SIZE]);

// Writes a text of at most VAULT_TEXT_MAX octets under a name that is not there yet, and returns when it is on
// disk: 0, -EEXIST, -EFBIG or another -errno, and then it is not there. Any thread.
int vault_put(const struct vault *vault, const char *name, const char *text, size_t len);

// Removes what is there under a name: it is gone from disk after vault_sync(). 0 or -errno.
int vault_remove(const struct vault *vault, const char *name);

// Returns when what was removed is gone from disk, some milliseconds and more. 0 or -errno.
int vault_sync(const struct vault *vault);

// Calls take with each text, which is wiped behind it. take returns NULL if it can use it, else what is
// wrong, which goes to the log with the file; so does a file that was not sealed with this key.
void vault_visit(const struct vault *vault,
	const char *(*take)(void *arg, const char *text, size_t len), void *arg);
