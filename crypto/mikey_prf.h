// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stddef.h>
#include <stdint.h>

#include "crypto/srtp_kdf.h"
#include "crypto/suite.h"

enum {
	MIKEY_RAND_MIN = 16, // octets, RFC 3830 6.11 recommends at least this
	MIKEY_RAND_MAX = 64, // octets, the longest RAND that this implementation takes
	MIKEY_TGK_MAX = 64,  // octets
	MIKEY_LABEL_MAX = 4 + 1 + 4 + MIKEY_RAND_MAX,
};

// PRF-HMAC-SHA-256 of MIKEY: RFC 3830 4.1.2 and 4.1.3 with the changes of RFC 6043 6.1. inkey is
// cut into pieces of 256 bits. Returns 0, or -EINVAL for an empty or overlong argument, -EIO if the
// library failed; outkey is wiped then.
int mikey_prf(const uint8_t *inkey, size_t inkey_len, const uint8_t *label, size_t label_len,
	uint8_t *outkey, size_t outkey_len);

// SRTP master key and master salt of one crypto session from a TGK: TEK and salt constants of
// RFC 3830 4.1.3, cs_id of TS 33.180 table E.1.3-1, csb_id in host byte order
// (TS 33.180 7.4.2, 9.4.6). The caller wipes master. Returns as mikey_prf().
int mikey_derive_master(const uint8_t *tgk, size_t tgk_len, uint8_t cs_id, uint32_t csb_id,
	const uint8_t *rand, size_t rand_len, enum srtp_suite suite, struct srtp_master *master);
