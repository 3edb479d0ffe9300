// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "session/session_types.h"

// What a leg does with a key that it names. Control thread.

// Crypto session identifiers of TS 33.180 table E.1.3-1 (SPK, MSCCK, MKFC: see docs) for what a
// client behind a leg with that role sends, and for what it receives.
uint8_t cs_id_receive(enum session_service service, enum key_type type, enum leg_role role);
uint8_t cs_id_send(enum session_service service, enum key_type type, enum leg_role role);

// Profile of a leg: what it states, over the key's.
struct key_profile protection_profile(
	const struct protection_spec *spec, const struct key_slot *key);
