// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <sys/queue.h>

#include "control/api.h"
#include "mikey/make.h"

// What message.make is asked for: read, looked up, and kept while the pool makes messages of it.
// Control thread, but for what says otherwise.

enum { ORDER_RECEIVERS_MAX = 1000 };

// One receiver. Texts are those of the params.
struct order_receiver {
	struct mikey_octets uri, kms_uri;
	struct kms *kms;         // pinned; NULL if nothing is made for this one
	uint64_t period_no;      // of the time of the message, by kms
	uint32_t period, offset; // of kms, as the next: the pool reads them
	const struct sakke_kms *sakke;
	uint8_t *message; // [len], NULL: not made
	size_t len;
	uint32_t csb_id;
	struct rpc_error error; // why it is not made
};

// In secret memory.
struct message_order {
	LIST_ENTRY(message_order) next; // of those that sign with a key that is installed
	bool listed;
	bool withdrawn; // the key was taken away: no more messages are begun
	const struct api *api;
	json_t *params; // what texts point into: a reference
	struct order_receiver *receivers;
	size_t n_receivers;
	bool fresh; // the key is drawn here
	struct key_spec spec;
	char source[2 * MIKEY_ID_MAX + 8]; // what spec points to
	uint64_t serial;                   // of the key that is installed
	struct mikey_letter letter;        // of all receivers; of each what it is for is filled in
	struct mikey_key_parameters parameters;
	struct identity *identity; // the initiator: only while it is read
	struct kms *initiator_kms; // pinned
	struct key_set *set;       // pinned; NULL once all is signed
	uint8_t kpak[ECCSI_POINT_LEN];
	bool hide_receivers;
};

LIST_HEAD(message_orders, message_order);

// A key was taken away: no more messages are made of it, but for those that the pool is making from a copy of it.
void message_orders_withdraw(const struct api *api, const char *domain, uint32_t id);

// Reads params and looks up what they name. Receivers that cannot have a message have an error of their
// own. NULL with *error set. The caller gives it to message_order_free().
struct message_order *message_order_read(
	const struct api *api, const json_t *params, struct rpc_error *error);

// Draws a key and its RAND. Any thread. False: there are no random octets.
bool message_order_draw(struct message_order *order);

// No more is signed: the key set goes, and so does what a key that is installed was copied to.
void message_order_signed(struct message_order *order);

void message_order_free(struct message_order *order);
