// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/tls_client.h"
#include "crypto/hex.h"
#include "crypto/mcx_kdf.h"
#include "crypto/mikey_prf.h"
#include "crypto/secmem.h"
#include "crypto/srtp.h"
#include "crypto/srtp_kdf.h"

// mcxctl: calls methods of a running mcxrelay, and derives keys for those who test or debug without
// one.

static const char usage[] =
	"Usage: mcxctl [-s SOCKET] call METHOD [JSON | @FILE | -]\n"
	"       mcxctl --tls HOST:PORT --cert FILE --key FILE --ca FILE call METHOD ...\n"
	"       mcxctl derive --key HEX --csb-id HEX --cs-id N --rand HEX [--suite NAME]\n"
	"       mcxctl guk-id --key HEX --key-id HEX --user URI\n"
	"\n"
	"  call     calls a method of the control API with params from the argument, a file or "
	"stdin,\n"
	"           prints its result as JSON; on an error prints that on stderr and exits with 1\n"
	"  derive   SRTP master and session keys of a root key (TS 33.180 7.4.2, 9.4.6), as JSON\n"
	"  guk-id   GUK-ID of a user and the MKI of his media (TS 33.180 F.1.3), as JSON\n"
	"\n"
	"  -s, --socket SOCKET  control socket of the relay (/run/mcxrelay/control.sock)\n"
	"      --tls HOST:PORT  the relay's TLS 1.3 listener instead of its socket\n"
	"      --cert FILE      the client's certificate chain, PEM\n"
	"      --key FILE       its private key, PEM\n"
	"      --ca FILE        who must have signed the relay's certificate, PEM\n"
	"  -h, --help           this text\n"
	"  -V, --version        version\n"
	"\n"
	"Keys are hex digits, 32 or 64 of them; ids 8; RAND 32 to 128. N is decimal. NAME is\n"
	"aead-aes-128-gcm (default) or aead-aes-256-gcm.\n";

static int fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

static int fail(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	fputs("mcxctl: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
	return 1;
}

// --- call
// -----------------------------------------------------------------------------------------------------

static json_t *params_read(const char *text)
{
	json_error_t error;
	json_t *params;
	if (!text)
		return json_object();
	if (strcmp(text, "-") == 0)
		params = json_loadf(stdin, JSON_REJECT_DUPLICATES, &error);
	else if (text[0] == '@')
		params = json_load_file(text + 1, JSON_REJECT_DUPLICATES, &error);
	else
		params = json_loads(text, JSON_REJECT_DUPLICATES, &error);
	// The library's own message may quote the text, and with it a key.
	if (!params)
		fail("params are no JSON (line %d, column %d), or cannot be read", error.line,
			error.column);
	return params;
}

// Where the relay is, and the way to it: one of fd and tls.
struct connection {
	const char *socket_path, *tls_address;
	struct tls_files files;
	int fd;
	struct tls_client *tls;
};

static bool socket_connect(struct connection *connection)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const char *path = connection->socket_path;
	if (strlen(path) >= sizeof(address.sun_path)) {
		fail("socket path \"%s\" is longer than %zu octets", path,
			sizeof(address.sun_path) - 1);
		return false;
	}
	memcpy(address.sun_path, path, strlen(path));
	connection->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connection->fd >= 0 &&
		connect(connection->fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return true;
	fail("cannot connect to %s: %s; is mcxrelay running?", path, strerror(errno));
	return false;
}

static bool connection_open(struct connection *connection)
{
	char why[512];
	if (!connection->tls_address)
		return socket_connect(connection);
	connection->tls =
		tls_client_open(connection->tls_address, &connection->files, why, sizeof(why));
	if (!connection->tls)
		fail("cannot connect to %s: %s", connection->tls_address, why);
	return connection->tls != NULL;
}

static void connection_close(struct connection *connection)
{
	tls_client_close(connection->tls);
	if (connection->fd >= 0)
		close(connection->fd);
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

// json_load_callback_t
static size_t answer_read(void *buffer, size_t size, void *arg)
{
	const struct connection *connection = arg;
	ssize_t n;
	if (connection->tls)
		n = tls_client_read(connection->tls, buffer, size);
	else
		do
			n = read(connection->fd, buffer, size);
		while (n < 0 && errno == EINTR);
	return n < 0 ? (size_t)-1 : (size_t)n;
}

static int answer_print(json_t *answer)
{
	json_t *result = json_object_get(answer, "result"),
	       *error = json_object_get(answer, "error");
	if (!result && !error)
		return fail("the relay's answer is no JSON-RPC response");
	json_dumpf(result ? result : error, result ? stdout : stderr,
		JSON_INDENT(2) | JSON_ENCODE_ANY);
	fputc('\n', result ? stdout : stderr);
	return result ? 0 : 1;
}

static int call_over(struct connection *connection, json_t *request)
{
	char *line = json_dumps(request, JSON_COMPACT);
	if (!line)
		return fail("out of memory");
	bool sent = line_send(connection, line, strlen(line));
	secmem_free(line);
	if (!sent)
		return fail("the request was not sent: %s", connection_error(connection));
	json_error_t error;
	json_t *answer =
		json_load_callback(answer_read, connection, JSON_DISABLE_EOF_CHECK, &error);
	int status = answer ? answer_print(answer) : fail("%s", connection_error(connection));
	json_decref(answer);
	return status;
}

static int command_call(struct connection *connection, int argc, char **argv)
{
	if (argc < 2 || argc > 3)
		return fail("call takes METHOD and params; see mcxctl --help");
	if (connection->tls_address &&
		(!connection->files.certificate || !connection->files.key || !connection->files.ca))
		return fail("--tls takes --cert, --key and --ca; see mcxctl --help");
	json_t *params = params_read(argc == 3 ? argv[2] : NULL);
	if (!params)
		return 1;
	json_t *request = json_pack("{s:s,s:i,s:s,s:o}", "jsonrpc", "2.0", "id", 1, "method",
		argv[1], "params", params);
	if (!request)
		return fail("the method's name is no UTF-8");
	int status = connection_open(connection) ? call_over(connection, request) : 1;
	connection_close(connection);
	json_decref(request);
	return status;
}

// --- derive, guk-id
// -------------------------------------------------------------------------------------------

struct derivation {
	uint8_t key[32], rand[MIKEY_RAND_MAX];
	size_t key_len, rand_len;
	uint32_t id;
	unsigned cs_id;
	int suite;
	const char *user;
	bool has_id, has_cs_id;
};

static bool id_read(const char *text, uint32_t *id)
{
	uint8_t octets[4];
	if (!hex_decode(text, octets, sizeof(octets)))
		return false;
	*id = srtp_read32(octets);
	return true;
}

static bool number_read(const char *text, unsigned max, unsigned *out)
{
	char *end;
	errno = 0;
	unsigned long value = strtoul(text, &end, 10);
	if (errno != 0 || end == text || *end != '\0' || value > max || text[0] == '-')
		return false;
	*out = (unsigned)value;
	return true;
}

static int option_read(struct derivation *d, int option, const char *text)
{
	switch (option) {
	case 'k':
		d->key_len = hex_decode_range(text, d->key, 16, 32);
		if (d->key_len != 16 && d->key_len != 32)
			return fail("--key is no key; accepted: 32 or 64 hex digits");
		return 0;
	case 'b':
	case 'd':
		d->has_id = id_read(text, &d->id);
		return d->has_id ? 0
				 : fail("--%s is no id; accepted: 8 hex digits",
					   option == 'b' ? "csb-id" : "key-id");
	case 'i':
		d->has_cs_id = number_read(text, 255, &d->cs_id);
		return d->has_cs_id ? 0 : fail("--cs-id is no number; accepted: 0 to 255");
	case 'r':
		d->rand_len = hex_decode_range(text, d->rand, MIKEY_RAND_MIN, MIKEY_RAND_MAX);
		return d->rand_len ? 0 : fail("--rand is no RAND; accepted: 32 to 128 hex digits");
	case 'S':
		d->suite = srtp_suite_from_name(text);
		return d->suite >= 0 ? 0
				     : fail("--suite is unknown; accepted: aead-aes-128-gcm, "
					    "aead-aes-256-gcm, aes-cm-128-hmac-sha1-80, "
					    "aes-cm-128-hmac-sha1-32");
	case 'u':
		d->user = text;
		return *text ? 0 : fail("--user is empty; accepted: the URI of an MC service user");
	default:
		return fail("see mcxctl --help");
	}
}

// What getopt did not like, by the option's name alone: its value may be a key.
static int option_refused(int argc, char **argv, int option)
{
	const char *text = optind > 0 && optind <= argc ? argv[optind - 1] : "";
	int len = (int)strcspn(text, "=");
	if (strncmp(text, "--", 2) != 0)
		return fail("an option is unknown or lacks its value; see mcxctl --help");
	return option == ':' ? fail("%.*s lacks its value; see mcxctl --help", len, text)
			     : fail("%.*s is no option; see mcxctl --help", len, text);
}

static int options_read(struct derivation *d, int argc, char **argv, const struct option *options)
{
	int option, status = 0;
	optind = 0; // a new run over other arguments
	while (status == 0 && (option = getopt_long(argc, argv, ":", options, NULL)) != -1) {
		if (option == '?' || option == ':')
			status = option_refused(argc, argv, option);
		else
			status = option_read(d, option, optarg);
	}
	if (status == 0 && optind < argc)
		status = fail("there is an argument too many; see mcxctl --help");
	return status;
}

static json_t *hex_show(const uint8_t *octets, size_t len)
{
	char text[2 * MIKEY_TGK_MAX + 1];
	hex_encode(octets, len, text);
	json_t *out = json_string(text);
	secmem_wipe(text, sizeof(text));
	return out;
}

static int json_print(json_t *value)
{
	json_dumpf(value, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(value);
	return 0;
}

static json_t *session_show(
	const struct srtp_master *master, enum srtp_suite suite, enum srtp_protocol protocol)
{
	struct srtp_session session;
	if (srtp_kdf(master, suite, protocol, &session) != 0)
		return NULL;
	uint8_t key_len = srtp_suite_key_len(suite);
	json_t *out = json_pack("{s:o,s:o}", "session_key", hex_show(session.key, key_len),
		"session_salt", hex_show(session.salt, srtp_suite_salt_len(suite)));
	if (!srtp_suite_is_aead(suite))
		json_object_set_new(
			out, "auth_key", hex_show(session.key + key_len, SRTP_AUTH_KEY_LEN));
	secmem_wipe(&session, sizeof(session));
	return out;
}

static int derive_print(const struct derivation *d)
{
	struct srtp_master master;
	enum srtp_suite suite = (enum srtp_suite)d->suite;
	if (mikey_derive_master(d->key, d->key_len, (uint8_t)d->cs_id, d->id, d->rand, d->rand_len,
		    suite, &master) != 0)
		return fail("the key cannot be derived: OpenSSL failed");
	json_t *srtp = session_show(&master, suite, SRTP_RTP);
	json_t *srtcp = session_show(&master, suite, SRTP_RTCP);
	json_t *out = json_pack("{s:o,s:o,s:o,s:o}", "master_key",
		hex_show(master.key, srtp_suite_key_len(suite)), "master_salt",
		hex_show(master.salt, srtp_suite_salt_len(suite)), "srtp", srtp, "srtcp", srtcp);
	secmem_wipe(&master, sizeof(master));
	return out ? json_print(out) : fail("the key cannot be derived: OpenSSL failed");
}

static int command_derive(int argc, char **argv)
{
	static const struct option options[] = {
		{"key", required_argument, NULL, 'k'},
		{"csb-id", required_argument, NULL, 'b'},
		{"cs-id", required_argument, NULL, 'i'},
		{"rand", required_argument, NULL, 'r'},
		{"suite", required_argument, NULL, 'S'},
		{},
	};
	struct derivation d = {.suite = SRTP_AEAD_AES_128_GCM};
	int status = options_read(&d, argc, argv, options);
	if (status == 0 && (d.key_len == 0 || !d.has_id || !d.has_cs_id || d.rand_len == 0))
		status =
			fail("derive takes --key, --csb-id, --cs-id and --rand; see mcxctl --help");
	if (status == 0)
		status = derive_print(&d);
	secmem_wipe(&d, sizeof(d));
	return status;
}

static int command_guk_id(int argc, char **argv)
{
	static const struct option options[] = {
		{"key", required_argument, NULL, 'k'},
		{"key-id", required_argument, NULL, 'd'},
		{"user", required_argument, NULL, 'u'},
		{},
	};
	struct derivation d = {};
	uint32_t guk_id;
	int status = options_read(&d, argc, argv, options);
	if (status == 0 && (d.key_len == 0 || !d.has_id || !d.user))
		status = fail("guk-id takes --key, --key-id and --user; see mcxctl --help");
	else if (status == 0 && mcx_guk_id(d.key, d.key_len, d.id, d.user, &guk_id) != 0)
		status = fail(
			"the GUK-ID cannot be derived: the URI is too long, or OpenSSL failed");
	else if (status == 0)
		status = json_print(json_pack("{s:o,s:o}", "guk_id", json_sprintf("%08x", guk_id),
			"mki", json_sprintf("%08x%08x", d.id, guk_id)));
	secmem_wipe(&d, sizeof(d));
	return status;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"socket", required_argument, NULL, 's'},
		{"tls", required_argument, NULL, 'T'},
		{"cert", required_argument, NULL, 'C'},
		{"key", required_argument, NULL, 'K'},
		{"ca", required_argument, NULL, 'A'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},
		{},
	};
	struct connection connection = {.socket_path = "/run/mcxrelay/control.sock", .fd = -1};
	int option;
	opterr = 0; // getopt's own messages quote arguments
	json_set_alloc_funcs(secmem_malloc, secmem_free);
	(void)secmem_serve_openssl(); // it derives and connects without, too
	signal(SIGPIPE, SIG_IGN);
	while ((option = getopt_long(argc, argv, "+:s:hV", options, NULL)) != -1) {
		switch (option) {
		case 's':
			connection.socket_path = optarg;
			break;
		case 'T':
			connection.tls_address = optarg;
			break;
		case 'C':
			connection.files.certificate = optarg;
			break;
		case 'K':
			connection.files.key = optarg;
			break;
		case 'A':
			connection.files.ca = optarg;
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		case 'V':
			puts("mcxctl " MCXRELAY_VERSION);
			return 0;
		default:
			return option_refused(argc, argv, option);
		}
	}
	argc -= optind;
	argv += optind;
	if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
		fputs(usage, stdout);
		return 0;
	}
	if (argc > 0 && strcmp(argv[0], "call") == 0)
		return command_call(&connection, argc, argv);
	if (argc > 0 && strcmp(argv[0], "derive") == 0)
		return command_derive(argc, argv);
	if (argc > 0 && strcmp(argv[0], "guk-id") == 0)
		return command_guk_id(argc, argv);
	fputs(usage, stderr);
	return 1;
}
