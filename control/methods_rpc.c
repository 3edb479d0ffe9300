// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "control/methods_rpc.h"

#include "control/openrpc.h"
#include "control/params.h"

json_t *rpc_discover(void *arg, const json_t *params, struct rpc_error *error)
{
	(void)arg;
	if (!read_nothing(params, error))
		return NULL;
	json_t *document = json_loadb(openrpc_text, openrpc_len, 0, NULL);
	if (!document)
		rpc_fail(error, RPC_INTERNAL_ERROR, NULL, "out of memory");
	return document;
}
