// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "tests/unit/session_lab.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/cipher_registry.h"
#include "tests/unit/dataplane_lab.h"

static void poll_nothing(void *arg)
{
	(void)arg;
}

int session_lab_open(struct app *app, uint32_t max_legs, uint16_t udp_first, uint16_t udp_last)
{
	static struct port_prefix prefix = {.addr = {.family = AF_INET}, .prefix_len = 24};
	struct port_options port = {.name = "ran",
		.device = "net_ring0",
		.prefixes = &prefix,
		.n_prefixes = 1,
		.udp_first = udp_first,
		.udp_last = udp_last,
		.mtu = 1500};
	const unsigned lcores[1] = {0};
	const char *unknown;
	char why[256];
	lab_start();
	inet_pton(AF_INET, "10.0.0.1", prefix.addr.addr);
	struct relay_options options = {
		.cipher = cipher_open(cipher_auto, &unknown),
		.lcores = lcores,
		.n_workers = 1,
		.ports = &port,
		.n_ports = 1,
		.max_keys = 64,
		.max_legs = max_legs,
		.max_streams = 64,
	};
	if (relay_open(&app->relay, &options, why, sizeof(why)) != 0)
		return -1;
	app->ssrcs.used_up = 1; // no state directory
	if (app_open(app, &(struct config_limits){64, 64, max_legs, 64},
		    &(struct config_mikey){
			    .threads = 2, .queue = 16, .max_age_other = 300, .ahead = 60}) != 0)
		return -1;
	app->api.poll = poll_nothing;
	return 0;
}

int session_lab_close(struct app *app)
{
	app_close(app);
	relay_close(&app->relay);
	return 0;
}

char *session_lab_line(const char *method, const char *params)
{
	char *line;
	assert_true(
		asprintf(&line, "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"%s\",\"params\":%s}",
			method, params) > 0);
	return line;
}

char *session_lab_call(struct app *app, const char *method, const char *params, size_t *len)
{
	struct rpc rpc = {.methods = control_methods, .app = &app->api};
	char *line = session_lab_line(method, params);
	char *answer = rpc_answer(&rpc, line, strlen(line), len);
	assert_non_null(answer);
	free(line);
	return answer;
}
