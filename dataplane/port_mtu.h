// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdint.h>

struct rte_eth_dev_info;

// The longest IP packet, in octets, that a device sends and receives whole, and in *whose the
// clause of a sentence that names the limit's origin. A longer one would be lost silently, or
// refused as an "invalid argument". device is its string in the configuration. Main thread.
uint32_t port_mtu_limit(
	const char *device, const struct rte_eth_dev_info *info, const char **whose);
