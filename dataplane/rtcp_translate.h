// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/siphash.h"

// RTCP for the other side of the relay: the same reports under that side's SSRCs, and no name of who
// sent them. Pure functions on memory, any thread.

// The SSRC that the other side knows for ssrc (host byte order), which may be ssrc itself. sender:
// the field says who sends (SR, RR, SDES chunk, BYE, APP, feedback, XR, a packet type that is not
// known); otherwise whom a report is about.
typedef uint32_t rtcp_map_ssrc(void *arg, uint32_t ssrc, bool sender);

struct rtcp_translation {
	rtcp_map_ssrc *map;
	void *arg;               // of map
	const uint8_t *name_key; // SIPHASH_KEY_LEN octets: key of the names that replace CNAMEs
};

enum { RTCP_NAME_LEN = 16 }; // octets of a CNAME after translation (RFC 7022 4.2)

// Translates a compound or reduced-size packet (RFC 3550 6, RFC 5506) of len octets at in to out,
// which has room for size octets and does not overlap in. Returns the octets written; 0 if the
// packet is malformed or does not fit, and then what is at out means nothing.
//
// Every SSRC of SR, RR, SDES, BYE, APP (RFC 3550 6.4 to 6.7), feedback with FIR, TMMBR, TMMBN, TSTR and
// TSTN entries (RFC 4585 6.1, RFC 5104 4.2, 4.3) and XR (RFC 3611 4) goes through map, and the first one
// of other packet types. SDES keeps a CNAME only, replaced by RTCP_NAME_LEN characters that
// depend on it and on name_key alone. All else stays as it is, the body of APP too.
uint16_t rtcp_translate(const struct rtcp_translation *translation, const uint8_t *in, size_t len,
	uint8_t *out, size_t size);
