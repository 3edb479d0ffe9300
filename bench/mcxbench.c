// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <getopt.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include <openssl/provider.h>
#include <rte_eal.h>
#include <rte_memory.h>

#include "base/log.h"
#include "bench/bench.h"

// mcxbench: benchmarks in memory. One JSON object a line on stdout.

enum { ONLY_MAX = 64, WORKERS_MAX = 32 };

static const char usage[] =
	"Usage: mcxbench [options]\n"
	"Measures the relay in memory, without kernel or wire. One JSON object a line.\n"
	"\n"
	"  -l, --list       names and what they measure\n"
	"  -o, --only NAME  this one; may be given several times (default: all)\n"
	"  -s, --seconds S  of each benchmark (default 2)\n"
	"  -r, --rounds N   in that time; the result is the median round (default 9)\n"
	"  -w, --workers N  threads at once, one CPU each (default 1)\n"
	"  -m, --max-rss N  fail if the process had more MiB at its peak\n"
	"  -h, --help       this text\n";

static const struct bench *const suites[] = {cipher_benches, cryptodev_benches, relay_benches,
	key_benches, libsrtp_benches, openssl_benches};

struct arguments {
	struct bench_options options;
	const char *only[ONLY_MAX];
	unsigned n_only;
	unsigned max_rss_mib; // 0: any
	bool list;
};

static const struct bench *bench_find(const char *name)
{
	for (unsigned s = 0; s < sizeof(suites) / sizeof(suites[0]); s++)
		for (const struct bench *bench = suites[s]; bench->name; bench++)
			if (strcmp(bench->name, name) == 0)
				return bench;
	return NULL;
}

// --- arguments

static bool number_read(const char *text, double min, double max, double *out)
{
	char *end;
	double value = strtod(text, &end);
	if (end == text || *end || !(value >= min && value <= max)) {
		fprintf(stderr, "mcxbench: \"%s\" is not accepted; accepted: %g to %g\n", text, min,
			max);
		return false;
	}
	*out = value;
	return true;
}

static bool count_read(const char *text, unsigned max, unsigned *out)
{
	double value;
	if (!number_read(text, 1, max, &value))
		return false;
	*out = (unsigned)value;
	return true;
}

static bool workers_read(const char *text, unsigned *out)
{
	cpu_set_t allowed;
	sched_getaffinity(0, sizeof(allowed), &allowed);
	unsigned cpus = (unsigned)CPU_COUNT(&allowed);
	return count_read(text, cpus < WORKERS_MAX ? cpus : WORKERS_MAX, out);
}

static bool only_read(const char *name, struct arguments *arguments)
{
	if (!bench_find(name) || arguments->n_only == ONLY_MAX) {
		fprintf(stderr, "mcxbench: \"%s\" is not accepted; accepted: what --list says\n",
			name);
		return false;
	}
	arguments->only[arguments->n_only++] = name;
	return true;
}

static bool option_read(int option, struct arguments *arguments)
{
	switch (option) {
	case 'l':
		arguments->list = true;
		return true;
	case 'o':
		return only_read(optarg, arguments);
	case 's':
		return number_read(optarg, 0.01, 3600, &arguments->options.seconds);
	case 'r':
		return count_read(optarg, BENCH_ROUNDS_MAX, &arguments->options.rounds);
	case 'w':
		return workers_read(optarg, &arguments->options.n_workers);
	case 'm':
		return count_read(optarg, 1U << 30, &arguments->max_rss_mib);
	case 'h':
		fputs(usage, stdout);
		exit(0);
	default:
		fputs(usage, stderr);
		return false;
	}
}

static bool arguments_read(int argc, char **argv, struct arguments *arguments)
{
	static const struct option options[] = {
		{"list", no_argument, NULL, 'l'},
		{"only", required_argument, NULL, 'o'},
		{"seconds", required_argument, NULL, 's'},
		{"rounds", required_argument, NULL, 'r'},
		{"workers", required_argument, NULL, 'w'},
		{"max-rss", required_argument, NULL, 'm'},
		{"help", no_argument, NULL, 'h'},
		{},
	};
	int option;
	while ((option = getopt_long(argc, argv, "lo:s:r:w:m:h", options, NULL)) != -1)
		if (!option_read(option, arguments))
			return false;
	if (optind == argc)
		return true;
	fprintf(stderr, "mcxbench: unexpected argument \"%s\"\n", argv[optind]);
	return false;
}

// --- DPDK

// "0@1,1@0": lcore n on the n-th CPU from the last, the main thread among them. There are two at
// least, if need be on one CPU.
static void lcores_write(char *text, size_t size, unsigned n_workers)
{
	cpu_set_t allowed;
	unsigned cpu = CPU_SETSIZE;
	size_t len = 0;
	sched_getaffinity(0, sizeof(allowed), &allowed);
	for (unsigned i = 0; i < (n_workers < 2 ? 2 : n_workers); i++) {
		do
			cpu = cpu > 0 ? cpu - 1 : CPU_SETSIZE - 1;
		while (!CPU_ISSET(cpu, &allowed));
		len += (size_t)snprintf(text + len, size - len, "%s%u@%u", i ? "," : "", i, cpu);
	}
}

// Packet buffers lie on huge pages in production. Here they do if the kernel has any to spare.
static int memory_advise(const struct rte_memseg_list *list, void *arg)
{
	(void)arg;
	(void)madvise(list->base_va, list->len, MADV_HUGEPAGE);
	return 0;
}

static bool eal_open(unsigned n_workers)
{
	static char name[] = "mcxbench", no_huge[] = "--no-huge", no_shconf[] = "--no-shconf",
		    no_pci[] = "--no-pci", no_telemetry[] = "--no-telemetry", m[] = "-m",
		    octets[16], log_level[] = "--log-level=lib.*:critical",
		    lcores_option[] = "--lcores", lcores[16 * WORKERS_MAX];
	static char *args[] = {name, no_huge, no_shconf, no_pci, no_telemetry, m, octets, log_level,
		lcores_option, lcores, NULL};
	// Taken as it is used: a million sessions of a crypto device are 1,240 MiB.
	snprintf(octets, sizeof(octets), "%u", 2048 + 64 * n_workers);
	lcores_write(lcores, sizeof(lcores), n_workers);
	if (rte_eal_init(sizeof(args) / sizeof(args[0]) - 1, args) < 0)
		return false;
	rte_memseg_list_walk(memory_advise, NULL);
	return true;
}

// --- running

static void list_print(void)
{
	for (unsigned s = 0; s < sizeof(suites) / sizeof(suites[0]); s++)
		for (const struct bench *bench = suites[s]; bench->name; bench++)
			printf("%-26s %s\n", bench->name, bench->what);
}

static bool bench_asked_for(const struct arguments *arguments, const struct bench *bench)
{
	for (unsigned i = 0; i < arguments->n_only; i++)
		if (strcmp(arguments->only[i], bench->name) == 0)
			return true;
	return arguments->n_only == 0;
}

static bool memory_suffices(unsigned max_mib)
{
	struct rusage used;
	if (max_mib == 0)
		return true;
	if (getrusage(RUSAGE_SELF, &used) != 0 || used.ru_maxrss / 1024 > (long)max_mib) {
		fprintf(stderr, "mcxbench: %ld MiB at the peak; accepted: %u\n",
			used.ru_maxrss / 1024, max_mib);
		return false;
	}
	return true;
}

int main(int argc, char **argv)
{
	static struct arguments arguments = {
		.options = {.seconds = 2, .rounds = 9, .n_workers = 1}};
	if (!arguments_read(argc, argv, &arguments))
		return 1;
	if (arguments.list) {
		list_print();
		return 0;
	}
	log_set_level(LOG_LEVEL_ERROR);
	// DPDK's crypto_openssl takes the default provider away when it is closed; it stays for who loaded it before.
	bench_require(OSSL_PROVIDER_load(NULL, "default"));
	if (!eal_open(arguments.options.n_workers))
		return 1;
	const struct bench *floor = bench_find("cipher-gcm128-160");
	for (unsigned s = 0; s < sizeof(suites) / sizeof(suites[0]); s++)
		for (const struct bench *bench = suites[s]; bench->name; bench++)
			if (bench_asked_for(&arguments, bench))
				bench_run(bench, floor, &arguments.options);
	rte_eal_cleanup();
	return memory_suffices(arguments.max_rss_mib) ? 0 : 1;
}
