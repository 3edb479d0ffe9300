// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "config/config.h"

// The relay from its start to its end: what is opened, given up, run and closed, in this order.

// Until a signal ends it. Returns the exit status.
int startup_run(const struct config *config);
