// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <jansson.h>

#include "store/store.h"

// Records whose body is a JSON object. Control thread.

// store_put() of a body, whose reference is taken.
void store_put_json(struct store *store, uint32_t *place, const char *name, json_t *body);

// store_read(): a new reference; NULL if the record does not open or is no object, which is told.
json_t *store_read_json(struct store *store, uint32_t place);
