// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "dataplane/audience_types.h"

// In which bin of an audience a class is. Classes with one index space are in one bin, so that a packet
// has its index claimed once for all of them; those that a context of the talker is looked up for are
// in the first. Control thread.

// The class has its variant, and is in no bin.
void bin_join(struct audience *audience, struct audience_class *class);
void bin_leave(struct audience *audience, struct audience_class *class);

// The class has changed: its bin is shown anew.
void bin_touch(struct audience *audience, const struct audience_class *class);

// Has memory freed that only the fan-out refers to, when it is replaced.
void audience_discard(struct audience *audience, void *memory);
