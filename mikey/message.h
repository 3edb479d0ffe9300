// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mikey_quirk.h"
#include "crypto/mikey_prf.h"
#include "mikey/fault.h"

// The I_MESSAGE of MIKEY-SAKKE (RFC 3830 6, RFC 6043 6, RFC 6509 4, TS 33.180 Annex E) as octets:
// reading it. Functions on memory without state, clock or secret, any thread. Nothing that is read
// here is authentic before the signature was verified over signed_len octets.

enum {
	MIKEY_MESSAGE_MAX = 8192,  // octets
	MIKEY_CS_MAX = 16,         // crypto sessions of a message
	MIKEY_POLICIES_MAX = 8,    // SP payloads of a message
	MIKEY_PLACES_MAX = 32,     // payloads whose place is noted
	MIKEY_ID_MAX = 255,        // octets of a URI
	MIKEY_UID_LEN = 32,        // octets of a hidden identity (TS 33.180 E.7)
	MIKEY_SED_LEN = 273,       // octets of SAKKE encapsulated data for a key of 16 (RFC 6508 4)
	MIKEY_SIGNATURE_LEN = 129, // octets: r, s and PVT of ECCSI on P-256 (RFC 6507 3.3)
};

// Payload types (RFC 3830 6.1, RFC 6043 6.1, RFC 6509 4.2) that an I_MESSAGE has.
enum mikey_payload {
	MIKEY_LAST = 0,
	MIKEY_SIGN = 4,
	MIKEY_T = 5,
	MIKEY_SP = 10,
	MIKEY_RAND = 11,
	MIKEY_IDR = 14,
	MIKEY_EXTENSION = 21,
	MIKEY_SAKKE = 26,
};

// Types of general extensions (RFC 3830 6.15, TS 33.180 E.5, E.6).
enum { MIKEY_EXTENSION_SAKKE_TO_SELF = 6, MIKEY_EXTENSION_KEY_PARAMETERS = 7 };

// CS ID map types (RFC 3830 6.1.1, RFC 6043 6.1.1).
enum mikey_map_type { MIKEY_MAP_SRTP_ID = 0, MIKEY_MAP_EMPTY = 1, MIKEY_MAP_GENERIC_ID = 2 };

// Octets of the message; NULL if it has none such.
struct mikey_octets {
	const uint8_t *octets;
	size_t len;
};

// Whether octets are a URI as messages have it: 1 to MIKEY_ID_MAX octets of UTF-8 without NUL.
bool mikey_uri_ok(const struct mikey_octets *uri);

// Who, in the order in which they are written.
enum mikey_party {
	MIKEY_INITIATOR,
	MIKEY_RECEIVER,
	MIKEY_INITIATOR_KMS,
	MIKEY_RECEIVER_KMS,
	MIKEY_N_PARTIES
};

// "IDRi", "IDRr", "IDRkmsi", "IDRkmsr".
const char *mikey_party_name(enum mikey_party party);

struct mikey_identity {
	struct mikey_octets value; // URI; if hidden the UID, or its base64
	bool hidden;               // IDRuidi, IDRuidr: a UID (TS 33.180 5.2.6)
	bool assumed;              // it is not in the message
};

// One crypto session of a GENERIC-ID map (RFC 6043 6.1.1), or of an SRTP-ID map by its position.
struct mikey_cs {
	uint8_t id;
	uint8_t protocol;                 // 0: SRTP
	uint8_t policy;                   // number of its SP
	uint8_t n_policies;               // 1
	bool s;                           // session data holds ROC and SEQ, too
	struct mikey_octets session_data; // SSRC, or SSRC, ROC and SEQ, or nothing
	struct mikey_octets spi;          // the MKI; none with an SRTP-ID map
};

// A security policy: type, length and value of its parameters lie whole behind each other.
struct mikey_policy {
	uint8_t number;
	uint8_t protocol; // 0: SRTP
	struct mikey_octets parameters;
};

// Where a payload begins.
struct mikey_place {
	uint8_t type; // enum mikey_payload
	uint16_t octet;
};

// A message that was read. It points into the caller's octets.
struct mikey_message {
	struct mikey_octets whole;
	uint32_t csb_id;
	uint8_t map_type; // enum mikey_map_type
	uint8_t n_cs;     // of the header: with an empty map 0
	uint8_t n_policies;
	struct mikey_cs cs[MIKEY_CS_MAX];
	struct mikey_policy policies[MIKEY_POLICIES_MAX];
	uint32_t ntp_seconds;  // of T, modulo 2^32
	uint32_t ntp_fraction; // of T, in 2^-32 seconds
	struct mikey_octets rand;
	struct mikey_identity parties[MIKEY_N_PARTIES];
	struct mikey_octets sed;            // MIKEY_SED_LEN octets
	struct mikey_octets to_self;        // data of general extension 6, not examined
	struct mikey_octets key_parameters; // data of general extension 7, not examined
	// Behind the header, in their order; only the first ones of a message that has more.
	uint8_t n_places;
	struct mikey_place places[MIKEY_PLACES_MAX];
	size_t signed_len;        // octets from the start that the signature covers (RFC 6509 4.1)
	const uint8_t *signature; // MIKEY_SIGNATURE_LEN octets
};

// Reads a message of len octets, which stay the caller's and are pointed to. Payloads come in any
// order, each but SP and unknown general extensions once, SIGN last (TS 33.180 E.1.2). quirks: of
// enum mikey_quirk. False with *fault filled in; *message is then undefined.
bool mikey_decode(const uint8_t *octets, size_t len, unsigned quirks, struct mikey_message *message,
	struct mikey_fault *fault);
