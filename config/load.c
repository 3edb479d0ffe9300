// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <libconfig.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "base/devargs.h"
#include "base/mikey_quirk.h"
#include "config/check.h"
#include "config/config.h"
#include "config/file.h"
#include "config/ports.h"
#include "config/setting.h"

enum {
	WORKERS_MAX = 64,
	CPU_MAX = 1023, // highest number of a CPU in the kernel's cpu_set_t
	PORTS_MAX = 16,
	ENTRIES_MAX = 1 << 24,         // of one table
	MESSAGE_AGE_MAX = 366 * 86400, // seconds
	UNIX_PATH_MAX = sizeof(((struct sockaddr_un *)0)->sun_path) - 1,
};

static void cipher_read(
	struct check *c, const config_setting_t *s, const struct member *m, void *out)
{
	static const char cryptodev[] = "cryptodev:";
	const size_t prefix_len = sizeof(cryptodev) - 1;
	char accepted[128];
	size_t len = 0;
	for (const char *const *cipher = c->ciphers; *cipher; cipher++)
		len += (size_t)snprintf(accepted + len, sizeof(accepted) - len, "\"%s\"%s", *cipher,
			cipher[1] ? ", " : " or \"cryptodev:NAME\"");
	const char *text = setting_string(c, s, accepted);
	if (!text)
		return;
	bool good = strncmp(text, cryptodev, prefix_len) == 0 &&
		    setting_is_word(text + prefix_len, m->max, "_.:-");
	for (const char *const *cipher = c->ciphers; *cipher && !good; cipher++)
		good = strcmp(text, *cipher) == 0;
	if (good)
		check_set_text(c, out, text);
	else
		check_complain(c, s, NULL, "is \"%s\"; accepted: %s", text, accepted);
}

static void level_read(
	struct check *c, const config_setting_t *s, const struct member *m, void *out)
{
	static const struct {
		const char *name;
		enum config_log_level level;
	} levels[] = {
		{"error", CONFIG_LOG_ERROR},
		{"warning", CONFIG_LOG_WARNING},
		{"info", CONFIG_LOG_INFO},
		{"debug", CONFIG_LOG_DEBUG},
	};
	const char *text = setting_string(c, s, m->accepted);

	if (!text)
		return;
	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
		if (strcmp(text, levels[i].name) == 0) {
			*(enum config_log_level *)out = levels[i].level;
			return;
		}
	}
	check_complain(c, s, NULL, "is \"%s\"; accepted: %s", text, m->accepted);
}

static void store_read(
	struct check *c, const config_setting_t *s, const struct member *m, void *out)
{
	const char *text = setting_string(c, s, m->accepted);
	if (!text)
		return;
	if (strcmp(text, "local") == 0)
		*(enum config_store *)out = CONFIG_STORE_LOCAL;
	else if (strcmp(text, "none") == 0)
		*(enum config_store *)out = CONFIG_STORE_NONE;
	else
		check_complain(c, s, NULL, "is \"%s\"; accepted: %s", text, m->accepted);
}

static void tls_read(struct check *c, const config_setting_t *s, const struct member *m, void *out)
{
	struct config_tls *tls = out;
	tls->enabled = true;
	setting_read_group(c, s, m, out);
}

static void eal_read(struct check *c, const config_setting_t *s, const struct member *m, void *out)
{
	struct config *config = out;
	if (!setting_check_sequence(c, s, m))
		return;
	unsigned n = (unsigned)config_setting_length(s);
	config->eal = check_calloc(c, n + 1, sizeof(char *));
	if (!config->eal)
		return;
	config->n_eal = n;
	for (unsigned i = 0; i < n; i++) {
		const config_setting_t *element = config_setting_get_elem(s, i);
		const char *text = setting_string(c, element, "a string");
		if (text && text[0] == '\0')
			check_complain(c, element, NULL, "is empty; accepted: an argument of DPDK");
		else if (text)
			check_set_text(c, &config->eal[i], text);
	}
}

static void lcores_read(
	struct check *c, const config_setting_t *s, const struct member *m, void *out)
{
	struct config *config = out;
	if (!setting_check_sequence(c, s, m))
		return;
	if (config_setting_get_member(s->parent, "workers"))
		check_complain(
			c, s, NULL, "is given together with workers; accepted: one of the two");
	unsigned n = (unsigned)config_setting_length(s);
	config->lcores = check_calloc(c, n, sizeof(unsigned));
	if (!config->lcores)
		return;
	config->n_workers = n;
	for (unsigned i = 0; i < n; i++) {
		const config_setting_t *element = config_setting_get_elem(s, i);
		config->lcores[i] = UINT32_MAX; // equal to no CPU if the element is wrong
		if (!setting_integer(c, element, 0, CPU_MAX, &config->lcores[i]))
			continue;
		for (unsigned j = 0; j < i; j++) {
			if (config->lcores[j] == config->lcores[i])
				check_complain(c, element, NULL,
					"is also lcores[%u]; accepted: each CPU once", j);
		}
	}
}

static bool quirk_take(const char *name, unsigned *taken)
{
	static const char *const names[] = {
#define _(name, label) label,
		MIKEY_QUIRKS(_)
#undef _
	};
	for (unsigned i = 0; i < MIKEY_N_QUIRKS; i++)
		if (strcmp(names[i], name) == 0) {
			*taken |= 1U << i;
			return true;
		}
	return false;
}

static void accept_read(
	struct check *c, const config_setting_t *s, const struct member *m, void *out)
{
	unsigned *taken = out;
	if (!setting_check_sequence(c, s, m))
		return;
	*taken = 0;
	for (int i = 0; i < config_setting_length(s); i++) {
		const config_setting_t *element = config_setting_get_elem(s, (unsigned)i);
		const char *name = setting_string(c, element, MIKEY_QUIRK_NAMES);
		if (name && !quirk_take(name, taken))
			check_complain(c, element, NULL, "is \"%s\"; accepted: %s", name,
				MIKEY_QUIRK_NAMES);
	}
}

#define MCDATA_NAMES "dp-aes-128-gcm, dp-aes-256-gcm"

enum { DP_AES_128_GCM = 1, DP_AES_256_GCM = 2 }; // TS 24.282

static void mcdata_read(
	struct check *c, const config_setting_t *s, const struct member *m, void *out)
{
	uint8_t *algorithms = out;
	if (!setting_check_sequence(c, s, m))
		return;
	algorithms[0] = algorithms[1] = 0;
	for (int i = 0; i < config_setting_length(s); i++) {
		const config_setting_t *element = config_setting_get_elem(s, (unsigned)i);
		const char *name = setting_string(c, element, MCDATA_NAMES);
		if (!name)
			continue;
		if (strcmp(name, "dp-aes-128-gcm") == 0)
			algorithms[i] = DP_AES_128_GCM;
		else if (strcmp(name, "dp-aes-256-gcm") == 0)
			algorithms[i] = DP_AES_256_GCM;
		else
			check_complain(
				c, element, NULL, "is \"%s\"; accepted: %s", name, MCDATA_NAMES);
		if (i > 0 && algorithms[0] != 0 && algorithms[0] == algorithms[1])
			check_complain(c, element, NULL,
				"is \"%s\" again; accepted: each algorithm once", name);
	}
}

#define ACCEPTED_LISTEN                                                                            \
	"an address with a port, such as \"192.0.2.1:7443\" or \"[2001:db8::1]:7443\""
#define ACCEPTED_PATH "a path of 1 to 4095 octets"
#define ACCEPTED_USER "a name of 1 to 32 letters, digits, \"_\", \".\" and \"-\""

static const struct member tls_members[] = {
	{"listen", setting_read_listen, offsetof(struct config_tls, listen), 0, 0, REQUIRED,
		ACCEPTED_LISTEN, NULL},
	{"certificate", setting_read_text, offsetof(struct config_tls, certificate), 1, 4095,
		REQUIRED, ACCEPTED_PATH, NULL},
	{"key", setting_read_text, offsetof(struct config_tls, key), 1, 4095, REQUIRED,
		ACCEPTED_PATH, NULL},
	{"ca", setting_read_text, offsetof(struct config_tls, ca), 1, 4095, REQUIRED, ACCEPTED_PATH,
		NULL},
	{"crl", setting_read_text, offsetof(struct config_tls, crl), 1, 4095, OPTIONAL,
		ACCEPTED_PATH, NULL},
	{0},
};

static const struct member control_members[] = {
	{"unix", setting_read_text, offsetof(struct config, control_unix), 1, UNIX_PATH_MAX,
		REQUIRED, "a path of 1 to 107 octets", NULL},
	{"mode", setting_read_mode, offsetof(struct config, control_mode), 0, 0, OPTIONAL,
		"an octal string from \"0000\" to \"0777\"", NULL},
	{"group", setting_read_text, offsetof(struct config, control_group), 0, 32, OPTIONAL,
		"the name of a group, at most 32 octets; \"\" leaves it alone", NULL},
	{"tls", tls_read, offsetof(struct config, control_tls), 0, 0, OPTIONAL,
		"a group { listen, certificate, key, ca, crl }", tls_members},
	{0},
};

static const struct member metrics_members[] = {
	{"listen", setting_read_listen, offsetof(struct config, metrics_listen), 0, 0, REQUIRED,
		ACCEPTED_LISTEN, NULL},
	{0},
};

#define RATE_MEMBERS(service)                                                                      \
	{                                                                                          \
		{"packets", setting_read_u32, offsetof(struct config, limits.service.packets), 0,  \
			UINT32_MAX, OPTIONAL, NULL, NULL},                                         \
		{"octets", setting_read_u32, offsetof(struct config, limits.service.octets), 0,    \
			UINT32_MAX, OPTIONAL, NULL, NULL},                                         \
		{0},                                                                               \
	}
static const struct member rate_mcptt_members[] = RATE_MEMBERS(rate_mcptt);
static const struct member rate_mcvideo_members[] = RATE_MEMBERS(rate_mcvideo);
#undef RATE_MEMBERS

static const struct member rate_members[] = {
	{"mcptt", setting_read_group, 0, 0, 0, OPTIONAL, "a group { packets, octets }",
		rate_mcptt_members},
	{"mcvideo", setting_read_group, 0, 0, 0, OPTIONAL, "a group { packets, octets }",
		rate_mcvideo_members},
	{0},
};

static const struct member limits_members[] = {
	{"keys", setting_read_u32, offsetof(struct config, limits.keys), 1, ENTRIES_MAX, OPTIONAL,
		NULL, NULL},
	{"sessions", setting_read_u32, offsetof(struct config, limits.sessions), 1, ENTRIES_MAX,
		OPTIONAL, NULL, NULL},
	{"legs", setting_read_u32, offsetof(struct config, limits.legs), 1, ENTRIES_MAX, OPTIONAL,
		NULL, NULL},
	{"streams", setting_read_u32, offsetof(struct config, limits.streams), 1, ENTRIES_MAX,
		OPTIONAL, NULL, NULL},
	{"ports", udp_ports_read, 0, 0, 0, OPTIONAL,
		"an array of the first and the last UDP port, or a group with one for each port by "
		"its name",
		NULL},
	{"rate", setting_read_group, 0, 0, 0, OPTIONAL, "a group { mcptt, mcvideo }", rate_members},
	{0},
};

static const struct member max_age_members[] = {
	{"gmk", setting_read_u32, offsetof(struct config, mikey.max_age_gmk), 0, MESSAGE_AGE_MAX,
		OPTIONAL, NULL, NULL},
	{"other", setting_read_u32, offsetof(struct config, mikey.max_age_other), 1,
		MESSAGE_AGE_MAX, OPTIONAL, NULL, NULL},
	{0},
};

static const struct member mikey_members[] = {
	{"threads", setting_read_u32, offsetof(struct config, mikey.threads), 1, WORKERS_MAX,
		OPTIONAL, NULL, NULL},
	{"queue", setting_read_u32, offsetof(struct config, mikey.queue), 1, 65536, OPTIONAL, NULL,
		NULL},
	{"max_age", setting_read_group, 0, 0, 0, OPTIONAL, "a group { gmk, other }",
		max_age_members},
	{"ahead", setting_read_u32, offsetof(struct config, mikey.ahead), 0, 3600, OPTIONAL, NULL,
		NULL},
	{"accept", accept_read, offsetof(struct config, mikey.accept), 0, MIKEY_N_QUIRKS, OPTIONAL,
		"an array of " MIKEY_QUIRK_NAMES, NULL},
	{"mcdata", mcdata_read, offsetof(struct config, mikey.mcdata), 1, 2, OPTIONAL,
		"an array of 1 or 2 of " MCDATA_NAMES, NULL},
	{"require_sync", setting_read_bool, offsetof(struct config, mikey.require_sync), 0, 0,
		OPTIONAL, "true or false", NULL},
	{"seal", setting_read_text, offsetof(struct config, mikey.seal), 1, 4095, OPTIONAL,
		ACCEPTED_PATH, NULL},
	{0},
};

static const struct member log_members[] = {
	{"level", level_read, offsetof(struct config, log_level), 0, 0, OPTIONAL,
		"\"error\", \"warning\", \"info\" or \"debug\"", NULL},
	{0},
};

static const struct member root_members[] = {
	{"workers", setting_read_u32, offsetof(struct config, n_workers), 1, WORKERS_MAX, OPTIONAL,
		NULL, NULL},
	{"lcores", lcores_read, 0, 1, WORKERS_MAX, OPTIONAL, "an array of 1 to 64 CPU numbers",
		NULL},
	{"idle_sleep_us", setting_read_u32, offsetof(struct config, idle_sleep_us), 0, 1000,
		OPTIONAL, NULL, NULL},
	{"eal", eal_read, 0, 0, 64, OPTIONAL, "an array of at most 64 strings", NULL},
	{"cipher", cipher_read, offsetof(struct config, cipher), 0, 63, OPTIONAL, NULL, NULL},
	{"ports", ports_read, 0, 1, PORTS_MAX, REQUIRED,
		"a list of 1 to 16 groups { name, device, addresses, ... }", NULL},
	{"control", setting_read_group, 0, 0, 0, REQUIRED, "a group { unix, ... }",
		control_members},
	{"metrics", setting_read_group, 0, 0, 0, OPTIONAL, "a group { listen }", metrics_members},
	{"state_directory", setting_read_text, offsetof(struct config, state_directory), 1, 4095,
		OPTIONAL, ACCEPTED_PATH, NULL},
	{"store", store_read, offsetof(struct config, store), 0, 0, OPTIONAL,
		"\"local\" or \"none\"", NULL},
	{"user", setting_read_name, offsetof(struct config, user), 0, 32, OPTIONAL, ACCEPTED_USER,
		NULL},
	{"group", setting_read_name, offsetof(struct config, group), 0, 32, OPTIONAL, ACCEPTED_USER,
		NULL},
	{"confine", setting_read_bool, offsetof(struct config, confine), 0, 0, OPTIONAL,
		"true or false", NULL},
	{"limits", setting_read_group, 0, 0, 0, OPTIONAL,
		"a group { keys, sessions, legs, streams, ports, rate }", limits_members},
	{"mikey", setting_read_group, 0, 0, 0, OPTIONAL,
		"a group { threads, queue, max_age, ahead, accept, mcdata, require_sync, seal }",
		mikey_members},
	{"log", setting_read_group, 0, 0, 0, OPTIONAL, "a group { level }", log_members},
	{0},
};

// More workers than a device has queues for, as far as its arguments tell.
static void queues_check(struct check *c, const config_setting_t *root, const struct config *config)
{
	const config_setting_t *list = config_setting_get_member(root, "ports");
	for (unsigned i = 0; i < config->n_ports; i++) {
		const char *device = config->ports[i].device, *name;
		unsigned n;
		if (!device || !devargs_queues(device, &name, &n) || n >= config->n_workers)
			continue;
		check_complain(c,
			config_setting_get_member(config_setting_get_elem(list, i), "device"), NULL,
			"has %s=%u for %u workers; accepted: %s=%u, or no more workers than queues",
			name, n, config->n_workers, name, config->n_workers);
	}
}

static void root_read(struct check *c, const config_setting_t *root, struct config *config)
{
	const config_setting_t *group = config_setting_get_member(root, "group");
	setting_read_members(c, root, root_members, config);
	if (group && !config_setting_get_member(root, "user"))
		check_complain(
			c, group, NULL, "is given without user; accepted: both, or user alone");
	queues_check(c, root, config);
}

// A configuration in which every setting has its default.
static struct config *config_new(struct check *c)
{
	struct config *config = check_calloc(c, 1, sizeof(*config));
	if (!config)
		return NULL;
	check_set_text(c, &config->path, c->path);
	check_set_text(c, &config->state_directory, CONFIG_STATE_DIRECTORY);
	config->n_workers = 1;
	config->control_mode = 0600;
	config->limits = (struct config_limits){
		.keys = 1000000,
		.sessions = 100000,
		.legs = 1000000,
		.streams = 1000000,
		// A group of 10,000 legs is 1,251 times as dear as a call of two: 100 packets a second of voice there,
		// 2,000 of video.
		.rate_mcptt = {.packets = 200000, .octets = 100000000},
		.rate_mcvideo = {.packets = 3000000, .octets = 4000000000},
	};
	config->mikey = (struct config_mikey){
		.threads = 1,
		.queue = 4096,
		.max_age_other = 300,
		.ahead = 60,
		.accept = MIKEY_QUIRK_UNPADDED_W,
		.mcdata = {DP_AES_256_GCM, DP_AES_128_GCM},
	};
	config->log_level = CONFIG_LOG_INFO;
	config->confine = true;
	return config;
}

// Reads the settings of the text into config.
static void text_read(struct check *c, const char *text, struct config *config)
{
	file_check_integers(c, text);
	if (c->failed)
		return;
	config_t file;
	config_init(&file);
	if (config_read_string(&file, text) == CONFIG_TRUE)
		root_read(c, config_root_setting(&file), config);
	else
		check_complain_file(c, config_error_file(&file), (unsigned)config_error_line(&file),
			"%s; accepted: the syntax of libconfig, each setting once%s",
			config_error_text(&file),
			config_error_file(&file) ? ", no comment without a newline" : "");
	config_destroy(&file);
	if (config->control_group && config->control_group[0] == '\0') {
		free(config->control_group);
		config->control_group = NULL;
	}
}

struct config *config_load(const char *path, const char *const ciphers[], FILE *errors)
{
	struct check c = {.path = path, .ciphers = ciphers, .errors = errors};
	struct config *config = config_new(&c);
	char *text = file_read(&c);
	if (config && text)
		text_read(&c, text, config);
	free(text);
	if (c.failed) {
		config_free(config);
		return NULL;
	}
	return config;
}

static void port_free(struct config_port *port)
{
	free(port->name);
	free(port->device);
	free(port->addresses);
}

void config_free(struct config *config)
{
	if (!config)
		return;
	for (unsigned i = 0; i < config->n_ports; i++)
		port_free(&config->ports[i]);
	for (unsigned i = 0; i < config->n_eal; i++)
		free(config->eal[i]);
	free(config->ports);
	free(config->eal);
	free(config->lcores);
	free(config->path);
	free(config->cipher);
	free(config->control_unix);
	free(config->control_group);
	free(config->control_tls.listen);
	free(config->control_tls.certificate);
	free(config->control_tls.key);
	free(config->control_tls.ca);
	free(config->control_tls.crl);
	free(config->metrics_listen);
	free(config->state_directory);
	free(config->mikey.seal);
	free(config->user);
	free(config->group);
	free(config);
}
