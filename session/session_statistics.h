// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <jansson.h>

#include "dataplane/worker.h"
#include "session/session_types.h"

// What workers count of a leg. Control thread.

json_t *leg_statistics_show(const struct relay *relay, const struct session_leg *leg);
// Whether anything was counted of it.
bool leg_was_used(const struct relay *relay, uint32_t leg);

// What all workers count of a leg: its packets and octets, and when the last ones were.
struct leg_counters leg_counters_sum(const struct relay *relay, uint32_t leg);
// RTP packets lost, over all streams of the leg.
int64_t leg_lost(const struct relay *relay, const struct session_leg *leg);
