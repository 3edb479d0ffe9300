// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "config/check.h"

// The whole file as a string, without a byte order mark and with a newline at the end, or NULL after a
// complaint. It is not left to libconfig to read the file: its scanner ends the process when a read
// fails, as that of a directory does.
char *file_read(struct check *c);

// libconfig 1.5 cuts an integer without the suffix L to 32 bits and says nothing: 4294967297 would
// be 1.
void file_check_integers(struct check *c, const char *text);
