// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "control/install_kind.h"

json_t *rejected_show(size_t index, const struct rpc_error *error)
{
	return json_pack("{s:I,s:i,s:s,s:o}", "index", (json_int_t)index, "code", error->code,
		"message", error->message, "data", rpc_error_data(error));
}
