// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdint.h>

// Packet index of a packet whose ROC is not carried: the one nearest to the highest index received,
// RFC 3711 3.3.1 and Appendix A. next is that highest index + 1, 0 if nothing was received, which
// guesses ROC 0. Where the estimate would need a ROC below 0 it is ROC 0.
static inline uint64_t packet_index_estimate(uint64_t next, uint16_t seq)
{
	if (next == 0)
		return seq;
	uint64_t highest = next - 1;
	uint64_t index = (highest & ~UINT64_C(0xffff)) | seq;
	if (index + 0x8000 < highest)
		return index + 0x10000;
	if (index > highest + 0x8000 && index >= 0x10000)
		return index - 0x10000;
	return index;
}
