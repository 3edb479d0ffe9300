// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <jansson.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

#include "ctl/tls_client.h"

// The parts of mcxctl. Commands return its exit status after saying on stderr what was wrong.

// "mcxctl: ..." on stderr. Returns 1.
int ctl_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
// What getopt did not like, by the option's name alone: its value may be a key.
int ctl_option_refused(int argc, char **argv, int option);
bool ctl_number_read(const char *text, unsigned max, unsigned *out);
// On stdout, indented. Takes value. Returns 0.
int ctl_json_print(json_t *value);
// From "-" (stdin), "@FILE" or the text itself. NULL after it said why not, without quoting it.
json_t *ctl_json_read(const char *text);

// --- ctl_connection.c: where the relay is, and the way to it ---

struct connection {
	const char *socket_path, *tls_address; // by TLS if tls_address
	struct tls_files files;
	int fd;
	struct tls_client *tls;
	char *input; // what was read and not taken yet
	size_t input_len, input_size;
	const volatile sig_atomic_t *interrupted; // set: reading ends, without a word; may be NULL
};

// Each says why it failed.
bool connection_open(struct connection *connection);
void connection_close(struct connection *connection);
// The next message. The caller gives it back.
json_t *connection_read(struct connection *connection);
// The response to a request, an error or not. Takes params.
json_t *connection_exchange(struct connection *connection, const char *method, json_t *params);
// The result of a request; an error is said in words, and NULL returned. Takes params.
json_t *connection_call(struct connection *connection, const char *method, json_t *params);

// --- ctl_table.c: aligned columns ---

struct table;

// Titles end with NULL; those that begin with '>' are of columns aligned right.
struct table *table_new(const char *const titles[]);
// The next cell, row by row. What a terminal would not print as it is, is escaped.
void table_add(struct table *table, const char *text);
void table_add_number(struct table *table, long long number);
// Member of an object as text, "-" if there is none.
void table_add_member(struct table *table, const json_t *object, const char *name);
// At most so many rows, 0: all, and columns of the screen, 0: as many as it takes. Where there are too
// few, the first column becomes narrower, and then lines are cut. Frees the table.
void table_print(struct table *table, size_t rows, size_t columns);
// Text with control characters escaped, on stdout.
void text_print(const char *text);
// Unix time as UTC, in out[32].
const char *time_text(double seconds, bool milliseconds, char out[32]);

// --- commands ---

struct ctl {
	struct connection connection;
	bool json, replace;
	unsigned n; // iterations or events; 0: without end
	int argc;   // arguments behind the command
	char **argv;
};

int ctl_show(struct ctl *ctl);
int ctl_top(struct ctl *ctl);
int ctl_watch(struct ctl *ctl);
int ctl_install_keys(struct ctl *ctl);
int ctl_derive(int argc, char **argv);
int ctl_guk_id(int argc, char **argv);
