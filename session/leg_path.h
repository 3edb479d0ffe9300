// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "session/session_types.h"

// What routers and hosts on the way to a leg say of it by ICMP. An MTU is heeded: what is larger is not sent. An
// unreachable address or port is told, and changes nothing: media goes on, and arrives when somebody is there. Control
// thread.

struct news;

enum { LEG_PATH_SECONDS = 600 }; // that a path's MTU holds (RFC 1191 6.3, RFC 8201 5.3)

// Octets of an IP packet that gets to the leg's remote address, as far as is known: no more than its port sends.
uint16_t leg_path_mtu(const struct sessions *sessions, const struct session_leg *leg);

// NEWS_PATH_MTU or NEWS_UNREACHABLE. now: TSC.
void leg_path_hear(struct sessions *sessions, const struct news *news, uint64_t now);

// Raises the notices that are due, and forgets an MTU that is too old. Of the leg of an index. now: TSC.
void leg_path_watch(struct sessions *sessions, uint32_t index, uint64_t now);
