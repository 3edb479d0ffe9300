// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stdint.h>

// The packet index of RTP under a key: a guess, which the tag confirms (RFC 3711 3.3.1). It is made for a whole group of
// packets before any of their tags is verified, and once more for those whose tag did not match after the ones before
// them were verified: so a group is heard as its packets are one by one.

struct packet;
struct worker;

// Fills in the packet's index and second_index, from what is known of its stream and what it carries. A carried ROC is
// a hint: who is in sync ignores it (RFC 4771 2.1), unless the tag says otherwise (stage_unprotect).
void index_guess(const struct worker *worker, struct packet *p);

// For a packet whose tag did not match: whether its sender's packets of the same group that came before and whose tags
// verified, n of them at most, or the stream as it is by now tell another index than the one that was tried. It is the
// packet's then.
bool index_guess_again(
	const struct worker *worker, struct packet *p, struct packet *const before[], uint16_t n);
