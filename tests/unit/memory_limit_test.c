// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/memory_limit.h"

static char root[] = "/tmp/mcxrelay-limits-XXXXXX";

static int root_make(void **state)
{
	(void)state;
	return mkdtemp(root) ? 0 : -1;
}

static int root_remove(void **state)
{
	char command[64];
	(void)state;
	snprintf(command, sizeof(command), "rm -r %s", root);
	return system(command);
}

// A file of the system as the process sees it.
static void file_make(const char *name, const char *text)
{
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s%s", root, name);
	for (char *slash = path + sizeof(root); (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		assert_true(mkdir(path, 0755) == 0 || errno == EEXIST);
		*slash = '/';
	}
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	fclose(file);
}

static void groups_limit_least_above_too(void **state)
{
	(void)state;
	assert_true(memory_cgroup_limit(root) == UINT64_MAX);
	file_make("/proc/self/cgroup", "1:name=systemd:/else\n0::/a.slice/b.service\n");
	assert_true(memory_cgroup_limit(root) == UINT64_MAX);
	file_make("/sys/fs/cgroup/a.slice/b.service/memory.max", "max\n");
	assert_true(memory_cgroup_limit(root) == UINT64_MAX);
	file_make("/sys/fs/cgroup/a.slice/memory.max", "1048576\n");
	assert_int_equal(memory_cgroup_limit(root), 1048576);
	file_make("/sys/fs/cgroup/a.slice/b.service/memory.max", "4096\n");
	assert_int_equal(memory_cgroup_limit(root), 4096);
	file_make("/sys/fs/cgroup/memory.max", "2048\n"); // of a container's own tree
	assert_int_equal(memory_cgroup_limit(root), 2048);
}

static void groups_of_version_1(void **state)
{
	(void)state;
	file_make("/proc/self/cgroup", "2:cpu:/c\n4:memory:/c\n0::/\n");
	file_make("/sys/fs/cgroup/memory/c/memory.limit_in_bytes", "1000\n");
	file_make("/sys/fs/cgroup/memory.max", "max\n");
	assert_int_equal(memory_cgroup_limit(root), 1000);
}

static void hugepages_of_all_sizes(void **state)
{
	(void)state;
	assert_int_equal(memory_hugepages_free(root), 0);
	file_make("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "3\n");
	file_make("/sys/kernel/mm/hugepages/hugepages-1048576kB/free_hugepages", "1\n");
	assert_true(memory_hugepages_free(root) == (UINT64_C(3) << 21) + (UINT64_C(1) << 30));
}

// What memory_refusal() says of an exabyte in a process with that limit, which is more than there are addresses: the
// process itself does not meet it, not even with a sanitizer. Static, for one test at a time.
static const char *refusal_with(int resource, rlim_t octets)
{
	static char reason[MEMORY_REASON_SIZE];
	int ends[2];
	assert_int_equal(pipe(ends), 0);
	pid_t child = fork();
	if (child == 0) {
		struct rlimit limit = {octets, octets};
		if (octets != RLIM_INFINITY && setrlimit(resource, &limit) != 0)
			_exit(1);
		memory_refusal(UINT64_C(1) << 60, ENOMEM, reason, sizeof(reason));
		_exit(write(ends[1], reason, sizeof(reason)) != sizeof(reason));
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(read(ends[0], reason, sizeof(reason)), sizeof(reason));
	close(ends[0]);
	close(ends[1]);
	return reason;
}

static void refusals_name_the_limit(void **state)
{
	(void)state;
	assert_non_null(strstr(refusal_with(RLIMIT_AS, (rlim_t)1 << 48),
		"MiB, and may have 268435456 MiB (RLIMIT_AS)"));
	assert_non_null(strstr(refusal_with(RLIMIT_DATA, (rlim_t)1 << 48),
		"MiB, and may have 268435456 MiB (RLIMIT_DATA)"));
	const char *unlimited = refusal_with(RLIMIT_AS, RLIM_INFINITY);
	assert_true(
		strcmp(unlimited, strerror(ENOMEM)) == 0 || strstr(unlimited, "overcommit_memory"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(groups_limit_least_above_too),
		cmocka_unit_test(groups_of_version_1),
		cmocka_unit_test(hugepages_of_all_sizes),
		cmocka_unit_test(refusals_name_the_limit),
	};
	return cmocka_run_group_tests_name("memory_limit", tests, root_make, root_remove);
}
