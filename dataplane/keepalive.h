// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// What an endpoint sends to keep the bindings of NATs and firewalls, where it sends no media.

// Whether a datagram is a keepalive: empty (RFC 6263 4.1), a STUN binding request or indication (RFC 6263 4.4; with or
// without the magic cookie, which RFC 3489 does not have), the header of RTP version 0 with an SSRC, alone (RFC 6263 4.5), or one or
// two CR LF (as RFC 5626 3.5.1 has them). None of these is RTP or RTCP.
bool keepalive_is(const uint8_t *data, size_t len);
