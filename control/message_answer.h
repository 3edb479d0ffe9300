// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "config/config.h"
#include "key/key.h"
#include "mikey/open.h"
#include "server/rpc_error.h"

// What becomes of an opened message. Control thread.

// Its key as key.install would state it. *groups: a new reference to the groups that spec points to,
// NULL: there is no memory for them. spec is in secret memory.
void message_key_spec(const struct mikey_opening *opening, const struct mikey_opened *opened,
	const char *domain, struct key_spec *spec, json_t **groups);

// The result of message.open, without what was done with the key.
json_t *message_answer(const struct mikey_opening *opening, const struct mikey_opened *opened,
	const struct key_spec *spec);

// Tells a client why the message of a request is refused, or what cannot be of one: the member at path.
void message_refuse(const struct mikey_fault *fault, struct rpc_error *error);
void message_refuse_at(const char *path, const struct mikey_fault *fault, struct rpc_error *error);
// The same for a document.
void document_refuse(const char *path, const struct mikey_fault *fault, struct rpc_error *error);
// The same for what only the stores of keys and messages know.
void message_refuse_as(struct rpc_error *error, const char *reason, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

// Whether messages can be dated by the clock of this relay: now is in Unix seconds. RPC_BUSY.
bool message_clock_ok(
	const struct config_mikey *mikey, uint64_t now, const char *path, struct rpc_error *error);
