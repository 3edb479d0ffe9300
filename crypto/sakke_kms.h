// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "crypto/sakke.h"

// SAKKE of a KMS itself: its key pair and the keys that it gives. As crypto/sakke.h: constant time,
// no copy of a secret left behind, outputs written only if the status is SAKKE_OK.

// A KMS itself: a random z, which the caller wipes, and Z = [z]P (6.1.1).
enum sakke_status sakke_z_make(uint8_t z[SAKKE_SCALAR_LEN], uint8_t z_point[SAKKE_POINT_LEN]);

// Z of a z that was kept.
enum sakke_status sakke_z_point_make(
	const uint8_t z[SAKKE_SCALAR_LEN], uint8_t z_point[SAKKE_POINT_LEN]);

// RSK = [1 / (b + z)]P of an identifier, as its KMS. The caller wipes it.
enum sakke_status sakke_rsk_make(const uint8_t z[SAKKE_SCALAR_LEN], const uint8_t *id,
	size_t id_len, uint8_t rsk[SAKKE_POINT_LEN]);
