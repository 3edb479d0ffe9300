// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "mikey/directory.h"
#include "mikey/profile.h"

// Octet by octet, as URIs are hashed.
bool mikey_octets_equal(const struct mikey_octets *a, const struct mikey_octets *b);

// Whether a KMS is neither revoked nor out of its time. False with *fault filled in: what names it, octet is where.
bool mikey_kms_usable(const struct mikey_kms *kms, uint64_t time, const char *what, size_t octet,
	struct mikey_fault *fault);

// What somebody under a KMS is to a message of this type.
enum mikey_role mikey_role_of(
	const struct mikey_kms *kms, const struct mikey_octets *uri, enum mikey_type type);

// A key on its way: who sends it to whom.
struct mikey_delivery {
	enum mikey_type type;
	const struct mikey_kms *kms; // of the initiator
	struct mikey_octets initiator;
	enum mikey_role receiver;
};

// Whether this initiator may send this kind of key to this receiver (TS 33.180 5.4, 5.6 to 5.9,
// 11.1.2.2, Annex H, L.4). False with *fault filled in.
bool mikey_authority_ok(const struct mikey_delivery *delivery, struct mikey_fault *fault);
