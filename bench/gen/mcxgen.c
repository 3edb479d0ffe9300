// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <stdio.h>
#include <string.h>

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>

#include "base/secmem.h"
#include "bench/gen/capture.h"
#include "bench/gen/client.h"
#include "bench/gen/result.h"
#include "crypto/cipher_registry.h"

// mcxgen: sends the media of many users through a relay and verifies what comes out.

enum { MBUFS = 8191, MBUF_CACHE = 256, EAL_ARGS_MAX = 64 };

static bool eal_open(const struct gen_options *options)
{
	static char name[] = "mcxgen", no_shconf[] = "--no-shconf",
		    no_telemetry[] = "--no-telemetry", log_level[] = "--log-level=lib.*:critical",
		    lcores_option[] = "--lcores", lcores[32], no_huge[] = "--no-huge", m[] = "-m",
		    octets[] = "256", no_pci[] = "--no-pci";
	static char *standard[] = {no_huge, m, octets, no_pci};
	char *args[EAL_ARGS_MAX] = {
		name, no_shconf, no_telemetry, log_level, lcores_option, lcores};
	bool own = options->n_eal > 0;
	int n = 6, n_more = own ? options->n_eal : (int)RTE_DIM(standard);
	snprintf(lcores, sizeof(lcores), "0@%u", options->cpu);
	if (n + n_more >= EAL_ARGS_MAX) {
		fputs("mcxgen: too many EAL options\n", stderr);
		return false;
	}
	memcpy(args + n, own ? options->eal : standard, (size_t)n_more * sizeof(*args));
	if (rte_eal_init(n + n_more, args) >= 0)
		return true;
	fprintf(stderr, "mcxgen: DPDK does not start: %s\n", rte_strerror(rte_errno));
	return false;
}

static const struct cipher *cipher_ready(void)
{
	const char *why = "no memory";
	const struct cipher *cipher = cipher_open(cipher_auto, &why);
	if (cipher && cipher_thread_init(cipher) == 0)
		return cipher;
	fprintf(stderr, "mcxgen: %s\n", why);
	return NULL;
}

static void result_print(json_t *result)
{
	json_dumpf(result, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
	putchar('\n');
	fflush(stdout);
	json_decref(result);
}

static bool media_run(
	struct gen_calls *calls, struct link *in, struct link *out, struct gen_client *client)
{
	struct run run;
	run_open(&run, calls, in, out);
	bool good = run_warm_up(&run);
	if (good) {
		json_t *before = client ? gen_client_call(client, "relay.stats", NULL) : NULL;
		run_measure(&run);
		json_t *after = client ? gen_client_call(client, "relay.stats", NULL) : NULL;
		result_print(result_show(&run, before, after));
		json_decref(before);
		json_decref(after);
	}
	run_close(&run);
	return good;
}

// Sets up the calls, runs and clears away.
static bool calls_run(struct gen_calls *calls, struct link *in, struct link *out)
{
	const struct gen_options *options = calls->options;
	if (options->write)
		return gen_calls_write(calls, options->write) && media_run(calls, in, out, NULL);
	struct gen_client *client = gen_client_open(options->control);
	bool good = client && gen_client_apply(client, calls) && media_run(calls, in, out, client);
	if (client && !options->keep && !gen_client_remove(client, calls))
		good = false;
	gen_client_close(client);
	return good;
}

static bool links_run(struct gen_calls *calls)
{
	const struct gen_options *options = calls->options;
	struct rte_mempool *pool = rte_pktmbuf_pool_create(
		"mcxgen", MBUFS, MBUF_CACHE, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	static struct link in, out;
	bool one = strcmp(options->in.device, options->out.device) == 0;
	if (!pool)
		fprintf(stderr, "mcxgen: no packet buffers: %s\n", rte_strerror(rte_errno));
	bool good = pool && link_open(&in, &options->in, pool) &&
		    (one || link_open(&out, &options->out, pool)) && link_ready(&in) &&
		    (one || link_ready(&out)) && calls_run(calls, &in, one ? &in : &out);
	while (good && options->stay && getchar() != EOF)
		;
	link_close(&in);
	link_close(&out);
	return good;
}

static bool options_run(const struct gen_options *options)
{
	const struct cipher *cipher = cipher_ready();
	struct gen_calls *calls = cipher ? gen_calls_open(options, cipher) : NULL;
	if (!calls)
		return false;
	bool good;
	if (options->pcap)
		good = (!options->write || gen_calls_write(calls, options->write)) &&
		       capture_write(calls);
	else
		good = links_run(calls);
	gen_calls_close(calls);
	cipher_thread_fini(cipher);
	return good;
}

int main(int argc, char **argv)
{
	struct gen_options options;
	int status = gen_options_read(argc, argv, &options);
	if (status >= 0)
		return status;
	if (!options.pcap && !eal_open(&options))
		return 1;
	bool good = options_run(&options);
	if (!options.pcap)
		rte_eal_cleanup();
	return good ? 0 : 1;
}
