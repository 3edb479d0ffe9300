// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "dataplane/multicast_table.h"

#include <stdlib.h>
#include <string.h>

#include "base/secmem.h"

static int addr_compare(const struct endpoint *a, const struct endpoint *b)
{
	return a->family != b->family ? (int)a->family - (int)b->family
				      : memcmp(a->addr, b->addr, sizeof(a->addr));
}

int multicast_address_compare(const void *a, const void *b)
{
	return addr_compare(
		&((const struct port_address *)a)->addr, &((const struct port_address *)b)->addr);
}

const struct port_address *multicast_table_find(
	const struct multicast_table *table, const struct endpoint *addr)
{
	uint32_t low = 0, high = table ? table->n : 0;
	while (low < high) {
		uint32_t middle = (low + high) / 2;
		int order = addr_compare(addr, &table->groups[middle].addr);
		if (order == 0)
			return &table->groups[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

void multicast_table_free(struct multicast_table *table)
{
	if (!table)
		return;
	for (uint32_t i = 0; i < table->n_gone; i++)
		secmem_unmap((void *)(uintptr_t)table->gone[i], PORT_LEGS_SIZE);
	free(table->gone);
	free(table);
}
