// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdint.h>

#include "base/endpoint.h"

// Contents of a query for group members, in IGMP as in MLD.

// Protocol version of a querier, as its age.
enum multicast_age {
	MULTICAST_NEWEST, // IGMPv3, MLDv2
	MULTICAST_OLDER,  // IGMPv2, MLDv1
	MULTICAST_OLDEST, // IGMPv1
	MULTICAST_AGES,
};

// A query that was well formed and came as its RFC demands.
struct multicast_query {
	struct endpoint group; // the unspecified address: all groups
	enum multicast_age age;
	uint32_t max_ms;        // within which it is to be answered
	uint32_t n_sources;     // 0: all
	const uint8_t *sources; // n_sources addresses of the group's family
};
