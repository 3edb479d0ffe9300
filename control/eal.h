// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "config/config.h"

// The environment abstraction layer of DPDK, set up as configured.

// The crypto device that the cipher setting names, NULL if it names none.
const char *cryptodev_name(const struct config *config);

// Returns 0, or -1 after a line in the log.
int eal_open(const struct config *config);

// After rte_eal_cleanup(), or if eal_open() failed.
void eal_arguments_free(void);
