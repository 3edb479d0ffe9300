// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>

#include <jansson.h>

#include "bench/gen/calls.h"

// A client of the relay's control socket. Failures are printed.
struct gen_client;

// Connects; NULL if nobody listens. gen_client_close() takes NULL.
struct gen_client *gen_client_open(const char *socket_path);
void gen_client_close(struct gen_client *client);

// Calls a method; takes params, which may be NULL. The result is the caller's; NULL: it failed.
json_t *gen_client_call(struct gen_client *client, const char *method, json_t *params);

// Has the relay know all keys and sessions of the calls, or forget them.
bool gen_client_apply(struct gen_client *client, const struct gen_calls *calls);
bool gen_client_remove(struct gen_client *client, const struct gen_calls *calls);

// Writes the same as files for mcxctl: PREFIX-key.install-N.json, PREFIX-session.apply-N.json.
bool gen_calls_write(const struct gen_calls *calls, const char *prefix);
