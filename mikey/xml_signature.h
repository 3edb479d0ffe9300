// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "mikey/document_key.h"
#include "mikey/message.h"
#include "mikey/xml.h"

// XML signatures in the profile of TS 33.180 D.1 and D.4.2: enveloped, over the element that they
// stand in and nothing else, Canonical XML 1.0 without comments, SHA-256, and ECDSA with SHA-256 or
// HMAC with SHA-256. There are no other transforms, references or algorithms to be switched off.
// Functions on memory, any thread.

// Whom to believe.
struct xml_trust {
	const struct mikey_shared_key *keys; // by their KeyName
	size_t n_keys;
	// X.509 certificates, DER. None: what the one in the signature verifies is MIKEY_UNTRUSTED.
	const struct mikey_octets *certificates;
	size_t n_certificates;
};

// What the signature that stands in element, or NULL, is worth. False with *fault filled in, of
// this reason, if it is wrong or is over another element.
bool xml_signature_check(const xmlNode *element, const xmlNode *signature,
	const struct xml_trust *trust, enum mikey_reason reason, enum mikey_signed *result,
	struct mikey_fault *fault);
