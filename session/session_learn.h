// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "session/session_types.h"

// What workers report about legs. Control thread.

// A worker says that an authentic packet of a protocol (enum srtp_protocol) of a leg came from addr.
void session_learn(struct sessions *sessions, uint32_t index, uint32_t serial, uint8_t protocol,
	const struct endpoint *addr);
// A leg moves there, as if a packet of that protocol had come from addr, if media can be sent there at all. False: not.
bool session_move(struct sessions *sessions, struct session_leg *leg, uint8_t protocol,
	const struct endpoint *addr);

// A worker reports a stream on a leg.
void session_note_stream(
	struct sessions *sessions, uint32_t index, uint32_t serial, uint32_t stream);

// Takes all streams out of the list of a leg that goes.
void session_forget_streams(struct sessions *sessions, struct session_leg *leg);
