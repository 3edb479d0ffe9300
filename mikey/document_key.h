// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stddef.h>
#include <stdint.h>

// Who signs documents, and what becomes of signatures.

// A key that a KMS shares with whom it gives keys to: a transport key, which wraps keys, or an
// integrity key (TS 33.180 5.3.3).
struct mikey_shared_key {
	const char *id;       // TrK-ID or InK-ID
	const uint8_t *value; // [len], a secret of its owner
	size_t len;           // 16 to 64 octets; what wraps keys has 32
};

// A private key on an elliptic curve and the X.509 certificate of its public key, PEM.
struct mikey_certified_key {
	const char *key; // a secret of its owner
	const char *certificate;
};

// What is known of the signature of a document.
enum mikey_signed {
	MIKEY_UNSIGNED,   // there is none, or none that covers what it stands in
	MIKEY_UNVERIFIED, // there is one, by a key or an algorithm that is not known
	MIKEY_UNTRUSTED,  // it verifies under the certificate in it, which anybody may have made
	MIKEY_VERIFIED    // under a key or a certificate that the caller trusts
};
