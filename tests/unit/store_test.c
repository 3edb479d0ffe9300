// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

// What one life recorded the next one finds; what does not open is told once with its name, and skipped.

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/secmem.h"
#include "store/heap.h"
#include "store/record.h"
#include "store/store.h"

enum { FOUND_MAX = 16 };

static const uint64_t GENERATION = 7; // of state_directory

static struct store *store;
static char told[4096]; // lines of the log
static struct {
	uint32_t place;
	char name[64];
} found[FOUND_MAX];
static unsigned n_found;

void __wrap_log_line(enum log_level level, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

void __wrap_log_line(enum log_level level, const char *format, ...)
{
	size_t len = strlen(told);
	va_list args;
	(void)level;
	va_start(args, format);
	vsnprintf(told + len, sizeof(told) - len, format, args);
	va_end(args);
	strncat(told, "\n", sizeof(told) - strlen(told) - 1);
}

static void note(void *arg, uint32_t place, const char *name)
{
	(void)arg;
	assert_true(n_found < FOUND_MAX);
	found[n_found].place = place;
	snprintf(found[n_found++].name, sizeof(found[0].name), "%s", name);
}

static void look(void)
{
	n_found = 0;
	store_visit(store, note, NULL);
}

static int setup(void **state)
{
	bool fresh;
	(void)state;
	told[0] = '\0';
	store = store_open(-1, GENERATION, &fresh);
	return store && fresh ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	store_close(store);
	return 0;
}

// The descriptor as the next process gets it.
static void next_life(void)
{
	bool fresh;
	int fd = dup(store_fd(store));
	store_close(store);
	store = store_open(fd, GENERATION, &fresh);
	assert_non_null(store);
	assert_false(fresh);
}

static void put(uint32_t *place, const char *name, const char *body)
{
	store_put(store, place, name, body, strlen(body));
	assert_int_not_equal(*place, 0);
}

// The body of the record of that name, NULL: there is none that opens.
static char *body_of(const char *name)
{
	size_t len;
	for (unsigned i = 0; i < n_found; i++)
		if (strcmp(found[i].name, name) == 0)
			return store_read(store, found[i].place, &len);
	return NULL;
}

static void assert_body(const char *name, const char *body)
{
	char *text = body_of(name);
	assert_non_null(text);
	assert_string_equal(text, body);
	secmem_free(text);
}

// The piece behind the descriptor, as somebody else sees the file.
static void change_piece(uint32_t place, void (*change)(struct heap *heap, uint64_t place))
{
	struct heap other;
	bool cut;
	assert_int_equal(heap_attach(&other, dup(store_fd(store)), &cut), 0);
	change(&other, (uint64_t)place * 64);
	heap_close(&other);
}

static void the_next_life_finds_all(void **state)
{
	(void)state;
	uint32_t a = 0, b = 0, c = 0;
	put(&a, "a", "first");
	put(&b, "b", "of b");
	put(&a, "a", "second");
	put(&c, "c", "goes");
	store_drop(store, &c);
	assert_int_equal(c, 0);
	next_life();
	assert_int_equal(store_counts(store).records, 2);
	look();
	assert_int_equal(n_found, 2);
	assert_body("a", "second");
	assert_body("b", "of b");
	assert_string_equal(told, "");
}

static void what_is_not_put_again_is_forgotten(void **state)
{
	(void)state;
	uint32_t a = 0, b = 0;
	put(&a, "a", "first");
	put(&b, "b", "of b");
	next_life();
	look();
	a = 0;
	put(&a, "a", "again");
	store_restore_end(store);
	next_life();
	look();
	assert_int_equal(n_found, 1);
	assert_body("a", "again");
	assert_int_equal(store_counts(store).records, 1);
}

// A process that ends between the new record and the end of the old one, or an old copy that was put back.
static void the_older_of_two_is_told_and_skipped(void **state)
{
	(void)state;
	uint32_t a = 0, copy = 0;
	put(&a, "a", "older");
	put(&copy, "a", "newer");
	next_life();
	look();
	assert_int_equal(n_found, 1);
	assert_body("a", "newer");
	assert_string_equal(
		told, "record_skipped name=\"a\" reason=\"it is older than one that was seen\"\n");
	assert_int_equal(store_counts(store).skipped, 1);
	look();
	assert_int_equal(store_counts(store).skipped, 1);
}

static void flip(struct heap *heap, uint64_t place)
{
	heap_octets(heap, place)[heap_len(heap, place) - 1] ^= 1;
}

static void a_damaged_one_is_told_and_skipped(void **state)
{
	(void)state;
	uint32_t a = 0, b = 0;
	put(&a, "a", "of a");
	put(&b, "b", "of b");
	change_piece(a, flip);
	next_life();
	look();
	assert_null(body_of("a"));
	assert_body("b", "of b");
	assert_string_equal(told,
		"record_skipped name=\"a\" reason=\"it was changed, or is another record's\"\n");
}

static void rename_it(struct heap *heap, uint64_t place)
{
	heap_octets(heap, place)[RECORD_HEAD_LEN] = 'z';
}

static void one_under_another_name_does_not_open(void **state)
{
	(void)state;
	uint32_t a = 0;
	put(&a, "a", "of a");
	change_piece(a, rename_it);
	next_life();
	look();
	assert_null(body_of("z"));
	assert_non_null(strstr(told, "record_skipped name=\"z\" reason=\"it was changed"));
}

static void cut_it(struct heap *heap, uint64_t place)
{
	heap_keep(heap, place, heap_len(heap, place) - 1);
}

static void one_that_was_cut_is_told(void **state)
{
	(void)state;
	uint32_t a = 0, b = 0;
	put(&a, "a", "of a");
	put(&b, "b", "of b");
	change_piece(a, cut_it);
	next_life();
	look();
	assert_int_equal(n_found, 1);
	assert_body("b", "of b");
	assert_non_null(strstr(told, "was cut off"));
}

static void rekey(struct heap *heap, uint64_t place)
{
	(void)place;
	heap_user(heap)->key[0] ^= 1;
}

static void all_of_another_key(void **state)
{
	(void)state;
	uint32_t a = 0;
	put(&a, "a", "of a");
	change_piece(a, rekey);
	next_life();
	look();
	assert_null(body_of("a"));
	assert_string_equal(told,
		"record_skipped name=\"a\" reason=\"it was sealed under another cluster key\"\n");
	// The life goes on with the key that it found.
	a = 0;
	put(&a, "a", "again");
	store_restore_end(store);
	next_life();
	look();
	assert_body("a", "again");
}

static void another_file_is_not_taken(void **state)
{
	(void)state;
	bool fresh;
	store_close(store);
	store = store_open(dup(0), GENERATION, &fresh);
	assert_non_null(store);
	assert_true(fresh);
	assert_non_null(strstr(told, "store_not_taken"));
}

static void assert_next_life_is(uint64_t generation, bool expect_fresh)
{
	bool fresh;
	uint32_t a = 0;
	put(&a, "a", "of a");
	int fd = dup(store_fd(store));
	store_close(store);
	told[0] = '\0';
	store = store_open(fd, generation, &fresh);
	assert_non_null(store);
	assert_int_equal(fresh, expect_fresh);
	assert_int_equal(strstr(told, "store_outdated") != NULL, expect_fresh);
	look();
	assert_int_equal(n_found, expect_fresh ? 0 : 1);
	assert_int_equal(store_counts(store).skipped, expect_fresh);
	store_restore_end(store);
}

// What a life without the store changed is not undone by the next one that has it.
static void what_another_life_followed_is_no_longer_true(void **state)
{
	(void)state;
	assert_next_life_is(GENERATION, false);
	assert_next_life_is(GENERATION + 2, true);
	// The new one follows the life that made it.
	store_state_begin(store, GENERATION + 4);
	store_state_end(store, GENERATION + 4);
	assert_next_life_is(GENERATION + 4, false);
	// A crash, or a full disk, while the state was written: either is where it was left.
	store_state_begin(store, GENERATION + 9);
	assert_next_life_is(GENERATION + 9, false);
	assert_next_life_is(GENERATION + 4, false);
	// A new state that was made by hand.
	assert_next_life_is(GENERATION + 10, false);
	// An older state, or another one.
	assert_next_life_is(GENERATION + 3, true);
}

// A record that ends the process that reads it does so three times.
static void who_cannot_be_restored_is_not_for_ever(void **state)
{
	(void)state;
	uint32_t a = 0;
	put(&a, "a", "of a");
	for (unsigned i = 0; i < 3; i++) {
		next_life();
		assert_true(store_restore_begin(store));
	}
	next_life();
	assert_false(store_restore_begin(store));
	assert_non_null(strstr(told, "not_restored"));
	store_restore_end(store);
	assert_int_equal(store_counts(store).records, 0);
	assert_int_equal(store_counts(store).skipped, 1);
	next_life();
	assert_true(store_restore_begin(store));
}

static void without_a_store(void **state)
{
	(void)state;
	uint32_t place = 0;
	store_state_begin(NULL, 1);
	store_state_end(NULL, 1);
	store_put(NULL, &place, "a", "body", 4);
	store_drop(NULL, &place);
	assert_int_equal(place, 0);
	assert_int_equal(store_counts(NULL).records, 0);
}

static void no_octet_in_clear(void **state)
{
	(void)state;
	struct heap other;
	bool cut;
	uint32_t a = 0;
	put(&a, "a", "a key in hexadecimal");
	assert_int_equal(heap_attach(&other, dup(store_fd(store)), &cut), 0);
	assert_null(memmem(other.head, 1 << 20, "hexadecimal", 11));
	heap_close(&other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(the_next_life_finds_all, setup, teardown),
		cmocka_unit_test_setup_teardown(
			what_is_not_put_again_is_forgotten, setup, teardown),
		cmocka_unit_test_setup_teardown(
			the_older_of_two_is_told_and_skipped, setup, teardown),
		cmocka_unit_test_setup_teardown(a_damaged_one_is_told_and_skipped, setup, teardown),
		cmocka_unit_test_setup_teardown(
			one_under_another_name_does_not_open, setup, teardown),
		cmocka_unit_test_setup_teardown(one_that_was_cut_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(all_of_another_key, setup, teardown),
		cmocka_unit_test_setup_teardown(another_file_is_not_taken, setup, teardown),
		cmocka_unit_test_setup_teardown(no_octet_in_clear, setup, teardown),
		cmocka_unit_test_setup_teardown(
			who_cannot_be_restored_is_not_for_ever, setup, teardown),
		cmocka_unit_test_setup_teardown(
			what_another_life_followed_is_no_longer_true, setup, teardown),
		cmocka_unit_test(without_a_store),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
