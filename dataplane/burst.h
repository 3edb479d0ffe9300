// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdint.h>

#include "dataplane/drop.h"
#include "dataplane/key_table.h"

// Where the frames of a burst come from when the stages get them.

enum burst_source {
	BURST_RECEIVED,    // from a port
	BURST_HELD,        // they waited here for a key context
	BURST_HANDED_OVER, // from the worker that received them
};

struct burst_origin {
	uint8_t source; // enum burst_source
	// BURST_HELD: the context that they waited for, and DROP_NONE or why it does not exist
	enum drop_reason refused;
	struct key_name name;
};
