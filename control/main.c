// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <event2/event.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <systemd/sd-daemon.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/secmem.h"
#include "config/config.h"
#include "confine/confine.h"
#include "confine/privilege.h"
#include "control/app.h"
#include "control/listeners.h"
#include "control/watchdog.h"

// mcxrelay: reads its configuration, opens the relay, runs the control loop in the main thread.

static const char usage[] =
	"Usage: mcxrelay -c FILE [--check]\n"
	"Relays SRTP and SRTCP of mission critical services (3GPP TS 33.180).\n"
	"\n"
	"  -c, --config FILE  configuration file (mcxrelay.conf(5))\n"
	"      --check        only check the file: exit status 0 if it is good, 1 if not\n"
	"  -h, --help         this text\n"
	"  -V, --version      version\n"
	"\n"
	"Runs in the foreground until SIGTERM or SIGINT. Log lines go to stderr; one line on "
	"stdout says\n"
	"that it forwards. Exit status 0 after a signal, 1 if it could not start.\n";

struct arguments {
	const char *config;
	bool check;
};

// Returns -1 to go on, else the exit status.
static int arguments_read(int argc, char **argv, struct arguments *arguments)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},
		{"check", no_argument, NULL, 'C'},
		{"help", no_argument, NULL, 'h'},
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
	if (optind < argc || !arguments->config) {
		if (optind < argc)
			fprintf(stderr, "mcxrelay: unexpected argument \"%s\"\n", argv[optind]);
		fputs(usage, stderr);
		return 1;
	}
	return -1;
}

// --- DPDK
// -----------------------------------------------------------------------------------------------------

static bool eal_has(const struct config *config, const char *prefix)
{
	for (unsigned i = 0; i < config->n_eal; i++)
		if (strncmp(config->eal[i], prefix, strlen(prefix)) == 0)
			return true;
	return false;
}

// The crypto device that the cipher setting names, NULL if it names none.
static const char *cryptodev_name(const struct config *config)
{
	static const char prefix[] = "cryptodev:";
	const size_t len = sizeof(prefix) - 1;
	return strncmp(config->cipher, prefix, len) == 0 ? config->cipher + len : NULL;
}

static bool device_is_pci(const char *device)
{
	unsigned domain, bus, slot, function;
	return sscanf(device, "%x:%x:%x.%x", &domain, &bus, &slot, &function) == 4 ||
	       sscanf(device, "%x:%x.%x", &bus, &slot, &function) == 3;
}

// The CPU of each worker: the stated ones, or the last ones that this process may use.
static void worker_cpus(const struct config *config, const cpu_set_t *allowed, int cpus[])
{
	int cpu = CPU_SETSIZE;
	for (unsigned w = 0; w < config->n_workers; w++) {
		do
			cpu = cpu > 0 ? cpu - 1 : CPU_SETSIZE - 1;
		while (!CPU_ISSET(cpu, allowed));
		cpus[w] = config->lcores ? (int)config->lcores[w] : cpu;
	}
}

// "0@(C,D),1@A,2@B": worker n is lcore n + 1; the main thread floats over the CPUs that are left,
// or over all if none is.
static char *eal_lcores(const struct config *config)
{
	cpu_set_t allowed, rest;
	int cpus[RELAY_WORKERS_MAX], len = 0;
	size_t size = 64 + 16 * (size_t)(config->n_workers + CPU_SETSIZE);
	char *text = alloc_zero(size, 1);
	sched_getaffinity(0, sizeof(allowed), &allowed);
	worker_cpus(config, &allowed, cpus);
	rest = allowed;
	for (unsigned w = 0; w < config->n_workers; w++)
		CPU_CLR(cpus[w], &rest);
	if (CPU_COUNT(&rest) == 0)
		rest = allowed;
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &rest))
			len += snprintf(
				text + len, size - (size_t)len, "%s%d", len ? "," : "0@(", cpu);
	len += snprintf(text + len, size - (size_t)len, ")");
	for (unsigned w = 0; w < config->n_workers; w++)
		len += snprintf(text + len, size - (size_t)len, ",%u@%d", w + 1, cpus[w]);
	return text;
}

// The EAL keeps pointers into its arguments, and reorders them: they live as long as it does.
static struct {
	char **argv, **reordered;
	int n;
} eal_arguments;

static void eal_arguments_free(void)
{
	for (int i = 0; i < eal_arguments.n; i++)
		free(eal_arguments.argv[i]);
	free(eal_arguments.argv);
	free(eal_arguments.reordered);
}

static int eal_open(const struct config *config)
{
	char **argv = alloc_zero(config->n_eal + 2 * config->n_ports + 10, sizeof(*argv));
	int argc = 0;
	bool pci = false;
	argv[argc++] = alloc_string("mcxrelay");
	for (unsigned i = 0; i < config->n_ports; i++) {
		if (!device_is_pci(config->ports[i].device))
			continue;
		argv[argc++] = alloc_string("-a");
		argv[argc++] = alloc_string(config->ports[i].device);
		pci = true;
	}
	// "0000:3d:01.0_qat_sym": its driver puts what it does behind its address.
	const char *cryptodev = cryptodev_name(config);
	if (cryptodev && device_is_pci(cryptodev)) {
		argv[argc++] = alloc_string("-a");
		argv[argc] = alloc_string(cryptodev);
		argv[argc][strcspn(cryptodev, "_")] = '\0';
		argc++;
		pci = true;
	}
	if (!pci && !eal_has(config, "-a") && !eal_has(config, "--allow"))
		argv[argc++] = alloc_string("--no-pci");
	// Keys pass through the process's memory: nothing of it is shared, nor left in a file. So
	// several relays run on one machine, too.
	if (!eal_has(config, "--file-prefix") && !eal_has(config, "--in-memory"))
		argv[argc++] =
			alloc_string(eal_has(config, "--no-huge") ? "--no-shconf" : "--in-memory");
	if (!eal_has(config, "--log-level"))
		argv[argc++] = alloc_string("--log-level=lib.*:warning");
	if (!eal_has(config, "-l") && !eal_has(config, "--lcores") && !eal_has(config, "-c")) {
		argv[argc++] = alloc_string("--lcores");
		argv[argc++] = eal_lcores(config);
	}
	for (unsigned i = 0; i < config->n_eal; i++)
		argv[argc++] = alloc_string(config->eal[i]);
	char **given = eal_arguments.argv = alloc_zero((size_t)argc + 1, sizeof(char *));
	memcpy(given, argv, (size_t)argc * sizeof(char *));
	eal_arguments.n = argc;
	eal_arguments.reordered = argv;
	int rc = rte_eal_init(argc, argv);
	if (rc < 0)
		log_error("eal_failed reason=\"%s; see the lines above\"", rte_strerror(rte_errno));
	return rc < 0 ? -1 : 0;
}

// --- relay
// ----------------------------------------------------------------------------------------------------

static struct endpoint endpoint_of(int family, const void *addr)
{
	struct endpoint e = {.family = (uint8_t)family};
	memcpy(e.addr, addr, family == AF_INET ? 4 : 16);
	return e;
}

static struct port_options port_options_of(const struct config_port *port)
{
	struct port_prefix *prefixes = alloc_zero(port->n_addresses, sizeof(*prefixes));
	for (unsigned i = 0; i < port->n_addresses; i++) {
		const struct config_address *address = &port->addresses[i];
		prefixes[i].addr = endpoint_of(address->family, &address->v4);
		prefixes[i].prefix_len = address->prefix_len;
	}
	struct port_options options = {
		.name = port->name,
		.device = port->device,
		.prefixes = prefixes,
		.n_prefixes = port->n_addresses,
		.vlan = port->vlan,
		.mtu = port->mtu,
	};
	if (port->has_gateway)
		options.gateway = endpoint_of(AF_INET, &port->gateway);
	if (port->has_gateway6)
		options.gateway6 = endpoint_of(AF_INET6, &port->gateway6);
	return options;
}

static int relay_open_configured(
	struct app *app, const struct config *config, const struct cipher *cipher)
{
	unsigned lcores[RELAY_WORKERS_MAX], n = 0, lcore;
	struct port_options ports[PORT_MAX] = {};
	char why[512], quoted[LOG_QUOTED_SIZE];
	RTE_LCORE_FOREACH_WORKER (lcore)
		if (n < config->n_workers)
			lcores[n++] = lcore;
	if (n < config->n_workers) {
		log_error("too_few_lcores lcores=%u workers=%u reason=\"the eal setting leaves no "
			  "more\"",
			n, config->n_workers);
		return -1;
	}
	for (unsigned i = 0; i < config->n_ports; i++)
		ports[i] = port_options_of(&config->ports[i]);
	struct relay_options options = {
		.cipher = cipher,
		.cryptodev = cryptodev_name(config),
		.lcores = lcores,
		.n_workers = n,
		.ports = ports,
		.n_ports = config->n_ports,
		.max_keys = config->limits.keys,
		.max_legs = config->limits.legs,
		.max_streams = config->limits.streams,
	};
	int rc = relay_open(&app->relay, &options, why, sizeof(why));
	for (unsigned i = 0; i < config->n_ports; i++)
		free((void *)(uintptr_t)ports[i].prefixes);
	if (rc != 0)
		log_error("relay_not_opened reason=%s", log_quoted(quoted, why));
	return rc;
}

// --- control
// --------------------------------------------------------------------------------------------------

static int app_open(struct app *app, const struct config *config)
{
	char why[512], quoted[LOG_QUOTED_SIZE];
	app->started_ms = relay_now_ms();
	app->max_keys = config->limits.keys;
	app->max_sessions = config->limits.sessions;
	app->max_legs = config->limits.legs;
	app->max_streams = config->limits.streams;
	retire_init(&app->retire, &app->relay, app);
	users_init(&app->users);
	request_stats_init(&app->requests, control_methods);
	if (keystore_init(&app->keys, app->max_keys, app->relay.keys.size) != 0 ||
		sessions_init(&app->sessions, app->max_legs) != 0) {
		log_error("out_of_memory");
		return -1;
	}
	// Both files are looked at before either is written.
	if (srtcp_floor_check(config->state_directory, why, sizeof(why)) != 0 ||
		ssrc_source_open(&app->ssrcs, config->state_directory, why, sizeof(why)) != 0 ||
		srtcp_floor_open(
			&app->srtcp, &app->relay, config->state_directory, why, sizeof(why)) != 0) {
		log_error("no_state reason=%s", log_quoted(quoted, why));
		return -1;
	}
	return 0;
}

static void app_close(struct app *app)
{
	sessions_fini(app);
	keystore_fini(app);
	retire_fini(&app->retire);
	users_fini(&app->users);
	request_stats_fini(&app->requests);
	srtcp_floor_close(&app->srtcp);
	ssrc_source_close(&app->ssrcs);
}

static void on_tick(evutil_socket_t fd, short what, void *app)
{
	(void)fd;
	(void)what;
	app_poll(app);
}

static void before_call(void *app)
{
	app_poll(app);
}

static void after_call(void *arg, const struct rpc_method *method, int code, uint64_t duration_ns)
{
	struct app *app = arg;
	request_stats_count(&app->requests, method, code, duration_ns);
}

static void on_signal(evutil_socket_t fd, short what, void *arg)
{
	struct app *app = arg;
	(void)fd;
	(void)what;
	event_base_loopbreak(app->base);
}

// The directory of the socket, or NULL if that is the root or the working directory. The caller
// frees.
static char *socket_directory(const struct config *config)
{
	const char *path = config->control_unix, *slash = strrchr(path, '/');
	if (!slash || slash == path)
		return NULL;
	char *directory = alloc_string(path);
	directory[slash - path] = '\0';
	return directory;
}

// The socket's own directory is made; its parents must be there.
static void socket_directory_make(const struct config *config)
{
	char quoted[LOG_QUOTED_SIZE], *directory = socket_directory(config);
	if (directory && mkdir(directory, 0755) != 0 && errno != EEXIST)
		log_warning("no_directory path=%s reason=\"%s\"", log_quoted(quoted, directory),
			strerror(errno));
	free(directory);
}

// --- what is given up after the start
// -----------------------------------------------------------------------------------

// Ports are open; what is opened from here on, files and sockets, is the user's. Only root makes
// directories for another one.
static int user_become(const struct config *config)
{
	char why[512], quoted[LOG_QUOTED_SIZE];
	int rc = 0;
	if (!config->user)
		return 0;
	if (geteuid() == 0) {
		char *directory = socket_directory(config);
		if (directory)
			rc = privilege_directory_make(
				directory, 0755, config->user, config->group, why, sizeof(why));
		free(directory);
		if (rc == 0)
			rc = privilege_directory_make(config->state_directory, 0700, config->user,
				config->group, why, sizeof(why));
	}
	if (rc == 0)
		rc = privilege_user_set(config->user, config->group, why, sizeof(why));
	if (rc != 0)
		log_error("user_not_set reason=%s", log_quoted(quoted, why));
	return rc;
}

// Whether files can still be made and removed: root without capabilities is subject to permissions
// like anybody.
static int directories_check(const struct config *config)
{
	char quoted[LOG_QUOTED_SIZE], *directory = socket_directory(config);
	if (access(directory ? directory : ".", W_OK | X_OK) != 0)
		log_warning(
			"socket_file_will_stay path=%s reason=\"the directory is not writable\"",
			log_quoted(quoted, config->control_unix));
	free(directory);
	if (access(config->state_directory, W_OK | X_OK) == 0)
		return 0;
	log_error("state_not_writable path=%s reason=\"%s; accepted: a directory of the user that "
		  "mcxrelay runs as\"",
		log_quoted(quoted, config->state_directory), strerror(errno));
	return -1;
}

static int confine_configured(const struct config *config)
{
	const char *devices[PORT_MAX];
	char why[512], quoted[LOG_QUOTED_SIZE];
	int rc = 0;
	for (unsigned i = 0; i < config->n_ports; i++)
		devices[i] = config->ports[i].device;
	if (config->confine)
		rc = confine(devices, config->n_ports, why, sizeof(why));
	else if (config->user)
		rc = privilege_drop(why, sizeof(why));
	if (!config->confine)
		log_warning("not_confined setting=confine");
	if (!secmem_all_locked())
		log_warning("keys_may_be_swapped reason=\"memory could not be locked; accepted: "
			    "CAP_IPC_LOCK, or no limit of locked memory (LimitMEMLOCK)\"");
	if (rc != 0)
		log_error("not_confined reason=%s", log_quoted(quoted, why));
	return rc == 0 ? directories_check(config) : rc;
}

static int control_run(struct app *app, const struct config *config)
{
	socket_directory_make(config);
	struct rpc rpc = {
		.methods = control_methods,
		.app = app,
		.events = &app->events,
		.before_call = before_call,
		.after_call = after_call,
	};
	struct listeners *listeners = listeners_open(app, config, &rpc);
	if (!listeners)
		return -1;
	if (confine_configured(config) != 0) {
		listeners_close(listeners);
		return -1;
	}
	struct watchdog *watchdog = watchdog_open(app->base, &app->relay);
	struct timeval millisecond = {.tv_usec = 1000};
	struct event *tick = event_new(app->base, -1, EV_PERSIST, on_tick, app);
	struct event *term = evsignal_new(app->base, SIGTERM, on_signal, app);
	struct event *interrupt = evsignal_new(app->base, SIGINT, on_signal, app);
	event_add(tick, &millisecond);
	event_add(term, NULL);
	event_add(interrupt, NULL);
	printf("mcxrelay %s forwards: %u ports, %u workers, cipher %s, control socket %s\n",
		MCXRELAY_VERSION, app->relay.n_ports, app->relay.n_workers,
		relay_cipher_name(&app->relay), config->control_unix);
	fflush(stdout);
	sd_notify(0, "READY=1");
	event_base_dispatch(app->base);
	sd_notify(0, "STOPPING=1");
	watchdog_close(watchdog);
	listeners_close(listeners);
	event_free(tick);
	event_free(term);
	event_free(interrupt);
	// It ends already. By default a second one would end it before all keys are wiped.
	signal(SIGTERM, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	// What libevent put off of connections that are closed.
	event_base_loop(app->base, EVLOOP_NONBLOCK);
	return 0;
}

static int forward(struct app *app, const struct config *config)
{
	int rc = relay_start(&app->relay);
	if (rc == 0)
		rc = control_run(app, config);
	else
		log_error("workers_not_started reason=\"%s\"", strerror(-rc));
	// Sessions and keys go while workers still run: they are what the grace periods wait for.
	app_close(app);
	relay_stop(&app->relay);
	return rc;
}

// With a crypto device it is the one for what the device cannot do: the faster one that this CPU has.
static const struct cipher *cipher_open_configured(const struct config *config, const char **why)
{
	if (!cryptodev_name(config))
		return cipher_open(config->cipher, why);
	const struct cipher *cipher = cipher_open("ipsec-mb", why);
	return cipher ? cipher : cipher_open("openssl", why);
}

static int run(const struct config *config)
{
	static struct app app;
	const char *why;
	const struct cipher *cipher = cipher_open_configured(config, &why);
	if (!cipher) {
		log_error("no_cipher name=%s reason=\"%s; accepted: %s, cryptodev:NAME\"",
			config->cipher, why, cipher_names());
		return 1;
	}
	if (eal_open(config) != 0) {
		eal_arguments_free();
		return 1;
	}
	int rc = relay_open_configured(&app, config, cipher);
	if (rc == 0) {
		app.base = event_base_new();
		rc = user_become(config);
		if (rc == 0)
			rc = app_open(&app, config);
		if (rc == 0)
			rc = forward(&app, config);
		event_base_free(app.base);
		relay_close(&app.relay);
	}
	rte_eal_cleanup();
	eal_arguments_free();
	return rc == 0 ? 0 : 1;
}

// Keys are in memory: no core dump, and nobody but root looks into the process.
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
	if (status >= 0)
		return status;
	memory_protect();
	// Key octets pass through these libraries as text.
	json_set_alloc_funcs(secmem_malloc, secmem_free);
	event_set_mem_functions(secmem_malloc, secmem_realloc, secmem_free);
	if (!secmem_serve_openssl())
		log_warning("openssl_memory_not_wiped");
	struct config *config = config_load(arguments.config, stderr);
	if (!config)
		return 1;
	log_set_level((enum log_level)config->log_level);
	if (arguments.check)
		printf("%s is good\n", arguments.config);
	else
		status = run(config);
	config_free(config);
	libevent_global_shutdown();
	return status < 0 ? 0 : status;
}
