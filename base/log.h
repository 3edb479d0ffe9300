// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// One line an event on stderr: "<level> event key=value ...", for the journal with its priority in
// the place of the level, elsewhere with the time in front if log_set_times() says so. Never a key. Values of more than one word, and those that others chose, go
// through log_quoted(). A line for which there is no room, as the reader stands still, is lost;
// log.lost says how many were when there is room again. Control thread and start-up only.
enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

extern const char *const log_level_names[]; // by enum log_level, NULL at the end

enum {
	LOG_QUOTED_SIZE = 768, // octets that log_quoted() writes at most, with the NUL
	LOG_LIMIT_LINES = 20,  // of one place in a window
	LOG_LIMIT_SECONDS = 10,
};

// How many lines one place wrote in its window, and how many it did not.
struct log_limit {
	uint64_t window; // number of the window, from 1
	unsigned n_lines, n_suppressed;
};

void log_set_level(enum log_level level);
enum log_level log_get_level(void);

// Whether lines begin with the time (RFC 3339, UTC, ms) where the reader, unlike the journal, does not note it.
void log_set_times(bool times);

// Makes room for as many lines as may be in one moment, if the log goes to a pipe.
void log_make_room(void);

void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

// A line of those that a peer can cause as often as it likes. What is above the limit is counted, and
// told by suppressed=N in the next line of that place.
void log_line_limited(struct log_limit *limit, enum log_level level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

// Writes text to out as one quoted value, cut if it is too long: what is not printable ASCII, quotes
// and backslashes are escaped (\xHH, \", \\). Returns out.
const char *log_quoted(char out[LOG_QUOTED_SIZE], const char *text);

#define log_limited(level, ...)                                                                    \
	do {                                                                                       \
		static struct log_limit log_limit_here;                                            \
		log_line_limited(&log_limit_here, level, __VA_ARGS__);                             \
	} while (0)

#define log_error(...)   log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)    log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)   log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)
