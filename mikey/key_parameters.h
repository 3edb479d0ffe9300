// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "mikey/profile.h"

// What a message says of its key: general extension 7 (TS 33.180 E.6), an MCData Protected Payload
// (8.5.4) under the key itself. Functions on memory, any thread. Nothing here is secret, but it was
// encrypted: it goes to those who ask for it and into no log.

enum {
	MIKEY_TEXT_MAX = 255,   // octets
	MIKEY_GROUPS_MAX = 255, // E.6.3
};

#define MIKEY_KEY_TIME_MAX ((UINT64_C(1) << 40) - 1)

// Status bits (E.6.9). Others are ignored.
enum { MIKEY_STATUS_NOT_REVOKED = 1 << 0, MIKEY_STATUS_SECURITY_GATEWAY = 1 << 1 };

struct mikey_key_parameters {
	uint8_t key_type; // E.6.11: the values of enum mikey_type
	uint32_t status;
	uint64_t activation; // seconds since 1970-01-01T00:00:00Z; 0: the time of T (E.6.4)
	uint64_t expiry;     // the same; 0: never (E.6.10)
	struct mikey_octets text;
	unsigned n_groups;
	struct mikey_octets groups[MIKEY_GROUPS_MAX]; // MC group IDs: URIs
	// What text and groups point into: malloc()ed. mikey_key_parameters_free()
	uint8_t *octets;
};

// Decrypts and reads the parameters of a decoded message that has some; ssv[ssv_len] is the key that
// it transports. The signature must have been verified: what can be told here of a key that fits is
// told by whoever made it. The key type must be that of the CSB-ID unless any_key_type. False with
// *fault filled in, and nothing to free.
bool mikey_key_parameters_read(const struct mikey_message *message, enum mikey_type type,
	const uint8_t *ssv, size_t ssv_len, bool any_key_type,
	struct mikey_key_parameters *parameters, struct mikey_fault *fault);

// The parameters of a key of this type as they are encrypted (E.6.1), flat; out has room for
// MIKEY_MESSAGE_MAX octets. key_type is that of the type, whatever it is in parameters; group IDs are
// written where E.6.1 NOTE has them. Returns the octets, or 0 if they are more than that, if a text
// or a group ID is none that mikey_key_parameters_read() takes, or if activation is not before
// expiry.
size_t mikey_key_parameters_write(
	const struct mikey_key_parameters *parameters, enum mikey_type type, uint8_t *out);

void mikey_key_parameters_free(struct mikey_key_parameters *parameters);
