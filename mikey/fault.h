// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stddef.h>

// Why a MIKEY-SAKKE I_MESSAGE or a document of a KMS is refused: a word that callers compare, and a sentence for people.
// Plain memory, any thread.

// Of a message with several faults the one that was met first is told.
#define MIKEY_REASONS(_)                                                                           \
	_(NONE, "none")                                                                            \
	_(MALFORMED, "malformed")                                                                  \
	_(TRAILING_OCTETS, "trailing-octets")                                                      \
	_(VERSION, "version")                                                                      \
	_(DATA_TYPE, "data-type")                                                                  \
	_(HEADER, "header")                                                                        \
	_(PRF, "prf")                                                                              \
	_(TIMESTAMP_TYPE, "timestamp-type")                                                        \
	_(SIGN_TYPE, "sign-type")                                                                  \
	_(SIGN_LENGTH, "sign-length")                                                              \
	_(RAND_LENGTH, "rand-length")                                                              \
	_(ID_SCHEME, "id-scheme")                                                                  \
	_(SAKKE_PARAMS, "sakke-params")                                                            \
	_(KEY_LENGTH, "key-length")                                                                \
	_(MISSING_PAYLOAD, "missing-payload")                                                      \
	_(DUPLICATE_PAYLOAD, "duplicate-payload")                                                  \
	_(UNEXPECTED_PAYLOAD, "unexpected-payload")                                                \
	_(UNKNOWN_PAYLOAD, "unknown-payload")                                                      \
	_(ID_ROLE, "id-role")                                                                      \
	_(ID_TYPE, "id-type")                                                                      \
	_(ID_VALUE, "id-value")                                                                    \
	_(CS_MAP, "cs-map")                                                                        \
	_(PROFILE, "profile")                                                                      \
	_(PURPOSE_TAG, "purpose-tag")                                                              \
	_(KEY_PARAMETERS, "key-parameters")                                                        \
	_(KEY_TYPE, "key-type")                                                                    \
	_(TIMESTAMP_OLD, "timestamp-old")                                                          \
	_(TIMESTAMP_FUTURE, "timestamp-future")                                                    \
	_(UNKNOWN_KMS, "unknown-kms")                                                              \
	_(KMS_REVOKED, "kms-revoked")                                                              \
	_(KMS_NOT_VALID, "kms-not-valid")                                                          \
	_(NOT_FOR_US, "not-for-us")                                                                \
	_(NO_KEY_MATERIAL, "no-key-material")                                                      \
	_(INITIATOR_OTHER, "initiator")                                                            \
	_(INITIATOR_HIDDEN, "initiator-hidden")                                                    \
	_(NOT_AUTHORIZED, "not-authorized")                                                        \
	_(SIGNATURE, "signature")                                                                  \
	_(SAKKE_DATA, "sakke")                                                                     \
	_(SPI, "spi")                                                                              \
	_(KEY_EXPIRED, "key-expired")                                                              \
	_(XML_ELEMENT, "xml-element")                                                              \
	_(XML_VALUE, "xml-value")                                                                  \
	_(TRANSPORT_KEY, "transport-key")                                                          \
	_(NO_COMMON_KMS, "no-common-kms")                                                          \
	_(KRR_DEPTH, "krr-depth")                                                                  \
	_(KRR_SIGNATURE, "krr-signature")                                                          \
	_(KRR_POLICY, "krr-policy")

enum mikey_reason {
#define _(name, slug) MIKEY_##name,
	MIKEY_REASONS(_)
#undef _
};

// "malformed" and so on.
const char *mikey_reason_slug(enum mikey_reason reason);

// Owned by the caller; written only by what fails. Nothing in it depends on a secret.
struct mikey_fault {
	enum mikey_reason reason;
	size_t octet;   // of the message, from 0: where the fault was found, if one can be named
	char text[320]; // what was wrong and what is accepted, in UTF-8; without a full stop
};

// Fills in the fault. Returns false, for "return mikey_fail(...)".
bool mikey_fail(struct mikey_fault *fault, enum mikey_reason reason, size_t octet,
	const char *format, ...) __attribute__((format(printf, 4, 5)));
