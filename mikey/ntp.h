// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdint.h>

// Seconds from the NTP epoch, 1900, to that of Unix, 1970.
#define MIKEY_NTP_UNIX UINT64_C(2208988800)

// The Unix time, in seconds, of the low 32 bits of an NTP time: in the era that puts it nearest to
// now (RFC 5905 6), which is in Unix seconds.
static inline uint64_t mikey_unix_time(uint32_t ntp_seconds, uint64_t now)
{
	const uint64_t now_ntp = now + MIKEY_NTP_UNIX;
	const int32_t apart = (int32_t)(ntp_seconds - (uint32_t)now_ntp);
	return now + (uint64_t)(int64_t)apart;
}
