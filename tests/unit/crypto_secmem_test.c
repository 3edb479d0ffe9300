// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/secmem.h"

static void wipes(void **state)
{
	uint8_t octets[100];
	static const uint8_t zero[100];
	(void)state;

	memset(octets, 0xa5, sizeof(octets));
	secmem_wipe(octets + 1, 98);
	assert_memory_equal(octets + 1, zero, 98);
	assert_int_equal(octets[0], 0xa5);
	assert_int_equal(octets[99], 0xa5);
	secmem_wipe(octets, 0);
	assert_int_equal(octets[0], 0xa5);
}

static void compares(void **state)
{
	uint8_t a[33] = {0}, b[33] = {0};
	(void)state;

	assert_true(secmem_equal(a, b, 0));
	assert_true(secmem_equal(a, b, sizeof(a)));
	for (size_t i = 0; i < 8 * sizeof(a); i++) {
		b[i / 8] ^= (uint8_t)(1 << i % 8);
		assert_false(secmem_equal(a, b, sizeof(a)));
		assert_true(secmem_equal(a, b, i / 8));
		b[i / 8] = 0;
	}
}

// Whether the kernel's record of the mapping at p carries a flag, such as dd: do not dump.
static bool mapping_has_flag(const void *p, const char *flag)
{
	char line[4096];
	bool in_mapping = false, found = false;
	FILE *smaps = fopen("/proc/self/smaps", "r");
	assert_non_null(smaps);
	while (fgets(line, sizeof(line), smaps)) {
		unsigned long start, end;
		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			in_mapping = start <= (unsigned long)p && (unsigned long)p < end;
		else if (in_mapping && strncmp(line, "VmFlags:", 8) == 0 && strstr(line, flag))
			found = true;
	}
	fclose(smaps);
	return found;
}

static void maps_zeroed_and_kept_out_of_dumps(void **state)
{
	size_t size = 8 * (size_t)sysconf(_SC_PAGESIZE);
	(void)state;

	uint8_t *p = secmem_map(size);
	assert_non_null(p);
	assert_int_equal((uintptr_t)p % (uintptr_t)sysconf(_SC_PAGESIZE), 0);
	for (size_t i = 0; i < size; i++)
		assert_int_equal(p[i], 0);
	p[size - 1] = 1;
	assert_true(mapping_has_flag(p, " dd"));
	assert_true(mapping_has_flag(p, " dc"));
	secmem_unmap(p, size);
	secmem_unmap(NULL, size);
}

// The limits of address space: an area larger than RAM costs nothing until touched, one larger than
// the address space is refused.
static void maps_without_cost(void **state)
{
	size_t size = (size_t)1 << 38;
	unsigned char resident;
	(void)state;

	uint8_t *p = secmem_map(size);
	assert_non_null(p);
	p[size / 2] = 1;
	assert_int_equal(mincore(p, 1, &resident), 0);
	assert_int_equal(resident & 1, 0);
	secmem_unmap(p, size);
	assert_int_equal(secmem_map_refused(), 0);
	assert_null(secmem_map((size_t)1 << 60));
	assert_true(secmem_map_refused() == (size_t)1 << 60);
	assert_null(secmem_map(0));
}

static void allocates(void **state)
{
	(void)state;

	for (size_t size = 0; size < 300; size++) {
		uint8_t *p = secmem_malloc(size);
		assert_non_null(p);
		assert_int_equal((uintptr_t)p % _Alignof(max_align_t), 0);
		memset(p, 0xa5, size);
		uint8_t *moved = secmem_realloc(p, size * 2 + 1);
		assert_non_null(moved);
		for (size_t i = 0; i < size; i++)
			assert_int_equal(moved[i], 0xa5);
		memset(moved, 0x5a, size * 2 + 1);
		moved = secmem_realloc(moved, size / 2);
		assert_non_null(moved);
		for (size_t i = 0; i < size / 2; i++)
			assert_int_equal(moved[i], 0x5a);
		secmem_free(moved);
	}
	secmem_free(NULL);
	uint8_t *fresh = secmem_realloc(NULL, 10);
	assert_non_null(fresh);
	secmem_free(fresh);
}

// A size whose header does not fit, and one that malloc() refuses, leave the block as it was.
static void refuses_huge_sizes(void **state)
{
	(void)state;

	assert_null(secmem_malloc(SIZE_MAX));
	assert_null(secmem_malloc(SIZE_MAX - 15));
	char *p = secmem_malloc(4);
	assert_non_null(p);
	memcpy(p, "abc", 4);
	assert_null(secmem_realloc(p, SIZE_MAX));
	assert_string_equal(p, "abc");
	secmem_free(p);
}

// The allocator under secmem_free(), which sees the block just before it goes.
static const uint8_t *watched;
static size_t watched_len;
static int n_watched;

void __real_free(void *p);
void __wrap_free(void *p);

void __wrap_free(void *p)
{
	const uint8_t *block = p;
	if (watched && block && block <= watched && watched - block <= 64) {
		for (size_t i = 0; i < watched_len; i++)
			assert_int_equal(watched[i], 0);
		n_watched++;
		watched = NULL;
	}
	__real_free(p);
}

static void wipes_before_giving_back(void **state)
{
	(void)state;

	for (int use_realloc = 0; use_realloc < 3; use_realloc++) {
		uint8_t *p = secmem_malloc(200);
		assert_non_null(p);
		memset(p, 0xa5, 200);
		watched = p;
		watched_len = 200;
		n_watched = 0;
		if (use_realloc) {
			uint8_t *moved = secmem_realloc(p, use_realloc == 1 ? 1000 : 10);
			assert_int_equal(n_watched, 1);
			secmem_free(moved);
		} else {
			secmem_free(p);
		}
		assert_int_equal(n_watched, 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wipes),
		cmocka_unit_test(compares),
		cmocka_unit_test(maps_zeroed_and_kept_out_of_dumps),
		cmocka_unit_test(maps_without_cost),
		cmocka_unit_test(allocates),
		cmocka_unit_test(refuses_huge_sizes),
		cmocka_unit_test(wipes_before_giving_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
