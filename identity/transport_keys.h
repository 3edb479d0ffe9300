// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mikey/kms_xml.h"

// Keys that this relay shares with KMSs (TS 33.180 5.3.3): transport keys, which wrap what comes in documents, and
// integrity keys, which sign them. Kept are those that a document brought, as no client ever sees them; the others
// come with each document. In secret memory. Control thread.

enum {
	TRANSPORT_KEYS_MAX =
		64, // that come with one document, and that are kept: those of the last documents
	TRANSPORT_KEY_ID_MAX = 255,   // octets
	TRANSPORT_KEY_VALUE_MIN = 16, // octets
	TRANSPORT_KEY_VALUE_MAX = 64,
};

struct transport_key {
	char id[TRANSPORT_KEY_ID_MAX + 1];
	char kms[TRANSPORT_KEY_ID_MAX + 1]; // URI of the KMS that gave it; of one that is kept
	uint8_t value[TRANSPORT_KEY_VALUE_MAX];
	size_t len;
};

struct transport_keys {
	struct transport_key keys[TRANSPORT_KEYS_MAX];
	size_t n, next; // next is overwritten when all places are taken
};

struct transport_keys *transport_keys_open(void); // NULL with errno set
void transport_keys_close(struct transport_keys *kept);

// Whether new keys can be kept: false if an id is that of another key, which is in *id then.
bool transport_keys_fit(
	const struct transport_keys *kept, const struct kms_xml *document, const char **id);

// Keeps the new keys of a document, which fit, for the KMS of that URI.
void transport_keys_keep(
	struct transport_keys *kept, const struct kms_xml *document, const char *kms_uri);

// Wipes those that a KMS gave.
void transport_keys_forget(struct transport_keys *kept, const char *kms_uri);
