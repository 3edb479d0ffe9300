// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "control/clock_sync.h"

#include <errno.h>
#include <sys/timex.h>

int clock_sync_open(void)
{
	struct timex timex = {.modes = 0};
	return adjtimex(&timex) >= 0 ? 0 : -errno;
}

bool clock_sync_ok(const char *path, struct rpc_error *error)
{
	struct timex timex = {.modes = 0};
	int state = adjtimex(&timex);
	if (state >= 0 && !(timex.status & STA_UNSYNC))
		return true;
	rpc_fail(error, RPC_BUSY, path,
		"cannot be dated: the clock of this relay is not synchronised, which "
		"mikey.require_sync asks for; accepted: later, when it is");
	return false;
}
