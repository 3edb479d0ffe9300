// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

// Departures of fielded systems from the standard that a KMS may be told to accept, and their names in
// `accept` of the control API and the configuration.

#define MIKEY_QUIRKS(_)                                                                            \
	_(SRTP_ID_MAP, "srtp_id_map")               /* map type 0 */                               \
	_(EMPTY_MAP_ANY_TYPE, "empty_map_any_type") /* no crypto session, and map type 0 */        \
	_(UID_BASE64, "uid_base64")                 /* a hidden identity is base64 (F.2.1) */      \
	_(KMS_DEFAULTS, "kms_defaults")             /* IDRkmsi and IDRkmsr may be missing */       \
	_(UNPADDED_W, "unpadded_w") /* g^r is hashed without leading zero octets */                \
	/* without S type and length */                                                            \
	_(SIGNED_WITHOUT_SIGN_HEADER, "signature_without_sign_header")                             \
	/* key type of E.6.11 against the purpose tag */                                           \
	_(KEY_TYPE_MISMATCH, "key_type_mismatch")                                                  \
	_(STATUS_ZERO_AT_FIRST, "status_zero_at_first") /* a key that is not here has status 0 */

enum {
#define _(name, label) MIKEY_QUIRK_NUMBER_##name,
	MIKEY_QUIRKS(_)
#undef _
		MIKEY_N_QUIRKS
};

enum mikey_quirk {
#define _(name, label) MIKEY_QUIRK_##name = 1 << MIKEY_QUIRK_NUMBER_##name,
	MIKEY_QUIRKS(_)
#undef _
};

// Their names, for sentences.
#define MIKEY_QUIRK_NAMES                                                                          \
	"srtp_id_map, empty_map_any_type, uid_base64, kms_defaults, unpadded_w, "                  \
	"signature_without_sign_header, key_type_mismatch, status_zero_at_first"
