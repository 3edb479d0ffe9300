// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stddef.h>
#include <stdint.h>

// What survives the relay, as octets: two numbers above all that may have been used to encrypt
// (invariant 1 of docs/security.md), and the file that they were written to, so that a copy of it
// is known as one. No I/O.

enum {
	STATE_RECORD_LEN = 128, // octets of a record in its file
	STATE_MACHINE_LEN = 16,
};

// Which file it is. A file that was copied or restored is another inode, or was made at another time.
struct state_identity {
	uint64_t inode;
	int64_t born_s;
	uint32_t born_ns;                   // both 0: the file system does not tell
	uint8_t machine[STATE_MACHINE_LEN]; // digest of the machine's id, zeros: it has none
};

struct state_record {
	uint64_t generation; // one more with each pair of writes
	uint8_t ssrc_key
		[32];       // of the permutation of ssrc_source; random, so it names the state, too
	uint32_t ssrc_next; // first counter that no SSRC may have been made of
	uint32_t srtcp_next; // first SRTCP index that no packet may have
	struct state_identity identity;
};

// Which record octets are. STATE_OLD_*: of a version whose two files held one number each, without a
// checksum; only ssrc_key and ssrc_next, or srtcp_next, are set.
enum state_format { STATE_NO_RECORD, STATE_RECORD, STATE_OLD_SSRC, STATE_OLD_SRTCP };

// Returns 0, or -EIO if the library failed.
int state_record_encode(const struct state_record *record, uint8_t out[STATE_RECORD_LEN]);

// Octets of which any bit was changed, or some are missing, are no record.
enum state_format state_record_decode(
	const uint8_t *octets, size_t len, struct state_record *record);
