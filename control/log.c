// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "control/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOG_LINE_SIZE = 1024 };

static enum log_level log_threshold = LOG_LEVEL_INFO;

void log_set_level(enum log_level level)
{
	log_threshold = level;
}

// systemd.exec(5): JOURNAL_STREAM names the device and inode of the journal's stream. It is
// inherited, so stderr is the journal only if it still is that stream.
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	uintmax_t device, inode;
	struct stat st;

	if (stream == NULL || sscanf(stream, "%ju:%ju", &device, &inode) != 2)
		return false;
	return fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

// What starts a line: the level's name, or for the journal its priority (sd-daemon(3)).
static const char *level_prefix(enum log_level level)
{
	static const char *const names[] = {"error ", "warning ", "info ", "debug "};
	static const char *const priorities[] = {"<3>", "<4>", "<6>", "<7>"};

	return stderr_is_journal() ? priorities[level] : names[level];
}

void log_line(enum log_level level, const char *format, ...)
{
	char line[LOG_LINE_SIZE];
	va_list args;
	int prefix_len, len;

	if (level > log_threshold)
		return;
	prefix_len = snprintf(line, sizeof(line), "%s", level_prefix(level));
	va_start(args, format);
	len = vsnprintf(line + prefix_len, sizeof(line) - (size_t)prefix_len, format, args);
	va_end(args);
	if (len < 0)
		return;
	len += prefix_len;
	if (len > LOG_LINE_SIZE - 1)
		len = LOG_LINE_SIZE - 1;
	// What clients chose (session ids) must not forge a second line or drive a terminal.
	for (int i = 0; i < len; i++) {
		if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
			line[i] = '?';
	}
	line[len] = '\n'; // in the place of the NUL
	// One call a line, so that lines of several processes do not mix. A log that is lost stays
	// lost.
	if (write(STDERR_FILENO, line, (size_t)len + 1) < 0)
		return;
}
