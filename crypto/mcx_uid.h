// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stddef.h>
#include <stdint.h>

// The MIKEY-SAKKE UID of TS 33.180 F.2.1, under which a KMS gives a key set to a user for one key
// period. Pure computation on the caller's memory, any thread; nothing here is secret.

enum {
	MCX_UID_LEN = 32,         // octets
	MCX_UID_URI_MAX = 255,    // octets of an identifier and of a KMS identifier
	MCX_UID_PERIOD_MIN = 3600 // seconds, the shortest key period that is taken
};

#define MCX_UID_STATUSES(_)                                                                        \
	_(OK, "ok")                                                                                \
	_(IDENTITY, "identifier is not 1 to 255 octets without NUL")                               \
	_(KMS, "KMS identifier is not 1 to 255 octets without NUL")                                \
	_(PERIOD, "key period is shorter than 3,600 seconds")                                      \
	_(OFFSET, "key period offset is not less than the key period")                             \
	_(TIME, "time is before the first key period")                                             \
	_(LIBRARY, "SHA-256 failed")

enum mcx_uid_status {
#define _(name, text) MCX_UID_##name,
	MCX_UID_STATUSES(_)
#undef _
};

const char *mcx_uid_status_text(enum mcx_uid_status status);

// What a UID is the hash of: P1 to P5. Identifiers are octets as they stand in IDR payloads; they
// are hashed as they are, never normalised, and stay the caller's.
struct mcx_uid_input {
	const void *identity; // MC service user ID, or identity of a GMS or MCX server
	size_t identity_len;
	const void *kms; // KmsUri of the certificate
	size_t kms_len;
	uint32_t period;    // UserKeyPeriod, seconds
	uint32_t offset;    // UserKeyOffset, seconds after 0h on 1 January 1900, less than period
	uint64_t period_no; // of mcx_uid_period_no()
};

// UID = SHA-256(00 || P0 || L0 .. P5 || L5) (F.2.1), with integers as the fewest big-endian octets
// (TS 33.220 B.2). uid is written only if the status is MCX_UID_OK.
enum mcx_uid_status mcx_uid(const struct mcx_uid_input *input, uint8_t uid[MCX_UID_LEN]);

// Number of the key period at ntp_seconds, which count from 1900 across eras: floor((TIME - P4) /
// P3). period_no is written only if the status is MCX_UID_OK.
enum mcx_uid_status mcx_uid_period_no(
	uint32_t period, uint32_t offset, uint64_t ntp_seconds, uint64_t *period_no);
