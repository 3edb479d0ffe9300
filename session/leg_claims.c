// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "session/leg_claims.h"

#include <string.h>

#include "base/map.h"
#include "session/leg_fail.h"
#include "session/session_spec.h"

#define ID_TWICE "is the id of two legs; accepted: each id once"

enum claim_kind { CLAIM_ID, CLAIM_LOCAL, CLAIM_RECEIVED, CLAIM_GROUP };

// What is taken, as a key of the map.
struct claim_key {
	uint8_t octets[1 + SESSION_ID_MAX];
	size_t len;
};

static struct claim_key key_of_id(const char *id)
{
	struct claim_key key = {.octets = {CLAIM_ID}};
	size_t len = strnlen(id, SESSION_ID_MAX);
	memcpy(key.octets + 1, id, len);
	key.len = 1 + len;
	return key;
}

// An address of a port of the relay.
static struct claim_key key_of_address(
	enum claim_kind kind, uint8_t port, const struct endpoint *address)
{
	struct claim_key key = {.octets = {(uint8_t)kind, port, (uint8_t)address->family}};
	memcpy(key.octets + 3, address->addr, sizeof(address->addr));
	memcpy(key.octets + 3 + sizeof(address->addr), &address->port, sizeof(address->port));
	key.len = 3 + sizeof(address->addr) + sizeof(address->port);
	return key;
}

static struct claim_key key_of_group(const struct leg_spec *leg)
{
	struct endpoint group = leg->remote;
	group.port = 0;
	return key_of_address(CLAIM_GROUP, leg->port, &group);
}

bool leg_claims_open(struct leg_claims *claims, const char *path, struct rpc_error *error)
{
	claims->taken = map_new();
	if (!claims->taken)
		rpc_fail_memory(error, path);
	return claims->taken;
}

void leg_claims_close(struct leg_claims *claims)
{
	map_free(claims->taken);
	claims->taken = NULL;
}

// --- taking

static void claim(struct leg_claims *claims, const struct claim_key *key, struct leg_spec *leg,
	const char *path, const char *member, const char *twice, struct rpc_error *error)
{
	void *before = NULL;
	if (map_put(claims->taken, key->octets, key->len, leg, &before) != 0)
		rpc_fail_memory(error, path);
	else if (before)
		leg_fail(error, RPC_CONFLICT, path, leg, member, "%s", twice);
}

void leg_claim_id(
	struct leg_claims *claims, struct leg_spec *leg, const char *path, struct rpc_error *error)
{
	struct claim_key key = key_of_id(leg->id);
	claim(claims, &key, leg, path, "id", ID_TWICE, error);
}

void leg_claim_local(
	struct leg_claims *claims, struct leg_spec *leg, const char *path, struct rpc_error *error)
{
	struct claim_key key = key_of_address(CLAIM_LOCAL, leg->port, &leg->local);
	claim(claims, &key, leg, path, "local", LOCAL_TWICE, error);
}

void leg_claim_received(
	struct leg_claims *claims, struct leg_spec *leg, const char *path, struct rpc_error *error)
{
	struct claim_key key = key_of_address(CLAIM_RECEIVED, leg->port, &leg->remote);
	if (leg_spec_joins(leg))
		claim(claims, &key, leg, path, "remote", GROUP_TWICE, error);
}

bool leg_claim_group(struct leg_claims *claims, struct leg_spec *leg)
{
	struct claim_key key = key_of_group(leg);
	if (map_get(claims->taken, key.octets, key.len))
		return false;
	map_add(claims->taken, key.octets, key.len, leg);
	claims->n_groups[leg->port]++;
	return true;
}

void leg_claims_settle_group(struct leg_claims *claims, const struct leg_spec *leg)
{
	if (!leg_spec_joins(leg))
		return;
	struct claim_key key = key_of_group(leg);
	if (map_remove(claims->taken, key.octets, key.len))
		claims->n_groups[leg->port]--;
}

// --- looking

static struct leg_spec *claims_get(const struct leg_claims *claims, const struct claim_key *key)
{
	return claims ? map_get(claims->taken, key->octets, key->len) : NULL;
}

struct leg_spec *leg_claims_find(const struct leg_claims *claims, const char *id)
{
	struct claim_key key = key_of_id(id);
	return strlen(id) > SESSION_ID_MAX ? NULL : claims_get(claims, &key);
}

bool leg_claims_have_local(const struct leg_claims *claims, const struct leg_spec *leg)
{
	struct claim_key key = key_of_address(CLAIM_LOCAL, leg->port, &leg->local);
	return claims_get(claims, &key);
}

bool leg_claims_have_received(const struct leg_claims *claims, const struct leg_spec *leg)
{
	struct claim_key key = key_of_address(CLAIM_RECEIVED, leg->port, &leg->remote);
	return claims_get(claims, &key);
}
