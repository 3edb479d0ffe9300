// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "mikey/open.h"
#include "tests/unit/mikey_corpus.h"

// The KMSs and identities of the corpus with their keys, and a directory of them. For cmocka: what
// cannot be made fails the test.

enum { KMS_MAX = 8, IDENTITIES_MAX = 16, SETS_MAX = 4 };

// By their names in the corpus.
struct named_kms {
	const char *name;
	struct mikey_kms kms;
	struct mikey_octets gms, mdsi;
	struct sakke_kms *sakke;
};

struct named_identity {
	const char *name;
	const struct named_kms *kms;
	struct mikey_local local;
	struct mikey_key_set sets[SETS_MAX];
	struct sakke_receiver *receivers[SETS_MAX];
};

struct world {
	struct vectors *corpus;
	const struct vector *keys;
	struct named_kms kms[KMS_MAX];
	size_t n_kms;
	struct named_identity identities[IDENTITIES_MAX];
	size_t n_identities;
};

extern struct world world;

// Set-up and tear-down of a group of tests.
int world_open(void **state);
int world_close(void **state);

struct named_kms *kms_named(const char *name);
struct named_identity *identity_named(const char *name);

// All KMSs; of the identities only this one is here.
struct mikey_directory world_directory(struct named_identity *receiver);

struct mikey_octets text_octets(const char *text);

// Whose message it is, by his name.
const char *world_initiator(const struct mikey_opening *opening);
