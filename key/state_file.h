// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stddef.h>

// Small files in the state directory that survive a crash as they were or as they were to be, never
// in between. Control thread.

// Reads a file of exactly size octets. 0, -ENOENT if there is none, -EBADMSG if it has another
// size, or -errno.
int state_file_read(const char *path, void *out, size_t size);

// Replaces the file, and returns 0 when that is on disk; or -errno, with the old one in place.
int state_file_write(const char *path, const void *data, size_t size);
