// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stddef.h>

// What the process may do beyond an ordinary one: its user and its capabilities (capabilities(7)).
// All functions: main thread; 0, or -errno with a sentence in why.

// Makes user (and group, if not NULL, else the user's own) that of every thread. What the main
// thread still needs until privilege_drop() it keeps: locking memory, and privileged TCP ports.
// Nothing changes if it is the user already; else the caller must be root.
int privilege_user_set(const char *user, const char *group, char *why, size_t why_size);

// Makes a new directory for user and group as above, with mode and its parents in place. One that is
// there stays as it is.
int privilege_directory_make(const char *path, unsigned mode, const char *user, const char *group,
	char *why, size_t why_size);

// Lets go of every capability in every thread, and of the way to any by executing a program.
int privilege_drop(char *why, size_t why_size);
