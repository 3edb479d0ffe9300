// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <string.h>

// What a negative result says that came from a driver of DPDK. Some return -1 whatever the cause: that is not EPERM.
static inline const char *driver_error(int error)
{
	return error == -1 ? "DPDK's driver fails" : strerror(-error);
}
