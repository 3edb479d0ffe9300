// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdint.h>

struct map;

// MC service user IDs by number: workers and key contexts name a talker by it. Control thread.

enum { USER_NONE = 0, USER_URI_MAX = 1000 }; // octets

struct users {
	struct map *by_uri;
	struct user *entries; // [0] is not used
	uint32_t n, size;
	uint32_t free_head;
};

void users_init(struct users *users);
void users_fini(struct users *users);

// The number of a user, USER_NONE for NULL. Each take needs one release.
uint32_t user_take(struct users *users, const char *uri);
uint32_t user_take_again(struct users *users, uint32_t user);
void user_release(struct users *users, uint32_t user);

// The URI of a number in use, NULL for USER_NONE. Valid until it is released.
const char *user_uri(const struct users *users, uint32_t user);
