// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ctl/commands.h"
#include "ctl/ctl.h"

// mcxctl install-keys: as many keys as a file has, thousands a request.

enum {
	KEYS_PER_CALL = 4000,
	OCTETS_PER_CALL = 900 * 1024, // of keys as JSON; a line may have 1 MiB
};

struct progress {
	size_t n_keys, installed;
	json_t *rejected; // with their place in the file
};

// How many keys from first on go into one request: at least one, for the relay says what is wrong
// with one that is too long.
static size_t keys_that_fit(const json_t *keys, size_t first)
{
	size_t n = 0, octets = 0;
	for (; n < KEYS_PER_CALL && first + n < json_array_size(keys); n++) {
		octets += json_dumpb(json_array_get(keys, first + n), NULL, 0, JSON_COMPACT) + 1;
		if (n > 0 && octets > OCTETS_PER_CALL)
			break;
	}
	return n;
}

static void rejected_say(const json_t *one, size_t index)
{
	const char *path = json_string_value(json_object_get(json_object_get(one, "data"), "path"));
	const char *message = json_string_value(json_object_get(one, "message"));
	const char *member = path ? strchr(path, ']') : NULL; // behind params.keys[n]
	fprintf(stderr, "mcxctl: key %zu%s%s %s\n", index, member && member[1] ? ": " : ":",
		member && member[1] ? member + 2 : "", message ? message : "was refused");
}

static void rejected_take(
	struct ctl *ctl, struct progress *progress, const json_t *result, size_t first)
{
	json_t *rejected = json_object_get(result, "rejected");
	for (size_t i = 0; i < json_array_size(rejected); i++) {
		json_t *one = json_array_get(rejected, i);
		size_t index = first + (size_t)json_integer_value(json_object_get(one, "index"));
		json_object_set_new(one, "index", json_integer((json_int_t)index));
		if (!ctl->json)
			rejected_say(one, index);
		json_array_append(progress->rejected, one);
	}
}

static bool keys_install(struct ctl *ctl, const json_t *keys, struct progress *progress)
{
	bool shown = isatty(STDERR_FILENO) && !ctl->json;
	for (size_t first = 0, n; first < progress->n_keys; first += n) {
		n = keys_that_fit(keys, first);
		json_t *some = json_array();
		for (size_t i = 0; i < n; i++)
			json_array_append(some, json_array_get(keys, first + i));
		json_t *result = connection_call(&ctl->connection, "key.install",
			json_pack("{s:o,s:b}", "keys", some, "replace", (int)ctl->replace));
		if (!result)
			return false;
		progress->installed +=
			(size_t)json_integer_value(json_object_get(result, "installed"));
		rejected_take(ctl, progress, result, first);
		json_decref(result);
		if (shown)
			fprintf(stderr, "\r%zu of %zu keys", first + n, progress->n_keys);
	}
	if (shown)
		fputc('\n', stderr);
	return true;
}

int ctl_install_keys(struct ctl *ctl)
{
	if (ctl->argc != 1)
		return ctl_fail("install-keys takes FILE; see mcxctl --help");
	json_t *keys = ctl_file_read(ctl->argv[0]);
	if (!keys)
		return 1;
	struct progress progress = {.n_keys = json_array_size(keys), .rejected = json_array()};
	bool good = json_is_array(keys);
	if (!good)
		ctl_fail("the file has no array of keys; accepted: [{\"id\": ...}, ...]");
	good = good && connection_open(&ctl->connection) && keys_install(ctl, keys, &progress);
	good = good && json_array_size(progress.rejected) == 0;
	if (ctl->json)
		ctl_json_print(json_pack("{s:I,s:O}", "installed", (json_int_t)progress.installed,
			"rejected", progress.rejected));
	else
		printf("%zu of %zu keys installed\n", progress.installed, progress.n_keys);
	json_decref(progress.rejected);
	json_decref(keys);
	return good ? 0 : 1;
}
