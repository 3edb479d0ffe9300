// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_ethdev.h>

#include "base/map.h"
#include "base/secmem.h"
#include "control/app.h"
#include "dataplane/worker.h"
#include "server/reader.h"

// The methods of the control API. Each reads its params, checks, acts, answers.

static void set_count(json_t *object, const char *name, uint64_t n)
{
	json_object_set_new(object, name, json_integer((json_int_t)n));
}

static bool read_nothing(const json_t *params, struct rpc_error *error)
{
	struct reader r;
	reader_open(&r, params, "params", error);
	return reader_close(&r);
}

// --- relay
// ----------------------------------------------------------------------------------------------------

static json_t *port_show(const struct port *port)
{
	char mac[RTE_ETHER_ADDR_FMT_SIZE];
	struct rte_eth_link link = {};
	rte_ether_format_addr(mac, sizeof(mac), &port->mac);
	int rc = rte_eth_link_get_nowait(port->ethdev, &link);
	return json_pack("{s:s,s:s,s:s,s:i,s:i,s:b}", "name", port->name, "device", port->device,
		"mac", mac, "mtu", (int)port->mtu, "vlan", (int)port->vlan, "link",
		(int)(rc == 0 && link.link_status == RTE_ETH_LINK_UP));
}

static json_t *relay_info(void *arg, const json_t *params, struct rpc_error *error)
{
	struct app *app = arg;
	if (!read_nothing(params, error))
		return NULL;
	json_t *ports = json_array();
	for (unsigned i = 0; i < app->relay.n_ports; i++)
		json_array_append_new(ports, port_show(&app->relay.ports[i]));
	json_t *limits = json_pack("{s:I,s:I,s:I,s:I}", "keys", (json_int_t)app->max_keys,
		"sessions", (json_int_t)app->max_sessions, "legs", (json_int_t)app->max_legs,
		"streams", (json_int_t)app->max_streams);
	return json_pack("{s:s,s:i,s:I,s:i,s:o,s:s,s:o}", "version", MCXRELAY_VERSION, "api", 1,
		"uptime", (json_int_t)((relay_now_ms() - app->started_ms) / 1000), "workers",
		(int)app->relay.n_workers, "ports", ports, "cipher", relay_cipher_name(&app->relay),
		"limits", limits);
}

static json_t *worker_stats(const struct worker *worker)
{
	const struct worker_counters *c = &worker->counters;
	json_t *out = json_object();
	set_count(out, "lcore", worker->lcore);
	set_count(out, "rx_packets", c->rx_packets);
	set_count(out, "rx_octets", c->rx_octets);
	set_count(out, "rx_bursts", c->rx_bursts);
	set_count(out, "tx_packets", c->tx_packets);
	set_count(out, "tx_octets", c->tx_octets);
	set_count(out, "loops", c->loops);
	set_count(out, "busy_loops", c->busy_loops);
	set_count(out, "handoffs", c->handoffs);
	set_count(out, "held", c->held);
	return out;
}

static json_t *port_stats(const struct port *port)
{
	struct rte_eth_stats stats = {};
	rte_eth_stats_get(port->ethdev, &stats);
	json_t *out = json_pack("{s:s}", "name", port->name);
	set_count(out, "rx_packets", stats.ipackets);
	set_count(out, "rx_octets", stats.ibytes);
	set_count(out, "rx_missed", stats.imissed);
	set_count(out, "rx_errors", stats.ierrors);
	set_count(out, "rx_no_buffer", stats.rx_nombuf);
	set_count(out, "tx_packets", stats.opackets);
	set_count(out, "tx_octets", stats.obytes);
	set_count(out, "tx_errors", stats.oerrors);
	return out;
}

static json_t *relay_stats(void *arg, const json_t *params, struct rpc_error *error)
{
	struct app *app = arg;
	if (!read_nothing(params, error))
		return NULL;
	json_t *workers = json_array(), *ports = json_array(), *drops = json_object();
	for (unsigned i = 0; i < app->relay.n_workers; i++)
		json_array_append_new(workers, worker_stats(app->relay.workers[i]));
	for (unsigned i = 0; i < app->relay.n_ports; i++)
		json_array_append_new(ports, port_stats(&app->relay.ports[i]));
	for (unsigned reason = 1; reason < DROP_N_REASONS; reason++) {
		uint64_t n = 0;
		for (unsigned i = 0; i < app->relay.n_workers; i++)
			n += app->relay.workers[i]->counters.drops[reason];
		set_count(drops, drop_label(reason), n);
	}
	return json_pack("{s:o,s:o,s:o,s:I,s:I,s:I,s:I}", "workers", workers, "ports", ports,
		"drops", drops, "sessions", (json_int_t)map_count(app->sessions.by_id), "legs",
		(json_int_t)app->sessions.n_legs, "keys", (json_int_t)app->keys.n_roots,
		"key_contexts", (json_int_t)app->relay.keys.n_used);
}

// --- keys
// -----------------------------------------------------------------------------------------------------

static bool key_install_one(struct app *app, const json_t *value, const char *path, bool replace,
	struct rpc_error *error)
{
	struct key_spec *spec = secmem_malloc(sizeof(*spec));
	if (!spec)
		abort();
	if (key_read(value, path, spec, error)) {
		uint32_t scope = keystore_domain_find(app, spec->domain);
		if (key_admit(app, scope, spec, replace, 0, path, error)) {
			scope = keystore_domain_scope(app, spec->domain);
			if (scope == 0)
				rpc_fail(error, RPC_LIMIT, path,
					"is of the %dth domain; accepted: %d", KEY_DOMAINS_MAX + 1,
					KEY_DOMAINS_MAX);
			else
				key_install(app, scope, spec);
		}
	}
	secmem_free(spec);
	return error->code == RPC_OK;
}

static json_t *key_install_method(
	void *arg, const json_t *params, struct rpc_part *part, struct rpc_error *error)
{
	struct app *app = arg;
	struct reader r;
	const json_t *keys = NULL;
	bool replace = false;
	reader_open(&r, params, "params", error);
	reader_array(&r, "keys", READER_REQUIRED, &keys);
	reader_bool(&r, "replace", &replace);
	if (!reader_close(&r))
		return NULL;
	if (!part->list)
		part->list = json_array();
	for (size_t i = part->next; i < json_array_size(keys); i++) {
		char path[128];
		struct rpc_error one = {};
		if (rpc_part_over(part, i))
			return NULL;
		reader_element_path(&r, "keys", i, path);
		if (key_install_one(app, json_array_get(keys, i), path, replace, &one))
			part->count++;
		else
			json_array_append_new(
				part->list, json_pack("{s:I,s:i,s:s,s:{s:s}}", "index",
						    (json_int_t)i, "code", one.code, "message",
						    one.message, "data", "path", one.path));
		app_poll(app); // first words wait for nobody's bulk install
	}
	retire_poll(&app->retire);
	return json_pack("{s:I,s:O}", "installed", (json_int_t)part->count, "rejected", part->list);
}

static bool key_name_read(const json_t *value, const char *path, uint32_t *id, const char **domain,
	struct rpc_error *error)
{
	struct reader r;
	*domain = "home";
	reader_open(&r, value, path, error);
	key_id_read(&r, "id", READER_REQUIRED, id);
	key_domain_read(&r, domain);
	return reader_close(&r);
}

// In the first round names are read only, so that nothing was revoked if one is wrong.
static json_t *key_revoke(
	void *arg, const json_t *params, struct rpc_part *part, struct rpc_error *error)
{
	struct app *app = arg;
	struct reader r;
	const json_t *keys = NULL;
	reader_open(&r, params, "params", error);
	reader_array(&r, "keys", READER_REQUIRED, &keys);
	if (!reader_close(&r))
		return NULL;
	size_t n = json_array_size(keys);
	for (size_t i = part->next; i < 2 * n; i++) {
		char path[128];
		uint32_t id;
		const char *domain;
		if (rpc_part_over(part, i))
			return NULL;
		reader_element_path(&r, "keys", i % n, path);
		if (!key_name_read(json_array_get(keys, i % n), path, &id, &domain, error))
			return NULL;
		uint32_t scope = keystore_domain_find(app, domain);
		if (i >= n && scope != 0)
			part->count += key_remove(app, scope, id);
	}
	// The promise of this answer: no worker uses the keys, and their octets are wiped.
	retire_all(&app->retire);
	return json_pack("{s:I}", "revoked", (json_int_t)part->count);
}

static uint64_t ctx_packets(const struct app *app, uint32_t ctx)
{
	const struct stream_table *streams = &app->relay.streams;
	uint64_t packets = 0;
	uint32_t i = atomic_load_explicit(
		&app->relay.keys.streams[app->relay.keys.ctxs[ctx].space], memory_order_acquire);
	for (; i != 0; i = stream_sibling(&streams->streams[i - 1]))
		packets += streams->streams[i - 1].packets;
	return packets;
}

json_t *key_show(const struct app *app, const struct key_slot *slot)
{
	uint64_t packets = 0;
	for (uint32_t i = 0; i < slot->n_ctxs; i++)
		packets += ctx_packets(app, slot->ctxs[i]);
	const char *domain = keystore_domain_name(app, slot->scope);
	json_t *out = json_object();
	json_object_set_new(out, "id", json_sprintf("%08x", slot->id));
	if (domain)
		json_object_set_new(out, "domain", json_string(domain));
	json_object_set_new(out, "type", json_string(key_type_names[slot->type]));
	json_object_set_new(out, "state", json_string(key_state_name(slot->state)));
	set_count(out, "activation", (uint64_t)slot->activation);
	set_count(out, "expiry", (uint64_t)slot->expiry);
	set_count(out, "contexts", slot->n_ctxs);
	set_count(out, "packets", packets);
	return out;
}

static json_t *key_list(
	void *arg, const json_t *params, struct rpc_part *part, struct rpc_error *error)
{
	struct app *app = arg;
	struct reader r;
	const char *domain = NULL;
	unsigned type = KEY_N_TYPES;
	reader_open(&r, params, "params", error);
	key_domain_read(&r, &domain);
	reader_choice(&r, "type", READER_OPTIONAL, key_type_names, &type);
	if (!reader_close(&r))
		return NULL;
	uint32_t only = domain ? keystore_domain_find(app, domain) : 0;
	for (size_t i = part->next; i < app->keys.n_touched; i++) {
		const struct key_slot *slot = app->keys.roots[i];
		if (rpc_part_over(part, i))
			return NULL;
		// A session's own keys are shown with the session.
		if (slot && keystore_domain_name(app, slot->scope) &&
			(!domain || slot->scope == only) &&
			(type == KEY_N_TYPES || slot->type == type))
			rpc_part_say(part, "keys", key_show(app, slot));
	}
	return json_pack("{s:[]}", "keys");
}

// --- sessions
// -------------------------------------------------------------------------------------------------

static json_t *session_apply_method(void *arg, const json_t *params, struct rpc_error *error)
{
	struct app *app = arg;
	struct reader r;
	struct session_spec spec = {};
	bool created = false;
	reader_open(&r, params, "params", error);
	const json_t *value = json_object_get(params, "session");
	struct reader session;
	if (reader_object(&r, "session", READER_REQUIRED, &session) && reader_close(&r) &&
		session_read(app, value, "params.session", &spec, error))
		session_apply(app, &spec, "params.session", &created, error);
	session_spec_free(&spec);
	return error->code == RPC_OK ? json_pack("{s:b}", "created", (int)created) : NULL;
}

// The session of that id, if params were good so far.
static struct session *session_named(
	struct app *app, struct reader *r, const char *member, const char *id)
{
	struct session *session = reader_close(r) ? session_find(app, id) : NULL;
	if (!session)
		reader_fail(r, RPC_NOT_FOUND, member,
			"is no session; accepted: an id that session.list shows");
	return session;
}

static json_t *session_get(void *arg, const json_t *params, struct rpc_error *error)
{
	struct app *app = arg;
	struct reader r;
	const char *id = "";
	reader_open(&r, params, "params", error);
	reader_string(&r, "id", READER_REQUIRED, &id);
	struct session *session = session_named(app, &r, "id", id);
	app_read_mail(app); // what workers said before this request shows
	return session ? session_show(app, session) : NULL;
}

static void session_say(void *session, void *part)
{
	rpc_part_say(part, "sessions", session_summary(session));
}

static json_t *session_list(
	void *arg, const json_t *params, struct rpc_part *part, struct rpc_error *error)
{
	struct app *app = arg;
	uint64_t place = part->next;
	if (!read_nothing(params, error))
		return NULL;
	while (map_walk(app->sessions.by_id, &place, session_say, part))
		if (rpc_part_over(part, place))
			return NULL;
	return json_pack("{s:[]}", "sessions");
}

static json_t *session_top_method(void *arg, const json_t *params, struct rpc_error *error)
{
	struct app *app = arg;
	struct reader r;
	uint64_t limit = SESSION_TOP_DEFAULT;
	reader_open(&r, params, "params", error);
	reader_uint(&r, "limit", 1, SESSION_TOP_MAX, &limit);
	return reader_close(&r) ? session_top(app, (uint32_t)limit) : NULL;
}

static bool session_ids_check(const struct reader *r, const json_t *ids, struct rpc_error *error)
{
	for (size_t i = 0; i < json_array_size(ids); i++) {
		char path[128];
		if (json_is_string(json_array_get(ids, i)))
			continue;
		reader_element_path(r, "ids", i, path);
		rpc_fail(error, RPC_INVALID_PARAMS, path, "is no session id; accepted: a string");
		return false;
	}
	return true;
}

static json_t *session_remove_method(
	void *arg, const json_t *params, struct rpc_part *part, struct rpc_error *error)
{
	struct app *app = arg;
	struct reader r;
	const json_t *ids = NULL;
	reader_open(&r, params, "params", error);
	reader_array(&r, "ids", READER_REQUIRED, &ids);
	if (!reader_close(&r) || (part->next == 0 && !session_ids_check(&r, ids, error)))
		return NULL;
	for (size_t i = part->next; i < json_array_size(ids); i++) {
		if (rpc_part_over(part, i))
			return NULL;
		struct session *session =
			session_find(app, json_string_value(json_array_get(ids, i)));
		if (!session)
			continue;
		session_remove(app, session);
		part->count++;
	}
	return json_pack("{s:I}", "removed", (json_int_t)part->count);
}

static json_t *leg_apply(void *arg, const json_t *params, struct rpc_error *error)
{
	struct app *app = arg;
	struct reader r;
	const json_t *array = NULL;
	struct leg_spec *legs = NULL;
	uint32_t n = 0;
	const char *id = "";
	reader_open(&r, params, "params", error);
	reader_string(&r, "session", READER_REQUIRED, &id);
	reader_array(&r, "legs", READER_REQUIRED, &array);
	struct session *session = session_named(app, &r, "session", id);
	if (!session)
		return NULL;
	if (session_read_legs(app, array, "params.legs", &legs, &n, error))
		session_apply_legs(app, session, legs, n, "params", error);
	for (uint32_t i = 0; i < n; i++)
		leg_spec_free(&legs[i]);
	free(legs);
	return error->code == RPC_OK ? json_pack("{s:I}", "applied", (json_int_t)n) : NULL;
}

static json_t *leg_remove(void *arg, const json_t *params, struct rpc_error *error)
{
	struct app *app = arg;
	struct reader r;
	const json_t *ids = NULL;
	uint32_t removed = 0;
	const char *id = "";
	reader_open(&r, params, "params", error);
	reader_string(&r, "session", READER_REQUIRED, &id);
	reader_array(&r, "ids", READER_REQUIRED, &ids);
	struct session *session = session_named(app, &r, "session", id);
	if (!session || !session_remove_legs(app, session, ids, "params.ids", &removed, error))
		return NULL;
	return json_pack("{s:I}", "removed", (json_int_t)removed);
}

// --- events
// ---------------------------------------------------------------------------------------------------

// The type that one element of the array names.
static bool event_type_read(
	const json_t *value, const char *path, uint32_t *types, struct rpc_error *error)
{
	const char *name = json_string_value(value);
	for (unsigned type = 0; name && type < NOTICE_N_TYPES; type++) {
		if (strcmp(name, notice_labels[type]) == 0) {
			*types |= UINT32_C(1) << type;
			return true;
		}
	}
#define _(name, label, seconds, warning) " " label
	rpc_fail(error, RPC_INVALID_PARAMS, path, "is no event type; accepted:" NOTICE_TYPES(_));
#undef _
	return false;
}

static json_t *events_subscribe(void *arg, const json_t *params, struct rpc_error *error)
{
	struct app *app = arg;
	struct reader r;
	const json_t *names = NULL;
	uint32_t types = 0;
	reader_open(&r, params, "params", error);
	if (!reader_array(&r, "types", READER_OPTIONAL, &names))
		types = (UINT32_C(1) << NOTICE_N_TYPES) - 1;
	if (!reader_close(&r))
		return NULL;
	for (size_t i = 0; i < json_array_size(names); i++) {
		char path[128];
		reader_element_path(&r, "types", i, path);
		if (!event_type_read(json_array_get(names, i), path, &types, error))
			return NULL;
	}
	if (!app->events.caller || !subscription_set(app->events.caller, types)) {
		rpc_fail(error, RPC_LIMIT, NULL,
			"there is no memory for events of this connection; accepted: less");
		return NULL;
	}
	return json_object();
}

const struct rpc_method control_methods[] = {
	{"relay.info", relay_info},
	{"relay.stats", relay_stats},
	{"key.install", .call_in_parts = key_install_method},
	{"key.revoke", .call_in_parts = key_revoke},
	{"key.list", .call_in_parts = key_list, .reads = true},
	{"session.apply", session_apply_method},
	{"session.remove", .call_in_parts = session_remove_method},
	{"session.get", session_get},
	{"session.list", .call_in_parts = session_list, .reads = true},
	{"leg.apply", leg_apply},
	{"leg.remove", leg_remove},
	{"events.subscribe", events_subscribe},
	{"session.top", session_top_method},
	{NULL, NULL},
};
