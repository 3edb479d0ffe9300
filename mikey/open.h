// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "mikey/directory.h"
#include "mikey/key_parameters.h"

// Opening an I_MESSAGE (TS 33.180 5.2, 5.4, 5.6 to 5.9) in two steps: first what costs microseconds,
// with what is known of KMSs and identities; then signature and decapsulation, which need nothing
// else and may run in another thread. No clock, no I/O, no state: whether a message was opened
// before, and what becomes of its key, is the caller's to know.

enum { MIKEY_DIGEST_LEN = 32 };

struct mikey_request {
	const uint8_t *octets; // the message, until it is opened
	size_t len;
	uint64_t now;     // seconds since 1970-01-01T00:00:00Z
	uint64_t max_age; // seconds; 0: as old as it may be
	uint64_t ahead;   // seconds
	// Who SIP says that it is from; none: not known. It must agree (5.2.2), and resolves a hidden
	// initiator.
	struct mikey_octets initiator;
};

// A message on its way. Points into the request's octets and into the directory.
struct mikey_opening {
	struct mikey_message message;
	enum mikey_type type;
	struct mikey_profile profile;
	uint64_t time; // of T, seconds since 1970-01-01T00:00:00Z
	uint64_t now;
	const struct mikey_kms *initiator_kms, *receiver_kms;
	struct mikey_octets initiator; // its URI, hidden or not
	uint8_t initiator_uid[MCX_UID_LEN];
	uint64_t initiator_period_no;
	const struct mikey_local *receiver;
	uint64_t receiver_period_no;
	const struct mikey_key_set
		*key_set; // of a receiver whose key sets are derived NULL, until it is filled in
	// SHA-256 of what is signed, by which messages that were opened before are known: not of the
	// signature, which is malleable.
	uint8_t digest[MIKEY_DIGEST_LEN];
	unsigned quirks;   // of enum mikey_quirk, which its KMS accepts
	unsigned departed; // those without which it would not have been read
};

// What came out. The caller gives it to mikey_opened_free(), which wipes the key.
struct mikey_opened {
	uint8_t ssv[SAKKE_SSV_LEN];
	uint32_t key_id; // of a GMK its GMK-ID, else the CSB-ID
	bool has_parameters;
	struct mikey_key_parameters parameters; // if it has some
	bool revoked;                           // status: the key is not to be used
	unsigned departed; // of enum mikey_quirk: without which the key would not have come out
};

// Steps 1 to 6 of opening: decoding, profile, time, KMSs, receiver, initiator and role. False with
// *fault filled in.
bool mikey_open_begin(const struct mikey_request *request, const struct mikey_directory *directory,
	struct mikey_opening *opening, struct mikey_fault *fault);

// Step 8 alone, which needs no key set of the receiver. Any thread.
bool mikey_signature_ok(const struct mikey_opening *opening, struct mikey_fault *fault);

// Steps 8 to 11: the signature (ECCSI), the key (SAKKE), SPIs, key parameters. Any thread, some
// milliseconds. False with *fault filled in, and nothing to free.
bool mikey_open_finish(const struct mikey_opening *opening, struct mikey_opened *opened,
	struct mikey_fault *fault);

void mikey_opened_free(struct mikey_opened *opened);
