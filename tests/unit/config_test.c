// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <unistd.h>

#include "config/config.h"

#ifndef CONFIG_DIR
#define CONFIG_DIR "config" // where the examples are
#endif

static char path[] = "/tmp/mcxrelay-config-XXXXXX";
static const char *const all_ciphers[] = {"auto", "vaes", "ipsec-mb", "openssl", NULL};
static const char *const *ciphers = all_ciphers;

static void file_write(const char *text, size_t len)
{
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, len, file), len);
	fclose(file);
}

// Loads a text; *errors gets the complaints, each without the file's name. The caller frees both.
static struct config *load(const char *text, char **errors)
{
	char *raw = NULL;
	size_t raw_len, prefix_len = strlen(path) + 1;
	FILE *stream = open_memstream(&raw, &raw_len);
	file_write(text, strlen(text));
	struct config *config = config_load(path, ciphers, stream);
	fclose(stream);
	char *out = *errors = calloc(1, raw_len + 1);
	for (char *line = raw; *line != '\0';) {
		char *end = strchr(line, '\n') + 1;
		assert_memory_equal(line, path, prefix_len - 1);
		out = mempcpy(out, line + prefix_len, (size_t)(end - line) - prefix_len);
		line = end;
	}
	free(raw);
	return config;
}

static void check_errors(const char *text, const char *expected)
{
	char *errors;
	struct config *config = load(text, &errors);
	assert_string_equal(errors, expected);
	assert_null(config);
	free(errors);
}

// Line 1 has a port, line 2 the control socket; tests start with line 3.
#define PORT(more) "ports = ( { name = \"a\"; device = \"net_null0\"; " more " } );\n"
#define PORTS      PORT("addresses = [ \"10.0.0.1/24\" ];")
#define CONTROL    "control = { unix = \"/run/s\"; };\n"

static void defaults_are_as_documented(void **state)
{
	char *errors;
	struct config *config = load(PORTS CONTROL, &errors);
	(void)state;
	assert_string_equal(errors, "");
	assert_non_null(config);
	assert_string_equal(config->path, path);
	assert_int_equal(config->n_workers, 1);
	assert_null(config->lcores);
	assert_int_equal(config->n_eal, 0);
	assert_null(config->cipher);
	assert_int_equal(config->n_ports, 1);
	assert_false(config->ports[0].has_gateway);
	assert_false(config->ports[0].has_gateway6);
	assert_int_equal(config->ports[0].vlan, 0);
	assert_int_equal(config->ports[0].mtu, 1500);
	assert_int_equal(config->ports[0].udp_first, 10000);
	assert_int_equal(config->ports[0].udp_last, 59999);
	assert_int_equal(config->control_mode, 0600);
	assert_null(config->control_group);
	assert_false(config->control_tls.enabled);
	assert_null(config->metrics_listen);
	assert_string_equal(config->state_directory, "/var/lib/mcxrelay");
	assert_int_equal(config->store, CONFIG_STORE_AUTO);
	assert_null(config->user);
	assert_null(config->group);
	assert_true(config->confine);
	assert_int_equal(config->limits.keys, 1000000);
	assert_int_equal(config->limits.sessions, 100000);
	assert_int_equal(config->limits.legs, 1000000);
	assert_int_equal(config->limits.streams, 1000000);
	assert_int_equal(config->limits.rate_mcptt.packets, 200000);
	assert_int_equal(config->limits.rate_mcptt.octets, 100000000);
	assert_int_equal(config->limits.rate_mcvideo.packets, 3000000);
	assert_int_equal(config->limits.rate_mcvideo.octets, 4000000000);
	assert_int_equal(config->log_level, CONFIG_LOG_INFO);
	config_free(config);
	free(errors);
}

static const char everything[] =
	"idle_sleep_us = 50;\n"
	"lcores = [ 2, 0x3 ];\n"
	"eal = ( \"--no-huge\", \"-m\", \"512\" );\n"
	"cipher = \"cryptodev:crypto_aesni_gcm0\";\n"
	"ports = (\n"
	"  { name = \"ran\"; device = \"net_af_packet0,iface=veth-ran\";\n"
	"    addresses = [ \"10.77.1.1/24\", \"fd77:1::1/64\" ]; gateway = \"10.77.1.254\";\n"
	"    gateway6 = \"fe80::1\"; vlan = 4094; mtu = 9000; },\n"
	"  { name = \"core\"; device = \"0000:03:00.0\"; addresses = ( \"10.77.2.1/31\" );\n"
	"    gateway = \"10.77.2.0\"; }\n"
	");\n"
	"control = { unix = \"/run/c\"; mode = \"0660\"; group = \"mcx\";\n"
	"  tls = { listen = \"[2001:db8::1]:7443\"; certificate = \"c\"; key = \"k\"; ca = \"a\"; "
	"crl = \"r\"; }; };\n"
	"metrics = { listen = \"0.0.0.0:1\"; };\n"
	"state_directory = \"/s\"; store = \"local\";\n"
	"user = \"mcx-relay\"; group = \"mcx\"; confine = false;\n"
	"limits = { keys = 1; sessions = 2; legs = 3; streams = 16777216L;\n"
	"  rate = { mcvideo = { packets = 0; octets = 4294967295L; }; };\n"
	"  ports = { core = [ 20000, 20001 ]; }; };\n"
	"log = { level = \"debug\"; };\n";

static void every_setting_is_read(void **state)
{
	char *errors, text[INET6_ADDRSTRLEN];
	struct config *config = load(everything, &errors);
	(void)state;
	assert_string_equal(errors, "");
	assert_non_null(config);
	assert_int_equal(config->n_workers, 2);
	assert_int_equal(config->idle_sleep_us, 50);
	assert_int_equal(config->lcores[0], 2);
	assert_int_equal(config->lcores[1], 3);
	assert_int_equal(config->n_eal, 3);
	assert_string_equal(config->eal[2], "512");
	assert_string_equal(config->cipher, "cryptodev:crypto_aesni_gcm0");
	assert_int_equal(config->n_ports, 2);
	const struct config_port *ran = &config->ports[0];
	const struct config_port *core = &config->ports[1];
	assert_string_equal(ran->name, "ran");
	assert_string_equal(ran->device, "net_af_packet0,iface=veth-ran");
	assert_int_equal(ran->n_addresses, 2);
	assert_int_equal(ran->addresses[0].family, AF_INET);
	assert_int_equal(ran->addresses[0].v4.s_addr, inet_addr("10.77.1.1"));
	assert_int_equal(ran->addresses[0].prefix_len, 24);
	assert_int_equal(ran->addresses[1].family, AF_INET6);
	assert_string_equal(
		inet_ntop(AF_INET6, &ran->addresses[1].v6, text, sizeof(text)), "fd77:1::1");
	assert_int_equal(ran->addresses[1].prefix_len, 64);
	assert_true(ran->has_gateway);
	assert_int_equal(ran->gateway.s_addr, inet_addr("10.77.1.254"));
	assert_true(ran->has_gateway6);
	assert_string_equal(inet_ntop(AF_INET6, &ran->gateway6, text, sizeof(text)), "fe80::1");
	assert_int_equal(ran->vlan, 4094);
	assert_int_equal(ran->mtu, 9000);
	assert_int_equal(ran->udp_first, 10000);
	assert_int_equal(core->udp_first, 20000);
	assert_int_equal(core->udp_last, 20001);
	assert_int_equal(core->addresses[0].prefix_len, 31);
	assert_false(core->has_gateway6);
	assert_string_equal(config->control_unix, "/run/c");
	assert_int_equal(config->control_mode, 0660);
	assert_string_equal(config->control_group, "mcx");
	assert_true(config->control_tls.enabled);
	assert_string_equal(config->control_tls.listen, "[2001:db8::1]:7443");
	assert_string_equal(config->control_tls.certificate, "c");
	assert_string_equal(config->control_tls.key, "k");
	assert_string_equal(config->control_tls.ca, "a");
	assert_string_equal(config->control_tls.crl, "r");
	assert_string_equal(config->metrics_listen, "0.0.0.0:1");
	assert_string_equal(config->state_directory, "/s");
	assert_int_equal(config->store, CONFIG_STORE_LOCAL);
	assert_string_equal(config->user, "mcx-relay");
	assert_string_equal(config->group, "mcx");
	assert_false(config->confine);
	assert_int_equal(config->limits.keys, 1);
	assert_int_equal(config->limits.sessions, 2);
	assert_int_equal(config->limits.legs, 3);
	assert_int_equal(config->limits.streams, 16777216);
	assert_int_equal(config->limits.rate_mcptt.packets, 200000);
	assert_int_equal(config->limits.rate_mcvideo.packets, 0);
	assert_int_equal(config->limits.rate_mcvideo.octets, UINT32_MAX);
	assert_int_equal(config->log_level, CONFIG_LOG_DEBUG);
	config_free(config);
	free(errors);
}

static void an_empty_group_name_is_none(void **state)
{
	char *errors;
	struct config *config = load(PORTS "control = { unix = \"s\"; group = \"\"; };", &errors);
	(void)state;
	assert_non_null(config);
	assert_null(config->control_group);
	config_free(config);
	free(errors);
}

#define A_ADDRESS                                                                                  \
	"an address with its prefix length, such as \"192.0.2.1/24\" or \"2001:db8::1/64\""
#define A_LISTEN "an address with a port, such as \"192.0.2.1:7443\" or \"[2001:db8::1]:7443\""
#define A_HOST   "which no port can have; accepted: a unicast address of a host"
#define A_NAME   "1 to 31 letters, digits, \"_\", \".\" and \"-\""
#define A_DEVICE "a DPDK device such as \"0000:03:00.0\" or \"net_af_packet0,iface=eth1\""
#define A_CIPHER "\"auto\", \"vaes\", \"ipsec-mb\", \"openssl\" or \"cryptodev:NAME\""
#define A_MODE   "an octal string from \"0000\" to \"0777\""
#define A_ROOT                                                                                     \
	"workers, lcores, idle_sleep_us, eal, cipher, ports, control, metrics, state_directory, "  \
	"store, user, group, confine, limits, mikey, log"
#define NAME_32  "a23456789012345678901234567890xx"
#define PATH_36  "/23456789/23456789/23456789/23456789"
#define PATH_108 PATH_36 PATH_36 PATH_36

struct mistake {
	const char *text, *errors;
};

static void check_mistakes(const struct mistake *mistakes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		check_errors(mistakes[i].text, mistakes[i].errors);
}

static void mistakes_of_the_file(void **state)
{
	static const struct mistake mistakes[] = {
		{"", "1: ports: is missing; accepted: a list of 1 to 16 groups { name, device, "
		     "addresses, ... }\n"
		     "1: control: is missing; accepted: a group { unix, ... }\n"},
		{PORTS CONTROL "\nworkers = ;\n", "4: file: syntax error; accepted: the syntax of "
						  "libconfig, each setting once\n"},
		{PORTS CONTROL "workers = 1;\nworkers = 1;\n",
			"4: file: duplicate setting name; accepted: the syntax of libconfig, each "
			"setting "
			"once\n"},
		{PORTS CONTROL "worker = 1;\n",
			"3: worker: is not a setting; accepted: " A_ROOT "\n"},
	};
	static const char with_nul[] = PORTS "\n\0" CONTROL;
	char expected[256], *errors = NULL;
	size_t len;
	(void)state;
	check_mistakes(mistakes, sizeof(mistakes) / sizeof(mistakes[0]));
	file_write(with_nul, sizeof(with_nul) - 1);
	FILE *stream = open_memstream(&errors, &len);
	assert_null(config_load(path, ciphers, stream));
	assert_null(config_load("/nonexistent/file", ciphers, stream));
	assert_null(config_load("/tmp", ciphers, stream));
	fclose(stream);
	snprintf(expected, sizeof(expected),
		"%s:3: file: has a NUL octet; accepted: text\n"
		"/nonexistent/file:1: file: cannot be read: No such file or directory; accepted: a "
		"readable "
		"file\n"
		"/tmp:1: file: cannot be read: Is a directory; accepted: a readable file\n",
		path);
	assert_string_equal(errors, expected);
	free(errors);
}

// What editors leave, and libconfig alone does not read.
static void begin_and_end_of_a_file_are_free(void **state)
{
	static const char *const texts[] = {
		PORTS CONTROL "# end",
		PORTS CONTROL "// end",
		PORTS CONTROL "#",
		PORTS CONTROL "workers = 1; # end\r",
		PORTS CONTROL "/* end */",
		PORTS CONTROL "workers = 1",
		"\xef\xbb\xbf" PORTS CONTROL,
		"\xef\xbb\xbf# begin\n" PORTS CONTROL "# end",
	};
	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		char *errors;
		struct config *config = load(texts[i], &errors);
		assert_string_equal(errors, "");
		assert_non_null(config);
		config_free(config);
		free(errors);
	}
	check_errors("# only a comment",
		"1: ports: is missing; accepted: a list of 1 to 16 groups { name, device, "
		"addresses, ... }\n"
		"1: control: is missing; accepted: a group { unix, ... }\n");
	check_errors("\xef\xbb\xbf" PORTS CONTROL "workers = 0; # end",
		"3: workers: is 0; accepted: an integer from 1 to 64\n");
}

// It is libconfig that reads these.
static void comment_at_the_end_of_an_included_file(void **state)
{
	char included[sizeof(path) + 4], text[512];
	(void)state;
	snprintf(included, sizeof(included), "%s.inc", path);
	FILE *file = fopen(included, "w");
	assert_non_null(file);
	fputs("workers = 1; # end", file);
	fclose(file);
	snprintf(text, sizeof(text), "%s@include \"%s\"\n", PORTS CONTROL, included);
	char *errors;
	struct config *config = load(text, &errors);
	if (config) // libconfig 1.7, 1.5 refuses it
		assert_int_equal(config->n_workers, 1);
	assert_string_equal(errors,
		config ? ""
		       : "inc:1: file: syntax error; accepted: the syntax of libconfig, each "
			 "setting once, no comment without a newline\n");
	config_free(config);
	free(errors);
	unlink(included);
}

static void mistakes_of_workers_and_cipher(void **state)
{
	static const struct mistake mistakes[] = {
		{PORTS CONTROL "workers = 0;\n",
			"3: workers: is 0; accepted: an integer from 1 to 64\n"},
		{PORTS CONTROL "workers = 65;\n",
			"3: workers: is 65; accepted: an integer from 1 to 64\n"},
		{PORTS CONTROL "workers = 4294967297;\n",
			"3: file: an integer does not fit into 32 bits; accepted: -2147483647 to "
			"2147483647, or the suffix L\n"},
		{PORTS CONTROL
			"# 4294967297\n/* 4294967297\n*/ // 4294967297\nworkers = 0x100000001;\n",
			"6: file: an integer does not fit into 32 bits; accepted: -2147483647 to "
			"2147483647, or the suffix L\n"},
		{PORTS CONTROL "eal = [ \"\\\" 4294967297\" ]; workers = 4294967297L;\n",
			"3: workers: is 4294967297; accepted: an integer from 1 to 64\n"},
		{PORTS CONTROL "idle_sleep_us = 1001;\n",
			"3: idle_sleep_us: is 1001; accepted: an integer from 0 to 1000\n"},
		{PORTS CONTROL "workers = -1;\n",
			"3: workers: is -1; accepted: an integer from 1 to 64\n"},
		{PORTS CONTROL "workers = 1.0;\n",
			"3: workers: is a number with a fraction; accepted: an "
			"integer from 1 to 64\n"},
		{PORTS CONTROL "workers = \"1\";\n",
			"3: workers: is a string; accepted: an integer from 1 to 64\n"},
		{PORTS CONTROL "workers = true;\n",
			"3: workers: is a boolean; accepted: an integer from 1 to 64\n"},
		{PORTS CONTROL "workers = 1;\nlcores = [ 1 ];\n",
			"4: lcores: is given together with workers; accepted: one of the two\n"},
		{PORTS CONTROL "lcores = [ ];\n",
			"3: lcores: has 0 elements; accepted: an array of 1 to 64 CPU numbers\n"},
		{PORTS CONTROL "lcores = 2;\n",
			"3: lcores: is an integer; accepted: an array of 1 to 64 CPU numbers\n"},
		{PORTS CONTROL "lcores = [ 1,\n 2,\n 1 ];\n",
			"5: lcores[2]: is also lcores[0]; accepted: each CPU once\n"},
		{PORTS CONTROL "lcores = ( 1024, \"2\" );\n",
			"3: lcores[0]: is 1024; accepted: an integer from 0 to 1023\n"
			"3: lcores[1]: is a string; accepted: an integer from 0 to 1023\n"},
		{PORTS CONTROL "eal = \"-m 512\";\n",
			"3: eal: is a string; accepted: an array of at most 64 strings\n"},
		{PORTS CONTROL "eal = ( \"\", 512 );\n",
			"3: eal[0]: is empty; accepted: an argument of DPDK\n"
			"3: eal[1]: is an integer; accepted: a string\n"},
		{PORTS CONTROL "cipher = \"aes\";\n",
			"3: cipher: is \"aes\"; accepted: " A_CIPHER "\n"},
		{PORTS CONTROL "cipher = \"cryptodev:\";\n",
			"3: cipher: is \"cryptodev:\"; accepted: " A_CIPHER "\n"},
		{PORTS CONTROL "cipher = \"cryptodev:a b\";\n",
			"3: cipher: is \"cryptodev:a b\"; accepted: " A_CIPHER "\n"},
		{PORTS CONTROL "cipher = [ ];\n",
			"3: cipher: is an array; accepted: " A_CIPHER "\n"},
	};
	(void)state;
	check_mistakes(mistakes, sizeof(mistakes) / sizeof(mistakes[0]));
}

static void ciphers_are_those_of_the_build(void **state)
{
	static const char *const one[] = {"openssl", NULL};
	char *errors;
	(void)state;
	ciphers = one;
	struct config *config = load(PORTS CONTROL "cipher = \"openssl\";\n", &errors);
	assert_string_equal(errors, "");
	assert_string_equal(config->cipher, "openssl");
	config_free(config);
	free(errors);
	check_errors(PORTS CONTROL "cipher = \"ipsec-mb\";\n",
		"3: cipher: is \"ipsec-mb\"; accepted: \"openssl\" or \"cryptodev:NAME\"\n");
	check_errors(PORTS CONTROL "cipher = 1;\n",
		"3: cipher: is an integer; accepted: \"openssl\" or \"cryptodev:NAME\"\n");
	ciphers = all_ciphers;
}

static void mistakes_of_a_port(void **state)
{
	static const struct mistake mistakes[] = {
		{CONTROL "ports = ( );\n",
			"2: ports: has 0 elements; accepted: a list of 1 to 16 groups { "
			"name, device, addresses, ... }\n"},
		{CONTROL "ports = { };\n",
			"2: ports: is a group; accepted: a list of 1 to 16 groups { "
			"name, device, addresses, ... }\n"},
		{CONTROL "ports = (\n\"eth1\" );\n", "3: ports[0]: is a string; accepted: a group "
						     "{ name, device, addresses, ... }\n"},
		{CONTROL "ports = ( { } );\n",
			"2: ports[0].name: is missing; accepted: " A_NAME "\n"
			"2: ports[0].device: is missing; accepted: " A_DEVICE "\n"
			"2: ports[0].addresses: is missing; accepted: an array of 1 to 64 "
			"addresses "
			"with prefix length\n"},
		{CONTROL "ports = ( { name = \"a b\"; device = \"-a\"; addresses = [ "
			 "\"10.0.0.1/24\" ]; } "
			 ");\n",
			"2: ports[0].name: is \"a b\"; accepted: " A_NAME "\n"
			"2: ports[0].device: is \"-a\"; accepted: " A_DEVICE "\n"},
		{CONTROL "ports = ( { name = \"" NAME_32 "\"; device = \"a\\nb\"; addresses = [ "
			 "\"10.0.0.1/24\" ]; } );\n",
			"2: ports[0].name: is \"" NAME_32 "\"; accepted: " A_NAME "\n"
			"2: ports[0].device: is \"a?b\"; accepted: " A_DEVICE "\n"},
		{CONTROL PORT("addresses = [ ];"), "2: ports[0].addresses: has 0 elements; "
						   "accepted: an array of 1 to 64 addresses "
						   "with prefix length\n"},
		{CONTROL PORT("addresses = \"10.0.0.1/24\";"),
			"2: ports[0].addresses: is a string; accepted: an array of 1 to 64 "
			"addresses with "
			"prefix length\n"},
		{CONTROL PORT("addresses = [ \"10.0.0.1/24\" ];\n vlan = 4095;\n mtu = 575;"),
			"3: ports[0].vlan: is 4095; accepted: an integer from 0 to 4094\n"
			"4: ports[0].mtu: is 575; accepted: an integer from 576 to 9000\n"},
		{CONTROL PORT("addresses = [ \"10.0.0.1/24\" ]; mtu = 9001; vlan = -1;"),
			"2: ports[0].mtu: is 9001; accepted: an integer from 576 to 9000\n"
			"2: ports[0].vlan: is -1; accepted: an integer from 0 to 4094\n"},
		{CONTROL PORT("addresses = [ \"fd00::1/64\" ];\n mtu = 1279;"),
			"3: ports[0].mtu: is 1279 with an IPv6 address; accepted: an integer from "
			"1280 to "
			"9000\n"},
		{CONTROL PORT("addresses = [ \"10.0.0.1/24\" ]; speed = 1;"),
			"2: ports[0].speed: is not a setting; accepted: name, device, addresses, "
			"gateway, "
			"gateway6, vlan, mtu\n"},
	};
	(void)state;
	check_mistakes(mistakes, sizeof(mistakes) / sizeof(mistakes[0]));
}

static void mistakes_of_addresses(void **state)
{
	static const char *const malformed[] = {"", "10.0.0.1", "10.0.0.1/", "10.0.0.1/0",
		"10.0.0.1/33", "10.0.0.1/024", "10.0.0.1/+8", "10.0.0.1/ 8", "10.0.0/24",
		"10.0.0.256/24", "::1:2/0", "fd00::1/129", "fd00::g/64", "fd00::1", "/24",
		"host/24", "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc/64"};
	static const char *const unusable[] = {"0.0.0.0/8", "127.0.0.1/8", "224.0.0.1/24",
		"255.255.255.255/24", "10.0.0.0/24", "10.0.0.255/24", "::/64", "::1/128",
		"ff02::1/64", "::ffff:10.0.0.1/96"};
	char text[512], expected[512];
	(void)state;
	for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
		snprintf(text, sizeof(text), CONTROL PORT("addresses = [ \"%s\" ];"), malformed[i]);
		snprintf(expected, sizeof(expected),
			"2: ports[0].addresses[0]: is \"%s\"; accepted: " A_ADDRESS "\n",
			malformed[i]);
		check_errors(text, expected);
	}
	for (size_t i = 0; i < sizeof(unusable) / sizeof(unusable[0]); i++) {
		snprintf(text, sizeof(text),
			CONTROL PORT("addresses = [ \"10.9.0.1/32\",\n\"%s\" ];"), unusable[i]);
		snprintf(expected, sizeof(expected),
			"3: ports[0].addresses[1]: is \"%s\", " A_HOST "\n", unusable[i]);
		check_errors(text, expected);
	}
}

static void mistakes_of_gateways(void **state)
{
#define OFF_LINK "is not on-link; accepted: an address inside a prefix of the port's addresses"
	static const struct mistake mistakes[] = {
		{CONTROL PORT("addresses = [ \"10.0.0.1/24\" ];\n gateway = \"10.0.1.1\";"),
			"3: ports[0].gateway: " OFF_LINK "\n"},
		{CONTROL PORT("addresses = [ \"10.0.0.1/25\" ]; gateway = \"10.0.0.128\";"),
			"2: ports[0].gateway: " OFF_LINK "\n"},
		{CONTROL PORT("addresses = [ \"fd00::1/64\" ]; gateway = \"10.0.0.1\";"),
			"2: ports[0].gateway: " OFF_LINK "\n"},
		{CONTROL PORT("addresses = [ \"fd00::1/63\" ]; gateway6 = \"fd00:0:0:2::1\";"),
			"2: ports[0].gateway6: " OFF_LINK ", or a link-local one\n"},
		{CONTROL PORT("addresses = [ \"10.0.0.1/24\" ]; gateway = \"10.0.0.1\";"),
			"2: ports[0].gateway: is the port's own addresses[0]; accepted: the "
			"address of a "
			"router\n"},
		{CONTROL PORT("addresses = [ \"10.0.0.1/24\" ]; gateway = \"router\";"),
			"2: ports[0].gateway: is \"router\"; accepted: an IPv4 address such as "
			"\"192.0.2.254\"\n"},
		{CONTROL PORT("addresses = [ \"10.0.0.1/24\" ]; gateway6 = \"10.0.0.2\";"),
			"2: ports[0].gateway6: is \"10.0.0.2\"; accepted: an IPv6 address such as "
			"\"2001:db8::fe\"\n"},
		{CONTROL PORT("addresses = [ \"10.0.0.1/24\" ]; gateway = 1;"),
			"2: ports[0].gateway: is an integer; accepted: an IPv4 address such as "
			"\"192.0.2.254\"\n"},
	};

	(void)state;
	check_mistakes(mistakes, sizeof(mistakes) / sizeof(mistakes[0]));
}

// The prefix may end within an octet.
static void gateways_inside_a_prefix_pass(void **state)
{
	char *errors;
	struct config *config =
		load(CONTROL PORT("addresses = [ \"10.0.0.1/25\", \"fd00::1/63\" ]; gateway = "
				  "\"10.0.0.126\"; gateway6 = \"fd00:0:0:1::1\";"),
			&errors);
	(void)state;
	assert_string_equal(errors, "");
	assert_non_null(config);
	config_free(config);
	free(errors);
}

static void mistakes_between_ports(void **state)
{
#define TWO(name_b, device_b, address_b)                                                           \
	CONTROL "ports = (\n"                                                                      \
		"{ name = \"a\"; device = \"0000:03:00.0\"; addresses = [ \"10.0.0.1/24\" ]; },\n" \
		"{ name = \"" name_b "\"; device = \"" device_b "\"; addresses = [ \"" address_b   \
		"\" ]; } );\n"
	static const struct mistake mistakes[] = {
		{TWO("a", "0000:03:00.1", "10.0.1.1/24"),
			"4: ports[1].name: is also the name of ports[0]; accepted: a name of its "
			"own\n"},
		{TWO("b", "0000:03:00.0", "10.0.1.1/24"),
			"4: ports[1].device: is also the device of ports[0]; accepted: a device of "
			"its own\n"},
		{TWO("b", "03:00.0,arg=1", "10.0.1.1/24"),
			"4: ports[1].device: is also the device of ports[0]; accepted: a device of "
			"its own\n"},
		{TWO("b", "0000:03:00.1", "10.0.0.1/16"),
			"4: ports[1].addresses[0]: is also ports[0].addresses[0]; accepted: each "
			"address "
			"once\n"},
		{CONTROL PORT(
			 "addresses = [ \"fd00::1/64\",\n\"10.0.0.1/24\",\n\"fd00:0::1/48\" ];"),
			"4: ports[0].addresses[2]: is also ports[0].addresses[0]; accepted: each "
			"address "
			"once\n"},
	};
	char *errors;
	struct config *config = load(TWO("A", "0000:03:00.1", "10.0.0.2/24"), &errors);

	(void)state;
	assert_string_equal(errors, "");
	config_free(config);
	free(errors);
	check_mistakes(mistakes, sizeof(mistakes) / sizeof(mistakes[0]));
}

static void there_are_at_most_16_ports(void **state)
{
	char text[4096] = CONTROL "ports = (\n";
	(void)state;
	for (int i = 0; i < 17; i++) {
		size_t len = strlen(text);
		snprintf(text + len, sizeof(text) - len,
			"%s{ name = \"p%d\"; device = \"net_null%d\"; addresses = [ "
			"\"10.0.0.%d/24\" ]; }",
			i > 0 ? ",\n" : "", i, i, i + 1);
		if (i == 15) {
			len = strlen(text);
			strcat(text, ");");
			char *errors;
			struct config *config = load(text, &errors);
			assert_non_null(config);
			assert_int_equal(config->n_ports, 16);
			config_free(config);
			free(errors);
			text[len] = '\0';
		}
	}
	strcat(text, ");");
	check_errors(text,
		"2: ports: has 17 elements; accepted: a list of 1 to 16 groups { name, device, "
		"addresses, ... }\n");
}

static void mistakes_of_control_and_metrics(void **state)
{
#define WITH(more) PORTS "control = { unix = \"s\"; " more " };\n"
	static const struct mistake mistakes[] = {
		{PORTS "control = { };\n",
			"2: control.unix: is missing; accepted: a path of 1 to 107 "
			"octets\n"},
		{PORTS "control = \"/run/s\";\n",
			"2: control: is a string; accepted: a group { unix, ... "
			"}\n"},
		{PORTS "control = { unix = \"\"; };\n",
			"2: control.unix: has 0 octets; accepted: a path of 1 to 107 octets\n"},
		{PORTS "control = { unix = \"" PATH_108 "\"; };\n",
			"2: control.unix: has 108 octets; accepted: a path of 1 to 107 octets\n"},
		{WITH("mode = \"0800\";"), "2: control.mode: is \"0800\"; accepted: " A_MODE "\n"},
		{WITH("mode = \"1777\";"), "2: control.mode: is \"1777\"; accepted: " A_MODE "\n"},
		{WITH("mode = \"rw\";"), "2: control.mode: is \"rw\"; accepted: " A_MODE "\n"},
		{WITH("mode = 0600;"), "2: control.mode: is an integer; accepted: " A_MODE "\n"},
		{WITH("group = \"a23456789012345678901234567890123\";"),
			"2: control.group: has 33 octets; accepted: the name of a group, at most "
			"32 "
			"octets; \"\" leaves it alone\n"},
		{WITH("tcp = \"a\";"),
			"2: control.tcp: is not a setting; accepted: unix, mode, group, tls\n"},
		{WITH("\ntls = { };"),
			"3: control.tls.listen: is missing; accepted: " A_LISTEN "\n"
			"3: control.tls.certificate: is missing; accepted: a path of 1 to 4095 "
			"octets\n"
			"3: control.tls.key: is missing; accepted: a path of 1 to 4095 octets\n"
			"3: control.tls.ca: is missing; accepted: a path of 1 to 4095 octets\n"},
		{WITH("tls = { listen = \"192.0.2.1\"; certificate = \"c\"; key = \"k\"; ca = "
		      "\"\"; };"),
			"2: control.tls.listen: is \"192.0.2.1\"; accepted: " A_LISTEN "\n"
			"2: control.tls.ca: has 0 octets; accepted: a path of 1 to 4095 octets\n"},
		{PORTS CONTROL "metrics = { };\n",
			"3: metrics.listen: is missing; accepted: " A_LISTEN "\n"},
		{PORTS CONTROL "metrics = \"a\";\n",
			"3: metrics: is a string; accepted: a group { listen }\n"},
	};
	static const char *const addresses[] = {"", ":1", "localhost:1", "192.0.2.1:0",
		"192.0.2.1:65536", "192.0.2.1:", "192.0.2.1:080", "2001:db8::1:80", "[2001:db8::1]",
		"[192.0.2.1]:1", "[2001:db8::1:80", "[]:1"};
	char text[512], expected[256];

	(void)state;
	check_mistakes(mistakes, sizeof(mistakes) / sizeof(mistakes[0]));
	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		snprintf(text, sizeof(text), PORTS CONTROL "metrics = { listen = \"%s\"; };",
			addresses[i]);
		snprintf(expected, sizeof(expected),
			"3: metrics.listen: is \"%s\"; accepted: " A_LISTEN "\n", addresses[i]);
		check_errors(text, expected);
	}
}

static void mistakes_of_the_rest(void **state)
{
	static const struct mistake mistakes[] = {
		{PORTS CONTROL "state_directory = \"\";\n",
			"3: state_directory: has 0 octets; accepted: a path of 1 to 4095 octets\n"},
		{PORTS CONTROL "store = \"disk\";\n",
			"3: store: is \"disk\"; accepted: \"local\" or \"none\"\n"},
		{PORTS CONTROL "store = true;\n",
			"3: store: is a boolean; accepted: \"local\" or \"none\"\n"},
		{PORTS CONTROL "user = \"\";\ngroup = \"a b\";\n",
			"3: user: is \"\"; accepted: a name of 1 to 32 letters, digits, \"_\", "
			"\".\" and \"-\"\n"
			"4: group: is \"a b\"; accepted: a name of 1 to 32 letters, digits, \"_\", "
			"\".\" and \"-\"\n"},
		{PORTS CONTROL "group = \"mcx\";\n",
			"3: group: is given without user; accepted: both, or user alone\n"},
		{PORTS CONTROL "confine = 1;\n",
			"3: confine: is an integer; accepted: true or false\n"},
		{PORTS CONTROL "limits = { keys = 0; sessions = 16777217; calls = 1; };\n",
			"3: limits.keys: is 0; accepted: an integer from 1 to 16777216\n"
			"3: limits.sessions: is 16777217; accepted: an integer from 1 to 16777216\n"
			"3: limits.calls: is not a setting; accepted: keys, sessions, legs, "
			"streams, ports, rate\n"},
		{PORTS CONTROL "limits = { rate = { mcptt = { packets = -1; }; fax = {}; }; };\n",
			"3: limits.rate.mcptt.packets: is -1; accepted: an integer from 0 to "
			"4294967295\n"
			"3: limits.rate.fax: is not a setting; accepted: mcptt, mcvideo\n"},
		{PORTS CONTROL "limits = { rate = 5; };\n",
			"3: limits.rate: is an integer; accepted: a group { mcptt, mcvideo }\n"},
		{PORTS CONTROL
			"mikey = { threads = 0; max_age = { other = 0; }; ahead = 3601; };\n",
			"3: mikey.threads: is 0; accepted: an integer from 1 to 64\n"
			"3: mikey.max_age.other: is 0; accepted: an integer from 1 to 31622400\n"
			"3: mikey.ahead: is 3601; accepted: an integer from 0 to 3600\n"},
		{PORTS CONTROL
			"mikey = { accept = [\"unpadded_w\", \"padded_w\"]; require_sync = 1; };\n",
			"3: mikey.accept[1]: is \"padded_w\"; accepted: srtp_id_map, "
			"empty_map_any_type, uid_base64, kms_defaults, unpadded_w, "
			"signature_without_sign_header, key_type_mismatch, "
			"status_zero_at_first\n"
			"3: mikey.require_sync: is an integer; accepted: true or false\n"},
		{PORTS CONTROL "mikey = { mcdata = [\"dp-aes-256-gcm\", \"dp-aes-256-gcm\"]; };\n",
			"3: mikey.mcdata[1]: is \"dp-aes-256-gcm\" again; accepted: each algorithm "
			"once\n"},
		{PORTS CONTROL "mikey = { mcdata = [\"aes\"]; };\n",
			"3: mikey.mcdata[0]: is \"aes\"; accepted: dp-aes-128-gcm, "
			"dp-aes-256-gcm\n"},
		{PORTS CONTROL "mikey = { mcdata = []; };\n",
			"3: mikey.mcdata: has 0 elements; accepted: an array of 1 or 2 of "
			"dp-aes-128-gcm, dp-aes-256-gcm\n"},
		{PORTS CONTROL "mikey = { accept = \"unpadded_w\"; };\n",
			"3: mikey.accept: is a string; accepted: an array of srtp_id_map, "
			"empty_map_any_type, uid_base64, kms_defaults, unpadded_w, "
			"signature_without_sign_header, key_type_mismatch, "
			"status_zero_at_first\n"},
		{PORTS CONTROL "limits = { ports = [1]; };\n",
			"3: limits.ports: has 1 elements; accepted: an array of the first and the "
			"last UDP port\n"},
		{PORTS CONTROL "limits = { ports = [0, 65536]; };\n",
			"3: limits.ports[0]: is 0; accepted: an integer from 1 to 65535\n"},
		{PORTS CONTROL "limits = { ports = [5001, 5001]; };\n",
			"3: limits.ports: is 5001 to 5001, without an even port; accepted: a range "
			"with one\n"},
		{PORTS CONTROL "limits = { ports = [5002, 5000]; };\n",
			"3: limits.ports: is 5002 to 5000, without an even port; accepted: a range "
			"with one\n"},
		{PORTS CONTROL "limits = { ports = 7; };\n",
			"3: limits.ports: is an integer; accepted: an array of the first and the "
			"last UDP port\n"},
		{PORTS CONTROL "limits = { ports = { moon = [2, 4]; }; };\n",
			"3: limits.ports.moon: is the name of no port; accepted: an array of the "
			"first and the last UDP port, or a group with one for each port by its "
			"name\n"},
		{PORTS CONTROL "limits = 5;\n", "3: limits: is an integer; accepted: a group { "
						"keys, sessions, legs, streams, ports, rate }\n"},
		{PORTS CONTROL "log = { level = \"all\"; };\n",
			"3: log.level: is \"all\"; accepted: \"error\", \"warning\", \"info\" or "
			"\"debug\"\n"},
	};
	(void)state;
	check_mistakes(mistakes, sizeof(mistakes) / sizeof(mistakes[0]));
}

static void all_mistakes_are_reported(void **state)
{
	(void)state;
	check_errors(
		"workers = 99;\ncolour = 1;\ncipher = \"none\";\n" PORT("addresses = [ \"x\" ];"),
		"1: workers: is 99; accepted: an integer from 1 to 64\n"
		"2: colour: is not a setting; accepted: " A_ROOT "\n"
		"3: cipher: is \"none\"; accepted: " A_CIPHER "\n"
		"4: ports[0].addresses[0]: is \"x\"; accepted: " A_ADDRESS "\n"
		"1: control: is missing; accepted: a group { unix, ... }\n");
}

// Workers on one port of that device, whose own addresses do not matter.
static void check_queues(unsigned workers, const char *device, const char *expected)
{
	char text[512], *errors;
	snprintf(text, sizeof(text),
		"ports = ( { name = \"a\"; device = \"%s\"; addresses = [ \"10.0.0.1/24\" ]; } "
		");\n" CONTROL "workers = %u;\n",
		device, workers);
	struct config *config = load(text, &errors);
	assert_string_equal(errors, expected);
	assert_true(!config == (expected[0] != '\0'));
	config_free(config);
	free(errors);
}

static void workers_have_queues(void **state)
{
	(void)state;
	check_queues(2, "net_af_xdp0,iface=eth1,start_queue=0,queue_count=1",
		"1: ports[0].device: has queue_count=1 for 2 workers; accepted: queue_count=2, or "
		"no more "
		"workers than queues\n");
	check_queues(3, "net_af_packet12,qpairs=2,iface=eth1",
		"1: ports[0].device: has qpairs=2 for 3 workers; accepted: qpairs=3, or no more "
		"workers "
		"than queues\n");
	check_queues(1, "net_af_packet0,iface=eth1,qpairs=0",
		"1: ports[0].device: has qpairs=0 for 1 workers; accepted: qpairs=1, or no more "
		"workers "
		"than queues\n");
	check_queues(2, "net_vhost0,iface=/tmp/s",
		"1: ports[0].device: has queues=1 for 2 workers; accepted: queues=2, or no more "
		"workers "
		"than queues\n");
	check_queues(2, "net_vhost0,iface=/tmp/s,queues=2", "");
	check_queues(2, "net_af_xdp0,iface=eth1,queue_count=4", "");
	check_queues(2, "net_af_xdp0,iface=eth1", "");             // the relay asks for two
	check_queues(2, "net_af_packet0,iface=qpairs=1", "");      // an interface's name
	check_queues(2, "net_af_packetish0,iface=a,qpairs=1", ""); // not that driver
	check_queues(2, "net_null0", "");
	check_queues(2, "0000:03:00.0,queue_count=1", "");
}

static void the_examples_pass(void **state)
{
	static const char *const names[] = {"af_packet.conf", "af_xdp.conf", "pci.conf"};
	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char file[512];
		snprintf(file, sizeof(file), "%s/%s", CONFIG_DIR, names[i]);
		struct config *config = config_load(file, ciphers, stderr);
		assert_non_null(config);
		config_free(config);
	}
	config_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_as_documented),
		cmocka_unit_test(every_setting_is_read),
		cmocka_unit_test(an_empty_group_name_is_none),
		cmocka_unit_test(mistakes_of_the_file),
		cmocka_unit_test(begin_and_end_of_a_file_are_free),
		cmocka_unit_test(comment_at_the_end_of_an_included_file),
		cmocka_unit_test(mistakes_of_workers_and_cipher),
		cmocka_unit_test(ciphers_are_those_of_the_build),
		cmocka_unit_test(mistakes_of_a_port),
		cmocka_unit_test(mistakes_of_addresses),
		cmocka_unit_test(mistakes_of_gateways),
		cmocka_unit_test(gateways_inside_a_prefix_pass),
		cmocka_unit_test(mistakes_between_ports),
		cmocka_unit_test(there_are_at_most_16_ports),
		cmocka_unit_test(mistakes_of_control_and_metrics),
		cmocka_unit_test(mistakes_of_the_rest),
		cmocka_unit_test(all_mistakes_are_reported),
		cmocka_unit_test(workers_have_queues),
		cmocka_unit_test(the_examples_pass),
	};
	int fd = mkstemp(path);
	if (fd < 0)
		return 1;
	close(fd);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(path);
	return failed;
}
