// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// SAKKE (RFC 6508, parameter set 1) once more, as plainly as the RFC tells it: OpenSSL's BIGNUM,
// affine points, one inversion a step. Slow, in variable time and careless with secrets: for
// comparison only. Octets as in crypto/sakke.h; input is not checked. A library that fails ends the
// program.

enum { REFERENCE_POINT_LEN = 257, REFERENCE_NUMBER_LEN = 128, REFERENCE_SED_LEN = 273 };

// [scalar]point; false for the point at infinity.
bool sakke_reference_multiply(const uint8_t scalar[REFERENCE_NUMBER_LEN],
	const uint8_t point[REFERENCE_POINT_LEN], uint8_t r[REFERENCE_POINT_LEN]);

// A point with the least x from x_from on.
void sakke_reference_find_point(unsigned x_from, uint8_t r[REFERENCE_POINT_LEN]);

// <C, D> by the loop of RFC 6508 3.2 over the bits of q - 1.
void sakke_reference_pair(const uint8_t c[REFERENCE_POINT_LEN],
	const uint8_t d[REFERENCE_POINT_LEN], uint8_t w[REFERENCE_NUMBER_LEN]);

// SED of an SSV, and w = g^r. unpadded: w is hashed without its leading zero octets.
void sakke_reference_encapsulate(const uint8_t z[REFERENCE_POINT_LEN], const uint8_t *id,
	size_t id_len, const uint8_t ssv[16], bool unpadded, uint8_t sed[REFERENCE_SED_LEN],
	uint8_t w[REFERENCE_NUMBER_LEN]);

// SSV of a SED; false if R is not TEST.
bool sakke_reference_decapsulate(const uint8_t z[REFERENCE_POINT_LEN], const uint8_t *id,
	size_t id_len, const uint8_t rsk[REFERENCE_POINT_LEN], const uint8_t sed[REFERENCE_SED_LEN],
	uint8_t ssv[16]);
