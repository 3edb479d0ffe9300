// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

// Frees up to n values of a tree, from its ends on; what others hold as well stays with them. True if that was all: *json
// is NULL then.
bool json_drop(json_t **json, size_t n);
