// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "key/key.h"

// A key as key.list shows it: never its octets.
json_t *key_show(const struct keystore *store, const struct key_slot *slot);
