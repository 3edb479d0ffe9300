// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/siphash.h"
#include "dataplane/rtcp_part.h"

// RTCP for the other side of the relay: the same reports under that side's SSRCs, without names of
// senders. Pure functions on memory, any thread.

enum { RTCP_NAME_LEN = 16 }; // octets of a CNAME after translation (RFC 7022 4.2)

// Translates a compound or reduced-size packet (RFC 3550 6, RFC 5506) of len octets at in to out,
// which has room for size octets and does not overlap in. Returns the octets written; 0 if the
// packet is malformed, does not fit or has no part that is listed, and then what is at out means
// nothing.
//
// Every SSRC goes through map, wherever it stands: the tables in rtcp_translate.c list packet types,
// feedback formats and blocks of extended reports, with the RFC beside each. What is not listed is
// left out: packets, blocks, and what a profile puts behind report blocks. SDES keeps a CNAME only,
// replaced by RTCP_NAME_LEN characters that depend on it and on name_key alone. All else stays as it
// is, the body of APP too.
uint16_t rtcp_translate(struct rtcp_translation *translation, const uint8_t *in, size_t len,
	uint8_t *out, size_t size);
