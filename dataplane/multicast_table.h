// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "dataplane/port.h"

// The multicast groups that are joined on a port, as workers see them. A table is immutable: the
// control thread replaces it by a new one.

struct multicast_table {
	uint32_t n, n_gone;
	_Atomic uint32_t **gone;      // leg arrays that no later table has: freed with this one
	struct port_address groups[]; // sorted by multicast_address_compare(); prefix_len unused
};

// The order of groups in a table, for qsort(): of two struct port_address.
int multicast_address_compare(const void *a, const void *b);

// The entry of a joined group, or NULL; table may be NULL. At most 11 comparisons. Workers, between
// two quiescent states.
const struct port_address *multicast_table_find(
	const struct multicast_table *table, const struct endpoint *addr);

// When no worker reads it any more. table may be NULL.
void multicast_table_free(struct multicast_table *table);
