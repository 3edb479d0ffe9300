// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "host/memory_reason.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <rte_eal.h>
#include <rte_malloc.h>
#include <rte_mbuf_pool_ops.h>
#include <rte_mempool.h>

#include "base/memory_limit.h"
#include "base/secmem.h"

enum { MIB = 1 << 20 };

static uint64_t mib_of(uint64_t octets)
{
	return (octets + MIB - 1) / MIB;
}

bool memory_buffers_fit(uint64_t octets, char *why, size_t why_size)
{
	uint64_t limit = memory_cgroup_limit("");
	if (rte_eal_has_hugepages() || octets <= limit) // hugepages are counted elsewhere
		return true;
	snprintf(why, why_size,
		"no memory for packet buffers of %lu MiB: the control group of the process may "
		"have %lu MiB",
		mib_of(octets), limit / MIB);
	return false;
}

// Which driver makes pools is a choice of DPDK's; each is a library of its own.
static bool pools_have_driver(void)
{
	const char *name = rte_mbuf_best_mempool_ops();
	for (unsigned i = 0; i < rte_mempool_ops_table.num_ops; i++)
		if (strcmp(rte_mempool_ops_table.ops[i].name, name) == 0)
			return true;
	return false;
}

static void dpdk_refusal(int error, char *reason, size_t reason_size)
{
	size_t free_octets = 0, octets = 0;
	struct rte_malloc_socket_stats stats;
	for (int socket = 0; socket < RTE_MAX_NUMA_NODES; socket++) {
		if (rte_malloc_get_socket_stats(socket, &stats) != 0)
			continue;
		free_octets += stats.heap_freesz_bytes;
		octets += stats.heap_totalsz_bytes;
	}
	if (!pools_have_driver())
		snprintf(reason, reason_size,
			"DPDK has no driver for pools of kind %s (librte-mempool-ring)",
			rte_mbuf_best_mempool_ops());
	else if (error != -ENOMEM)
		snprintf(reason, reason_size, "%s", strerror(-error));
	else if (rte_eal_has_hugepages())
		snprintf(reason, reason_size,
			"of hugepages %lu MiB are free (vm.nr_hugepages), beside %zu MiB of DPDK's",
			memory_hugepages_free("") / MIB, free_octets / MIB);
	else
		snprintf(reason, reason_size,
			"DPDK has %zu of %zu MiB free; accepted: more by the EAL argument -m",
			free_octets / MIB, octets / MIB);
}

void memory_reason(uint64_t buffers, int error, char *why, size_t why_size)
{
	char reason[MEMORY_REASON_SIZE];
	size_t table = secmem_map_refused();
	if (table != 0) {
		memory_refusal(table, ENOMEM, reason, sizeof(reason));
		snprintf(why, why_size, "no memory for a table of %lu MiB: %s", mib_of(table),
			reason);
	} else {
		dpdk_refusal(error, reason, sizeof(reason));
		snprintf(why, why_size, "no memory for packet buffers of %lu MiB and rings: %s",
			mib_of(buffers), reason);
	}
}
