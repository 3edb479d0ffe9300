// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "tests/unit/dataplane_lab.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_ip.h>
#include <rte_lcore.h>
#include <rte_udp.h>

#include "crypto/cipher_registry.h"
#include "dataplane/cryptodev.h"
#include "host/neighbour.h"

enum {
	UDP_LEN = sizeof(struct rte_udp_hdr),
	IPV4_LEN = sizeof(struct rte_ipv4_hdr),
	IPV6_LEN = sizeof(struct rte_ipv6_hdr),
};

static const struct rte_ether_addr peer_mac = {{2, 0, 0, 0, 0, 99}};

void lab_check(bool fact, const char *text, const char *file, int line)
{
	if (fact)
		return;
	fprintf(stderr, "%s:%d: %s does not hold\n", file, line, text);
	abort();
}

void lab_start(void)
{
	// net_ring finds the rings of an earlier lab again, of which the library complains.
	char *args[] = {(char *)(uintptr_t)"dataplane_lab", (char *)(uintptr_t)"--no-huge",
		(char *)(uintptr_t)"--no-shconf", (char *)(uintptr_t)"--no-pci",
		(char *)(uintptr_t)"--no-telemetry", (char *)(uintptr_t)"-m",
		(char *)(uintptr_t)"256", (char *)(uintptr_t)"--log-level=lib.ring:emergency",
		(char *)(uintptr_t)"-l", (char *)(uintptr_t)"0", NULL};
	lab_require(rte_eal_init(RTE_DIM(args) - 1, args) >= 0);
}

static struct endpoint endpoint_make(bool ipv6, const char *text, uint16_t port)
{
	struct endpoint e = {.family = ipv6 ? AF_INET6 : AF_INET, .port = htons(port)};
	lab_require(inet_pton(e.family, text, e.addr) == 1);
	return e;
}

static void ports_open(struct lab *lab, unsigned n_workers)
{
	static const char *const addresses[LAB_PORTS][2] = {
		{"10.0.0.1", "2001:db8::1"}, {"10.0.1.1", "2001:db8:1::1"}};
	for (unsigned i = 0; i < LAB_PORTS; i++) {
		char device[32], why[256];
		snprintf(device, sizeof(device), "net_ring%u", i);
		struct port_prefix prefixes[2] = {
			{endpoint_make(false, addresses[i][0], 0), 24},
			{endpoint_make(true, addresses[i][1], 0), 64},
		};
		struct port_options options = {
			.name = device,
			.device = device,
			.prefixes = prefixes,
			.n_prefixes = 2,
			.vlan = i == 1 ? LAB_VLAN : 0,
			.mtu = LAB_MTU,
		};
		struct port *port = &lab->relay.ports[i];
		int rc = port_open(port, &options, n_workers, lab->relay.pool, why, sizeof(why));
		if (rc != 0)
			fprintf(stderr, "%s\n", why);
		lab_require(rc == 0);
		lab->relay.n_ports++;
		lab->relay.port_of_ethdev[port->ethdev] = (uint8_t)i;
	}
}

void lab_open(struct lab *lab, unsigned n_workers)
{
	static const unsigned lcores[RELAY_WORKERS_MAX];
	const char *unknown = NULL;
	char why[256];
	struct relay_options options = {
		.cipher = cipher_open(cipher_auto, &unknown),
		.cryptodev = getenv("LAB_CRYPTODEV"),
		.lcores = lcores,
		.n_workers = n_workers,
		.max_keys = 512,
		.max_legs = 64,
		.max_streams = 1024,
	};
	*lab = (struct lab){.n_legs = 0};
	lab_require(options.cipher && options.cipher->thread_init() == 0);
	int rc = relay_open(&lab->relay, &options, why, sizeof(why));
	if (rc != 0)
		fprintf(stderr, "%s\n", why);
	lab_require(rc == 0);
	atomic_store(&lab->relay.srtcp_floor, LAB_SRTCP_FLOOR);
	atomic_store(&lab->relay.srtcp_limit, LAB_SRTCP_FLOOR + 100);
	ports_open(lab, n_workers);
	lab->mbufs = rte_mempool_avail_count(lab->relay.pool);
}

static void worker_take_all(struct lab *lab, uint8_t worker)
{
	struct lab_copy *copies = malloc(LAB_COPIES * sizeof(*copies));
	lab_require(copies);
	lab_take(lab, worker, copies);
	free(copies);
	void *mbuf;
	while (rte_ring_dequeue(lab->relay.workers[worker]->handoff, &mbuf) == 0)
		rte_pktmbuf_free(mbuf);
	hold_clear(lab->relay.workers[worker]);
	hop_hold_clear(lab->relay.workers[worker]);
}

void lab_close(struct lab *lab)
{
	for (unsigned i = 0; i < lab->relay.n_workers; i++)
		worker_take_all(lab, (uint8_t)i);
	void *mbuf;
	while (rte_ring_dequeue(lab->relay.punt, &mbuf) == 0)
		rte_pktmbuf_free(mbuf);
	lab_require(rte_mempool_avail_count(lab->relay.pool) == lab->mbufs);
	for (unsigned i = 0; i < SRTP_N_PROTOCOLS; i++)
		if (lab->audiences[i])
			audience_free(lab->audiences[i]);
	const struct cipher *cipher = lab->relay.cipher;
	relay_close(&lab->relay);
	lab_require(rte_eal_hotplug_remove("vdev", "net_ring0") == 0);
	lab_require(rte_eal_hotplug_remove("vdev", "net_ring1") == 0);
	cipher->thread_fini();
}

// --- keys

static uint32_t ctx_publish(
	struct lab *lab, const struct lab_key *key, uint8_t protocol, uint64_t mki, uint32_t user)
{
	struct key_table *keys = &lab->relay.keys;
	uint32_t index = key_table_alloc(keys);
	lab_require(index != KEY_NONE);
	struct key_ctx *ctx = &keys->ctxs[index];
	// The same name has the same key each time.
	uint8_t session_key[SRTP_KEY_MAX];
	for (unsigned i = 0; i < sizeof(session_key); i++)
		session_key[i] = (uint8_t)((mki >> 8 * (i % 8)) + i + protocol);
	memcpy(ctx->salt, session_key + 16, sizeof(ctx->salt));
	ctx->by_mki = (struct key_name){
		.mki = mki, .scope = key->scope, .protocol = protocol, .kind = KEY_BY_MKI};
	if (user != 0)
		ctx->by_talker = (struct key_name){.mki = key_name_mki(key->root, user),
			.protocol = protocol,
			.kind = KEY_BY_TALKER};
	ctx->root = key->root;
	ctx->space = index; // each session key is there once
	lab_require(lab->relay.cipher->expand(SRTP_AEAD_AES_128_GCM, session_key, ctx->key) == 0);
	if (lab->relay.cryptodev)
		lab_require(cryptodev_key_open(lab->relay.cryptodev, index, SRTP_AEAD_AES_128_GCM,
				    session_key) == 0);
	key_table_publish(keys, index);
	return index;
}

const struct lab_key *lab_key_add(struct lab *lab, uint8_t mki_len, uint16_t roc_rate, bool gmk)
{
	lab_require(lab->n_keys < LAB_KEYS);
	struct lab_key *key = &lab->keys[lab->n_keys];
	*key = (struct lab_key){
		.root = lab->n_keys++,
		.scope = 1,
		.mki_len = mki_len,
		.roc_rate = roc_rate,
		.gmk = gmk,
	};
	key->id = (gmk ? 0x0f000000 : 0x20000000) + key->root; // with the purpose tag
	for (uint8_t protocol = 0; protocol < SRTP_N_PROTOCOLS; protocol++)
		key->ctx[protocol] =
			gmk ? KEY_NONE
			    : ctx_publish(lab, key, protocol, key_name_mki(key->id, 0), 0);
	return key;
}

void lab_talker_add(struct lab *lab, const struct lab_key *key, uint32_t guk_id, uint32_t user,
	uint32_t ctx[SRTP_N_PROTOCOLS])
{
	for (uint8_t protocol = 0; protocol < SRTP_N_PROTOCOLS; protocol++)
		ctx[protocol] =
			ctx_publish(lab, key, protocol, key_name_mki(key->id, guk_id), user);
}

void lab_talker_remove(struct lab *lab, const uint32_t ctx[SRTP_N_PROTOCOLS])
{
	for (uint8_t protocol = 0; protocol < SRTP_N_PROTOCOLS; protocol++) {
		struct stream_list *list =
			&lab->relay.keys.streams[lab->relay.keys.ctxs[ctx[protocol]].space];
		key_table_unpublish(&lab->relay.keys, ctx[protocol]);
		stream_list_unlink(&lab->relay.streams, list);
		stream_list_free(&lab->relay.streams, list);
		if (lab->relay.cryptodev)
			cryptodev_key_close(lab->relay.cryptodev, ctx[protocol]);
		key_table_free(&lab->relay.keys, ctx[protocol]);
	}
}

// --- legs

uint32_t lab_leg_add(struct lab *lab, struct lab_leg spec)
{
	lab_require(lab->n_legs < LAB_LEGS);
	uint32_t index = lab->n_legs++;
	const struct port *port = &lab->relay.ports[spec.port];
	char text[64];
	const char *v4 = spec.group ? "239.0" : "10.0", *v6 = spec.group ? "ff15" : "2001:db8";
	snprintf(text, sizeof(text), spec.ipv6 ? "%s:%u::%u" : "%s.%u.%u", spec.ipv6 ? v6 : v4,
		spec.port, 10 + index);
	spec.local = port->addresses[spec.ipv6].addr;
	spec.local.port = htons((uint16_t)(5000 + index));
	spec.remote = endpoint_make(spec.ipv6, text, (uint16_t)(6000 + index));
	lab->specs[index] = spec;
	struct neighbour *hop = &lab->relay.neighbours.entries[index];
	uint64_t word = NEIGHBOUR_RESOLVED;
	memcpy(&word, &peer_mac, sizeof(peer_mac));
	hop->mac = word;
	return index;
}

static struct leg_key leg_key_of(const struct lab_leg *spec, const struct lab_key *key)
{
	uint64_t own = key->gmk && spec->guk_id == 0 ? 0 : key_name_mki(key->id, spec->guk_id);
	return (struct leg_key){
		.is_gmk = key->gmk,
		.mki_len = key->mki_len,
		.roc_rate = key->roc_rate,
		.scope = key->scope,
		.id = key->id,
		.root = key->root,
		.serial = key->root + 1,
		.own_mki = own,
	};
}

static struct leg_protection protection_of(const struct lab_leg *spec, struct leg_key keys[3])
{
	struct leg_protection in = {.mode = spec->mode,
		.verify = !spec->unverified,
		.user = spec->user,
		.roc = spec->roc};
	if (!spec->key)
		return in;
	in.named_key = true;
	in.keys = keys;
	keys[in.n_keys++] = leg_key_of(spec, spec->key);
	if (spec->before)
		keys[in.n_keys++] = leg_key_of(spec, spec->before);
	if (spec->older)
		keys[in.n_keys++] = leg_key_of(spec, spec->older);
	return in;
}

static void dest_fill(struct fanout_dest *dest, uint32_t leg, const struct lab_leg *spec)
{
	struct fanout_receiver receiver = {.leg = leg,
		.neighbour = leg,
		.port = spec->port,
		.mtu = LAB_MTU,
		.local = &spec->local,
		.remote = &spec->remote};
	fanout_dest_fill(dest, &receiver);
}

static struct fanout_key fanout_key_of(const struct lab_key *key, uint8_t protocol)
{
	return (struct fanout_key){
		.mki_len = key->mki_len,
		.roc_rate = protocol == SRTP_RTP ? key->roc_rate : 0,
		.root = key->root,
	};
}

// before: room for the keys that the leg had before.
static struct fanout_variant variant_of(
	const struct lab_leg *spec, uint8_t protocol, struct fanout_key before[2])
{
	struct fanout_variant variant = {
		.mode = spec->mode, .key = {.root = KEY_NONE}, .ctx = KEY_NONE, .others = before};
	if (spec->mode != LEG_SRTP)
		return variant;
	variant.by_talker = spec->key->gmk;
	variant.encrypt = protocol == SRTP_RTCP && !spec->unencrypted;
	variant.key = fanout_key_of(spec->key, protocol);
	variant.ctx = spec->key->ctx[protocol];
	if (spec->before)
		before[variant.n_others++] = fanout_key_of(spec->before, protocol);
	if (spec->older)
		before[variant.n_others++] = fanout_key_of(spec->older, protocol);
	return variant;
}

// What has the same variant becomes one in the fan-out.
static struct audience *audience_make(struct lab *lab, uint8_t protocol)
{
	struct audience *audience = audience_new(&lab->relay.keys);
	for (uint32_t i = 0; i < lab->n_legs; i++) {
		const struct lab_leg *spec = &lab->specs[i];
		struct fanout_key before[2];
		struct fanout_variant variant = variant_of(spec, protocol, before);
		struct fanout_dest dest;
		if (spec->deaf)
			continue;
		dest_fill(&dest, i, spec);
		audience_put(audience,
			audience_open_class(audience, (const uint8_t *)&i, sizeof(i), &variant),
			&dest);
	}
	audience_publish(audience, NULL);
	return audience;
}

static void group_connect(struct lab *lab, const struct lab_leg *spec, uint32_t leg)
{
	struct multicast *multicast = &lab->relay.multicast[spec->port];
	struct multicast_group *group = multicast_member(multicast, &spec->remote);
	if (!group)
		group = multicast_join(&lab->relay, spec->port, &spec->remote);
	multicast_table_free(multicast_publish(&lab->relay, spec->port));
	atomic_store(&group->legs[ntohs(spec->remote.port)], leg + 1);
}

void lab_connect(struct lab *lab)
{
	for (uint8_t protocol = 0; protocol < SRTP_N_PROTOCOLS; protocol++) {
		if (lab->audiences[protocol])
			audience_free(lab->audiences[protocol]);
		lab->audiences[protocol] = audience_make(lab, protocol);
	}
	for (uint32_t i = 0; i < lab->n_legs; i++) {
		const struct lab_leg *spec = &lab->specs[i];
		struct leg_protection in = protection_of(spec, lab->leg_keys[i]);
		lab->legs[i] = (struct leg){
			.index = i,
			.port = spec->port,
			.receive = !spec->muted,
			.learn = spec->learn,
			.control = spec->control,
			.rtcp_mux = !spec->no_rtcp,
			.clock_factor = jitter_clock_factor(LAB_CLOCK_RATE, rte_get_tsc_hz()),
			.remote = spec->remote,
			.source = spec->remote,
			.any_source = spec->group,
			.in = {in, in},
			.fanout = {&lab->audiences[SRTP_RTP]->fanout,
				&lab->audiences[SRTP_RTCP]->fanout},
		};
		atomic_store(&lab->relay.legs.legs[i], &lab->legs[i]);
		struct port_address *address =
			port_find_address(&lab->relay.ports[spec->port], &spec->local);
		lab_require(address);
		atomic_store(&address->legs[ntohs(spec->local.port)], i + 1);
		if (spec->group)
			group_connect(lab, spec, i);
	}
}

// --- packets

static uint16_t clear_rtp_write(const struct lab_packet *packet, uint8_t *out)
{
	out[0] = 0x80;
	out[1] = 96;
	out[2] = (uint8_t)(packet->index >> 8);
	out[3] = (uint8_t)packet->index;
	srtp_write32(out + 4, (uint32_t)packet->index * 160 + packet->later);
	srtp_write32(out + 8, packet->ssrc);
	for (uint16_t i = 0; i < packet->len; i++)
		out[RTP_HEADER_MIN + i] = (uint8_t)(packet->index + i * 7U);
	return (uint16_t)(RTP_HEADER_MIN + packet->len);
}

static uint16_t clear_rtcp_write(const struct lab_packet *packet, uint8_t *out)
{
	enum { SENDER_REPORT = 200, SENDER_REPORT_LEN = 28 };
	memset(out, (int)packet->index, SENDER_REPORT_LEN);
	out[0] = 0x80;
	out[1] = SENDER_REPORT;
	out[2] = 0;
	out[3] = SENDER_REPORT_LEN / 4 - 1;
	srtp_write32(out + 4, packet->ssrc);
	srtp_write32(out + 8, (uint32_t)packet->index);
	srtp_write32(out + 12, packet->later);
	return SENDER_REPORT_LEN;
}

uint16_t lab_packet_write(struct lab *lab, const struct lab_packet *packet, uint8_t *out)
{
	bool rtp = packet->protocol == SRTP_RTP;
	uint16_t len = rtp ? clear_rtp_write(packet, out) : clear_rtcp_write(packet, out);
	if (packet->ctx == KEY_NONE)
		return len;
	const struct key_ctx *ctx = &lab->relay.keys.ctxs[packet->ctx];
	struct srtp_op op = {
		.key = ctx->key,
		.salt = ctx->salt,
		.src = out,
		.dst = out,
		.index = packet->own_index ? packet->own_index : packet->index,
		.mki = ctx->by_mki.mki,
		.len = len,
		.head_len = RTP_HEADER_MIN,
		.protocol = packet->protocol,
		.mki_len = packet->mki_len,
		.append_roc = packet->roc,
		.e_flag = !rtp && !packet->unencrypted,
	};
	struct srtp_op *ops[] = {&op};
	lab_require(srtp_protect_burst(lab->relay.cipher, ops, 1) == 1);
	return op.len;
}

struct rte_mbuf *lab_raw_frame(struct lab *lab, uint8_t port, const uint8_t *frame, uint16_t len)
{
	struct rte_mbuf *mbuf = rte_pktmbuf_alloc(lab->relay.pool);
	lab_require(mbuf);
	uint8_t *room = (uint8_t *)rte_pktmbuf_append(mbuf, len);
	lab_require(room);
	if (len > 0)
		memcpy(room, frame, len);
	mbuf->port = lab->relay.ports[port].ethdev;
	return mbuf;
}

static uint16_t ethernet_write(const struct port *port, bool ipv6, uint8_t *out)
{
	uint16_t at = 12;
	memcpy(out, &port->mac, 6);
	memcpy(out + 6, &peer_mac, 6);
	if (port->vlan != 0) {
		memcpy(out + at, (uint8_t[]){0x81, 0x00, 0x00, (uint8_t)port->vlan}, 4);
		at += 4;
	}
	memcpy(out + at, ipv6 ? (uint8_t[]){0x86, 0xdd} : (uint8_t[]){0x08, 0x00}, 2);
	return at + 2;
}

static struct rte_mbuf *frame_from(struct lab *lab, const struct lab_leg *spec,
	const struct endpoint *from, uint32_t leg, const uint8_t *payload, uint16_t len)
{
	uint8_t frame[LAB_PAYLOAD_MAX + 128];
	uint16_t l2_len = ethernet_write(&lab->relay.ports[spec->port], spec->ipv6, frame);
	// The relay's headers for a copy to this leg, with the two ends exchanged.
	struct lab_leg reverse = *spec;
	reverse.local = *from;
	reverse.remote = spec->group ? spec->remote : spec->local;
	if (spec->group)
		reverse.local =
			endpoint_make(spec->ipv6, spec->ipv6 ? "2001:db8::99" : "10.0.0.99", 4000);
	struct fanout_dest dest;
	dest_fill(&dest, leg, &reverse);
	uint8_t *ip = frame + l2_len;
	memcpy(ip, dest.header, dest.header_len);
	struct rte_udp_hdr *udp = (struct rte_udp_hdr *)(ip + dest.header_len - UDP_LEN);
	udp->dgram_len = rte_cpu_to_be_16((uint16_t)(len + UDP_LEN));
	if (spec->ipv6) {
		((struct rte_ipv6_hdr *)ip)->payload_len = udp->dgram_len;
	} else {
		struct rte_ipv4_hdr *v4 = (struct rte_ipv4_hdr *)ip;
		v4->total_length = rte_cpu_to_be_16((uint16_t)(len + dest.header_len));
		v4->hdr_checksum = rte_ipv4_cksum(v4);
	}
	memcpy(ip + dest.header_len, payload, len);
	if (spec->ipv6)
		udp->dgram_cksum = rte_ipv6_udptcp_cksum((struct rte_ipv6_hdr *)ip, udp);
	return lab_raw_frame(lab, spec->port, frame, (uint16_t)(l2_len + dest.header_len + len));
}

struct rte_mbuf *lab_frame(struct lab *lab, uint32_t leg, const uint8_t *payload, uint16_t len)
{
	const struct lab_leg *spec = &lab->specs[leg];
	return frame_from(lab, spec, &spec->remote, leg, payload, len);
}

struct rte_mbuf *lab_stranger_frame(
	struct lab *lab, uint32_t leg, const uint8_t *payload, uint16_t len)
{
	const struct lab_leg *spec = &lab->specs[leg];
	struct endpoint from = spec->remote;
	from.port = htons(9999);
	return frame_from(lab, spec, &from, leg, payload, len);
}

struct rte_mbuf *lab_packet_frame(struct lab *lab, uint32_t leg, const struct lab_packet *packet)
{
	uint8_t octets[LAB_PAYLOAD_MAX];
	const uint16_t len = lab_packet_write(lab, packet, octets);
	struct lab_leg *spec = &lab->specs[leg];
	const uint16_t stated = spec->remote.port;
	if (packet->source_port != 0)
		spec->remote.port = htons(packet->source_port);
	struct rte_mbuf *mbuf = lab_frame(lab, leg, octets, len);
	spec->remote.port = stated;
	return mbuf;
}

void lab_push(struct lab *lab, uint8_t worker, uint32_t leg, const struct lab_packet *packet)
{
	struct rte_mbuf *mbuf = lab_packet_frame(lab, leg, packet);
	loop_process_burst(lab->relay.workers[worker], &mbuf, 1);
}

unsigned lab_push_handed_over(struct lab *lab, uint8_t worker)
{
	return loop_take_handed_over(lab->relay.workers[worker]);
}

// --- what the relay sent

// The ones' complement sum of pseudo header and datagram, octet by octet (RFC 768): 0xffff if the
// checksum in it is right. Both addresses stand at addr.
static uint32_t udp_sum(const uint8_t *addr, uint8_t addr_len, const void *udp, unsigned len)
{
	uint32_t sum = IPPROTO_UDP + len;
	for (unsigned i = 0; i < 2U * addr_len; i++)
		sum += i % 2 ? addr[i] : (uint32_t)addr[i] << 8;
	for (unsigned i = 0; i < len; i++)
		sum += i % 2 ? ((const uint8_t *)udp)[i] : (uint32_t)((const uint8_t *)udp)[i] << 8;
	while (sum > 0xffff)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

// Every field of the headers: the test's own reading of them, not the relay's.
static void headers_check(const struct lab *lab, const struct lab_leg *spec, const uint8_t *frame,
	unsigned l2_len, unsigned len)
{
	uint8_t l2[32];
	const struct port *port = &lab->relay.ports[spec->port];
	lab_require(ethernet_write(port, spec->ipv6, l2) == l2_len);
	memcpy(l2, &peer_mac, 6);
	memcpy(l2 + 6, &port->mac, 6);
	lab_require(memcmp(l2, frame, l2_len) == 0);
	const uint8_t *ip = frame + l2_len;
	const struct rte_udp_hdr *udp;
	uint16_t ip_len = spec->ipv6 ? IPV6_LEN : IPV4_LEN;
	udp = (const struct rte_udp_hdr *)(ip + ip_len);
	lab_require(rte_be_to_cpu_16(udp->dgram_len) == len - l2_len - ip_len);
	lab_require(udp->src_port == spec->local.port && udp->dgram_cksum != 0);
	if (spec->ipv6) {
		const struct rte_ipv6_hdr *v6 = (const struct rte_ipv6_hdr *)ip;
		lab_require(v6->payload_len == udp->dgram_len);
		lab_require(memcmp(&v6->src_addr, spec->local.addr, 16) == 0);
		lab_require(udp_sum((const uint8_t *)&v6->src_addr, 16, udp,
				    len - l2_len - ip_len) == 0xffff);
	} else {
		const struct rte_ipv4_hdr *v4 = (const struct rte_ipv4_hdr *)ip;
		lab_require(rte_be_to_cpu_16(v4->total_length) == len - l2_len);
		lab_require(memcmp(&v4->src_addr, spec->local.addr, 4) == 0);
		lab_require(rte_raw_cksum(v4, IPV4_LEN) == 0xffff);
		lab_require(udp_sum((const uint8_t *)&v4->src_addr, 4, udp,
				    len - l2_len - ip_len) == 0xffff);
	}
	lab_require(len - l2_len <= port->mtu);
}

// The leg whose remote address the frame goes to.
static uint32_t frame_leg(const struct lab *lab, uint8_t port, const uint8_t *ip)
{
	bool ipv6 = ip[0] >> 4 == 6;
	for (uint32_t i = 0; i < lab->n_legs; i++) {
		const struct lab_leg *spec = &lab->specs[i];
		const uint8_t *addr = ip + (ipv6 ? 24 : 16), *udp_dst = ip + (ipv6 ? 42 : 22);
		if (spec->port == port && spec->ipv6 == ipv6 &&
			memcmp(addr, spec->remote.addr, ipv6 ? 16 : 4) == 0 &&
			memcmp(udp_dst, &spec->remote.port, 2) == 0)
			return i;
	}
	return LEG_NONE;
}

static void copy_read(struct lab *lab, uint8_t port, struct rte_mbuf *mbuf, struct lab_copy *copy)
{
	const uint8_t *frame = rte_pktmbuf_mtod(mbuf, const uint8_t *);
	uint16_t l2_len = port == 1 ? 18 : 14;
	lab_require(mbuf->nb_segs == 1 && mbuf->data_len == mbuf->pkt_len);
	lab_require(mbuf->refcnt == 1 && (mbuf->ol_flags & ~RTE_MBUF_F_EXTERNAL) == 0);
	copy->leg = frame_leg(lab, port, frame + l2_len);
	lab_require(copy->leg != LEG_NONE);
	const struct lab_leg *spec = &lab->specs[copy->leg];
	headers_check(lab, spec, frame, l2_len, mbuf->data_len);
	uint16_t headers = (uint16_t)(l2_len + (spec->ipv6 ? IPV6_LEN : IPV4_LEN) + UDP_LEN);
	copy->len = mbuf->data_len - headers;
	lab_require(copy->len <= sizeof(copy->payload));
	memcpy(copy->payload, frame + headers, copy->len);
	rte_pktmbuf_free(mbuf);
}

// What is on its way comes back on the ring; what is newer still waits for its burst to fill.
unsigned lab_take(struct lab *lab, uint8_t worker, struct lab_copy *copies)
{
	unsigned n = 0;
	for (uint8_t port = 0; port < LAB_PORTS; port++) {
		struct rte_mbuf *mbufs[WORKER_BURST];
		uint16_t ethdev = lab->relay.ports[port].ethdev, got;
		while ((got = rte_eth_rx_burst(ethdev, worker, mbufs, WORKER_BURST)) > 0)
			for (uint16_t i = 0; i < got; i++) {
				lab_require(n < LAB_COPIES);
				copy_read(lab, port, mbufs[i], &copies[n++]);
			}
		struct tx_queue *queue = &lab->relay.workers[worker]->tx[port];
		for (uint16_t i = 0; i < queue->n; i++) {
			lab_require(n < LAB_COPIES);
			copy_read(lab, port, queue->packets[i], &copies[n++]);
		}
		queue->n = 0;
	}
	return n;
}

bool lab_copy_is(struct lab *lab, const struct lab_copy *copy, const struct lab_packet *packet)
{
	uint8_t octets[LAB_PAYLOAD_MAX];
	uint16_t len = lab_packet_write(lab, packet, octets);
	return copy->len == len && memcmp(copy->payload, octets, len) == 0;
}

void lab_tokens_set(struct lab *lab, uint8_t worker, uint32_t leg, enum token_kind kind, uint32_t n)
{
	for (unsigned side = 0; side < SIDE_N; side++)
		lab->relay.workers[worker]->legs[leg].shares[side].tokens[kind] =
			(struct token_bucket){.at = rte_rdtsc(), .n = n};
}

static void share_forget(struct hold_share *share)
{
	memset(share->tokens, 0, sizeof(share->tokens));
}

void lab_tokens_forget(struct lab *lab)
{
	for (unsigned w = 0; w < lab->relay.n_workers; w++) {
		struct worker *worker = lab->relay.workers[w];
		share_forget(&worker->strangers);
		for (uint32_t leg = 0; leg < lab->n_legs; leg++)
			for (unsigned side = 0; side < SIDE_N; side++)
				share_forget(&worker->legs[leg].shares[side]);
	}
}

uint64_t lab_drops_of(const struct lab *lab, uint8_t worker, enum drop_reason reason)
{
	return lab->relay.workers[worker]->counters.drops[reason];
}

uint64_t lab_drops(const struct lab *lab, uint8_t worker)
{
	uint64_t n = 0;
	for (unsigned i = 0; i < DROP_N_REASONS; i++)
		n += lab_drops_of(lab, worker, (enum drop_reason)i);
	return n;
}
