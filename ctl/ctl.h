// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <jansson.h>
#include <stdbool.h>

// Input and output shared by all commands of mcxctl.

// "mcxctl: ..." on stderr. Returns 1.
int ctl_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
// Reports an option that getopt refused, by its name only: its value may be a key.
int ctl_option_refused(int argc, char **argv, int option);
bool ctl_number_read(const char *text, unsigned max, unsigned *out);
// On stdout, indented. Takes value. Returns 0.
int ctl_json_print(json_t *value);
// From "-" (stdin), "@FILE" or the text itself. NULL after it said why not, without quoting it.
json_t *ctl_json_read(const char *text);
// The same of a path as an argument of a command: a file without its @, or "-".
json_t *ctl_file_read(const char *path);
