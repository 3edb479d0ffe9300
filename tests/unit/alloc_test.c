// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/map.h"

// There is no memory: what is told, and that the process ends.

static bool fails;
static char told[256];
static jmp_buf ended;

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_reallocarray(void *p, size_t n, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);
void __wrap_log_line(enum log_level level, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
_Noreturn void __wrap_abort(void);

void *__wrap_calloc(size_t n, size_t size)
{
	return fails ? NULL : __real_calloc(n, size);
}

void *__wrap_malloc(size_t size)
{
	return fails ? NULL : __real_malloc(size);
}

void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
	return fails ? NULL : __real_reallocarray(p, n, size);
}

char *__wrap_strdup(const char *text)
{
	return fails ? NULL : __real_strdup(text);
}

void __wrap_log_line(enum log_level level, const char *format, ...)
{
	va_list args;
	assert_int_equal(level, LOG_LEVEL_ERROR);
	va_start(args, format);
	vsnprintf(told, sizeof(told), format, args);
	va_end(args);
}

void __wrap_abort(void)
{
	fails = false;
	longjmp(ended, 1);
}

// Does it without memory: it must end the process after that line.
#define expect_end(what, line)                                                                     \
	do {                                                                                       \
		told[0] = '\0';                                                                    \
		if (setjmp(ended) == 0) {                                                          \
			fails = true;                                                              \
			what;                                                                      \
			fails = false;                                                             \
			fail_msg("%s goes on", #what);                                             \
		}                                                                                  \
		assert_string_equal(told, line);                                                   \
	} while (0)

static void tells_who_and_how_much(void **state)
{
	(void)state;
	expect_end(alloc_zero(3, 8), "out_of_memory in=tells_who_and_how_much octets=24");
	expect_end(alloc_zero(0, 8), "out_of_memory in=tells_who_and_how_much octets=8");
	expect_end(alloc_resize(NULL, 5, 4), "out_of_memory in=tells_who_and_how_much octets=20");
	expect_end(alloc_string("abc"), "out_of_memory in=tells_who_and_how_much octets=4");
	expect_end(alloc_zero(SIZE_MAX, 2),
		"out_of_memory in=tells_who_and_how_much octets=18446744073709551615");
}

static void a_map_can_be_asked_first(void **state)
{
	int value;
	struct map *map = map_make();
	(void)state;
	fails = true;
	int rc = map_put(map, "key", 3, &value, NULL);
	fails = false;
	assert_true(rc != 0);
	assert_int_equal(map_count(map), 0);
	expect_end(map_add(map, "key", 3, &value),
		"out_of_memory in=a_map_can_be_asked_first octets=35");
	map_add(map, "key", 3, &value);
	assert_ptr_equal(map_get(map, "key", 3), &value);
	map_free(map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tells_who_and_how_much),
		cmocka_unit_test(a_map_can_be_asked_first),
	};
	return cmocka_run_group_tests_name("alloc", tests, NULL, NULL);
}
