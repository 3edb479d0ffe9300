// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "server/rpc.h"
#include "session/session_types.h"

// Why a leg is refused, with the path of its member.

__attribute__((format(printf, 6, 7))) void leg_fail(struct rpc_error *error, enum rpc_code code,
	const char *path, const struct leg_spec *leg, const char *member, const char *format, ...);

#define LOCAL_TWICE "is the local address of two legs; accepted: one leg for each address and port"
#define GROUP_TWICE                                                                                \
	"is the multicast group and port that two legs receive from; accepted: one leg for each"
