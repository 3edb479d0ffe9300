// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "bench/gen/options.h"

#include <arpa/inet.h>
#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static const char usage[] =
	"Usage: mcxgen --in PORT=DEVICE [options] [-- EAL options]\n"
	"Sends authentic SRTP of many users into a relay, verifies what comes out, and prints one\n"
	"JSON object. It sets the calls up by the relay's control socket.\n"
	"\n"
	"Ports. PORT is the relay's name of it, DEVICE what leads there, as in mcxrelay.conf.\n"
	"      --in PORT=DEVICE        where media goes in\n"
	"      --in-address ADDRESS    mcxgen's own IPv4 address there (10.77.1.2)\n"
	"      --in-relay ADDRESS      the relay's (10.77.1.1)\n"
	"      --in-mac MAC            the relay's; default: asked for by ARP, broadcast in a "
	"file\n"
	"      --out PORT=DEVICE       where it comes out; default: where it goes in\n"
	"      --out-address ADDRESS   (10.77.2.2)\n"
	"      --out-relay ADDRESS     (10.77.2.1)\n"
	"      --out-mac MAC\n"
	"      --cpu N                 CPU to run on (the last one)\n"
	"Calls. KIND is gmk, pck, plain, opaque or same. Where both sides have a kind of key, "
	"each\n"
	"has a key of its own, so the relay re-encrypts; with --to same it verifies and forwards.\n"
	"      --from KIND             what senders protect with (gmk)\n"
	"      --to KIND               what receivers get (gmk)\n"
	"      --suite NAME            of all keys (aead-aes-128-gcm)\n"
	"      --streams N             users that speak (16)\n"
	"      --groups N              sessions that they are spread over (1)\n"
	"      --receivers N           legs of each session that receive (1)\n"
	"      --seed N                of keys and order (random)\n"
	"Media.\n"
	"      --size N | N:W,...      octets of payload, or several with weights (160)\n"
	"      --rate PPS | P%         of all streams, or of the port's speed; 0: what is taken "
	"(10000)\n"
	"      --seconds S             (5); SIGINT ends it earlier\n"
	"      --warm-up S             longest time until every stream was heard (30)\n"
	"What to do.\n"
	"      --control SOCKET        the relay's (/run/mcxrelay/control.sock)\n"
	"      --write PREFIX          write params for mcxctl into files, in place of --control\n"
	"      --pcap FILE             write frames into a file, and send nothing\n"
	"      --packets N             frames of the file (100000)\n"
	"      --keep                  leave keys and sessions in the relay\n"
	"      --stay                  after the result, keep the ports until stdin ends: "
	"net_memif of DPDK\n"
	"                              22.11 may crash a relay whose peer leaves while it polls\n"
	"  -h, --help                  this text\n"
	"\n"
	"EAL options replace --no-huge -m 256 --no-pci.\n";

const char *gen_kind_name(enum gen_kind kind)
{
	static const char *const names[] = {
#define _(name, text) text,
		GEN_KINDS(_)
#undef _
	};
	return names[kind];
}

// --- values

static bool refuse(const char *text, const char *accepted)
{
	fprintf(stderr, "mcxgen: \"%s\" is not accepted; accepted: %s\n", text, accepted);
	return false;
}

static bool number_read(const char *text, double min, double max, double *out)
{
	char accepted[64], *end;
	double value = strtod(text, &end);
	if (end != text && !*end && value >= min && value <= max) {
		*out = value;
		return true;
	}
	snprintf(accepted, sizeof(accepted), "%.0f to %.0f", min, max);
	return refuse(text, accepted);
}

static bool count_read(const char *text, uint32_t max, uint32_t *out)
{
	double value;
	if (!number_read(text, 1, max, &value))
		return false;
	*out = (uint32_t)value;
	return *out == value || refuse(text, "a whole number");
}

static bool whole_read(const char *text, uint64_t *out)
{
	char *end;
	*out = strtoull(text, &end, 0);
	return (end != text && !*end && text[0] != '-') || refuse(text, "a whole number");
}

static bool address_read(const char *text, rte_be32_t *out)
{
	struct in_addr address;
	if (inet_pton(AF_INET, text, &address) != 1)
		return refuse(text, "an IPv4 address");
	*out = address.s_addr;
	return true;
}

static bool mac_read(const char *text, struct rte_ether_addr *out)
{
	return rte_ether_unformat_addr(text, out) == 0 || refuse(text, "xx:xx:xx:xx:xx:xx");
}

static bool side_read(const char *text, struct gen_side *side)
{
	size_t name_len = strcspn(text, "=");
	if (name_len == 0 || name_len >= sizeof(side->port) || text[name_len] != '=' ||
		!text[name_len + 1] || strlen(text + name_len + 1) >= sizeof(side->device))
		return refuse(text, "PORT=DEVICE, as ran=net_memif0,role=client,socket=FILE");
	snprintf(side->port, sizeof(side->port), "%.*s", (int)name_len, text);
	snprintf(side->device, sizeof(side->device), "%s", text + name_len + 1);
	return true;
}

static bool kind_read(const char *text, unsigned n_kinds, enum gen_kind *out)
{
	for (unsigned i = 0; i < n_kinds; i++) {
		if (strcmp(text, gen_kind_name(i)) == 0) {
			*out = i;
			return true;
		}
	}
	return refuse(text, n_kinds == GEN_N_KINDS ? "gmk, pck, plain, opaque, same"
						   : "gmk, pck, plain, opaque");
}

static bool suite_read(const char *text, enum srtp_suite *out)
{
	int suite = srtp_suite_from_name(text);
	if (suite < 0)
		return refuse(text, "aead-aes-128-gcm, aead-aes-256-gcm, "
				    "aes-cm-128-hmac-sha1-80, aes-cm-128-hmac-sha1-32");
	*out = (enum srtp_suite)suite;
	return true;
}

static bool sizes_read(const char *text, struct gen_options *options)
{
	static const char accepted[] = "octets of payload, 24 to 1400, or up to 16 of N:WEIGHT "
				       "with commas between";
	options->n_sizes = 0;
	for (const char *at = text;; at++) {
		char *end;
		unsigned long octets = strtoul(at, &end, 10), weight = 1;
		bool good = end != at && octets >= GEN_OCTETS_MIN && octets <= GEN_OCTETS_MAX;
		at = end;
		if (good && *at == ':') {
			weight = strtoul(at + 1, &end, 10);
			good = end != at + 1 && weight >= 1 && weight <= 1000;
			at = end;
		}
		if (!good || options->n_sizes == GEN_SIZES_MAX || (*at && *at != ','))
			return refuse(text, accepted);
		options->sizes[options->n_sizes++] =
			(struct gen_size){(uint16_t)octets, (uint32_t)weight};
		if (!*at)
			return true;
	}
}

static bool rate_read(const char *text, struct gen_options *options)
{
	char number[32];
	size_t len = strlen(text);
	options->share = 0;
	if (len == 0 || text[len - 1] != '%' || len > sizeof(number))
		return number_read(text, 0, 1e9, &options->rate);
	snprintf(number, sizeof(number), "%.*s", (int)len - 1, text);
	options->rate = 0;
	if (!number_read(number, 0, 100, &options->share))
		return false;
	options->share /= 100;
	return options->share > 0 || refuse(text, "more than 0%");
}

// --- the command line

enum {
	OPTION_IN = 256,
	OPTION_IN_ADDRESS,
	OPTION_IN_RELAY,
	OPTION_IN_MAC,
	OPTION_OUT,
	OPTION_OUT_ADDRESS,
	OPTION_OUT_RELAY,
	OPTION_OUT_MAC,
	OPTION_CPU,
	OPTION_FROM,
	OPTION_TO,
	OPTION_SUITE,
	OPTION_STREAMS,
	OPTION_GROUPS,
	OPTION_RECEIVERS,
	OPTION_SEED,
	OPTION_SIZE,
	OPTION_RATE,
	OPTION_SECONDS,
	OPTION_WARM_UP,
	OPTION_CONTROL,
	OPTION_WRITE,
	OPTION_PCAP,
	OPTION_PACKETS,
	OPTION_KEEP,
	OPTION_STAY,
};

static const struct option options_known[] = {
	{"in", required_argument, NULL, OPTION_IN},
	{"in-address", required_argument, NULL, OPTION_IN_ADDRESS},
	{"in-relay", required_argument, NULL, OPTION_IN_RELAY},
	{"in-mac", required_argument, NULL, OPTION_IN_MAC},
	{"out", required_argument, NULL, OPTION_OUT},
	{"out-address", required_argument, NULL, OPTION_OUT_ADDRESS},
	{"out-relay", required_argument, NULL, OPTION_OUT_RELAY},
	{"out-mac", required_argument, NULL, OPTION_OUT_MAC},
	{"cpu", required_argument, NULL, OPTION_CPU},
	{"from", required_argument, NULL, OPTION_FROM},
	{"to", required_argument, NULL, OPTION_TO},
	{"suite", required_argument, NULL, OPTION_SUITE},
	{"streams", required_argument, NULL, OPTION_STREAMS},
	{"groups", required_argument, NULL, OPTION_GROUPS},
	{"receivers", required_argument, NULL, OPTION_RECEIVERS},
	{"seed", required_argument, NULL, OPTION_SEED},
	{"size", required_argument, NULL, OPTION_SIZE},
	{"rate", required_argument, NULL, OPTION_RATE},
	{"seconds", required_argument, NULL, OPTION_SECONDS},
	{"warm-up", required_argument, NULL, OPTION_WARM_UP},
	{"control", required_argument, NULL, OPTION_CONTROL},
	{"write", required_argument, NULL, OPTION_WRITE},
	{"pcap", required_argument, NULL, OPTION_PCAP},
	{"packets", required_argument, NULL, OPTION_PACKETS},
	{"keep", no_argument, NULL, OPTION_KEEP},
	{"stay", no_argument, NULL, OPTION_STAY},
	{"help", no_argument, NULL, 'h'},
	{},
};

static bool cpu_read(const char *text, unsigned *out)
{
	double value;
	if (!number_read(text, 0, CPU_SETSIZE - 1, &value))
		return false;
	*out = (unsigned)value;
	return true;
}

static bool side_option_read(int option, struct gen_side *side)
{
	switch (option) {
	case OPTION_IN:
		return side_read(optarg, side);
	case OPTION_IN_ADDRESS:
		return address_read(optarg, &side->address);
	case OPTION_IN_RELAY:
		return address_read(optarg, &side->relay_address);
	default:
		return mac_read(optarg, &side->relay_mac);
	}
}

static bool call_option_read(int option, struct gen_options *options)
{
	switch (option) {
	case OPTION_CPU:
		return cpu_read(optarg, &options->cpu);
	case OPTION_FROM:
		return kind_read(optarg, GEN_SAME, &options->from);
	case OPTION_TO:
		return kind_read(optarg, GEN_N_KINDS, &options->to);
	case OPTION_SUITE:
		return suite_read(optarg, &options->suite);
	case OPTION_STREAMS:
		return count_read(optarg, GEN_STREAMS_MAX, &options->streams);
	case OPTION_GROUPS:
		return count_read(optarg, GEN_LEGS_MAX / 2, &options->groups);
	case OPTION_RECEIVERS:
		return count_read(optarg, GEN_LEGS_MAX - 1, &options->receivers);
	default:
		return whole_read(optarg, &options->seed);
	}
}

static bool media_option_read(int option, struct gen_options *options)
{
	switch (option) {
	case OPTION_SIZE:
		return sizes_read(optarg, options);
	case OPTION_RATE:
		return rate_read(optarg, options);
	case OPTION_SECONDS:
		return number_read(optarg, 0, 1e6, &options->seconds);
	case OPTION_WARM_UP:
		return number_read(optarg, 0, 1e6, &options->warm_up);
	case OPTION_CONTROL:
		options->control = optarg;
		return true;
	case OPTION_WRITE:
		options->write = optarg;
		return true;
	case OPTION_PCAP:
		options->pcap = optarg;
		return true;
	case OPTION_PACKETS:
		return whole_read(optarg, &options->packets);
	case OPTION_KEEP:
		options->keep = true;
		return true;
	case OPTION_STAY:
		options->stay = true;
		return true;
	default:
		return false;
	}
}

static bool option_read(int option, struct gen_options *options)
{
	if (option < OPTION_IN)
		return false; // getopt said what
	if (option <= OPTION_IN_MAC)
		return side_option_read(option, &options->in);
	if (option <= OPTION_OUT_MAC)
		return side_option_read(option - OPTION_OUT + OPTION_IN, &options->out);
	if (option <= OPTION_SEED)
		return call_option_read(option, options);
	return media_option_read(option, options);
}

static bool together_check(const struct gen_options *options)
{
	if (!options->in.port[0])
		return refuse("(no --in)", "--in PORT=DEVICE");
	if (options->groups > options->streams)
		return refuse("--groups", "as many as --streams, at most");
	if ((uint64_t)options->groups * (options->receivers + 1) > GEN_LEGS_MAX)
		return refuse("--groups and --receivers", "40000 legs, at most");
	if (options->to != GEN_SAME && options->from != options->to &&
		(options->from == GEN_OPAQUE || options->to == GEN_OPAQUE))
		return refuse("--from and --to", "opaque on both sides, or on none");
	return true;
}

static unsigned last_cpu(void)
{
	cpu_set_t allowed;
	unsigned cpu = CPU_SETSIZE - 1;
	sched_getaffinity(0, sizeof(allowed), &allowed);
	while (cpu > 0 && !CPU_ISSET(cpu, &allowed))
		cpu--;
	return cpu;
}

static void defaults_set(struct gen_options *options)
{
	*options = (struct gen_options){
		.in = {.address = inet_addr("10.77.1.2"), .relay_address = inet_addr("10.77.1.1")},
		.out = {.address = inet_addr("10.77.2.2"), .relay_address = inet_addr("10.77.2.1")},
		.streams = 16,
		.groups = 1,
		.receivers = 1,
		.sizes = {{160, 1}},
		.n_sizes = 1,
		.rate = 10000,
		.seconds = 5,
		.warm_up = 30,
		.packets = 100000,
		.cpu = last_cpu(),
		.control = "/run/mcxrelay/control.sock",
	};
	if (getrandom(&options->seed, sizeof(options->seed), 0) != sizeof(options->seed))
		abort();
}

int gen_options_read(int argc, char **argv, struct gen_options *options)
{
	int option;
	defaults_set(options);
	while ((option = getopt_long(argc, argv, "h", options_known, NULL)) != -1) {
		if (option == 'h') {
			fputs(usage, stdout);
			return 0;
		}
		if (!option_read(option, options))
			return 1;
	}
	options->eal = argv + optind;
	options->n_eal = argc - optind;
	if (options->n_eal > 0 && strcmp(argv[optind - 1], "--") != 0) {
		refuse(argv[optind], "EAL options after --");
		return 1;
	}
	if (!together_check(options))
		return 1;
	if (!options->out.port[0])
		options->out = options->in;
	return -1;
}
