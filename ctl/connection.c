// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "ctl/connection.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/secmem.h"
#include "ctl/ctl.h"

enum { INPUT_STEP = 65536 };

static bool socket_connect(struct connection *connection)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const char *path = connection->socket_path;
	if (strlen(path) >= sizeof(address.sun_path)) {
		ctl_fail("socket path \"%s\" is longer than %zu octets", path,
			sizeof(address.sun_path) - 1);
		return false;
	}
	memcpy(address.sun_path, path, strlen(path));
	connection->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connection->fd >= 0 &&
		connect(connection->fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return true;
	ctl_fail("cannot connect to %s: %s; is mcxrelay running?", path, strerror(errno));
	return false;
}

bool connection_open(struct connection *connection)
{
	if (connection->tls_address && (!connection->files.certificate || !connection->files.key ||
					       !connection->files.ca)) {
		ctl_fail("--tls takes --cert, --key and --ca; see mcxctl --help");
		return false;
	}
	if (!connection->tls_address)
		return socket_connect(connection);
	char why[512];
	connection->tls =
		tls_client_open(connection->tls_address, &connection->files, why, sizeof(why));
	if (!connection->tls)
		ctl_fail("cannot connect to %s: %s", connection->tls_address, why);
	return connection->tls;
}

void connection_close(struct connection *connection)
{
	tls_client_close(connection->tls);
	if (connection->fd >= 0)
		close(connection->fd);
	free(connection->input);
}

static const char *connection_error(const struct connection *connection)
{
	return connection->tls ? tls_client_error(connection->tls)
			       : "the relay closed the connection";
}

static bool line_send(const struct connection *connection, char *line, size_t len)
{
	line[len] = '\n'; // json_dumps() ended it with a NUL
	if (connection->tls)
		return tls_client_write(connection->tls, line, len + 1);
	for (size_t at = 0; at <= len;) {
		ssize_t n = write(connection->fd, line + at, len + 1 - at);
		if (n < 0 && errno != EINTR)
			return false;
		at += n > 0 ? (size_t)n : 0;
	}
	return true;
}

static bool is_interrupted(const struct connection *connection)
{
	return connection->interrupted && *connection->interrupted;
}

static ssize_t octets_read(const struct connection *connection, char *buffer, size_t size)
{
	if (connection->tls)
		return tls_client_read(connection->tls, buffer, size);
	ssize_t n;
	do
		n = read(connection->fd, buffer, size);
	while (n < 0 && errno == EINTR && !is_interrupted(connection));
	return n;
}

// Octets of the next line, its LF included; 0 if the connection ended.
static size_t line_read(struct connection *connection)
{
	size_t searched = 0;
	for (;;) {
		char *end = connection->input_len > searched
				    ? memchr(connection->input + searched, '\n',
					      connection->input_len - searched)
				    : NULL;
		if (end)
			return (size_t)(end - connection->input) + 1;
		searched = connection->input_len;
		if (connection->input_size - connection->input_len < INPUT_STEP) {
			char *more =
				realloc(connection->input, 2 * connection->input_size + INPUT_STEP);
			if (!more)
				return 0;
			connection->input = more;
			connection->input_size = 2 * connection->input_size + INPUT_STEP;
		}
		ssize_t n = octets_read(connection, connection->input + connection->input_len,
			connection->input_size - connection->input_len);
		if (n <= 0)
			return connection->input_len; // the last line may lack its LF
		connection->input_len += (size_t)n;
	}
}

json_t *connection_read(struct connection *connection)
{
	size_t len = line_read(connection);
	json_t *message =
		len > 0 ? json_loadb(connection->input, len, JSON_REJECT_DUPLICATES, NULL) : NULL;
	if (len > 0)
		memmove(connection->input, connection->input + len, connection->input_len - len);
	connection->input_len -= len;
	if (!message && !is_interrupted(connection))
		ctl_fail("%s",
			len > 0 ? "the relay's answer is no JSON" : connection_error(connection));
	return message;
}

// Sends a request. False after it said why not.
static bool request_send(struct connection *connection, json_t *request)
{
	char *line = json_dumps(request, JSON_COMPACT);
	if (!line) {
		ctl_fail("out of memory");
		return false;
	}
	bool sent = line_send(connection, line, strlen(line));
	secmem_free(line);
	if (!sent)
		ctl_fail("the request was not sent: %s", connection_error(connection));
	return sent;
}

json_t *connection_exchange(struct connection *connection, const char *method, json_t *params)
{
	json_t *answer = NULL;
	json_t *request = json_pack(
		"{s:s,s:i,s:s,s:o}", "jsonrpc", "2.0", "id", 1, "method", method, "params", params);
	if (!request) {
		ctl_fail("the method's name is no UTF-8");
		return NULL;
	}
	if (request_send(connection, request))
		answer = connection_read(connection);
	json_decref(request);
	if (answer && !json_object_get(answer, "result") && !json_object_get(answer, "error")) {
		ctl_fail("the relay's answer is no JSON-RPC response");
		json_decref(answer);
		answer = NULL;
	}
	return answer;
}

json_t *connection_call(struct connection *connection, const char *method, json_t *params)
{
	json_t *answer = connection_exchange(connection, method, params);
	json_t *result = json_incref(json_object_get(answer, "result"));
	const json_t *error = json_object_get(answer, "error");
	const char *path =
		json_string_value(json_object_get(json_object_get(error, "data"), "path"));
	const char *message = json_string_value(json_object_get(error, "message"));
	if (error)
		ctl_fail("%s: %s%s%s", method, path ? path : "", path ? " " : "",
			message ? message : "the relay refused it");
	json_decref(answer);
	return result;
}
