// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <jansson.h>

#include "server/rpc.h"

// Requests of which several are under way at once.

// The request as text, which the caller frees. Takes over the reference to params.
char *rpc_lab_text(const char *method, json_t *params);

// An answer as the relay wrote it, of which it takes over the memory; the caller releases it.
json_t *rpc_lab_read(char *answer, size_t len);

// A request that has run for one step. Takes over the reference to params.
struct rpc_work *rpc_lab_begin(const struct rpc *rpc, const char *method, json_t *params);

// Runs it to its end. The answer, which the caller releases.
json_t *rpc_lab_end(struct rpc_work *work);
