// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "dataplane/audience_types.h"

// Makes a fan-out of an audience's classes. Variants of bins that have not changed since the fan-out
// before are those that it has. Control thread.

extern struct fanout fanout_empty; // of all that have no receivers; never freed

// The caller owns it, but for the variants of all bins behind the first.
struct fanout *fanout_make(struct audience *audience);
