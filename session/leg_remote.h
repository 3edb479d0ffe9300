// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "session/session_types.h"

// Where packets for a leg go: what is stated and what is learnt are kept apart, in spec.remote and in
// remote. Times are those of clock_now_ms(). Control thread.

// After its spec was replaced; before: the one that it had, NULL: the leg is new. What was learnt stays
// as long as the same remote is stated.
void leg_remote_state(struct session_leg *leg, const struct leg_spec *before, uint64_t now_ms);

// Whether an authentic packet of a protocol (enum srtp_protocol) from addr moves the leg there. muxed: RTCP came from the
// address that it has.
bool leg_remote_follows(const struct session_leg *leg, uint8_t protocol,
	const struct endpoint *addr, bool muxed, uint64_t now_ms);

// It does. The caller binds and publishes the leg anew.
void leg_remote_learn(
	struct session_leg *leg, uint8_t protocol, const struct endpoint *addr, uint64_t now_ms);
