// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdint.h>

// What work is paid with that a packet causes before its tag verified, or by being authentic: see tokens.h.

#define TOKEN_KINDS(_)                                                                             \
	/* name, at once, per second, the same of strangers, of all strangers of a worker */       \
	_(WORK, 64, 64, 64, 64, 256, 4096)      /* derivations, streams that no tag vouches for */ \
	_(ROC, 64, 1000, 64, 64, 64, 1000)      /* second tries with another ROC */                \
	_(REREAD, 512, 1000, 64, 64, 512, 1000) /* trailers that are read the other way */         \
	_(BIRTH, 2048, 128, 2048, 128, 65536, 16384) /* streams that a tag vouches for */

enum token_kind {
#define _(name, ...) TOKEN_##name,
	TOKEN_KINDS(_)
#undef _
		TOKEN_N_KINDS,
};

enum { LEG_TOKENS = 64 }; // TOKEN_WORK at once

// Zeroed memory is a full one.
struct token_bucket {
	uint64_t at; // TSC up to which n is right; 0: never used
	uint32_t n;
};

// Whose account a packet is on, beside that of its leg.
enum leg_side {
	SIDE_OWN,      // it came from the leg's remote address, or from where it says it is heard
	SIDE_STRANGER, // from elsewhere, whether or not it is the client's
	SIDE_N,
};
