// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <getopt.h>
#include <jansson.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/secmem.h"
#include "ctl/commands.h"
#include "ctl/ctl.h"

// mcxctl: calls methods of a running mcxrelay, shows what it does, and derives keys for those who
// test or debug without one.

static const char usage[] =
	"Usage: mcxctl [-s SOCKET] call METHOD [JSON | @FILE | -]\n"
	"       mcxctl --tls HOST:PORT --cert FILE --key FILE --ca FILE call METHOD ...\n"
	"       mcxctl [-j] show sessions | session ID | keys | ports | workers | drops | stats\n"
	"       mcxctl [-j] [-n N] top\n"
	"       mcxctl [-j] [-n N] watch events [TYPE ...]\n"
	"       mcxctl [-j] install-keys [--replace] FILE\n"
	"       mcxctl derive --key HEX --csb-id HEX --cs-id N --rand HEX [--suite NAME]\n"
	"       mcxctl guk-id --key HEX --key-id HEX --user URI\n"
	"       mcxctl uid --uri URI --kms URI [--period N] [--offset N] [--time TIME]\n"
	"       mcxctl [-j] message show [FILE | -]\n"
	"       mcxctl [-j] message open FILE [INITIATOR]\n"
	"       mcxctl [-j] message make FILE\n"
	"       mcxctl [-j] kms list | create FILE | certificate URI\n"
	"       mcxctl [-j] identity list\n"
	"\n"
	"  call     calls a method of the control API with params from the argument, a file or "
	"stdin,\n"
	"           prints its result as JSON; on an error prints that on stderr and exits with 1\n"
	"  show     a table of what the relay has\n"
	"  top      the busiest sessions, every second; q ends it\n"
	"  watch    one line for each event, from now on\n"
	"  install-keys  installs the keys of a JSON array in a file (-: stdin), says which were "
	"refused\n"
	"  derive   SRTP master and session keys of a root key (TS 33.180 7.4.2, 9.4.6), as JSON\n"
	"  guk-id   GUK-ID of a user and the MKI of his media (TS 33.180 F.1.3), as JSON\n"
	"  uid      MIKEY-SAKKE UID of an identity at a time (TS 33.180 F.2.1), as JSON\n"
	"  message show  what is in an I_MESSAGE, as octets or in base64, and what is wrong with "
	"it;\n"
	"           nothing in it is verified\n"
	"  message open  has the relay open an I_MESSAGE, as octets or in base64 (-: stdin), "
	"which is of\n"
	"           INITIATOR by SIP, and install its key\n"
	"  message make  calls message.make with params from a file (-: stdin)\n"
	"  kms, identity  KMSs and identities of the relay; create makes a KMS of params from a "
	"file,\n"
	"           and it and certificate print the certificate as XML\n"
	"\n"
	"  -s, --socket SOCKET  control socket of the relay (/run/mcxrelay/control.sock)\n"
	"      --tls HOST:PORT  the relay's TLS 1.3 listener instead of its socket\n"
	"      --cert FILE      the client's certificate chain, PEM\n"
	"      --key FILE       its private key, PEM\n"
	"      --ca FILE        who must have signed the relay's certificate, PEM\n"
	"  -j, --json           JSON instead of text\n"
	"  -n N                 ends after N tables or events\n"
	"  -h, --help           this text\n"
	"  -V, --version        version\n"
	"\n"
	"Keys are hex digits, 32 or 64 of them; ids 8; RAND 32 to 128. N is decimal. TIME is\n"
	"2026-11-28T22:00:00Z or seconds since 1970 (default: now). NAME is\n"
	"aead-aes-128-gcm (default), aead-aes-256-gcm, aes-cm-128-hmac-sha1-80 or\n"
	"aes-cm-128-hmac-sha1-32.\n";

static int answer_print(const json_t *answer)
{
	json_t *result = json_object_get(answer, "result"),
	       *error = json_object_get(answer, "error");
	json_dumpf(result ? result : error, result ? stdout : stderr,
		JSON_INDENT(2) | JSON_ENCODE_ANY);
	fputc('\n', result ? stdout : stderr);
	return result ? 0 : 1;
}

static int command_call(struct connection *connection, int argc, char **argv)
{
	if (argc < 2 || argc > 3)
		return ctl_fail("call takes METHOD and params; see mcxctl --help");
	json_t *params = ctl_json_read(argc == 3 ? argv[2] : "{}");
	if (!params)
		return 1;
	json_t *answer = NULL;
	if (connection_open(connection))
		answer = connection_exchange(connection, argv[1], params);
	else
		json_decref(params);
	int status = answer ? answer_print(answer) : 1;
	json_decref(answer);
	connection_close(connection);
	return status;
}

// Options may stand behind a command, too.
static int command_options(struct ctl *ctl, int argc, char **argv)
{
	static const struct option options[] = {
		{"json", no_argument, NULL, 'j'}, {"replace", no_argument, NULL, 'R'}, {}};
	int option;
	optind = 0; // a new run over other arguments
	while ((option = getopt_long(argc, argv, ":jn:", options, NULL)) != -1) {
		if (option == 'j')
			ctl->json = true;
		else if (option == 'R' && strcmp(argv[0], "install-keys") == 0)
			ctl->replace = true;
		else if (option != 'n')
			return ctl_option_refused(argc, argv, option);
		else if (!ctl_number_read(optarg, UINT32_MAX, &ctl->n))
			return ctl_fail("-n takes a number");
	}
	ctl->argc = argc - optind;
	ctl->argv = argv + optind;
	return 0;
}

static int command_run(struct ctl *ctl, int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(struct ctl *ctl);
	} commands[] = {
		{"show", ctl_show},
		{"top", ctl_top},
		{"watch", ctl_watch},
		{"install-keys", ctl_install_keys},
		{"message", ctl_message},
		{"kms", ctl_kms},
		{"identity", ctl_identity},
	};
	if (argc > 0 && strcmp(argv[0], "call") == 0)
		return command_call(&ctl->connection, argc, argv);
	if (argc > 0 && strcmp(argv[0], "derive") == 0)
		return ctl_derive(argc, argv);
	if (argc > 0 && strcmp(argv[0], "guk-id") == 0)
		return ctl_guk_id(argc, argv);
	if (argc > 0 && strcmp(argv[0], "uid") == 0)
		return ctl_uid(argc, argv);
	for (size_t i = 0; argc > 0 && i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(argv[0], commands[i].name) != 0)
			continue;
		int status = command_options(ctl, argc, argv);
		if (status == 0)
			status = commands[i].run(ctl);
		connection_close(&ctl->connection);
		return status;
	}
	// Not quoted: it may be a key in the wrong place.
	return ctl_fail("%s; accepted: call, show, top, watch, install-keys, derive, guk-id, "
			"uid, message, kms, identity; see mcxctl --help",
		argc > 0 ? "that is no command" : "no command");
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"socket", required_argument, NULL, 's'},
		{"tls", required_argument, NULL, 'T'},
		{"cert", required_argument, NULL, 'C'},
		{"key", required_argument, NULL, 'K'},
		{"ca", required_argument, NULL, 'A'},
		{"json", no_argument, NULL, 'j'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'V'},
		{},
	};
	struct ctl ctl = {.connection = {.socket_path = "/run/mcxrelay/control.sock", .fd = -1}};
	struct connection *connection = &ctl.connection;
	int option;
	opterr = 0; // getopt's own messages quote arguments
	json_set_alloc_funcs(secmem_malloc, secmem_free);
	(void)secmem_serve_openssl(); // it derives and connects without, too
	signal(SIGPIPE, SIG_IGN);
	while ((option = getopt_long(argc, argv, "+:s:jn:hV", options, NULL)) != -1) {
		switch (option) {
		case 's':
			connection->socket_path = optarg;
			break;
		case 'T':
			connection->tls_address = optarg;
			break;
		case 'C':
			connection->files.certificate = optarg;
			break;
		case 'K':
			connection->files.key = optarg;
			break;
		case 'A':
			connection->files.ca = optarg;
			break;
		case 'j':
			ctl.json = true;
			break;
		case 'n':
			if (!ctl_number_read(optarg, UINT32_MAX, &ctl.n))
				return ctl_fail("-n takes a number");
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		case 'V':
			puts("mcxctl " MCXRELAY_VERSION);
			return 0;
		default:
			return ctl_option_refused(argc, argv, option);
		}
	}
	argc -= optind;
	argv += optind;
	if (argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
		fputs(usage, stdout);
		return 0;
	}
	return command_run(&ctl, argc, argv);
}
