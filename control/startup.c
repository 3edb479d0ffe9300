// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "control/startup.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <event2/event.h>
#include <rte_eal.h>
#include <rte_lcore.h>
#include <systemd/sd-daemon.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory_limit.h"
#include "base/secmem.h"
#include "confine/confine.h"
#include "confine/privilege.h"
#include "confine/syscall_filter.h"
#include "control/app.h"
#include "control/audit.h"
#include "control/clock_sync.h"
#include "control/eal.h"
#include "control/listeners.h"
#include "control/restore.h"
#include "control/state_command.h"
#include "control/store_fd.h"
#include "control/watchdog.h"
#include "crypto/cipher_registry.h"
#include "host/relay.h"
#include "identity/pseudo.h"

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
		.udp_first = port->udp_first,
		.udp_last = port->udp_last,
	};
	if (port->has_gateway)
		options.gateway = endpoint_of(AF_INET, &port->gateway);
	if (port->has_gateway6)
		options.gateway6 = endpoint_of(AF_INET6, &port->gateway6);
	return options;
}

// The relay is opened in a thread of its own, so that what is forbidden there ends with it.
struct opening {
	struct relay *relay;
	const struct relay_options *options;
	char why[512];
	int rc;
};

// A single queue's socket can be moved to an interface that is made again, if it shares frames with no other. What is
// forbidden here stays so in threads that a driver starts: net_af_packet starts none.
static bool sockets_can_move(const struct relay_options *options)
{
	static const char driver[] = "net_af_packet";
	for (unsigned i = 0; i < options->n_ports; i++)
		if (strncmp(options->ports[i].device, driver, strlen(driver)) != 0)
			return false;
	return options->n_workers == 1;
}

static void *opening_run(void *arg)
{
	struct opening *opening = arg;
	if (sockets_can_move(opening->options))
		opening->rc = syscall_filter_no_fanout(opening->why, sizeof(opening->why));
	if (opening->rc == 0)
		opening->rc = relay_open(
			opening->relay, opening->options, opening->why, sizeof(opening->why));
	return NULL;
}

static int relay_open_configured(
	struct app *app, const struct config *config, const struct cipher *cipher)
{
	unsigned lcores[RELAY_WORKERS_MAX], n = 0, lcore = LCORE_ID_ANY;
	struct port_options ports[PORT_MAX] = {};
	char quoted[LOG_QUOTED_SIZE];
	while (n < config->n_workers && (lcore = rte_get_next_lcore(lcore, 1, 0)) < RTE_MAX_LCORE)
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
		.idle_sleep_us = config->idle_sleep_us,
		.ports = ports,
		.n_ports = config->n_ports,
		.max_keys = config->limits.keys,
		.max_legs = config->limits.legs,
		.max_streams = config->limits.streams,
	};
	struct opening opening = {.relay = &app->relay, .options = &options};
	pthread_t thread;
	int rc = -pthread_create(&thread, NULL, opening_run, &opening);
	if (rc == 0) {
		pthread_join(thread, NULL);
		rc = opening.rc;
	} else {
		snprintf(opening.why, sizeof(opening.why), "no thread: %s", strerror(-rc));
	}
	for (unsigned i = 0; i < config->n_ports; i++)
		free((void *)(uintptr_t)ports[i].prefixes);
	if (rc != 0)
		log_error("relay_not_opened reason=%s", log_quoted(quoted, opening.why));
	return rc;
}

// KMSs that this relay itself is, if it has the key to them.
static int vault_open_configured(struct app *app, const struct config *config, char why[768])
{
	if (!config->mikey.seal)
		return 0;
	int rc = vault_open(app->vault, config->state_directory, config->mikey.seal, why);
	if (rc == 0)
		pseudo_kms_restore(&app->kmss, app->vault);
	return rc;
}

// Before the state is written again: how it was found tells whether what an earlier life recorded still holds. Without a
// store the relay is what it was: it does not refuse to start.
static void store_open_configured(struct app *app, const struct config *config)
{
	const char *unit = getenv("MCXRELAY_STORE");
	bool local = config->store == CONFIG_STORE_AUTO ? unit && strcmp(unit, "local") == 0
							: config->store == CONFIG_STORE_LOCAL;
	if (local)
		app->store = store_fd_open(app->state.record.generation);
	else
		store_fd_drop();
	app->state.store = app->store;
}

static int state_open(struct app *app, const struct config *config)
{
	const char *directory = config->state_directory;
	char why[768], quoted[LOG_QUOTED_SIZE];
	int rc = state_store_open(&app->state, directory, state_is_required(), why, sizeof(why));
	if (rc == 0) {
		store_open_configured(app, config);
		rc = ssrc_source_open(&app->ssrcs, &app->state);
		if (rc == 0)
			rc = srtcp_floor_open(&app->srtcp, &app->state, &app->relay);
		if (rc == -EOVERFLOW)
			snprintf(why, sizeof(why),
				"state_directory %s: all SRTCP indices were used; accepted: "
				"replace all root keys, then remove ssrc and srtcp",
				directory);
		else if (rc != 0)
			snprintf(why, sizeof(why),
				"state_directory %s cannot be written: %s; accepted: a directory "
				"with room that mcxrelay's user may write to",
				directory, strerror(-rc));
		if (rc == 0)
			rc = opened_open(&app->opened, directory, (uint64_t)time(NULL), why);
		if (rc == 0)
			rc = vault_open_configured(app, config, why);
		if (rc != 0) {
			state_store_close(&app->state);
			store_close(app->store);
		}
	}
	if (rc != 0)
		log_error("no_state reason=%s", log_quoted(quoted, why));
	return rc;
}

static int app_open_configured(struct app *app, const struct config *config)
{
	if (app_open(app, &config->limits, &config->mikey) != 0) {
		char reason[MEMORY_REASON_SIZE];
		size_t table = secmem_map_refused();
		memory_refusal(table, ENOMEM, reason, sizeof(reason));
		log_error("out_of_memory table_mib=%zu reason=\"%s\"", table >> 20, reason);
		return -1;
	}
	return state_open(app, config);
}

// Workers have stopped: nothing more will be used, so nothing is wasted.
static void state_close(struct app *app)
{
	opened_close(&app->opened);
	int rc = state_store_cover(&app->state, app->ssrcs.next, srtcp_floor_exact(&app->relay));
	if (rc != 0)
		log_warning("state_not_exact reason=\"%s\"", strerror(-rc));
	state_store_close(&app->state);
}

static void on_tick(evutil_socket_t fd, short what, void *app)
{
	(void)fd;
	(void)what;
	app_poll(app);
}

static void before_call(void *arg)
{
	const struct api *api = arg;
	api->poll(api->poll_arg);
}

static void after_call(void *arg, const struct rpc_call *call)
{
	const struct api *api = arg;
	request_stats_count(api->requests, call->method, call->error->code, call->duration_ns);
	audit_call(call);
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

// Whether what is configured can be asked of the system, once it is confined.
static int clock_configured(const struct config *config)
{
	int rc = config->mikey.require_sync ? clock_sync_open() : 0;
	if (rc != 0)
		log_error(
			"clock_unknown setting=mikey.require_sync reason=\"%s; accepted: a system "
			"that lets adjtimex(2) be asked, of systemd ProtectClock=no and "
			"SystemCallFilter=adjtimex clock_adjtime\"",
			strerror(-rc));
	return rc;
}

static int control_run(struct app *app, const struct config *config)
{
	socket_directory_make(config);
	struct rpc rpc = {
		.methods = control_methods,
		.app = &app->api,
		.events = &app->events,
		.before_call = before_call,
		.after_call = after_call,
	};
	const struct metrics_source metrics = {
		.relay = &app->relay,
		.keys = &app->keys,
		.sessions = &app->sessions,
		.requests = &app->requests,
		.events = &app->events,
		.limits = &config->limits,
		.messages = &app->messages,
		.pool = app->pool,
		.pool_limit = config->mikey.queue,
		.started = time(NULL) - (time_t)((clock_now_ms() - app->started_ms) / 1000),
	};
	struct listeners *listeners = listeners_open(app->base, config, &rpc, &metrics);
	if (!listeners)
		return -1;
	if (confine_configured(config) != 0 || clock_configured(config) != 0) {
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
	log_make_room();
	log_set_times(true);
	sd_notify(0, "READY=1");
	event_base_dispatch(app->base);
	sd_notify(0, "STOPPING=1");
	watchdog_close(watchdog);
	listeners_close(listeners);
	event_free(tick);
	event_free(term);
	event_free(interrupt);
	// Termination has begun. By default a second signal would end the process before all keys are wiped.
	signal(SIGTERM, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	// Runs what libevent deferred for closed connections.
	event_base_loop(app->base, EVLOOP_NONBLOCK);
	return app->relay.restart ? STARTUP_RESTART : 0;
}

// Calls and keys of an earlier life come back before anybody can state others.
static void calls_come_back(struct app *app)
{
	app->keys.records = app->store;
	if (app->store)
		restore(app);
}

static int forward(struct app *app, const struct config *config)
{
	int rc = relay_start(&app->relay);
	if (rc == 0) {
		calls_come_back(app);
		rc = control_run(app, config);
	} else {
		log_error("workers_not_started reason=\"%s\"", strerror(-rc));
	}
	// Sessions and keys are removed while workers still run: grace periods wait for the workers.
	app_close(app);
	relay_stop(&app->relay);
	state_close(app);
	store_close(app->store);
	return rc;
}

// With a crypto device it is the one for what the device cannot do.
static const struct cipher *cipher_open_configured(const struct config *config, const char **why)
{
	const char *name = cryptodev_name(config) ? NULL : config->cipher;
	return cipher_open(name ? name : cipher_auto, why);
}

int startup_run(const struct config *config)
{
	static struct app app;
	const char *why;
	const struct cipher *cipher = cipher_open_configured(config, &why);
	if (!cipher) {
		log_error("no_cipher name=%s reason=\"%s\"",
			config->cipher ? config->cipher : cipher_auto, why);
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
			rc = app_open_configured(&app, config);
		if (rc == 0)
			rc = forward(&app, config);
		event_base_free(app.base);
		relay_close(&app.relay);
	}
	rte_eal_cleanup();
	eal_arguments_free();
	return rc < 0 ? 1 : rc;
}
