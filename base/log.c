// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "base/log.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

enum { LOG_LINE_SIZE = 1024, LOG_PIPE_SIZE = 1024 * 1024 };

const char *const log_level_names[] = {"error", "warning", "info", "debug", NULL};

static enum log_level log_threshold = LOG_LEVEL_INFO;
static bool log_times;

void log_set_level(enum log_level level)
{
	log_threshold = level;
}

enum log_level log_get_level(void)
{
	return log_threshold;
}

void log_set_times(bool times)
{
	log_times = times;
}

// pipe(7): 64 KiB unless somebody asks for more, and 1 MiB at most without privilege. It is no matter if it is refused.
void log_make_room(void)
{
	(void)fcntl(STDERR_FILENO, F_SETPIPE_SZ, LOG_PIPE_SIZE);
}

// systemd.exec(5): JOURNAL_STREAM names the device and inode of the journal's stream. It is
// inherited, so stderr is the journal only if it still is that stream.
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	uintmax_t device, inode;
	if (!stream || sscanf(stream, "%ju:%ju", &device, &inode) != 2)
		return false;
	struct stat st;
	return fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

// "2026-11-29T06:30:00.125Z ".
static size_t time_write(char *out, size_t size)
{
	struct timespec now;
	struct tm utc;
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	size_t len = strftime(out, size, "%FT%T", &utc);
	return len +
	       (size_t)snprintf(out + len, size - len, ".%03dZ ", (int)(now.tv_nsec / 1000000));
}

// What starts a line: the time and the level's name, or for the journal its priority (sd-daemon(3)).
static size_t prefix_write(char *out, size_t size, enum log_level level)
{
	static const char *const priorities[] = {"<3>", "<4>", "<6>", "<7>"};
	if (stderr_is_journal())
		return (size_t)snprintf(out, size, "%s", priorities[level]);
	size_t len = log_times ? time_write(out, size) : 0;
	return len + (size_t)snprintf(out + len, size - len, "%s ", log_level_names[level]);
}

// A reader that stands still must not make the relay do so: there is room for a line, or it is lost.
static bool has_room(void)
{
	struct pollfd log = {.fd = STDERR_FILENO, .events = POLLOUT};
	return poll(&log, 1, 0) != 0;
}

static void octets_write(const char *octets, size_t len)
{
	static uint64_t n_lost;
	if (!has_room()) {
		n_lost++;
		return;
	}
	// One call a line, so that lines of several processes do not mix. A log that is lost stays
	// lost.
	if (write(STDERR_FILENO, octets, len) < 0 || n_lost == 0 || !has_room())
		return;
	char lost[96];
	len = prefix_write(lost, sizeof(lost), LOG_LEVEL_WARNING);
	len += (size_t)snprintf(
		lost + len, sizeof(lost) - len, "log.lost count=%" PRIu64 "\n", n_lost);
	n_lost = 0;
	if (write(STDERR_FILENO, lost, len) < 0)
		return;
}

// Writes the line, and how many before it were not written if that was any.
__attribute__((format(printf, 3, 0))) static void line_write(
	enum log_level level, unsigned n_suppressed, const char *format, va_list args)
{
	char line[LOG_LINE_SIZE];
	int prefix_len = (int)prefix_write(line, sizeof(line), level);
	int len = vsnprintf(line + prefix_len, sizeof(line) - (size_t)prefix_len, format, args);
	if (len < 0)
		return;
	len += prefix_len;
	if (n_suppressed > 0 && len < LOG_LINE_SIZE - 1)
		len += snprintf(
			line + len, sizeof(line) - (size_t)len, " suppressed=%u", n_suppressed);
	if (len > LOG_LINE_SIZE - 1)
		len = LOG_LINE_SIZE - 1;
	// What clients chose (session ids) must not forge a second line or drive a terminal.
	for (int i = 0; i < len; i++) {
		if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
			line[i] = '?';
	}
	line[len] = '\n'; // in the place of the NUL
	octets_write(line, (size_t)len + 1);
}

void log_line(enum log_level level, const char *format, ...)
{
	if (level > log_threshold)
		return;
	va_list args;
	va_start(args, format);
	line_write(level, 0, format, args);
	va_end(args);
}

void log_line_limited(struct log_limit *limit, enum log_level level, const char *format, ...)
{
	if (level > log_threshold)
		return;
	uint64_t window = clock_now_ms() / 1000 / LOG_LIMIT_SECONDS + 1;
	if (window != limit->window) {
		limit->window = window;
		limit->n_lines = 0;
	}
	if (limit->n_lines == LOG_LIMIT_LINES) {
		limit->n_suppressed++;
		return;
	}
	limit->n_lines++;
	va_list args;
	va_start(args, format);
	line_write(level, limit->n_suppressed, format, args);
	va_end(args);
	limit->n_suppressed = 0;
}

const char *log_quoted(char out[LOG_QUOTED_SIZE], const char *text)
{
	static const char hex[] = "0123456789abcdef";
	size_t len = 0;
	out[len++] = '"';
	// Room for the longest escape, the closing quote and the NUL.
	for (; *text != '\0' && len <= LOG_QUOTED_SIZE - 6; text++) {
		unsigned char octet = (unsigned char)*text;
		if (octet == '"' || octet == '\\') {
			out[len++] = '\\';
			out[len++] = (char)octet;
		} else if (octet >= ' ' && octet < 0x7f) {
			out[len++] = (char)octet;
		} else {
			memcpy(out + len, "\\x", 2);
			out[len + 2] = hex[octet >> 4];
			out[len + 3] = hex[octet & 15];
			len += 4;
		}
	}
	out[len++] = '"';
	out[len] = '\0';
	return out;
}
