// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "bench/frame.h"
#include "bench/gen/options.h"
#include "crypto/cipher.h"
#include "crypto/suite.h"

// The calls of a run: keys, users and legs, as the relay is told of them and as clients have them.
// Legs have places: those that receive come first, group by group, then one of each group on which
// its users speak. A place decides the UDP ports.

// SRTP of one sender under one key.
struct gen_ctx {
	alignas(CIPHER_KEY_ALIGN) uint8_t key[CIPHER_KEY_SIZE];
	uint64_t mki;
	uint8_t salt[SRTP_SALT_MAX];
	uint8_t mki_len;
	bool roc; // in each packet
};

struct gen_stream {
	const struct gen_ctx *in, *out; // NULL: in clear
	uint64_t index;                 // of its next packet
	uint32_t ssrc, group;
	uint32_t user; // number in its name
	uint32_t guk_id;
};

struct gen_key {
	uint32_t id;
	uint8_t value[SRTP_KEY_MAX], rand[16];
};

struct gen_group {
	struct gen_key in, out;
	struct gen_ctx *ctx_in, *ctx_out; // what all its users share; NULL: nothing
};

struct gen_calls {
	const struct gen_options *options;
	const struct cipher *cipher;
	struct gen_stream *streams;
	struct gen_group *groups;
	struct gen_ctx *ctxs; // those of keys
	size_t n_ctxs, ctxs_size;
	enum gen_kind to;     // never GEN_SAME
	bool ssrcs_preserved; // SSRCs come out as they went in
};

// Draws keys, derives everything. NULL, with a message printed, if the library failed.
struct gen_calls *gen_calls_open(const struct gen_options *options, const struct cipher *cipher);
void gen_calls_close(struct gen_calls *calls);

// Params of key.install for a group, NULL if the relay needs none; and of session.apply. The
// caller's.
json_t *gen_calls_keys(const struct gen_calls *calls, uint32_t group);
json_t *gen_calls_session(const struct gen_calls *calls, uint32_t group);

// Params of session.remove and key.revoke for all of them. The caller's.
json_t *gen_calls_session_ids(const struct gen_calls *calls);
json_t *gen_calls_key_names(const struct gen_calls *calls);

// UDP ports, UDP being as frame_path wants it, of the leg on which a group's users speak.
struct frame_path gen_calls_path_in(const struct gen_calls *calls, uint32_t group,
	const struct rte_ether_addr *own, const struct rte_ether_addr *relay);

// The place of the receiving leg that sends to mcxgen's UDP port, or -1.
int gen_calls_place_out(const struct gen_calls *calls, uint16_t udp_port);

// The stream whose SSRC this was when it went in, or GEN_STREAMS_MAX.
uint32_t gen_calls_stream_of(const struct gen_calls *calls, uint32_t ssrc);
