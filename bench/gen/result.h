// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <jansson.h>

#include "bench/gen/run.h"

// The JSON object of a run. before and after are what relay.stats said, or NULL.
json_t *result_show(const struct run *run, const json_t *before, const json_t *after);
