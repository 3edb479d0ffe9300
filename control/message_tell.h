// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "mikey/open.h"
#include "server/rpc_error.h"

// What subscribers and counters are told of messages. Control thread.

struct api;

// A message was refused, not a request that makes no sense. opening: as far as it got; sip: whom SIP
// names as its sender, if anybody.
void message_refusal_tell(const struct api *api, const struct mikey_opening *opening,
	const struct mikey_octets *sip, const struct rpc_error *error);
