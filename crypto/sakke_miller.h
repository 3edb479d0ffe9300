// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>

#include "crypto/mp1024.h"
#include "crypto/sakke_comb.h"
#include "crypto/sakke_point.h"

// The Tate-Lichtenbaum pairing <R, S> = <S, R> of RFC 6508 3.2 with a fixed S, the RSK: all points
// of its Miller loop over S are known before, so the loop is a table of lines
//
//   y - lambda x + c,  at the image (-x_R, i y_R) of R and divided by y_R:
//   i + lambda x_R / y_R + c / y_R
//
// Factors in F_p, as y_R and the vertical lines, vanish in PF_p. The table is as secret as the RSK,
// constant time wherever it is made or used. No allocation, any thread; temporaries stay on the
// stack.

enum {
	SAKKE_MILLER_DOUBLINGS = 1021,
	SAKKE_MILLER_ADDITIONS = 352,
	SAKKE_MILLER_LINES = SAKKE_MILLER_DOUBLINGS + SAKKE_MILLER_ADDITIONS
};

struct sakke_line {
	struct mp1024 slope;    // lambda
	struct mp1024 constant; // lambda x_T - y_T of a point T on it
};

struct sakke_miller {
	struct sakke_line lines[SAKKE_MILLER_LINES]; // in the order of the loop
};

// Room that making a table takes, the caller's to clear; as secret as the table.
struct sakke_miller_scratch {
	struct mp1024 denominators[SAKKE_MILLER_LINES];
	struct mp1024 products[SAKKE_MILLER_LINES];
};

// False, with the table unspecified, if S does not have order q.
bool sakke_miller_make(struct sakke_miller *table, struct sakke_miller_scratch *scratch,
	const struct sakke_point *s);

// f = <R, S> as an element of PF_p. R is any point with y other than 0.
void sakke_miller_pair(
	struct sakke_fp2 *f, const struct sakke_miller *table, const struct sakke_point *r);
