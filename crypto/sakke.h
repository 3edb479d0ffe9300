// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/sakke_hash.h"
#include "crypto/sakke_point.h"

// SAKKE (RFC 6508) with parameter set 1 of RFC 6509 Appendix A: n = 128, SHA-256. Names are the
// RFCs'. Points are uncompressed (04 || x || y), numbers big-endian with leading zeros; a point that
// is off the curve and a coordinate of p or more are refused. An identifier is octets, which are
// hashed as they are and, as a big-endian number, are b.
//
// Computation on the caller's memory, any thread. What depends on z, RSK, SSV, r or w takes constant
// time, and no copy of them is left in freed memory or on the stack, whatever the status. Outputs
// are written only if the status is SAKKE_OK; they do not overlap inputs.

enum {
	SAKKE_SCALAR_LEN = 128,                          // octets, as all of these
	SAKKE_SSV_LEN = 16,                              // n / 8
	SAKKE_SED_LEN = SAKKE_POINT_LEN + SAKKE_SSV_LEN, // R || H
};

#define SAKKE_STATUSES(_)                                                                          \
	_(OK, "ok")                                                                                \
	_(Z, "Z is not a point of order q")                                                        \
	_(ID, "identifier is not 1 to 64 octets, or its user cannot have a key")                   \
	_(RSK, "RSK is not a point of order q")                                                    \
	_(KEY_SET, "RSK is not of this KMS and identifier")                                        \
	_(SCALAR, "z is not in [2, q - 1]")                                                        \
	_(R, "R is not a point of the curve")                                                      \
	_(TEST, "TEST is not R: made for another receiver, period or KMS, or damaged")             \
	_(LIBRARY, "memory, random octets or the library failed")

enum sakke_status {
#define _(name, text) SAKKE_##name,
	SAKKE_STATUSES(_)
#undef _
};

const char *sakke_status_text(enum sakke_status status);

// A KMS as senders know it: Z and a table of it, 72 KiB. All of it is public; it does not change.
struct sakke_kms;

// SAKKE_OK makes *kms, which the caller gives to sakke_kms_free(). NULL may be freed.
enum sakke_status sakke_kms_make(const uint8_t z_point[SAKKE_POINT_LEN], struct sakke_kms **kms);
void sakke_kms_free(struct sakke_kms *kms);

// Encapsulated data (SED) of SSV for an identifier (6.2.1). *short_w tells that w = g^r has leading
// zero octets, which some receivers leave out when they hash it: who draws SSV draws again.
enum sakke_status sakke_encapsulate(const struct sakke_kms *kms, const uint8_t *id, size_t id_len,
	const uint8_t ssv[SAKKE_SSV_LEN], uint8_t sed[SAKKE_SED_LEN], bool *short_w);

// An identity as it receives: RSK as a table of 343 KiB, locked and kept out of core dumps, and a
// public table of [b]P + Z. It does not change, so any number of threads may use it.
struct sakke_receiver;

// SAKKE_OK makes *receiver of an RSK that is valid: <[b]P + Z, RSK> = g (6.1.2). The caller gives
// it to sakke_receiver_free(), which wipes it. NULL may be freed. kms is not needed any more.
enum sakke_status sakke_receiver_make(const struct sakke_kms *kms, const uint8_t *id, size_t id_len,
	const uint8_t rsk[SAKKE_POINT_LEN], struct sakke_receiver **receiver);
void sakke_receiver_free(struct sakke_receiver *receiver);

// SSV of a SED (6.2.2), which the caller wipes. R is computed anew and compared. unpadded_w: if
// that fails and w has leading zero octets, try once more without them; the time then tells that w
// had some, one of 256 times.
enum sakke_status sakke_decapsulate(const struct sakke_receiver *receiver,
	const uint8_t sed[SAKKE_SED_LEN], bool unpadded_w, uint8_t ssv[SAKKE_SSV_LEN]);
