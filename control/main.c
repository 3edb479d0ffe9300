// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <errno.h>
#include <getopt.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <event2/event.h>
#include <jansson.h>

#include "base/log.h"
#include "base/secmem.h"
#include "config/config.h"
#include "control/startup.h"
#include "control/state_command.h"
#include "crypto/cipher_registry.h"

// mcxrelay: reads its configuration, opens the relay, runs the control loop in the main thread.

static const char usage[] =
	"Usage: mcxrelay -c FILE [--check]\n"
	"       mcxrelay --new-state [-c FILE]\n"
	"Relays SRTP and SRTCP of mission critical services (3GPP TS 33.180).\n"
	"\n"
	"  -c, --config FILE  configuration file (mcxrelay.conf(5))\n"
	"      --check        only check the file and the state: exit status 0 if good, 1 if not\n"
	"      --new-state    only begin a new state in the file's state_directory, without a "
	"file\n"
	"                     in " CONFIG_STATE_DIRECTORY "\n"
	"  -h, --help         this text\n"
	"  -V, --version      version\n"
	"\n"
	"Runs in the foreground until SIGTERM or SIGINT. Log lines go to stderr; one line on "
	"stdout says\n"
	"that it forwards. Exit status 0 after a signal, 1 if it could not start, 75 if it must "
	"be\n"
	"started anew.\n";

struct arguments {
	const char *config;
	bool check, new_state;
};

// Returns -1 to go on, else the exit status.
static int arguments_read(int argc, char **argv, struct arguments *arguments)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},
		{"check", no_argument, NULL, 'C'},
		{"help", no_argument, NULL, 'h'},
		{"new-state", no_argument, NULL, 'N'},
		{"version", no_argument, NULL, 'V'},
		{},
	};
	int option;
	while ((option = getopt_long(argc, argv, "c:hV", options, NULL)) != -1) {
		switch (option) {
		case 'c':
			arguments->config = optarg;
			break;
		case 'C':
			arguments->check = true;
			break;
		case 'N':
			arguments->new_state = true;
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		case 'V':
			puts("mcxrelay " MCXRELAY_VERSION);
			return 0;
		default:
			fputs(usage, stderr);
			return 1;
		}
	}
	bool understood = optind == argc && (arguments->config || arguments->new_state) &&
			  !(arguments->check && arguments->new_state);
	if (!understood) {
		if (optind < argc)
			fprintf(stderr, "mcxrelay: unexpected argument \"%s\"\n", argv[optind]);
		fputs(usage, stderr);
		return 1;
	}
	return -1;
}

// Memory holds keys: no core dumps, and only root may trace the process.
static void memory_protect(void)
{
	struct rlimit none = {0, 0};
	if (setrlimit(RLIMIT_CORE, &none) != 0 || prctl(PR_SET_DUMPABLE, 0) != 0)
		log_warning("core_dumps_not_off reason=\"%s\"", strerror(errno));
}

int main(int argc, char **argv)
{
	struct arguments arguments = {};
	int status = arguments_read(argc, argv, &arguments);
	if (status < 0 && !arguments.config)
		status = state_command_renew(CONFIG_STATE_DIRECTORY, NULL, NULL);
	if (status >= 0)
		return status;
	memory_protect();
	// Small pieces that are freed are joined one by one: not a hundred thousand of them, those of a
	// long line, in one call of malloc() for some larger one.
	mallopt(M_MXFAST, 0);
	// These libraries hold keys as hexadecimal text.
	json_set_alloc_funcs(secmem_malloc, secmem_free);
	event_set_mem_functions(secmem_malloc, secmem_realloc, secmem_free);
	if (!secmem_serve_openssl())
		log_warning("openssl_memory_not_wiped");
	const char *ciphers[N_CIPHERS + 2] = {cipher_auto};
	for (size_t i = 0; i < N_CIPHERS; i++)
		ciphers[i + 1] = cipher_name(i);
	struct config *config = config_load(arguments.config, ciphers, stderr);
	if (!config)
		return 1;
	log_set_level((enum log_level)config->log_level);
	if (arguments.check) {
		printf("%s is good\n", arguments.config);
		status = state_command_check(config->state_directory);
	} else if (arguments.new_state) {
		status = state_command_renew(config->state_directory, config->user, config->group);
	} else {
		status = startup_run(config);
	}
	config_free(config);
	libevent_global_shutdown();
	return status;
}
