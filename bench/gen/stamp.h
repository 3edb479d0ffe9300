// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdint.h>
#include <string.h>

// What mcxgen writes at the begin of each RTP payload, so that it knows its own packet when it
// comes back, under whatever key and SSRC: 24 octets in the order of the machine.
struct stamp {
	uint32_t magic;
	uint32_t stream;
	uint64_t index; // packet index
	uint64_t tsc;   // when the packet was made
};

enum { STAMP_MAGIC = 0x6d637867 };

static inline void stamp_write(uint8_t *payload, uint32_t stream, uint64_t index, uint64_t tsc)
{
	struct stamp stamp = {STAMP_MAGIC, stream, index, tsc};
	memcpy(payload, &stamp, sizeof(stamp));
}
