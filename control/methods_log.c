// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "control/methods_log.h"

#include "base/log.h"
#include "server/reader.h"

json_t *log_set(void *api, const json_t *params, struct rpc_error *error)
{
	const enum log_level before = log_get_level();
	unsigned level = before;
	struct reader r;
	(void)api;
	reader_open(&r, params, "params", error);
	reader_choice(&r, "level", READER_REQUIRED, log_level_names, &level);
	if (!reader_close(&r))
		return NULL;
	log_set_level((enum log_level)level);
	return json_pack(
		"{s:s,s:s}", "level", log_level_names[level], "before", log_level_names[before]);
}
