// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "server/reader.h"

// Functions on params and results that several methods share.

static inline void set_count(json_t *object, const char *name, uint64_t n)
{
	json_object_set_new(object, name, json_integer((json_int_t)n));
}

static inline bool read_nothing(const json_t *params, struct rpc_error *error)
{
	struct reader r;
	reader_open(&r, params, "params", error);
	return reader_close(&r);
}
