// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "key/key.h"

// Numbers of domains and sessions: with its id they name a key. Control thread.

enum { KEY_DOMAINS_MAX = 4096 };

// The number of a domain, made if it is new; 0 if there are too many.
uint32_t keystore_domain_scope(struct keystore *store, const char *domain);
// The number of a domain, 0 if there is none of that name.
uint32_t keystore_domain_find(const struct keystore *store, const char *domain);
// The name of a domain's number, NULL if the scope is a session's.
const char *keystore_domain_name(const struct keystore *store, uint32_t scope);
// A number for a session's own keys. Each needs one release, when its keys were removed: then it can
// be another session's after a grace period.
uint32_t keystore_session_scope(struct keystore *store);
void keystore_session_scope_release(struct keystore *store, uint32_t scope);

void key_domains_free(struct keystore *store);
