// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"

static char path[] = "/tmp/mcxrelay-log-XXXXXX";
static int terminal = -1; // what stderr was
static time_t now;

int __wrap_clock_gettime(clockid_t clock, struct timespec *time);
int __wrap_clock_gettime(clockid_t clock, struct timespec *time)
{
	(void)clock;
	*time = (struct timespec){.tv_sec = now};
	return 0;
}

static int stderr_to_file(void **state)
{
	(void)state;
	int file = mkstemp(path);
	terminal = dup(STDERR_FILENO);
	return file < 0 || dup2(file, STDERR_FILENO) < 0 || close(file) != 0;
}

static int stderr_to_terminal(void **state)
{
	(void)state;
	unsetenv("JOURNAL_STREAM");
	log_set_level(LOG_LEVEL_INFO);
	log_set_times(false);
	unlink(path);
	memcpy(path + sizeof(path) - 7, "XXXXXX", 6);
	return dup2(terminal, STDERR_FILENO) < 0 || close(terminal) != 0;
}

// What was logged since the last call. The caller frees.
static char *logged(void)
{
	enum { SIZE = 1 << 16 };
	char *text = calloc(1, SIZE);
	FILE *file = fopen(path, "r");

	assert_non_null(text);
	assert_non_null(file);
	assert_true(fread(text, 1, SIZE - 1, file) < SIZE - 1);
	fclose(file);
	assert_int_equal(ftruncate(STDERR_FILENO, 0), 0);
	assert_int_equal(lseek(STDERR_FILENO, 0, SEEK_SET), 0);
	return text;
}

static void check_logged(const char *expected)
{
	char *text = logged();
	assert_string_equal(text, expected);
	free(text);
}

static void level_is_a_word(void **state)
{
	(void)state;
	log_error("a x=%d", 1);
	log_warning("b");
	log_info("c");
	log_debug("d");
	check_logged("error a x=1\nwarning b\ninfo c\n");
	log_set_level(LOG_LEVEL_DEBUG);
	log_debug("d");
	check_logged("debug d\n");
	log_set_level(LOG_LEVEL_ERROR);
	log_warning("b");
	log_limited(LOG_LEVEL_WARNING, "b");
	check_logged("");
}

static void lines_have_the_time(void **state)
{
	(void)state;
	log_set_times(true);
	now = 951782400; // of a leap year
	log_error("a x=%d", 1);
	check_logged("2000-02-29T00:00:00.000Z error a x=1\n");
	now = 1796000000;
	log_set_level(LOG_LEVEL_DEBUG);
	log_debug("b");
	check_logged("2026-11-30T00:53:20.000Z debug b\n");
	assert_int_equal(log_get_level(), LOG_LEVEL_DEBUG);
}

static void level_is_a_priority_in_the_journal(void **state)
{
	struct stat st;
	char stream[64];
	(void)state;
	assert_int_equal(fstat(STDERR_FILENO, &st), 0);
	snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	log_set_level(LOG_LEVEL_DEBUG);
	log_set_times(true); // the journal has its own
	log_error("a");
	log_warning("b");
	log_info("c");
	log_debug("d");
	check_logged("<3>a\n<4>b\n<6>c\n<7>d\n");
	// Inherited from a service whose stderr went elsewhere since.
	snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino + 1);
	setenv("JOURNAL_STREAM", stream, 1);
	log_set_times(false);
	log_error("a");
	check_logged("error a\n");
}

static void line_stays_one_line(void **state)
{
	char text[2000];
	(void)state;
	log_error("a x=%s", "1\nerror forged\x1b[2J\x7f");
	check_logged("error a x=1?error forged?[2J?\n");
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	log_error("a x=%s", text);
	char *line = logged();
	assert_int_equal(strlen(line), 1024);
	assert_ptr_equal(strchr(line, '\n'), line + 1023);
	free(line);
}

static void value_is_quoted(void **state)
{
	static const struct {
		const char *text, *quoted;
	} cases[] = {
		{"", "\"\""},
		{"two words", "\"two words\""},
		{"a\"b\\c", "\"a\\\"b\\\\c\""},
		{"x\" level=forged", "\"x\\\" level=forged\""},
		{"\n\x7f\xc2\x9b", "\"\\x0a\\x7f\\xc2\\x9b\""},
	};
	char out[LOG_QUOTED_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_ptr_equal(log_quoted(out, cases[i].text), out);
		assert_string_equal(out, cases[i].quoted);
	}
}

static void long_value_is_cut(void **state)
{
	static const char *const fills[] = {"a", "\"", "\n"};
	(void)state;
	for (size_t i = 0; i < sizeof(fills) / sizeof(fills[0]); i++) {
		char text[LOG_QUOTED_SIZE * 2];
		memset(text, fills[i][0], sizeof(text) - 1);
		text[sizeof(text) - 1] = '\0';
		char out[LOG_QUOTED_SIZE + 1];
		out[LOG_QUOTED_SIZE] = '#';
		log_quoted(out, text);
		assert_int_equal(out[LOG_QUOTED_SIZE], '#');
		assert_true(strlen(out) < LOG_QUOTED_SIZE && strlen(out) > LOG_QUOTED_SIZE - 8);
		assert_int_equal(out[strlen(out) - 1], '"');
	}
}

static void line_of_a_peer_is_limited(void **state)
{
	struct log_limit limit = {};
	unsigned n_lines = 0;
	(void)state;
	now = 1000;
	for (unsigned i = 0; i < LOG_LIMIT_LINES + 7; i++)
		log_line_limited(&limit, LOG_LEVEL_INFO, "a n=%u", i);
	char *text = logged();
	for (const char *p = text; (p = strchr(p, '\n')) != NULL; p++)
		n_lines++;
	assert_int_equal(n_lines, LOG_LIMIT_LINES);
	assert_null(strstr(text, "suppressed"));
	free(text);
	now += LOG_LIMIT_SECONDS;
	log_line_limited(&limit, LOG_LEVEL_INFO, "a");
	log_line_limited(&limit, LOG_LEVEL_INFO, "a");
	check_logged("info a suppressed=7\ninfo a\n");
}

// Reads what is in the pipe. Its length in octets.
static size_t drain(int pipe, char *text, size_t size)
{
	ssize_t n = read(pipe, text, size - 1);
	assert_true(n > 0);
	text[n] = '\0';
	return (size_t)n;
}

static void reader_that_stands_still_holds_nobody_up(void **state)
{
	enum { N_LINES = 10000, SIZE = 1 << 16 };
	char *text = malloc(SIZE), expected[64];
	unsigned n_lines = 0;
	int pipes[2];

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	assert_true(dup2(pipes[1], STDERR_FILENO) >= 0);
	alarm(20);
	for (unsigned i = 0; i < N_LINES; i++)
		log_info("line n=%u", i);
	alarm(0);
	drain(pipes[0], text, SIZE);
	for (const char *p = text; (p = strchr(p, '\n')) != NULL; p++)
		n_lines++;
	assert_in_range(n_lines, 1000, N_LINES - 1);
	log_info("again");
	snprintf(expected, sizeof(expected), "info again\nwarning log.lost count=%u\n",
		N_LINES - n_lines);
	drain(pipes[0], text, SIZE);
	assert_string_equal(text, expected);
	close(pipes[0]);
	close(pipes[1]);
	free(text);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, stderr_to_file, stderr_to_terminal)
	const struct CMUnitTest tests[] = {
		TEST(level_is_a_word),
		TEST(lines_have_the_time),
		TEST(level_is_a_priority_in_the_journal),
		TEST(line_stays_one_line),
		TEST(value_is_quoted),
		TEST(long_value_is_cut),
		TEST(line_of_a_peer_is_limited),
		TEST(reader_that_stands_still_holds_nobody_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
