// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <stdio.h>
#include <string.h>

#include "ctl/commands.h"
#include "ctl/ctl.h"
#include "ctl/table.h"

// mcxctl watch events: one line each.

static void member_print(const char *name, const json_t *value)
{
	printf(" %s=", name);
	if (json_is_string(value))
		text_print(json_string_value(value));
	else
		json_dumpf(value, stdout, JSON_ENCODE_ANY);
}

static void event_print(json_t *event)
{
	char when[32];
	fputs(time_text(json_number_value(json_object_get(event, "time")), true, when), stdout);
	putchar(' ');
	text_print(json_string_value(json_object_get(event, "type")));
	const char *name;
	json_t *value;
	json_object_foreach (event, name, value)
		if (strcmp(name, "type") != 0 && strcmp(name, "time") != 0)
			member_print(name, value);
	putchar('\n');
}

static int events_print(struct ctl *ctl)
{
	for (unsigned n = 0; ctl->n == 0 || n < ctl->n; n++) {
		json_t *message = connection_read(&ctl->connection);
		json_t *event = json_object_get(message, "params");
		if (!message)
			return 1;
		if (!json_is_string(json_object_get(event, "type"))) {
			json_decref(message);
			return ctl_fail("what the relay sends is no event");
		}
		if (ctl->json) {
			json_dumpf(event, stdout, JSON_COMPACT | JSON_REAL_PRECISION(13));
			putchar('\n');
		} else {
			event_print(event);
		}
		json_decref(message);
		if (fflush(stdout) != 0)
			return 1; // stdout is closed
	}
	return 0;
}

int ctl_watch(struct ctl *ctl)
{
	if (ctl->argc == 0 || strcmp(ctl->argv[0], "events") != 0)
		return ctl_fail("watch takes events and their types; see mcxctl --help");
	json_t *params = json_object(), *types = json_array();
	for (int i = 1; i < ctl->argc; i++)
		if (json_array_append_new(types, json_string(ctl->argv[i])) != 0)
			json_array_append_new(types, json_string("?")); // no UTF-8: no type
	if (ctl->argc > 1)
		json_object_set(params, "types", types);
	json_decref(types);
	if (!connection_open(&ctl->connection)) {
		json_decref(params);
		return 1;
	}
	json_t *result = connection_call(&ctl->connection, "events.subscribe", params);
	json_decref(result);
	return result ? events_print(ctl) : 1;
}
