// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "key/key_domain.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/map.h"

struct key_domain {
	char *name;
	uint32_t scope;
};

uint32_t keystore_domain_scope(struct keystore *store, const char *name)
{
	struct key_domain *domain = map_get(store->domains, name, strlen(name));
	if (domain)
		return domain->scope;
	if (store->n_domains == KEY_DOMAINS_MAX)
		return 0;
	domain = alloc_zero(1, sizeof(*domain));
	*domain = (struct key_domain){alloc_string(name), store->next_scope++};
	if (map_put(store->domains, name, strlen(name), domain, NULL) != 0)
		abort();
	store->by_scope =
		alloc_resize(store->by_scope, store->n_domains + 1, sizeof(*store->by_scope));
	store->by_scope[store->n_domains++] = domain;
	return domain->scope;
}

uint32_t keystore_domain_find(const struct keystore *store, const char *name)
{
	const struct key_domain *domain = map_get(store->domains, name, strlen(name));
	return domain ? domain->scope : 0;
}

const char *keystore_domain_name(const struct keystore *store, uint32_t scope)
{
	for (uint32_t i = 0; i < store->n_domains; i++)
		if (store->by_scope[i]->scope == scope)
			return store->by_scope[i]->name;
	return NULL;
}

uint32_t keystore_session_scope(struct keystore *store)
{
	return store->next_scope++;
}

void key_domains_free(struct keystore *store)
{
	for (uint32_t i = 0; i < store->n_domains; i++) {
		free(store->by_scope[i]->name);
		free(store->by_scope[i]);
	}
	free(store->by_scope);
	map_free(store->domains);
}
