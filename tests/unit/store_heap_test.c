// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

// Pieces in a file that outlives who wrote them: found again as a whole or not at all, and overwritten when they go.

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/heap.h"

enum { SIZE = 1 << 20, FIRST = 4096 };

static struct heap heap;

static int setup(void **state)
{
	(void)state;
	return heap_create(&heap, "heap_test", SIZE);
}

static int teardown(void **state)
{
	(void)state;
	heap_close(&heap);
	return 0;
}

// The process ends, the file stays.
static bool next_life(void)
{
	bool cut = false;
	int fd = dup(heap.fd);
	heap_close(&heap);
	assert_int_equal(heap_attach(&heap, fd, &cut), 0);
	return !cut;
}

static uint64_t keep(const char *text)
{
	uint32_t len = (uint32_t)strlen(text);
	uint64_t place = heap_take(&heap, len);
	assert_int_not_equal(place, 0);
	memcpy(heap_octets(&heap, place), text, len);
	heap_keep(&heap, place, len);
	return place;
}

static void assert_is(uint64_t place, const char *text)
{
	assert_int_equal(heap_len(&heap, place), strlen(text));
	assert_memory_equal(heap_octets(&heap, place), text, strlen(text));
}

static unsigned count(void)
{
	unsigned n = 0;
	for (uint64_t at = heap_next(&heap, 0); at != 0; at = heap_next(&heap, at))
		n++;
	return n;
}

static bool file_has(const char *text)
{
	return memmem(heap.head, SIZE, text, strlen(text)) != NULL;
}

static void pieces_outlive_the_process(void **state)
{
	(void)state;
	heap_user(&heap)->version = 42;
	uint64_t a = keep("a piece"), b = keep("another");
	uint64_t never_kept = heap_take(&heap, 100);
	memcpy(heap_octets(&heap, never_kept), "half of it", 10);
	assert_true(next_life());
	assert_int_equal(heap_user(&heap)->version, 42);
	assert_int_equal(count(), 2);
	assert_is(a, "a piece");
	assert_is(b, "another");
	assert_true(heap_is_old(&heap, a));
	assert_false(heap_is_old(&heap, keep("new")));
	assert_false(file_has("half of it"));
}

static void what_is_dropped_is_overwritten(void **state)
{
	(void)state;
	uint64_t a = keep("a secret that goes"), b = keep("stays");
	heap_drop(&heap, a);
	assert_false(file_has("secret"));
	assert_int_equal(count(), 1);
	assert_int_equal(keep("fits the same room"), a);
	assert_is(b, "stays");
	assert_true(next_life());
	assert_is(a, "fits the same room");
}

static void room_is_used_again(void **state)
{
	(void)state;
	uint64_t places[2] = {0, 0};
	for (unsigned i = 0; i < 100000; i++) {
		if (places[i % 2] != 0)
			heap_drop(&heap, places[i % 2]);
		places[i % 2] = heap_take(&heap, 1 + i % 4000);
		assert_int_not_equal(places[i % 2], 0);
		heap_keep(&heap, places[i % 2], 1 + i % 4000);
	}
	assert_int_equal(count(), 2);
}

static void a_full_one_says_so(void **state)
{
	(void)state;
	uint64_t place, last = 0;
	assert_int_equal(heap_take(&heap, SIZE), 0);
	assert_int_equal(heap_take(&heap, UINT32_MAX), 0);
	while ((place = heap_take(&heap, 60000)) != 0) {
		heap_keep(&heap, place, 60000);
		last = place;
	}
	heap_drop(&heap, last);
	assert_int_equal(heap_take(&heap, 60000), last);
}

// Lengths at the edges of sizes: what is written into one piece does not reach the next.
static void sizes(void **state)
{
	(void)state;
	for (uint32_t len = 1; len < 3000; len++) {
		uint64_t a = heap_take(&heap, len), b = heap_take(&heap, 1);
		memset(heap_octets(&heap, a), 0xff, len);
		heap_keep(&heap, a, len);
		*heap_octets(&heap, b) = 'b';
		heap_keep(&heap, b, 1);
		assert_is(b, "b");
		memset(heap_octets(&heap, a), 0xff, len);
		assert_is(b, "b");
		heap_drop(&heap, a);
		heap_drop(&heap, b);
	}
	assert_int_equal(count(), 0);
	assert_int_equal(heap.used, 0);
}

static void nonsense_is_cut_off(void **state)
{
	(void)state;
	uint64_t a = keep("before it"), b = keep("makes no sense"), c = keep("behind it");
	memset(heap_octets(&heap, b) - HEAP_PIECE_HEAD_LEN, 0xff, 4);
	assert_false(next_life());
	assert_int_equal(count(), 1);
	assert_is(a, "before it");
	assert_int_equal(keep("new"), b);
	assert_int_equal(keep("newer"), c);
	assert_false(file_has("makes no sense"));
	assert_true(next_life());
	assert_int_equal(count(), 3);
}

static void a_length_beyond_its_room_is_cut_off(void **state)
{
	(void)state;
	keep("before it");
	uint64_t b = keep("of one unit");
	uint32_t len = 1000;
	memcpy(heap_octets(&heap, b) - HEAP_PIECE_HEAD_LEN + 4, &len, sizeof(len));
	assert_false(next_life());
	assert_int_equal(count(), 1);
}

// What the head says of the end is not believed either.
static void an_end_that_is_none(void **state)
{
	(void)state;
	static const uint64_t ends[] = {0, 1, FIRST - 64, FIRST + 1, SIZE + 64, UINT64_MAX};
	uint64_t place = keep("a piece");
	for (unsigned i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		memcpy((uint8_t *)heap.head + 24, &ends[i], sizeof(ends[i]));
		assert_false(next_life());
		assert_int_equal(count(), 1);
		assert_is(place, "a piece");
	}
}

static void refuse(int fd)
{
	struct heap other = {.fd = -1};
	bool cut;
	assert_int_equal(heap_attach(&other, fd, &cut), -EINVAL);
	assert_null(other.head);
	close(fd);
}

static int other_file(const char *text, unsigned seals)
{
	int fd = memfd_create("other", MFD_ALLOW_SEALING);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(ftruncate(fd, SIZE), 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static void other_files_are_refused(void **state)
{
	(void)state;
	refuse(open("/dev/null", O_RDWR));
	refuse(memfd_create("empty", MFD_ALLOW_SEALING));
	refuse(other_file("mcxrelay-heap-1", 0));             // may be cut while it is mapped
	refuse(other_file("mcxrelay-heap-1", F_SEAL_SHRINK)); // is of another size than it says
	refuse(other_file("mcxrelay-heap-9", F_SEAL_SHRINK));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(pieces_outlive_the_process, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_dropped_is_overwritten, setup, teardown),
		cmocka_unit_test_setup_teardown(room_is_used_again, setup, teardown),
		cmocka_unit_test_setup_teardown(a_full_one_says_so, setup, teardown),
		cmocka_unit_test_setup_teardown(sizes, setup, teardown),
		cmocka_unit_test_setup_teardown(nonsense_is_cut_off, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_length_beyond_its_room_is_cut_off, setup, teardown),
		cmocka_unit_test_setup_teardown(an_end_that_is_none, setup, teardown),
		cmocka_unit_test(other_files_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
