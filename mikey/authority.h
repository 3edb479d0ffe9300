// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "mikey/directory.h"
#include "mikey/profile.h"

// Octet by octet, as URIs are hashed.
bool mikey_octets_equal(const struct mikey_octets *a, const struct mikey_octets *b);

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
