// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

// What cppcheck is to make of the macros of system headers, which it does not read.

#define JSON_INTEGER_FORMAT "lld"

#define LIST_HEAD(name, type)           struct name
#define STAILQ_HEAD(name, type)         struct name
#define TAILQ_HEAD(name, type)          struct name
#define LIST_FOREACH(var, head, field)  for (var = list_first(head); var; var = list_next(var))
#define TAILQ_FOREACH(var, head, field) for (var = list_first(head); var; var = list_next(var))
