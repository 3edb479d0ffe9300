// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "control/eal.h"

#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_eal.h>
#include <rte_errno.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/memory_limit.h"
#include "dataplane/worker.h"

static bool eal_has(const struct config *config, const char *prefix)
{
	for (unsigned i = 0; i < config->n_eal; i++)
		if (strncmp(config->eal[i], prefix, strlen(prefix)) == 0)
			return true;
	return false;
}

const char *cryptodev_name(const struct config *config)
{
	static const char prefix[] = "cryptodev:";
	const size_t len = sizeof(prefix) - 1;
	if (!config->cipher || strncmp(config->cipher, prefix, len) != 0)
		return NULL;
	return config->cipher + len;
}

static bool device_is_pci(const char *device)
{
	unsigned domain, bus, slot, function;
	return sscanf(device, "%x:%x:%x.%x", &domain, &bus, &slot, &function) == 4 ||
	       sscanf(device, "%x:%x.%x", &bus, &slot, &function) == 3;
}

// The CPU of each worker: the stated ones, or the last ones that this process may use.
static void worker_cpus(const struct config *config, const cpu_set_t *allowed, unsigned cpus[])
{
	unsigned cpu = CPU_SETSIZE;
	for (unsigned w = 0; w < config->n_workers; w++) {
		do
			cpu = cpu > 0 ? cpu - 1 : CPU_SETSIZE - 1;
		while (!CPU_ISSET(cpu, allowed));
		cpus[w] = config->lcores ? config->lcores[w] : cpu;
	}
}

// "0@(C,D),1@A,2@B": worker n is lcore n + 1; the main thread floats over the CPUs that are left,
// or over all if none is.
static char *eal_lcores(const struct config *config)
{
	cpu_set_t allowed, rest;
	unsigned cpus[RELAY_WORKERS_MAX];
	int len = 0;
	size_t size = 64 + 16 * (size_t)(config->n_workers + CPU_SETSIZE);
	char *text = alloc_zero(size, 1);
	sched_getaffinity(0, sizeof(allowed), &allowed);
	worker_cpus(config, &allowed, cpus);
	rest = allowed;
	for (unsigned w = 0; w < config->n_workers; w++)
		CPU_CLR(cpus[w], &rest);
	if (CPU_COUNT(&rest) == 0)
		rest = allowed;
	for (unsigned cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &rest))
			len += snprintf(
				text + len, size - (size_t)len, "%s%u", len ? "," : "0@(", cpu);
	len += snprintf(text + len, size - (size_t)len, ")");
	for (unsigned w = 0; w < config->n_workers; w++)
		len += snprintf(text + len, size - (size_t)len, ",%u@%u", w + 1, cpus[w]);
	return text;
}

// "0-3,8", as lcores are written by others.
static void cpus_write(const cpu_set_t *cpus, char *out, size_t size)
{
	size_t len = 0;
	out[0] = '\0';
	for (unsigned first = 0; first < CPU_SETSIZE && len < size; first++) {
		unsigned last = first;
		if (!CPU_ISSET(first, cpus))
			continue;
		while (last + 1 < CPU_SETSIZE && CPU_ISSET(last + 1, cpus))
			last++;
		len += (size_t)snprintf(out + len, size - len, "%s%u", len ? "," : "", first);
		if (last > first && len < size)
			len += (size_t)snprintf(out + len, size - len, "-%u", last);
		first = last;
	}
}

// The EAL would print how it is used.
static bool lcores_are_there(const struct config *config)
{
	cpu_set_t allowed;
	char accepted[256];
	sched_getaffinity(0, sizeof(allowed), &allowed);
	for (unsigned w = 0; config->lcores && w < config->n_workers; w++) {
		unsigned cpu = config->lcores[w];
		if (cpu < CPU_SETSIZE && CPU_ISSET(cpu, &allowed))
			continue;
		cpus_write(&allowed, accepted, sizeof(accepted));
		log_error("eal_failed reason=\"lcores[%u] is %u; accepted: a CPU that this process "
			  "may "
			  "use: %s\"",
			w, cpu, accepted);
		return false;
	}
	return true;
}

// The EAL keeps pointers into its arguments, and reorders them: they live as long as it does.
static struct {
	char **argv, **reordered;
	int n;
} eal_arguments;

void eal_arguments_free(void)
{
	for (int i = 0; i < eal_arguments.n; i++)
		free(eal_arguments.argv[i]);
	free(eal_arguments.argv);
	free(eal_arguments.reordered);
}

// Without hugepages DPDK reports a missing permission.
static void eal_failed(const struct config *config)
{
	if (!eal_has(config, "--no-huge") && memory_hugepages_free("") == 0)
		log_error("eal_failed reason=\"no hugepages are free; accepted: vm.nr_hugepages of "
			  "more, or the EAL argument --no-huge\"");
	else
		log_error("eal_failed reason=\"%s; see the lines above\"", rte_strerror(rte_errno));
}

int eal_open(const struct config *config)
{
	if (!lcores_are_there(config))
		return -1;
	char **argv = alloc_zero(config->n_eal + 2 * config->n_ports + 12, sizeof(*argv));
	int argc = 0;
	bool pci = false;
	argv[argc++] = alloc_string("mcxrelay");
	for (unsigned i = 0; i < config->n_ports; i++) {
		if (!device_is_pci(config->ports[i].device))
			continue;
		argv[argc++] = alloc_string("-a");
		argv[argc++] = alloc_string(config->ports[i].device);
		pci = true;
	}
	// "0000:3d:01.0_qat_sym": the driver appends the service to the PCI address.
	const char *cryptodev = cryptodev_name(config);
	if (cryptodev && device_is_pci(cryptodev)) {
		argv[argc++] = alloc_string("-a");
		argv[argc] = alloc_string(cryptodev);
		argv[argc][strcspn(cryptodev, "_")] = '\0';
		argc++;
		pci = true;
	}
	if (!pci && !eal_has(config, "-a") && !eal_has(config, "--allow"))
		argv[argc++] = alloc_string("--no-pci");
	// Memory holds keys: none of it is shared with other processes or left in a file, and so
	// several relays can run on one machine.
	if (!eal_has(config, "--file-prefix") && !eal_has(config, "--in-memory"))
		argv[argc++] =
			alloc_string(eal_has(config, "--no-huge") ? "--no-shconf" : "--in-memory");
	if (!eal_has(config, "--log-level")) {
		// Each start telemetry warns of what is no fault. Of a type that is registered as late as its own the
		// first level counts.
		argv[argc++] = alloc_string("--log-level=lib.telemetry:error");
		argv[argc++] = alloc_string("--log-level=lib.*:warning");
	}
	if (!eal_has(config, "-l") && !eal_has(config, "--lcores") && !eal_has(config, "-c")) {
		argv[argc++] = alloc_string("--lcores");
		argv[argc++] = eal_lcores(config);
	}
	for (unsigned i = 0; i < config->n_eal; i++)
		argv[argc++] = alloc_string(config->eal[i]);
	char **given = eal_arguments.argv = alloc_zero((size_t)argc + 1, sizeof(char *));
	memcpy(given, argv, (size_t)argc * sizeof(char *));
	eal_arguments.n = argc;
	eal_arguments.reordered = argv;
	int rc = rte_eal_init(argc, argv);
	if (rc < 0)
		eal_failed(config);
	return rc < 0 ? -1 : 0;
}
