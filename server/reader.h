// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "server/rpc_error.h"

// Reads the members of a JSON object strictly: wrong type, missing, out of range or unknown members
// set an error that names the member by its path. After an error every further read returns false
// and changes nothing, so a run of reads needs one check at its end (reader_close).
//
//   struct reader r;
//   reader_open(&r, params, "params", error);
//   reader_string(&r, "id", READER_REQUIRED, &id);
//   reader_uint(&r, "dscp", 0, 63, &dscp);
//   if (!reader_close(&r))
//           return NULL;

enum reader_need { READER_OPTIONAL, READER_REQUIRED };

enum { READER_NAMES_MAX = 24 }; // members that an object may have; a leg has 15

struct reader {
	const json_t *object;
	struct rpc_error *error;
	char path[128]; // of the object itself
	uint64_t taken; // bit n: the object's n-th member was read
	// Names that were read: the members that the object may have. They are literals.
	const char *asked[READER_NAMES_MAX];
	unsigned n_asked;
};

// Begins to read value, which must be an object; path names it in errors.
void reader_open(struct reader *r, const json_t *value, const char *path, struct rpc_error *error);

// Each takes one member. They return true if the member was there and good, false if it was absent
// or an error is set; *out keeps what it had (the default) unless true is returned. null counts as
// absent for OPTIONAL members.
bool reader_string(struct reader *r, const char *name, enum reader_need need, const char **out);
bool reader_bool(struct reader *r, const char *name, bool *out); // optional
bool reader_uint(
	struct reader *r, const char *name, uint64_t min, uint64_t max, uint64_t *out); // optional
// One of the NULL-terminated names; its position goes to *out.
bool reader_choice(struct reader *r, const char *name, enum reader_need need,
	const char *const *names, unsigned *out);
// Opens the object that is the member's value into child.
bool reader_object(struct reader *r, const char *name, enum reader_need need, struct reader *child);
bool reader_array(struct reader *r, const char *name, enum reader_need need, const json_t **out);

// Takes a member that answers have and requests need not, whatever it is: who states what was answered
// is not refused for it.
void reader_skip(struct reader *r, const char *name);

// Sets an error about the named member: "params.legs[2].local" and a printf message.
void reader_fail(struct reader *r, enum rpc_code code, const char *name, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

// Path of element index of the array member name, into path[128].
void reader_element_path(const struct reader *r, const char *name, size_t index, char path[128]);

// Refuses members that were not read, unless an error is set already, and lists those that were.
// True if there is no error.
bool reader_close(struct reader *r);
