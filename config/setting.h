// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/check.h"

enum { OPTIONAL = 0, REQUIRED = 1 }; // values of member.required

struct member;
typedef void (*setting_read_fn)(
	struct check *c, const config_setting_t *s, const struct member *m, void *out);

// One setting of a group: how it is read and where its value goes.
struct member {
	const char *name;
	setting_read_fn read;
	size_t offset;     // of the value in the structure of its group
	uint32_t min, max; // of an integer; of the length of a string or sequence
	bool required;
	const char *accepted;         // in words; NULL for integers, whose range says it
	const struct member *members; // of a group, up to one without a name
};

const char *setting_type_name(const config_setting_t *s);

// The text of a string, or NULL after a complaint that s is none.
const char *setting_string(struct check *c, const config_setting_t *s, const char *accepted);

bool setting_integer(
	struct check *c, const config_setting_t *s, uint32_t min, uint32_t max, uint32_t *out);

// True if s is an array or a list with min to max elements.
bool setting_check_sequence(struct check *c, const config_setting_t *s, const struct member *m);

// Readers: each takes one setting, complains or puts its value where out points.

void setting_read_u32(
	struct check *c, const config_setting_t *s, const struct member *m, void *out);

void setting_read_bool(
	struct check *c, const config_setting_t *s, const struct member *m, void *out);

void setting_read_u16(
	struct check *c, const config_setting_t *s, const struct member *m, void *out);

void setting_read_text(
	struct check *c, const config_setting_t *s, const struct member *m, void *out);

// True if text has 1 to max characters, all letters, digits or one of others.
bool setting_is_word(const char *text, size_t max, const char *others);

void setting_read_name(
	struct check *c, const config_setting_t *s, const struct member *m, void *out);

void setting_read_mode(
	struct check *c, const config_setting_t *s, const struct member *m, void *out);

// A decimal number without sign, spaces or leading zero.
bool setting_parse_decimal(const char *text, unsigned min, unsigned max, unsigned *out);

void setting_read_listen(
	struct check *c, const config_setting_t *s, const struct member *m, void *out);

// Reads a group into the structure at out, by the table of its members.
void setting_read_members(
	struct check *c, const config_setting_t *group, const struct member *members, void *out);

void setting_read_group(
	struct check *c, const config_setting_t *s, const struct member *m, void *out);
