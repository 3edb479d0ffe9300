// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "key/key_domain.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/map.h"
#include "dataplane/retire.h"

// One name of the second part of a key's name.
struct key_domain {
	char *name; // NULL: a session's own
	uint32_t scope;
};

// A number that nothing in use has: 2^32 of them are soon given to calls, and a domain keeps its own.
static uint32_t scope_take(struct keystore *store, char *name)
{
	struct key_domain *domain = alloc_zero(1, sizeof(*domain));
	do
		domain->scope = store->next_scope++;
	while (domain->scope == 0 || map_get(store->scopes, &domain->scope, sizeof(domain->scope)));
	domain->name = name;
	map_add(store->scopes, &domain->scope, sizeof(domain->scope), domain);
	if (name)
		map_add(store->domains, name, strlen(name), domain);
	return domain->scope;
}

uint32_t keystore_domain_scope(struct keystore *store, const char *name)
{
	uint32_t scope = keystore_domain_find(store, name);
	if (scope != 0)
		return scope;
	if (map_count(store->domains) == KEY_DOMAINS_MAX)
		return 0;
	return scope_take(store, alloc_string(name));
}

uint32_t keystore_domain_find(const struct keystore *store, const char *name)
{
	const struct key_domain *domain = map_get(store->domains, name, strlen(name));
	return domain ? domain->scope : 0;
}

const char *keystore_domain_name(const struct keystore *store, uint32_t scope)
{
	const struct key_domain *domain = map_get(store->scopes, &scope, sizeof(scope));
	return domain ? domain->name : NULL;
}

uint32_t keystore_session_scope(struct keystore *store)
{
	return scope_take(store, NULL);
}

// No worker looks up keys in it any more.
static void scope_release(void *arg, uint32_t scope)
{
	struct keystore *store = arg;
	free(map_remove(store->scopes, &scope, sizeof(scope)));
}

void keystore_session_scope_release(struct keystore *store, uint32_t scope)
{
	retire_later(store->retire, scope_release, store, scope);
}

void key_domains_free(struct keystore *store)
{
	struct map_cursor cursor = {0};
	struct key_domain *domain;
	while (store->scopes && (domain = map_next(store->scopes, &cursor)) != NULL) {
		free(domain->name);
		free(domain);
	}
	map_free(store->scopes);
	map_free(store->domains);
}
