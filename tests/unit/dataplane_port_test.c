// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

// Whether a port opens whose driver cannot do something that the relay needs: multicast, without which IPv6 and groups
// are deaf.

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <rte_bus.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "dataplane/port.h"
#include "tests/unit/dataplane_lab.h"

static int allmulticast, promiscuous; // what the driver answers
static unsigned n_promiscuous;        // how often it was asked
static const char *bus;

int __wrap_rte_eth_allmulticast_enable(uint16_t port);
int __wrap_rte_eth_promiscuous_enable(uint16_t port);
const char *__wrap_rte_bus_name(const struct rte_bus *of);

int __wrap_rte_eth_allmulticast_enable(uint16_t port)
{
	(void)port;
	return allmulticast;
}

int __wrap_rte_eth_promiscuous_enable(uint16_t port)
{
	(void)port;
	n_promiscuous++;
	return promiscuous;
}

const char *__wrap_rte_bus_name(const struct rte_bus *of)
{
	(void)of;
	return bus;
}

static struct rte_mempool *pool;

// A device of its own: net_ring attaches to none a second time.
static int open_port(const char *device, char *why, size_t why_size)
{
	struct port_prefix prefix = {.addr = {.family = AF_INET}, .prefix_len = 24};
	inet_pton(AF_INET, "10.0.0.1", prefix.addr.addr);
	const struct port_options options = {.name = "ran",
		.device = device,
		.prefixes = &prefix,
		.n_prefixes = 1,
		.mtu = LAB_MTU};
	struct port port;
	why[0] = '\0';
	n_promiscuous = 0;
	int rc = port_open(&port, &options, 1, pool, why, why_size);
	if (rc == 0)
		port_close(&port);
	return rc;
}

static void multicast_is_needed(void **state)
{
	static const struct {
		int allmulticast, promiscuous;
		const char *bus, *why; // why: NULL, it opens
		bool asked;            // to be promiscuous
	} cases[] = {
		/* 1 */ {0, -EIO, "pci", NULL, false},
		/* 2 */ {-ENOTSUP, 0, "pci", NULL, true},
		/* 3 */ {-ENOTSUP, -ENOTSUP, "vdev", NULL, true}, // it has no filter
		/* 4 */ {-ENOTSUP, -ENOTSUP, "pci", "Operation not supported", true},
		/* 5 */ {-ENOTSUP, -EIO, "vdev", "Input/output error", true},
		/* 6 */ {-EIO, 0, "vdev", "Input/output error", false},
		/* 7 */ {-EPERM, 0, "pci", "Operation not permitted", false},
		/* 8 */ {-ENODEV, 0, "pci", "No such device", false},
	};
	(void)state;
	for (size_t i = 0; i < RTE_DIM(cases); i++) {
		allmulticast = cases[i].allmulticast;
		promiscuous = cases[i].promiscuous;
		bus = cases[i].bus;
		char why[256], expected[256] = "", device[32];
		snprintf(device, sizeof(device), "net_ring%zu", i);
		int rc = open_port(device, why, sizeof(why));
		if (cases[i].why)
			snprintf(expected, sizeof(expected),
				"port ran: device \"%s\" receives no multicast, which IPv6 and "
				"groups need: %s",
				device, cases[i].why);
		if ((rc != 0) != (cases[i].why != NULL))
			print_error("case %zu: %d\n", i + 1, rc);
		assert_int_equal(rc != 0, cases[i].why != NULL);
		assert_string_equal(why, expected);
		assert_int_equal(n_promiscuous, cases[i].asked);
		assert_int_equal(rte_eth_dev_count_avail(), 0); // a port that is refused is closed
	}
}

static int dpdk_start(void **state)
{
	(void)state;
	lab_start();
	pool = rte_pktmbuf_pool_create(
		"packets", 2047, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	return pool ? 0 : -1;
}

static int dpdk_end(void **state)
{
	(void)state;
	rte_mempool_free(pool);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(multicast_is_needed)};
	alarm(60); // a test that failed half way may not be able to clean up
	return cmocka_run_group_tests(tests, dpdk_start, dpdk_end);
}
