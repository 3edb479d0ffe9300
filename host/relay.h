// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stddef.h>
#include <stdint.h>

#include "crypto/cipher.h"
#include "dataplane/relay_tables.h"

// The relay as a whole: opens and closes what workers and the control thread share, starts and stops
// the workers.

struct relay_options {
	const struct cipher *cipher; // beside a crypto device: for what it cannot do
	const char *cryptodev;       // name of the device that does AES-GCM; NULL: cipher does
	const unsigned *lcores;      // DPDK lcore of each worker
	unsigned n_workers;
	uint32_t idle_sleep_us; // of a worker that found nothing to do; 0: it polls on
	const struct port_options *ports;
	unsigned n_ports;
	uint32_t max_keys, max_legs, max_streams;
};

// Opens ports and tables; no worker runs yet. 0, or -errno with a sentence in why. Main thread, or one that it waits for.
// Needs an initialised EAL.
int relay_open(
	struct relay *relay, const struct relay_options *options, char *why, size_t why_size);

// What does AES-GCM, as the config names it: "ipsec-mb", "openssl", "cryptodev:NAME".
const char *relay_cipher_name(const struct relay *relay);

// Launches the workers on their lcores. 0 or -errno.
int relay_start(struct relay *relay);

// Leaves all multicast groups, ends the workers' loops and waits for them.
void relay_stop(struct relay *relay);

// Frees all; the workers have stopped.
void relay_close(struct relay *relay);

// Waits until no worker can reach what was unpublished before the call: a few microseconds while
// all run. Control thread.
void relay_wait_workers(struct relay *relay);

// Does the relay's own network work: answers ARP, ND and echo requests, resolves next hops, hears of errors,
// reports group memberships. Control thread, about once a millisecond.
void relay_poll_network(struct relay *relay, uint64_t now_ms);
