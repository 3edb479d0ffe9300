// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "tests/fuzz/control_media.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_ethdev.h>
#include <rte_ip.h>
#include <rte_udp.h>

#include "base/clock.h"
#include "crypto/srtp.h"
#include "dataplane/loop.h"
#include "dataplane/worker.h"
#include "host/relay.h"
#include "key/key_context.h"
#include "tests/unit/dataplane_lab.h"

enum {
	LEGS_MAX = 64,
	SSRCS = 4,
	SAID_LEN = 32, // octets that a sender says
	HEADERS = 14 + 20 + 8,
	LEDGER_SIZE = 1 << 14,
	LEDGER_MAX = LEDGER_SIZE / 2,
	SRTCP_ANY = 2, // in place of a protocol: an index under a key, whatever the SSRC
	FRESH_SSRCS = 32,
};

struct media_protection {
	bool srtp, opaque, verify, encrypt;
};

struct media_leg {
	struct endpoint local, remote;
	struct media_protection by[SRTP_N_PROTOCOLS];
};

static struct app *app;
static struct media_leg legs[LEGS_MAX];
static unsigned n_legs;
static bool settled;
static uint64_t next_of[1 << 16][SRTP_N_PROTOCOLS]; // by UDP port of the leg

// --- invariant 1

struct entry {
	bool used;
	uint8_t protocol;
	uint32_t ssrc;
	uint64_t key, index, said;
};

static struct entry entries[LEDGER_SIZE];
static unsigned n_entries;

static uint64_t mix(uint64_t hash, uint64_t value)
{
	hash = (hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
	return hash ^ hash >> 29;
}

static uint64_t mix_octets(uint64_t hash, const uint8_t *octets, size_t len)
{
	for (size_t i = 0; i < len; i++)
		hash = mix(hash, octets[i]);
	return hash;
}

// A session key's name: its octets, whatever context they are in.
static uint64_t key_digest(const void *key, const uint8_t *salt)
{
	return mix_octets(mix_octets(1, key, 64), salt, CIPHER_IV_LEN) | 1;
}

static void ledger_note(
	uint64_t key, uint8_t protocol, uint32_t ssrc, uint64_t index, uint64_t said)
{
	uint64_t hash = mix(mix(mix(key, index), ssrc), protocol);
	struct entry *e = &entries[hash % LEDGER_SIZE];
	for (; e->used; e = &entries[++hash % LEDGER_SIZE])
		if (e->key == key && e->index == index && e->ssrc == ssrc &&
			e->protocol == protocol) {
			if (e->said != said)
				fprintf(stderr,
					"protocol %u SSRC %08x index %llu: two plaintexts\n",
					protocol, ssrc, (unsigned long long)index);
			lab_require(e->said == said);
			return;
		}
	if (n_entries == LEDGER_MAX)
		return;
	n_entries++;
	*e = (struct entry){true, protocol, ssrc, key, index, said};
}

uint16_t __real_srtp_protect_burst(const struct cipher *cipher, struct srtp_op *ops[], uint16_t n);
uint16_t __wrap_srtp_protect_burst(const struct cipher *cipher, struct srtp_op *ops[], uint16_t n);

// All that the relay encrypts passes by here.
uint16_t __wrap_srtp_protect_burst(const struct cipher *cipher, struct srtp_op *ops[], uint16_t n)
{
	for (uint16_t i = 0; i < n; i++) {
		const struct srtp_op *op = ops[i];
		const uint64_t key = key_digest(op->key, op->salt);
		const bool rtp = op->protocol == SRTP_RTP;
		const uint64_t said = mix_octets(op->e_flag, op->src, op->len);
		ledger_note(
			key, op->protocol, srtp_read32(op->src + (rtp ? 8 : 4)), op->index, said);
		if (!rtp)
			ledger_note(key, SRTCP_ANY, 0, op->index, said);
	}
	return __real_srtp_protect_burst(cipher, ops, n);
}

static bool ctx_is_live(uint32_t i)
{
	const struct key_table *table = &app->relay.keys;
	const struct key_name *name = &table->ctxs[i].by_mki;
	return key_table_find(table, name, key_name_hash(table, name)) == i;
}

void media_forget_keys(void)
{
	const struct key_table *table = &app->relay.keys;
	for (unsigned e = 0; e < LEDGER_SIZE; e++) {
		if (!entries[e].used || entries[e].protocol == SRTCP_ANY)
			continue;
		bool live = false;
		for (uint32_t i = 0; i < table->n_touched && !live; i++)
			live = ctx_is_live(i) && key_digest(table->ctxs[i].key,
							 table->ctxs[i].salt) == entries[e].key;
		if (!live)
			entries[e].key = 0;
	}
}

// --- legs

static bool address_read(const json_t *text, struct endpoint *e)
{
	char host[64];
	unsigned port;
	*e = (struct endpoint){.family = AF_UNSPEC};
	if (!json_is_string(text) ||
		sscanf(json_string_value(text), "%63[0-9.]:%u", host, &port) != 2)
		return false;
	e->family = AF_INET;
	e->port = htons((uint16_t)port);
	return inet_pton(AF_INET, host, e->addr) == 1;
}

static struct media_protection protection_read(const json_t *protection)
{
	const char *mode = json_string_value(json_object_get(protection, "mode"));
	return (struct media_protection){
		.srtp = strcmp(mode, "srtp") == 0,
		.opaque = strcmp(mode, "opaque") == 0,
		.verify = json_object_get(protection, "key") &&
			  !json_is_false(json_object_get(protection, "verify")),
		.encrypt = !json_is_false(json_object_get(protection, "encrypt")),
	};
}

void media_forget_legs(void)
{
	n_legs = 0;
	settled = true;
}

void media_unsettle(void)
{
	settled = false;
}

void media_note_legs(const json_t *session)
{
	size_t i;
	json_t *leg;
	json_array_foreach (json_object_get(session, "legs"), i, leg) {
		struct media_leg *l = &legs[n_legs];
		const json_t *rtp = json_object_get(leg, "protection");
		const json_t *rtcp = json_object_get(leg, "rtcp_protection");
		if (n_legs == LEGS_MAX || !address_read(json_object_get(leg, "local"), &l->local))
			continue;
		address_read(json_object_get(leg, "remote"), &l->remote);
		l->by[SRTP_RTP] = protection_read(rtp);
		l->by[SRTP_RTCP] = protection_read(rtcp ? rtcp : rtp);
		n_legs++;
	}
}

static const struct media_leg *leg_at(const struct endpoint *local)
{
	for (unsigned i = 0; i < n_legs; i++)
		if (endpoint_equal(&legs[i].local, local))
			return &legs[i];
	return NULL;
}

// --- a packet

struct said {
	const struct media_leg *leg;
	struct endpoint from;
	uint8_t protocol;
	bool stranger, forged, in_clear, unencrypted;
	uint64_t key, index, hash; // of what is said in clear
	uint32_t ssrc;
	uint8_t words[SAID_LEN];
	uint8_t octets[256];
	uint16_t len;
};

// What a sender says with an index: of no other sender, key, index or SSRC. Under another key he counts anew.
static void words_make(struct said *s, uint64_t key, uint32_t ssrc, uint64_t index)
{
	uint64_t hash = mix(mix(mix(mix(s->leg->local.port, key), ssrc), index), s->protocol);
	for (unsigned i = 0; i < SAID_LEN; i++) {
		hash = mix(hash, i);
		s->words[i] = (uint8_t)(hash >> 32);
	}
}

static void clear_make(struct said *s, uint32_t ssrc, uint64_t index)
{
	memset(s->octets, 0, RTP_HEADER_MIN);
	s->octets[0] = 0x80;
	if (s->protocol == SRTP_RTP) {
		s->octets[1] = 96;
		s->octets[2] = (uint8_t)(index >> 8);
		s->octets[3] = (uint8_t)index;
		srtp_write32(s->octets + 4, (uint32_t)index * 160);
		srtp_write32(s->octets + 8, ssrc);
		memcpy(s->octets + RTP_HEADER_MIN, s->words, SAID_LEN);
		s->len = RTP_HEADER_MIN + SAID_LEN;
		return;
	}
	s->octets[1] = 200;
	s->octets[3] = 6;
	srtp_write32(s->octets + 4, ssrc);
	memcpy(s->octets + 8, s->words, 20); // a sender report, without reports
	s->len = 28;
}

// A context of one of the leg's keys: one that is there, or a user's who comes now. KEY_NONE: the leg has no key.
static uint32_t ctx_pick(const struct leg_protection *in, uint8_t protocol, uint8_t which)
{
	const struct key_table *table = &app->relay.keys;
	if (in->n_keys == 0)
		return KEY_NONE;
	const struct leg_key *key = &in->keys[which % in->n_keys];
	uint32_t found = KEY_NONE;
	for (uint32_t i = 0; i < table->n_touched; i++)
		if (table->ctxs[i].root == key->root &&
			table->ctxs[i].by_mki.protocol == protocol && ctx_is_live(i) &&
			(found == KEY_NONE || (which >> (i % 4 + 2) & 1)))
			found = i;
	if (!key->is_gmk || (found != KEY_NONE && which < 200))
		return found;
	struct key_name name = key_name_make(KEY_BY_MKI, key_name_mki(key->id, 0x0a000001U + which),
		key->scope, key->cs_id, protocol, key->suite);
	key_ctx_derive(&app->keys, &name, false);
	return key_table_find(table, &name, key_name_hash(table, &name));
}

static bool protect(struct said *s, uint32_t i, const struct leg_key *key, uint64_t index)
{
	const struct key_ctx *ctx = &app->relay.keys.ctxs[i];
	struct srtp_op op = {
		.key = ctx->key,
		.salt = ctx->salt,
		.src = s->octets,
		.dst = s->octets,
		.index = index,
		.mki = ctx->by_mki.mki,
		.len = s->len,
		.head_len = RTP_HEADER_MIN,
		.suite = ctx->by_mki.suite,
		.protocol = s->protocol,
		.mki_len = key->mki_len,
		.append_roc =
			s->protocol == SRTP_RTP && srtp_carries_roc(key->roc_rate, (uint16_t)index),
		.e_flag = s->protocol == SRTP_RTCP && !s->unencrypted,
	};
	struct srtp_op *ops[] = {&op};
	if (__real_srtp_protect_burst(app->relay.cipher, ops, 1) != 1)
		return false;
	s->len = op.len;
	return true;
}

static const struct leg *leg_published(const struct media_leg *leg)
{
	struct port_address *address = port_find_address(&app->relay.ports[0], &leg->local);
	uint32_t index = address ? atomic_load(&address->legs[ntohs(leg->local.port)]) : 0;
	return index > 0 ? leg_get(&app->relay.legs, index - 1) : NULL;
}

static bool said_make(struct said *s, struct choices *choices)
{
	const uint8_t how = choice(choices), which = choice(choices), step = choice(choices);
	s->leg = &legs[choice(choices) % n_legs];
	s->protocol = how & 1;
	s->stranger = (how & 0x0e) == 0x0e;
	s->forged = (how & 0x30) == 0x30;
	s->unencrypted = (how & 0xc0) == 0xc0;
	s->from = s->leg->remote;
	if (s->stranger || s->from.family != AF_INET || endpoint_is_multicast(&s->from)) {
		s->from = (struct endpoint){
			.family = AF_INET, .addr = {10, 0, 0, 77}, .port = htons(9)};
	}
	const uint32_t ssrc = 0x01010101U * (1 + which % SSRCS);
	uint64_t *next = &next_of[ntohs(s->leg->local.port)][s->protocol];
	uint64_t index = *next;
	if (step < 200)
		*next += 1 + (step > 150 ? step : 0) + (step > 195 ? 40000 : 0);
	else
		index -= index < step - 199U ? index : step - 199U; // once more
	if (s->protocol == SRTP_RTCP)
		index &= SRTCP_INDEX_MAX;
	const struct leg *leg = leg_published(s->leg);
	const struct leg_protection *in = leg ? &leg->in[s->protocol] : NULL;
	uint32_t ctx = in && !(which == 255) ? ctx_pick(in, s->protocol, which) : KEY_NONE;
	const struct key_ctx *ctxs = app->relay.keys.ctxs;
	s->in_clear = ctx == KEY_NONE;
	s->key = s->in_clear ? 0 : key_digest(ctxs[ctx].key, ctxs[ctx].salt);
	s->ssrc = ssrc;
	s->index = index;
	words_make(s, s->key, ssrc, index);
	clear_make(s, ssrc, index);
	s->hash = mix_octets(s->protocol == SRTP_RTCP && !s->unencrypted, s->octets, s->len);
	if (ctx != KEY_NONE && !protect(s, ctx, &in->keys[which % in->n_keys], index))
		return false;
	if (s->forged)
		s->octets[RTP_HEADER_MIN + which % 8] ^= 1 + (step & 0x7f);
	return true;
}

static struct rte_mbuf *frame_make(const struct said *s)
{
	struct rte_mbuf *mbuf = rte_pktmbuf_alloc(app->relay.pool);
	lab_require(mbuf);
	uint8_t *frame = (uint8_t *)rte_pktmbuf_append(mbuf, (uint16_t)(HEADERS + s->len));
	memset(frame, 0, HEADERS);
	memcpy(frame, &app->relay.ports[0].mac, 6);
	memcpy(frame + 6, (uint8_t[]){2, 0, 0, 0, 0, 99, 8, 0}, 8);
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(frame + 14);
	ip->version_ihl = RTE_IPV4_VHL_DEF;
	ip->total_length = rte_cpu_to_be_16((uint16_t)(HEADERS - 14 + s->len));
	ip->time_to_live = 64;
	ip->next_proto_id = IPPROTO_UDP;
	memcpy(&ip->src_addr, s->from.addr, 4);
	memcpy(&ip->dst_addr, s->leg->local.addr, 4);
	ip->hdr_checksum = rte_ipv4_cksum(ip);
	struct rte_udp_hdr *udp = (struct rte_udp_hdr *)(ip + 1);
	udp->src_port = s->from.port;
	udp->dst_port = s->leg->local.port;
	udp->dgram_len = rte_cpu_to_be_16((uint16_t)(8 + s->len));
	memcpy(frame + HEADERS, s->octets, s->len);
	mbuf->port = app->relay.ports[0].ethdev;
	return mbuf;
}

// --- what comes of it

// False: it is not of media.
static bool sent_check(const struct said *s, const struct rte_mbuf *mbuf)
{
	const uint8_t *frame = rte_pktmbuf_mtod(mbuf, const uint8_t *);
	const struct rte_ipv4_hdr *ip = (const struct rte_ipv4_hdr *)(frame + 14);
	if (mbuf->data_len < HEADERS || frame[12] != 8 || frame[13] != 0 ||
		ip->next_proto_id != IPPROTO_UDP)
		return false;
	const struct rte_udp_hdr *udp = (const struct rte_udp_hdr *)(ip + 1);
	struct endpoint local = endpoint_ipv4((const uint8_t *)&ip->src_addr);
	local.port = udp->src_port;
	const struct media_leg *to = leg_at(&local);
	if (!settled)
		return true;
	lab_require(to && to != s->leg);
	const struct media_protection *out = &to->by[s->protocol];
	// What is said in clear by who sends in clear, and by whose word alone it is protected, is no secret.
	const bool secret = out->srtp && !s->unencrypted &&
			    (s->protocol == SRTP_RTP || out->encrypt) &&
			    (s->leg->by[s->protocol].verify || !s->leg->by[s->protocol].srtp);
	if (secret)
		lab_require(
			!memmem(frame + HEADERS, (size_t)mbuf->data_len - HEADERS, s->words, 16));
	return true;
}

// Everything that the worker sent. How many packets of media.
static unsigned sent_take(const struct said *s)
{
	struct worker *worker = app->relay.workers[0];
	struct rte_mbuf *mbufs[WORKER_BURST];
	unsigned n = 0;
	uint16_t got;
	while ((got = rte_eth_rx_burst(app->relay.ports[0].ethdev, 0, mbufs, WORKER_BURST)) > 0)
		for (uint16_t i = 0; i < got; i++) {
			n += s && sent_check(s, mbufs[i]);
			rte_pktmbuf_free(mbufs[i]);
		}
	struct tx_queue *queue = &worker->tx[0];
	for (uint16_t i = 0; i < queue->n; i++) {
		n += s && sent_check(s, queue->packets[i]);
		rte_pktmbuf_free(queue->packets[i]);
	}
	queue->n = 0;
	return n;
}

// Both threads' mail, until there is none.
static void mail_exchange(void)
{
	struct worker *worker = app->relay.workers[0];
	struct worker_mail mail;
	app_read_mail(app);
	while (worker_mail_take(&worker->mailbox, &mail)) {
		if (mail.type == MAIL_RESUME)
			loop_resume(worker, &mail);
		else if (mail.type == MAIL_SEND)
			rte_pktmbuf_free(mail.mbuf);
		app_read_mail(app);
	}
}

// Each next hop has answered.
static void neighbours_resolve(void)
{
	struct neighbour_table *table = &app->relay.neighbours;
	for (uint32_t i = NEIGHBOUR_NOBODY + 1; i < table->n_touched; i++) {
		struct neighbour *n = &table->entries[i];
		if (n->users > 0)
			n->mac = (n->mac >> NEIGHBOUR_SERIAL_SHIFT << NEIGHBOUR_SERIAL_SHIFT) |
				 NEIGHBOUR_RESOLVED | 0x020000000063;
	}
}

void media_settle(void)
{
	relay_poll_network(&app->relay, clock_now_ms());
	mail_exchange();
	sent_take(NULL);
	neighbours_resolve();
}

// Time has passed: nobody is limited, and there are SSRCs.
static void worker_renew(void)
{
	static uint32_t next_ssrc = 0xf0000000;
	struct worker *worker = app->relay.workers[0];
	while (worker->n_ssrcs < FRESH_SSRCS)
		worker->ssrcs[worker->n_ssrcs++] = next_ssrc++;
	memset(worker->legs, 0, app->relay.legs.size * sizeof(*worker->legs));
	worker->strangers = (struct hold_share){.slots = 0};
}

void media_packet(struct choices *choices)
{
	struct said s = {.len = 0};
	if (n_legs == 0 || !said_make(&s, choices))
		return;
	worker_renew();
	struct rte_mbuf *mbuf = frame_make(&s);
	const struct media_protection in = s.leg->by[s.protocol];
	loop_process_burst(app->relay.workers[0], &mbuf, 1);
	mail_exchange();
	const unsigned n = sent_take(&s);
	if (n > 0 && !s.in_clear && !s.forged && in.verify)
		ledger_note(s.key, s.protocol, s.ssrc, s.index, s.hash); // it was taken from him
	if (!settled)
		return;
	// Invariant 2: no tag, no copies; nor from anybody who is not the remote of a leg that has none.
	if (in.verify && (s.forged || s.in_clear))
		lab_require(n == 0);
	if (!in.verify && !in.srtp && s.stranger && s.leg->remote.family == AF_INET &&
		!endpoint_is_multicast(&s.leg->remote))
		lab_require(n == 0);
}

void media_begin(void)
{
	memset(entries, 0, sizeof(entries));
	memset(next_of, 0, sizeof(next_of));
	n_entries = 0;
	media_forget_legs();
}

void media_open(struct app *which)
{
	app = which;
	atomic_store(&app->relay.srtcp_limit, SRTCP_INDEX_MAX);
}
