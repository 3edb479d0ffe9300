// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "base/clock.h"
#include "ctl/commands.h"
#include "ctl/ctl.h"
#include "ctl/table.h"

// mcxctl top: the busiest sessions, every second.

enum {
	TOP_MS = 1000,
	TOP_LIMIT = 100,
	TOP_LINES = 3,     // of the screen that are no sessions
	TOP_WIDE_MIN = 72, // columns in which all of it is readable
};

static volatile sig_atomic_t interrupted; // number of the signal
static volatile sig_atomic_t resized;

static void on_signal(int number)
{
	if (number == SIGWINCH)
		resized = 1;
	else
		interrupted = number;
}

// A signal that ends the program interrupts system calls; SIGWINCH restarts them.
static void signals_take(void)
{
	static const int ends[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction action = {.sa_handler = on_signal};
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		sigaction(ends[i], &action, NULL);
	action.sa_flags = SA_RESTART;
	sigaction(SIGWINCH, &action, NULL);
}

// Whether a key that was pressed ends it; so does the end of the terminal.
static bool key_quits(void)
{
	char key = 0;
	return read(STDIN_FILENO, &key, 1) <= 0 || key == 'q';
}

// Until then, or until the screen has another size. True if somebody pressed q or Ctrl-C.
static bool wait_or_quit(bool keyboard, uint64_t until_ms)
{
	struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
	uint64_t now_ms;
	while (!interrupted && !resized && (now_ms = clock_now_ms()) < until_ms) {
		int n = poll(&input, keyboard ? 1 : 0, (int)(until_ms - now_ms));
		if (n > 0 && key_quits())
			return true;
	}
	return interrupted != 0;
}

struct screen {
	bool is_terminal;
	size_t rows, columns; // of sessions, and of all; 0: no limit
};

static void screen_measure(struct screen *screen)
{
	struct winsize size = {};
	resized = 0;
	screen->rows = screen->columns = 0;
	if (!screen->is_terminal || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0)
		return;
	if (size.ws_row > 0)
		screen->rows = size.ws_row > TOP_LINES ? size.ws_row - TOP_LINES : 1;
	screen->columns = size.ws_col;
}

static void row_add(struct table *table, const json_t *session, bool wide)
{
	const json_t *rates = json_object_get(session, "rates");
	long long octets = json_integer_value(json_object_get(rates, "received_octets"));
	table_add_member(table, session, "id");
	if (wide) {
		table_add_member(table, session, "service");
		table_add_member(table, session, "type");
		table_add_member(table, session, "n_legs");
	}
	table_add_member(table, rates, "received_packets");
	if (wide)
		table_add_number(table, octets * 8 / 1000);
	table_add_member(table, rates, "sent_packets");
	table_add_member(table, session, "lost");
	table_add_member(table, session, "drops");
}

static void top_print(const json_t *result, const struct screen *screen)
{
	static const char *const all[] = {"SESSION", "SERVICE", "TYPE", ">LEGS", ">RX/s",
		">RX kbit/s", ">TX/s", ">LOST", ">DROPS", NULL};
	static const char *const few[] = {"SESSION", ">RX/s", ">TX/s", ">LOST", ">DROPS", NULL};
	const json_t *sessions = json_object_get(result, "sessions");
	bool wide = screen->columns == 0 || screen->columns >= TOP_WIDE_MIN;
	struct table *table = table_new(wide ? all : few);
	for (size_t i = 0; i < json_array_size(sessions); i++)
		row_add(table, json_array_get(sessions, i), wide);
	if (screen->is_terminal)
		fputs("\033[H\033[J", stdout);
	printf("%lld sessions\n", json_integer_value(json_object_get(result, "n_sessions")));
	table_print(table, screen->rows, screen->columns);
}

static void result_print(const struct ctl *ctl, const json_t *result, struct screen *screen)
{
	if (ctl->json) {
		json_dumpf(result, stdout, JSON_COMPACT);
		putchar('\n');
	} else {
		screen_measure(screen);
		top_print(result, screen);
	}
}

// Shows an answer, again whenever the screen has another size, until it is time for the next one.
// False if that is not to come.
static bool turn_show(const struct ctl *ctl, const json_t *result, struct screen *screen,
	bool keyboard, bool last)
{
	uint64_t until_ms = clock_now_ms() + TOP_MS;
	do {
		result_print(ctl, result, screen);
		if (fflush(stdout) != 0 || last || wait_or_quit(keyboard, until_ms))
			return false;
	} while (resized);
	return true;
}

// False if no turn is to come.
static bool turn_wait(bool keyboard)
{
	uint64_t until_ms = clock_now_ms() + TOP_MS;
	bool quit = false;
	do {
		resized = 0; // there is nothing on the screen
		quit = wait_or_quit(keyboard, until_ms);
	} while (!quit && resized);
	return !quit;
}

// The first answer has no rates yet: it is not shown.
static int top_run(struct ctl *ctl, struct screen *screen, bool keyboard)
{
	bool more = true;
	for (unsigned n = 0; more; n++) {
		json_t *result = connection_call(
			&ctl->connection, "session.top", json_pack("{s:i}", "limit", TOP_LIMIT));
		if (!result)
			return interrupted ? 0 : 1;
		if (n == 0)
			more = turn_wait(keyboard);
		else
			more = turn_show(ctl, result, screen, keyboard, ctl->n != 0 && n >= ctl->n);
		json_decref(result);
	}
	return ferror(stdout) ? 1 : 0;
}

int ctl_top(struct ctl *ctl)
{
	if (ctl->argc > 0)
		return ctl_fail("top takes no argument; see mcxctl --help");
	if (!connection_open(&ctl->connection))
		return 1;
	struct screen screen = {.is_terminal = !ctl->json && isatty(STDOUT_FILENO)};
	struct termios before;
	bool keyboard = screen.is_terminal && tcgetattr(STDIN_FILENO, &before) == 0;
	ctl->connection.interrupted = &interrupted;
	signals_take();
	if (keyboard) {
		struct termios now = before;
		now.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
		tcsetattr(STDIN_FILENO, TCSANOW, &now);
	}
	int status = top_run(ctl, &screen, keyboard);
	if (keyboard)
		tcsetattr(STDIN_FILENO, TCSANOW, &before);
	if (interrupted && interrupted != SIGINT) { // whoever sent it sees the effect
		signal(interrupted, SIG_DFL);
		raise(interrupted);
	}
	return status;
}
