// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "base/memory_limit.h"

#include <dirent.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { MIB = 1 << 20 };

// The number that a file begins with; false if it has none ("max").
static bool number_read(const char *path, uint64_t *number)
{
	FILE *file = fopen(path, "re");
	if (!file)
		return false;
	bool is_number = fscanf(file, "%lu", number) == 1;
	fclose(file);
	return is_number;
}

// The least of a file in the folder of a group and in those above it. group begins with a slash and is cut.
static uint64_t group_limit(const char *folder, char *group, const char *file)
{
	uint64_t least = UINT64_MAX, limit;
	for (bool last = false; !last;) {
		char path[PATH_MAX];
		char *slash = strrchr(group, '/');
		last = !slash;
		int len = snprintf(path, sizeof(path), "%s%s/%s", folder, group, file);
		if (len < (int)sizeof(path) && number_read(path, &limit) && limit < least)
			least = limit;
		if (slash)
			*slash = '\0';
	}
	return least;
}

uint64_t memory_cgroup_limit(const char *root)
{
	char path[PATH_MAX], line[PATH_MAX];
	uint64_t least = UINT64_MAX;
	snprintf(path, sizeof(path), "%s/proc/self/cgroup", root);
	FILE *file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		char *kind = strchr(line, ':'), *group = kind ? strchr(kind + 1, ':') : NULL;
		if (!group)
			continue;
		*group++ = '\0';
		bool all = strcmp(kind, ":") == 0; // version 2
		if (!all && strcmp(kind, ":memory") != 0)
			continue;
		snprintf(path, sizeof(path), "%s/sys/fs/cgroup%s", root, all ? "" : "/memory");
		uint64_t limit =
			group_limit(path, group, all ? "memory.max" : "memory.limit_in_bytes");
		if (limit < least)
			least = limit;
	}
	if (file)
		fclose(file);
	return least;
}

uint64_t memory_hugepages_free(const char *root)
{
	char path[PATH_MAX], pages[PATH_MAX + 64];
	snprintf(path, sizeof(path), "%s/sys/kernel/mm/hugepages", root);
	DIR *sizes = opendir(path);
	uint64_t octets = 0, n, kib;
	const struct dirent *size;
	while (sizes && (size = readdir(sizes))) {
		snprintf(pages, sizeof(pages), "%s/%.48s/free_hugepages", path, size->d_name);
		if (sscanf(size->d_name, "hugepages-%lukB", &kib) == 1 && number_read(pages, &n))
			octets += n * kib * 1024;
	}
	if (sizes)
		closedir(sizes);
	return octets;
}

// Octets of the process's address space, and of its own data in it, as the kernel counts for both limits.
static bool space_used(uint64_t *all, uint64_t *data)
{
	FILE *file = fopen("/proc/self/statm", "re");
	if (!file)
		return false;
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	bool read = fscanf(file, "%lu %*u %*u %*u %*u %lu", all, data) == 2;
	fclose(file);
	if (!read)
		return false;
	*all *= page;
	*data *= page;
	return true;
}

static bool exceeds(int resource, uint64_t octets, struct rlimit *limit)
{
	return getrlimit(resource, limit) == 0 && limit->rlim_cur != RLIM_INFINITY &&
	       octets > limit->rlim_cur;
}

void memory_refusal(uint64_t octets, int error, char *reason, size_t reason_size)
{
	struct rlimit limit;
	uint64_t all, data, policy;
	bool known = space_used(&all, &data);
	if (known && exceeds(RLIMIT_AS, all + octets, &limit))
		snprintf(reason, reason_size,
			"the address space of the process has %lu MiB, and may have %lu MiB "
			"(RLIMIT_AS)",
			all / MIB, limit.rlim_cur / MIB);
	else if (known && exceeds(RLIMIT_DATA, data + octets, &limit))
		snprintf(reason, reason_size,
			"the data of the process has %lu MiB, and may have %lu MiB (RLIMIT_DATA)",
			data / MIB, limit.rlim_cur / MIB);
	else if (number_read("/proc/sys/vm/overcommit_memory", &policy) && policy == 2)
		snprintf(reason, reason_size,
			"the system promises no more than it has (vm.overcommit_memory is 2)");
	else
		snprintf(reason, reason_size, "%s", strerror(error));
}
