// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "session/session_types.h"

// From what a client states to what workers use. Control thread.

// Rate of a leg's RTP timestamps in Hz: as stated, or that of the service's usual codecs.
uint32_t leg_clock_rate(enum session_service service, const struct leg_spec *spec);

// How much a leg may send: as stated, or what its service's may.
struct rate_spec leg_rate_of(const struct session *session, const struct leg_spec *spec);

// A leg as workers see it.
struct leg *leg_build(struct keystore *store, const struct session_leg *leg);
