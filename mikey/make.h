// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "crypto/eccsi.h"
#include "crypto/sakke.h"
#include "mikey/key_parameters.h"

// Making an I_MESSAGE (TS 33.180 Annex E, RFC 6509 4.1). Functions on memory without state or clock,
// any thread; what is random is drawn here.

// Who signs: the initiator's key set of the period of time.
struct mikey_signer {
	struct eccsi_signer id; // KPAK of its KMS, and its UID
	const uint8_t *ssk;     // [ECCSI_SCALAR_LEN], a secret of the caller
	const uint8_t *pvt;     // [ECCSI_POINT_LEN]
};

// A party as the message names it.
struct mikey_named {
	struct mikey_octets uri;     // 1 to MIKEY_ID_MAX octets
	struct mikey_octets kms_uri; // the same
	const uint8_t *uid;          // [MIKEY_UID_LEN], in the period of time
	bool hidden;                 // the UID stands for the URI (E.7)
};

struct mikey_letter {
	enum mikey_type type;
	uint32_t key_id;     // with the purpose tag of the type
	const uint8_t *ssv;  // [SAKKE_SSV_LEN]: the key, a secret of the caller
	const uint8_t *rand; // [rand_len]: of one GMK the same to all (5.2.3)
	size_t rand_len;     // MIKEY_RAND_MIN to MIKEY_RAND_MAX
	uint64_t time;       // seconds since 1970-01-01T00:00:00Z
	struct mikey_named initiator, receiver;
	const struct sakke_kms *receiver_kms;  // for whom the key is encapsulated
	const struct sakke_kms *initiator_kms; // SAKKE-to-self (E.5); NULL: none
	// Of enum mikey_service: whose crypto sessions are named, with the MKI of their packets as SPI. 0: none is.
	unsigned services;
	uint8_t mki_len;              // octets: 0, 4, or of a GMK 8
	struct mikey_profile profile; // the default of the type is written for crypto sessions only
	const struct mikey_key_parameters *parameters; // NULL: none
	uint8_t signalling_algorithm; // with parameters: of enum mcdata_algorithm, or MCDATA_NO_ALGORITHM (5.8.1)
};

// Writes the message of *len octets into out[room]; MIKEY_MESSAGE_MAX is always enough. *csb_id: of
// a GMK the receiver's GUK-ID, else the key id. *short_w: g^r of the encapsulation has leading zero
// octets, which some receivers leave out: of a new key another one is better drawn. False with
// *fault filled in; out is then undefined.
bool mikey_make(const struct mikey_letter *letter, const struct mikey_signer *signer, uint8_t *out,
	size_t room, size_t *len, uint32_t *csb_id, bool *short_w, struct mikey_fault *fault);
