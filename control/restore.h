// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdint.h>

#include "control/app.h"

// What an earlier life of the relay recorded comes back, by the code that serves requests: keys, then sessions.

// While workers run and nobody can connect yet. What cannot come back is told in the log, and app->restored counts it.
// Main thread.
void restore(struct app *app);
