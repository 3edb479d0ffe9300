// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "control/ctl.h"

// mcxctl top: the busiest sessions, every second.

enum {
	TOP_MS = 1000,
	TOP_LIMIT = 50,
	TOP_LINES = 3, // of the screen that are no sessions
};

static volatile sig_atomic_t interrupted;

static void on_interrupt(int number)
{
	(void)number;
	interrupted = 1;
}

// Waits for the next turn. True if somebody pressed q, or Ctrl-C.
static bool wait_or_quit(bool keyboard)
{
	struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
	char key = 0;
	if (poll(&input, keyboard ? 1 : 0, TOP_MS) > 0 && read(STDIN_FILENO, &key, 1) <= 0)
		return true;
	return interrupted || key == 'q';
}

static void top_print(const json_t *result, size_t rows)
{
	static const char *const titles[] = {"SESSION", "SERVICE", "TYPE", ">LEGS", ">RX/s",
		">RX kbit/s", ">TX/s", ">LOST", ">DROPS", NULL};
	const json_t *sessions = json_object_get(result, "sessions");
	struct table *table = table_new(titles);
	for (size_t i = 0; i < json_array_size(sessions); i++) {
		const json_t *session = json_array_get(sessions, i);
		const json_t *rates = json_object_get(session, "rates");
		table_add_member(table, session, "id");
		table_add_member(table, session, "service");
		table_add_member(table, session, "type");
		table_add_member(table, session, "n_legs");
		table_add_member(table, rates, "received_packets");
		table_add_number(table,
			json_integer_value(json_object_get(rates, "received_octets")) * 8 / 1000);
		table_add_member(table, rates, "sent_packets");
		table_add_member(table, session, "lost");
		table_add_member(table, session, "drops");
	}
	printf("%lld sessions\n", json_integer_value(json_object_get(result, "n_sessions")));
	table_print(table, rows);
}

static size_t screen_rows(void)
{
	struct winsize size = {};
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row <= TOP_LINES)
		return 0;
	return size.ws_row - TOP_LINES;
}

// The first answer has no rates yet: it is not shown.
static int top_run(struct ctl *ctl, bool screen, bool keyboard)
{
	for (unsigned n = 0; ctl->n == 0 || n <= ctl->n; n++) {
		json_t *result = connection_call(
			&ctl->connection, "session.top", json_pack("{s:i}", "limit", TOP_LIMIT));
		if (!result)
			return interrupted ? 0 : 1;
		if (n > 0 && screen)
			fputs("\033[H\033[J", stdout);
		if (n > 0 && ctl->json) {
			json_dumpf(result, stdout, JSON_COMPACT);
			putchar('\n');
		} else if (n > 0) {
			top_print(result, screen ? screen_rows() : 0);
		}
		json_decref(result);
		if (fflush(stdout) != 0)
			return 1;
		if ((ctl->n == 0 || n < ctl->n) && wait_or_quit(keyboard))
			return 0;
	}
	return 0;
}

int ctl_top(struct ctl *ctl)
{
	struct sigaction action = {.sa_handler = on_interrupt};
	struct termios before, now;
	if (ctl->argc > 0)
		return ctl_fail("top takes no argument; see mcxctl --help");
	if (!connection_open(&ctl->connection))
		return 1;
	bool screen = !ctl->json && isatty(STDOUT_FILENO);
	bool keyboard = screen && tcgetattr(STDIN_FILENO, &before) == 0;
	sigaction(SIGINT, &action, NULL);
	if (keyboard) {
		now = before;
		now.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
		tcsetattr(STDIN_FILENO, TCSANOW, &now);
	}
	int status = top_run(ctl, screen, keyboard);
	if (keyboard)
		tcsetattr(STDIN_FILENO, TCSANOW, &before);
	return status;
}
