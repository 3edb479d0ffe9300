// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "dataplane/keepalive.h"

#include <string.h>

#include "crypto/srtp.h"

// RFC 8489 5, 18.2.
enum { STUN_HEADER_LEN = 20, STUN_BINDING_REQUEST = 0x0001, STUN_BINDING_INDICATION = 0x0011 };

static bool stun_is_binding(const uint8_t *data, size_t len)
{
	if (len < STUN_HEADER_LEN || len % 4 != 0)
		return false;
	uint16_t type = srtp_read16(data);
	return (type == STUN_BINDING_REQUEST || type == STUN_BINDING_INDICATION) &&
	       srtp_read16(data + 2) == len - STUN_HEADER_LEN;
}

static bool rtp_is_version_0_header(const uint8_t *data, size_t len)
{
	return len == RTP_HEADER_MIN && data[0] == 0 && rtp_ssrc(data) != 0;
}

static bool crlf_is(const uint8_t *data, size_t len)
{
	static const uint8_t ping[] = {'\r', '\n', '\r', '\n'};
	return (len == 2 || len == sizeof(ping)) && memcmp(data, ping, len) == 0;
}

bool keepalive_is(const uint8_t *data, size_t len)
{
	return len == 0 || crlf_is(data, len) || stun_is_binding(data, len) ||
	       rtp_is_version_0_header(data, len);
}
