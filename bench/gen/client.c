// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "bench/gen/client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct gen_client {
	FILE *in, *out;
};

static bool complain(const char *what, const char *why)
{
	fprintf(stderr, "mcxgen: %s: %s\n", what, why);
	return false;
}

static int socket_connect(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(address.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(address.sun_path, path, strlen(path));
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

struct gen_client *gen_client_open(const char *socket_path)
{
	struct gen_client *client = calloc(1, sizeof(*client));
	int fd = socket_connect(socket_path);
	if (!client || fd < 0) {
		complain(socket_path, strerror(errno));
		free(client);
		return NULL;
	}
	int out = dup(fd);
	if (out < 0)
		abort();
	client->in = fdopen(fd, "r");
	client->out = fdopen(out, "w");
	if (!client->in || !client->out)
		abort();
	return client;
}

void gen_client_close(struct gen_client *client)
{
	if (!client)
		return;
	fclose(client->in);
	fclose(client->out);
	free(client);
}

json_t *gen_client_call(struct gen_client *client, const char *method, json_t *params)
{
	json_t *request = json_pack("{s:s,s:i,s:s,s:o}", "jsonrpc", "2.0", "id", 1, "method",
		method, "params", params ? params : json_object());
	bool sent = json_dumpf(request, client->out, JSON_COMPACT) == 0 &&
		    fputc('\n', client->out) != EOF && fflush(client->out) == 0;
	json_decref(request);
	json_t *answer = sent ? json_loadf(client->in, JSON_DISABLE_EOF_CHECK, NULL) : NULL;
	json_t *result = json_incref(json_object_get(answer, "result"));
	const char *why =
		json_string_value(json_object_get(json_object_get(answer, "error"), "message"));
	if (!result)
		complain(method, why ? why : "the relay does not answer");
	json_decref(answer);
	return result;
}

static bool call_and_forget(struct gen_client *client, const char *method, json_t *params)
{
	json_t *result = gen_client_call(client, method, params);
	json_decref(result);
	return result;
}

static bool keys_install(struct gen_client *client, json_t *params)
{
	json_t *result = gen_client_call(client, "key.install", params);
	const json_t *rejected = json_array_get(json_object_get(result, "rejected"), 0);
	if (rejected)
		complain("key.install", json_string_value(json_object_get(rejected, "message")));
	bool good = result && !rejected;
	json_decref(result);
	return good;
}

bool gen_client_apply(struct gen_client *client, const struct gen_calls *calls)
{
	for (uint32_t i = 0; i < calls->options->groups; i++) {
		json_t *keys = gen_calls_keys(calls, i);
		if (keys && !keys_install(client, keys))
			return false;
		if (!call_and_forget(client, "session.apply", gen_calls_session(calls, i)))
			return false;
	}
	return true;
}

bool gen_client_remove(struct gen_client *client, const struct gen_calls *calls)
{
	return call_and_forget(client, "session.remove", gen_calls_session_ids(calls)) &&
	       call_and_forget(client, "key.revoke", gen_calls_key_names(calls));
}

// --- files

// Takes value.
static bool file_write(const char *prefix, const char *method, uint32_t number, json_t *value)
{
	char path[4096];
	snprintf(path, sizeof(path), "%s-%s-%u.json", prefix, method, number);
	bool good = json_dump_file(value, path, JSON_INDENT(2)) == 0;
	json_decref(value);
	return good || complain(path, strerror(errno));
}

bool gen_calls_write(const struct gen_calls *calls, const char *prefix)
{
	for (uint32_t i = 0; i < calls->options->groups; i++) {
		json_t *keys = gen_calls_keys(calls, i);
		if (keys && !file_write(prefix, "key.install", i, keys))
			return false;
		if (!file_write(prefix, "session.apply", i, gen_calls_session(calls, i)))
			return false;
	}
	return true;
}
