// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "control/audit.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "control/methods_log.h"
#include "server/request_stats.h"
#include "server/rpc.h"

enum {
	AUDIT_FACTS_SIZE = LOG_QUOTED_SIZE + 32, // one text of any length has room
	AUDIT_NAME_SIZE = 280,
	AUDIT_LINE_ROOM = AUDIT_FACTS_SIZE, // octets of facts and quoted names in a line
};

// What is told of one request.
struct audit {
	const struct rpc_call *call;
	char facts[AUDIT_FACTS_SIZE]; // " key=value" each; in the first line
	size_t facts_len;
	const char *list; // whose names these are
	char names[AUDIT_NAMES_SIZE];
	size_t names_len, quoted_len; // as they are and as they are written
	unsigned n_lines;
	size_t n_more; // names for which there is no line
};

static void line_write(struct audit *audit)
{
	const struct rpc_call *call = audit->call;
	const char *outcome = request_stats_outcome_name(request_stats_outcome(call->error->code));
	char quoted[LOG_QUOTED_SIZE] = "";
	if (audit->names_len > 0)
		log_quoted(quoted, audit->names);
	const char *list = audit->names_len > 0 ? audit->list : "";
#define REQUEST                                                                                    \
	"method=%s %s outcome=%s%s%s%s%s%s", call->method->name,                                   \
		call->caller ? call->caller : "caller=unknown", outcome, audit->facts,             \
		list[0] != '\0' ? " " : "", list, list[0] != '\0' ? "=" : "", quoted
	if (call->method->changes)
		log_info("audit " REQUEST);
	else
		log_limited(LOG_LEVEL_DEBUG, "request " REQUEST);
#undef REQUEST
	audit->n_lines++;
	audit->facts_len = audit->names_len = audit->quoted_len = 0;
	audit->facts[0] = audit->names[0] = '\0';
}

// Goes on in the next line where this one is full.
__attribute__((format(printf, 2, 3))) static void fact_add(
	struct audit *audit, const char *format, ...)
{
	char fact[AUDIT_FACTS_SIZE];
	va_list args;
	va_start(args, format);
	vsnprintf(fact, sizeof(fact), format, args);
	va_end(args);
	size_t len = strlen(fact);
	if (audit->facts_len + len >= sizeof(audit->facts))
		line_write(audit);
	memcpy(audit->facts + audit->facts_len, fact, len + 1);
	audit->facts_len += len;
}

static void fact_add_text(struct audit *audit, const char *name, const char *text)
{
	char quoted[LOG_QUOTED_SIZE];
	fact_add(audit, " %s=%s", name, log_quoted(quoted, text));
}

// A line is left for how many are not told.
static void name_add(struct audit *audit, const char *list, const char *name)
{
	char quoted[LOG_QUOTED_SIZE];
	size_t len = strlen(log_quoted(quoted, name)) - 1; // of the quotes, one space is left
	bool begins = audit->names_len == 0;
	bool fits = audit->facts_len + audit->quoted_len + len <= AUDIT_LINE_ROOM &&
		    (begins || audit->quoted_len + len <= AUDIT_NAMES_SIZE);
	bool is_empty = begins && audit->facts_len == 0;
	if (!is_empty && (!fits || (!begins && strcmp(audit->list, list) != 0))) {
		if (audit->n_lines + 1 >= AUDIT_LINES_MAX) {
			audit->n_more++;
			return;
		}
		line_write(audit);
	}
	audit->list = list;
	audit->quoted_len += len;
	audit->names_len += (size_t)snprintf(audit->names + audit->names_len,
		sizeof(audit->names) - audit->names_len, "%s%s", audit->names_len > 0 ? " " : "",
		name);
}

// Key ids are eight digits; a request may have anything in their place, such as a key.
static bool is_key_id(const char *text)
{
	return strlen(text) == 8 && strspn(text, "0123456789abcdefABCDEF") == 8;
}

// What an element of a list is called: itself, or by its members.
static void element_name(const json_t *element, bool of_keys, char name[AUDIT_NAME_SIZE])
{
	const char *id = json_string_value(json_object_get(element, "id"));
	const char *uri = json_string_value(json_object_get(element, "uri"));
	const char *domain = json_string_value(json_object_get(element, "domain"));
	const char *text = json_is_string(element) ? json_string_value(element) : id ? id : uri;
	snprintf(name, AUDIT_NAME_SIZE, "%s%s%s", of_keys && domain ? domain : "",
		of_keys && domain ? "/" : "", text ? text : "?");
}

// Of one that was refused: its members may be anything.
static void refused_name(
	const json_t *element, bool of_keys, size_t index, char name[AUDIT_NAME_SIZE])
{
	const char *id = json_string_value(json_object_get(element, "id"));
	bool has_id = of_keys && id && is_key_id(id);
	snprintf(name, AUDIT_NAME_SIZE, "#%zu%s%s", index, has_id ? ":" : "", has_id ? id : "");
}

static bool was_rejected(const json_t *rejected, size_t *at, size_t index)
{
	const json_t *next = json_array_get(rejected, *at);
	if (!next || json_integer_value(json_object_get(next, "index")) != (json_int_t)index)
		return false;
	(*at)++;
	return true;
}

static void list_add(struct audit *audit, const char *member, const json_t *list)
{
	const json_t *rejected = json_object_get(audit->call->result, "rejected");
	unsigned n_kinds = json_array_size(rejected) > 0 ? 2 : 1;
	bool of_keys = strcmp(member, "keys") == 0;
	for (unsigned refused = 0; refused < n_kinds; refused++) {
		size_t at = 0, i;
		const json_t *element;
		json_array_foreach ((json_t *)(uintptr_t)list, i, element) {
			char name[AUDIT_NAME_SIZE];
			if (was_rejected(rejected, &at, i) != (refused == 1))
				continue;
			if (refused)
				refused_name(element, of_keys, i, name);
			else
				element_name(element, of_keys, name);
			name_add(audit, refused ? "refused" : member, name);
		}
	}
}

static void names_add(struct audit *audit, const json_t *object)
{
	static const char *const texts[] = {
		"session", "id", "domain", "uri", "initiator", "type", NULL};
	static const char *const lists[] = {
		"ids", "legs", "keys", "kms", "uris", "identities", "receivers", NULL};
	static const char *const switches[] = {"replace", "destroy", NULL};
	for (const char *const *name = texts; *name; name++)
		if (json_is_string(json_object_get(object, *name)) &&
			!json_object_get(audit->call->result, *name))
			fact_add_text(
				audit, *name, json_string_value(json_object_get(object, *name)));
	for (const char *const *name = switches; *name; name++)
		if (json_is_true(json_object_get(object, *name)))
			fact_add(audit, " %s=true", *name);
	for (const char *const *name = lists; *name; name++)
		list_add(audit, *name, json_object_get(object, *name));
	const json_t *key = json_object_get(object, "key");
	if (json_is_object(key) && !json_object_get(audit->call->result, "id")) {
		char name[AUDIT_NAME_SIZE];
		element_name(key, true, name);
		name_add(audit, "key", name);
	}
	if (json_is_string(json_object_get(object, "xml"))) // names what the document has
		list_add(audit,
			strncmp(audit->call->method->name, "kms", 3) == 0 ? "kms" : "identities",
			json_object_get(audit->call->made, "elements"));
}

static void params_add(struct audit *audit)
{
	const json_t *session = json_object_get(audit->call->params, "session");
	names_add(audit, json_is_object(session) ? session : audit->call->params);
}

// Numbers, what is so or not, how many elements: an answer has no secret in these. Of its texts those that name the
// key of a message.
static void result_add(struct audit *audit)
{
	static const char *const texts[] = {"type", "id", "domain", "initiator", "level", "before"};
	const json_t *result = audit->call->result, *value;
	const char *name;
	json_object_foreach ((json_t *)(uintptr_t)result, name, value) {
		if (json_is_integer(value))
			fact_add(audit, " %s=%lld", name, (long long)json_integer_value(value));
		else if (json_is_boolean(value))
			fact_add(audit, " %s=%s", name, json_is_true(value) ? "true" : "false");
		else if (json_is_array(value))
			fact_add(audit, " n_%s=%zu", name, json_array_size(value));
	}
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		value = json_object_get(result, texts[i]);
		if (json_is_string(value))
			fact_add_text(audit, texts[i], json_string_value(value));
	}
}

void audit_call(const struct rpc_call *call)
{
	if (!call->method)
		return;
	const struct rpc_error *error = call->error;
	const enum log_level level = log_get_level();
	struct audit audit = {.call = call};
	bool of_log = call->method->call == log_set; // who silences the log is told all the same
	if ((call->method->changes ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG) > level && !of_log)
		return;
	if (of_log)
		log_set_level(LOG_LEVEL_DEBUG);
	if (error->path[0] != '\0')
		fact_add_text(&audit, "path", error->path);
	if (error->reason)
		fact_add(&audit, " reason=%s", error->reason);
	if (call->method->changes && error->code == RPC_OK)
		result_add(&audit);
	if (call->method->changes && error->code >= RPC_OK)
		params_add(&audit);
	if (audit.n_more > 0)
		fact_add(&audit, " more=%zu", audit.n_more);
	if (audit.n_lines == 0 || audit.names_len > 0 || audit.facts_len > 0)
		line_write(&audit);
	log_set_level(level);
}
