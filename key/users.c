// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "key/users.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/map.h"

struct user {
	char *uri;
	uint32_t takers;
	uint32_t next_free;
};

void users_init(struct users *users)
{
	*users = (struct users){.by_uri = map_new(), .n = 1};
}

void users_fini(struct users *users)
{
	for (uint32_t i = 1; i < users->n; i++)
		free(users->entries[i].uri);
	free(users->entries);
	map_free(users->by_uri);
	*users = (struct users){};
}

static uint32_t user_new(struct users *users)
{
	if (users->free_head != 0) {
		uint32_t user = users->free_head;
		users->free_head = users->entries[user].next_free;
		return user;
	}
	if (users->n >= users->size) {
		users->size = users->size ? users->size * 2 : 64;
		users->entries = alloc_resize(users->entries, users->size, sizeof(*users->entries));
	}
	return users->n++;
}

uint32_t user_take(struct users *users, const char *uri)
{
	if (!uri)
		return USER_NONE;
	uint32_t user = (uint32_t)(uintptr_t)map_get(users->by_uri, uri, strlen(uri));
	if (user == 0) {
		user = user_new(users);
		users->entries[user] = (struct user){.uri = alloc_string(uri)};
		map_add(users->by_uri, uri, strlen(uri), (void *)(uintptr_t)user);
	}
	users->entries[user].takers++;
	return user;
}

uint32_t user_take_again(struct users *users, uint32_t user)
{
	if (user != USER_NONE)
		users->entries[user].takers++;
	return user;
}

void user_release(struct users *users, uint32_t user)
{
	if (user == USER_NONE || --users->entries[user].takers > 0)
		return;
	struct user *entry = &users->entries[user];
	map_remove(users->by_uri, entry->uri, strlen(entry->uri));
	free(entry->uri);
	*entry = (struct user){.next_free = users->free_head};
	users->free_head = user;
}

const char *user_uri(const struct users *users, uint32_t user)
{
	return user == USER_NONE ? NULL : users->entries[user].uri;
}
