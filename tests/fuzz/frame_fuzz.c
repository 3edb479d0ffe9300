// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

// libFuzzer entry: the input as a few frames in one burst through all stages of a worker, whole or
// behind good headers, as good packets with one octet changed or as queries for group members; then what the burst left behind:
// packets handed over, packets held, frames for the control thread. The lab verifies every field of
// what the relay sends; each mbuf must be back in the pool at the end.

#include <sanitizer/asan_interface.h>
#include <string.h>

#include <rte_ip.h>
#include <rte_ring_elem.h>

#include "base/clock.h"
#include "dataplane/punt.h"
#include "tests/unit/dataplane_lab.h"

enum {
	FRAME_HEAD = 4,
	GUK_ID = 0x01000001,
	USER = 3,
	LEGS = 9,
	PORT_WITHOUT_PLAIN = 1,
	LATER_MS = 10000000
};

enum frame_kind { FRAME_RAW, FRAME_PAYLOAD, FRAME_PACKET, FRAME_QUERY, FRAME_KINDS };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct lab lab;
static uint32_t talker_ctx[SRTP_N_PROTOCOLS];
static struct lab_copy copies[LAB_COPIES];

static void fuzz_start(void)
{
	lab_start();
	lab_open(&lab, 2);
	const struct lab_key *a = lab_key_add(&lab, 4, 0, false);
	const struct lab_key *b = lab_key_add(&lab, 0, 0, false);
	const struct lab_key *c = lab_key_add(&lab, 4, 1, false);
	const struct lab_key *gmk = lab_key_add(&lab, 8, 2, true);
	lab_talker_add(&lab, gmk, GUK_ID, USER, talker_ctx);
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_SRTP, .key = a, .learn = true});
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_SRTP, .key = b, .port = 1, .user = USER});
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_SRTP, .key = c, .ipv6 = true});
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_SRTP, .key = gmk, .port = 1, .ipv6 = true});
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_PLAIN});
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_PLAIN, .ipv6 = true});
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_OPAQUE});
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_SRTP, .key = c, .group = true});
	lab_leg_add(&lab, (struct lab_leg){.mode = LEG_OPAQUE, .ipv6 = true, .group = true});
	lab_connect(&lab);
}

static uint32_t leg_ctx(uint32_t leg, uint8_t protocol)
{
	const struct lab_key *key = lab.specs[leg].key;
	if (!key)
		return KEY_NONE;
	return key->gmk ? talker_ctx[protocol] : key->ctx[protocol];
}

// What a client behind the leg would send, but for one octet.
static struct rte_mbuf *packet_frame(uint32_t leg, const uint8_t *data, uint16_t size)
{
	const struct lab_key *key = lab.specs[leg].key;
	uint8_t head[8] = {0};
	memcpy(head, data, size < sizeof(head) ? size : sizeof(head));
	struct lab_packet packet = {
		.protocol = head[0] & 1,
		.len = head[1],
		.ssrc = 1 + head[2] % 4,
		.ctx = leg_ctx(leg, head[0] & 1),
		.index = (uint64_t)(head[3] & 3) << 16 | (uint64_t)head[4] << 8 | head[5],
		.mki_len = key ? key->mki_len : 0,
		.roc = key && !(head[0] & 1) && head[0] & 2,
	};
	uint8_t octets[LAB_PAYLOAD_MAX];
	uint16_t len = lab_packet_write(&lab, &packet, octets);
	octets[head[6] % len] ^= head[7];
	return lab_frame(&lab, leg, octets, len);
}

// A query for group members behind good headers, with all that checksums vouch for: what is read of
// it comes from the input.
static struct rte_mbuf *query_frame(bool ipv6, const uint8_t *data, uint16_t size)
{
	uint8_t frame[512] = {0x01, 0x00, 0x5e, 0, 0, 1, 2, 0, 0, 0, 0, 9, 0x08, 0x00, 0x46, 0xc0,
		0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 10, 0, 0, 9, 224, 0, 0, 1, 0x94, 4, 0, 0};
	static const uint8_t head6[] = {0x86, 0xdd, 0x60, 0, 0, 0, 0, 0, 0, 1, 0xfe, 0x80, [25] = 9,
		0xff, 0x02, [41] = 1, 0x3a, 0, 5, 2, 0, 0, 1, 0};
	uint16_t at = ipv6 ? 62 : 38, sum;
	if (ipv6)
		memcpy(frame + 12, head6, sizeof(head6));
	uint16_t len = size < sizeof(frame) - at ? size : (uint16_t)(sizeof(frame) - at);
	memcpy(frame + at, data, len);
	uint8_t *message = frame + at;
	if (len > 0)
		message[0] = ipv6 ? MLD_QUERY : IGMP_QUERY;
	if (len >= 4)
		memset(message + 2, 0, 2);
	uint16_t ip_len = (uint16_t)(at - 14 + len - (ipv6 ? 40 : 0));
	frame[ipv6 ? 18 : 16] = (uint8_t)(ip_len >> 8);
	frame[ipv6 ? 19 : 17] = (uint8_t)ip_len;
	if (ipv6) {
		struct rte_ipv6_hdr pseudo = {
			.payload_len = rte_cpu_to_be_16(len), .proto = IPPROTO_ICMPV6};
		memcpy(&pseudo.src_addr, frame + 22, 16);
		memcpy(&pseudo.dst_addr, frame + 38, 16);
		sum = rte_ipv6_udptcp_cksum(&pseudo, message);
	} else {
		sum = (uint16_t)~rte_raw_cksum(frame + 14, 24);
		memcpy(frame + 24, &sum, 2);
		sum = (uint16_t)~rte_raw_cksum(message, len);
	}
	if (len >= 4)
		memcpy(message + 2, &sum, 2);
	return lab_raw_frame(&lab, 0, frame, (uint16_t)(at + len));
}

static struct rte_mbuf *frame_make(const uint8_t *head, const uint8_t *data, uint16_t size)
{
	uint32_t leg = head[1] % LEGS;
	switch (head[0] % FRAME_KINDS) {
	case FRAME_RAW:
		return lab_raw_frame(&lab, head[1] % LAB_PORTS, data, size);
	case FRAME_PAYLOAD:
		return lab_frame(&lab, leg, data, size < 1400 ? size : 1400);
	case FRAME_QUERY:
		return query_frame(head[1] & 1, data, size);
	default:
		return packet_frame(leg, data, size);
	}
}

// A frame that is alone ends where it ends: nobody may look behind it. Where no leg is plain
// nothing is ever written there, because none of it carries a tag.
static void tail_guard(struct rte_mbuf *mbuf)
{
	uint8_t *tail = rte_pktmbuf_mtod_offset(mbuf, uint8_t *, mbuf->data_len);
	ASAN_POISON_MEMORY_REGION(tail, rte_pktmbuf_tailroom(mbuf));
}

static void tail_unguard(struct rte_mbuf *mbuf)
{
	ASAN_UNPOISON_MEMORY_REGION(mbuf->buf_addr, mbuf->buf_len);
}

static unsigned mbufs_read(const uint8_t *data, size_t size, struct rte_mbuf *mbufs[])
{
	unsigned n = 0;
	while (n < WORKER_BURST && size >= FRAME_HEAD) {
		uint16_t len = (uint16_t)((data[2] << 8 | data[3]) % 1600);
		if (len > size - FRAME_HEAD)
			len = (uint16_t)(size - FRAME_HEAD);
		mbufs[n++] = frame_make(data, data + FRAME_HEAD, len);
		data += FRAME_HEAD + len;
		size -= FRAME_HEAD + len;
	}
	return n;
}

// Control's part: every question is refused, every punted frame answered.
static void control_answer(struct worker *worker)
{
	struct control_mail mail;
	while (control_mail_take(&worker->mailbox, &mail)) {
		struct worker_mail answer = {
			.type = MAIL_RESUME, .value = mail.derive.slot, .refused = DROP_NO_KEY};
		if (mail.type == MAIL_DERIVE)
			loop_resume(worker, &answer);
	}
	relay_poll_network(&lab.relay, 1);
	multicast_tick(&lab.relay, clock_now_ms() + LATER_MS);
	struct worker_mail sent; // by worker 0, whoever asked
	while (worker_mail_take(&lab.relay.workers[0]->mailbox, &sent))
		if (sent.type == MAIL_SEND)
			rte_pktmbuf_free(sent.mbuf);
}

// Forgets all streams, so that an input does the same each time.
static void streams_forget(void)
{
	struct stream_table *table = &lab.relay.streams;
	uint32_t unused;
	while (rte_ring_dequeue_elem(table->unused, &unused, sizeof(unused)) == 0)
		;
	memset(table->streams, 0, table->n_touched * sizeof(*table->streams));
	memset(table->buckets, 0, (table->bucket_mask + 1) * sizeof(*table->buckets));
	table->n_touched = 0;
	for (uint32_t i = 0; i < lab.relay.keys.n_touched; i++)
		lab.relay.keys.streams[i] = (struct stream_list){.newest = 0};
	for (uint32_t i = 0; i < lab.n_legs; i++)
		lab.relay.legs.streams[i] = (struct stream_list){.newest = 0};
}

static void worker_renew(struct worker *worker)
{
	worker->n_ssrcs = 4;
	for (uint32_t i = 0; i < worker->n_ssrcs; i++)
		worker->ssrcs[i] = 1000 + i;
	memset(worker->legs, 0, lab.n_legs * sizeof(*worker->legs));
	worker->strangers = (struct hold_share){.slots = 0};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct rte_mbuf *mbufs[WORKER_BURST];
	if (lab.mbufs == 0)
		fuzz_start();
	for (unsigned i = 0; i < lab.relay.n_workers; i++)
		worker_renew(lab.relay.workers[i]);
	unsigned n = mbufs_read(data, size, mbufs);
	struct rte_mbuf *first = n > 0 ? mbufs[0] : NULL;
	bool guarded = n == 1 && data[0] % FRAME_KINDS == FRAME_RAW &&
		       data[1] % LAB_PORTS == PORT_WITHOUT_PLAIN;
	if (guarded)
		tail_guard(first);
	// The first frame goes to the other worker: the rest of its stream is handed over.
	if (n > 0)
		loop_process_burst(lab.relay.workers[1], mbufs, 1);
	if (guarded)
		tail_unguard(first);
	if (n > 1)
		loop_process_burst(lab.relay.workers[0], mbufs + 1, (uint16_t)(n - 1));
	for (uint8_t i = 0; i < lab.relay.n_workers; i++) {
		control_answer(lab.relay.workers[i]);
		while (lab_push_handed_over(&lab, i) > 0)
			;
	}
	for (uint8_t i = 0; i < lab.relay.n_workers; i++)
		lab_take(&lab, i, copies);
	lab_require(rte_mempool_avail_count(lab.relay.pool) == lab.mbufs);
	streams_forget();
	return 0;
}
