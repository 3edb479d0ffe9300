// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <string.h>

#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_prefetch.h>
#include <rte_udp.h>

#include "dataplane/burst.h"
#include "dataplane/punt.h"
#include "dataplane/stages.h"
#include "dataplane/worker_state.h"

#define NOINLINE __attribute__((noinline))

// Result of parsing a frame. Its address is not passed to any function, so that it stays in
// registers.
struct frame {
	const uint8_t *ip;   // what follows the Ethernet header
	unsigned room;       // octets there
	uint16_t ether_type; // behind a VLAN tag, if there is one
	uint16_t l3_len;     // octets of the IP header
	uint16_t ip_len;     // octets from the IP header on, by the header
	uint8_t protocol;    // of the IP payload
	bool to_group;       // destination is multicast
	uint8_t family;
	uint64_t source[2], destination[2]; // words of struct endpoint
};

// Quarters of a port's part of the ring of frames for the control thread. Without ARP and ND nothing can be sent, without
// answers to queries nothing is received from groups; echo requests must not shut out either.
enum { PUNT_ECHO = 2, PUNT_QUERY = 3, PUNT_URGENT = 4 };

enum { ARP_NO_PROTOCOL = 255 }; // reserved as a protocol of IP (RFC 5237)

static inline void frame_set_addresses(
	struct frame *f, struct endpoint source, struct endpoint destination)
{
	f->family = source.family;
	f->source[0] = source.words[0];
	f->source[1] = source.words[1];
	f->destination[0] = destination.words[0];
	f->destination[1] = destination.words[1];
	f->to_group = endpoint_is_multicast(&destination);
}

static inline struct endpoint frame_source(const struct frame *f)
{
	return (struct endpoint){.words = {f->source[0], f->source[1]}, .family = f->family};
}

static inline struct endpoint frame_destination(const struct frame *f)
{
	return (struct endpoint){
		.words = {f->destination[0], f->destination[1]}, .family = f->family};
}

// A frame that a switch floods, or a promiscuous port takes, to a host that is not the relay.
static inline bool frame_is_for_another(const uint8_t *frame, const struct port *port)
{
	return !(frame[0] & RTE_ETHER_GROUP_ADDR) &&
	       memcmp(frame, &port_l2(port)->mac, RTE_ETHER_ADDR_LEN) != 0;
}

// A tag other than that of IEEE 802.1Q is that of another network, whatever its number.
// net_af_packet, whose driver does not distinguish them, has the frame end behind it: see
// interface_cut_service_tags().
static inline enum drop_reason parse_ethernet(
	const struct rte_mbuf *mbuf, const struct port *port, struct frame *f)
{
	const uint8_t *data = rte_pktmbuf_mtod(mbuf, const uint8_t *);
	if (mbuf->data_len < RTE_ETHER_HDR_LEN || mbuf->nb_segs != 1)
		return DROP_FRAME_SHORT;
	uint16_t vlan = 0;
	f->ether_type = srtp_read16(data + 12);
	f->ip = data + RTE_ETHER_HDR_LEN;
	f->room = mbuf->data_len - (unsigned)RTE_ETHER_HDR_LEN;
	if (mbuf->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) {
		vlan = mbuf->vlan_tci & 0x0fff;
	} else if (f->ether_type == RTE_ETHER_TYPE_VLAN) {
		if (f->room < RTE_VLAN_HLEN)
			return DROP_FRAME_SHORT;
		if (f->room == RTE_VLAN_HLEN)
			return DROP_VLAN;
		vlan = srtp_read16(data + 14) & 0x0fff;
		f->ether_type = srtp_read16(data + 16);
		f->ip += RTE_VLAN_HLEN;
		f->room -= RTE_VLAN_HLEN;
	} else if (unlikely(f->ether_type == RTE_ETHER_TYPE_QINQ)) {
		return DROP_VLAN;
	}
	if (vlan != port->vlan)
		return DROP_VLAN;
	return unlikely(frame_is_for_another(data, port)) ? DROP_NOT_LOCAL : DROP_NONE;
}

// Whether the ones' complement sum of a header of len octets is 0xffff, read as words of 4 octets: what divides by
// 0xffff, and is not 0 because the version is not.
static inline bool ipv4_words_sum_ok(const uint8_t *ip, unsigned len)
{
	uint64_t sum = 0;
	for (unsigned at = 0; at < len; at += 4) {
		uint32_t word;
		memcpy(&word, ip + at, sizeof(word));
		sum += word;
	}
	return sum % 0xffff == 0;
}

// Nearly all have no options, and a sum of constant length has no loop.
static inline bool ipv4_sum_ok(const uint8_t *ip, unsigned len)
{
	return len == sizeof(struct rte_ipv4_hdr)
		       ? ipv4_words_sum_ok(ip, sizeof(struct rte_ipv4_hdr))
		       : ipv4_words_sum_ok(ip, len);
}

// RFC 791; options are skipped, fragments refused: media is never fragmented, and reassembly is
// state.
static inline enum drop_reason parse_ipv4(struct frame *f)
{
	const uint8_t *ip = f->ip;
	if (f->room < sizeof(struct rte_ipv4_hdr))
		return DROP_FRAME_SHORT;
	f->l3_len = (uint16_t)((ip[0] & 0x0f) * 4);
	f->ip_len = srtp_read16(ip + 2);
	if (f->ip_len > f->room)
		return DROP_FRAME_SHORT;
	if (ip[0] >> 4 != 4 || f->l3_len < sizeof(struct rte_ipv4_hdr) || f->l3_len > f->ip_len ||
		!ipv4_sum_ok(ip, f->l3_len))
		return DROP_IP_HEADER;
	if ((srtp_read16(ip + 6) & 0x3fff) != 0)
		return DROP_IP_FRAGMENT;
	f->protocol = ip[9];
	frame_set_addresses(f, endpoint_ipv4(ip + 12), endpoint_ipv4(ip + 16));
	return DROP_NONE;
}

// RFC 8200; extension headers are refused as an unknown protocol, but for those of a query for
// group members: no MCX client sends any with media.
static inline enum drop_reason parse_ipv6(struct frame *f)
{
	const uint8_t *ip = f->ip;
	if (f->room < sizeof(struct rte_ipv6_hdr))
		return DROP_FRAME_SHORT;
	unsigned len = srtp_read16(ip + 4) + (unsigned)sizeof(struct rte_ipv6_hdr);
	if (len > f->room)
		return DROP_FRAME_SHORT;
	if (ip[0] >> 4 != 6)
		return DROP_IP_HEADER;
	f->l3_len = sizeof(struct rte_ipv6_hdr);
	f->ip_len = (uint16_t)len;
	f->protocol = ip[6];
	if (f->protocol == IPPROTO_FRAGMENT)
		return DROP_IP_FRAGMENT;
	frame_set_addresses(f, endpoint_ipv6(ip + 8), endpoint_ipv6(ip + 24));
	return DROP_NONE;
}

// The headers in front of UDP, or of what else there is: ARP has protocol ARP_NO_PROTOCOL.
static inline enum drop_reason parse_headers(
	const struct rte_mbuf *mbuf, const struct port *port, struct frame *f)
{
	enum drop_reason reason = parse_ethernet(mbuf, port, f);
	if (reason != DROP_NONE)
		return reason;
	if (likely(f->ether_type == RTE_ETHER_TYPE_IPV4))
		return parse_ipv4(f);
	if (f->ether_type == RTE_ETHER_TYPE_IPV6)
		return parse_ipv6(f);
	f->protocol = ARP_NO_PROTOCOL;
	return f->ether_type == RTE_ETHER_TYPE_ARP ? DROP_NONE : DROP_ETHERTYPE;
}

// What the destination is to the port: an address of its own, or a group that it joined.
static inline const struct port_address *frame_address(
	const struct relay *relay, const struct port *port, const struct frame *f)
{
	struct endpoint destination = frame_destination(f);
	if (likely(!f->to_group))
		return port_find_address(port, &destination);
	struct endpoint group = destination;
	const struct multicast_table *table = atomic_load_explicit(
		&relay->multicast_tables[port - relay->ports], memory_order_acquire);
	return multicast_table_find(table, &group);
}

// RFC 768. The checksum is not verified: veth peers leave it to offload, and media has its tag. What is behind the
// datagram in its IP packet is skipped, as hosts do (RFC 9868 puts options there).
static inline enum drop_reason parse_udp(
	const struct relay *relay, const struct port *port, const struct frame *f, struct packet *p)
{
	const struct port_address *address = frame_address(relay, port, f);
	if (!address)
		return DROP_NOT_LOCAL;
	// What the relay itself sent to a group is ignored when it is looped back.
	struct endpoint source = frame_source(f);
	if (unlikely(f->to_group) && port_find_address(port, &source))
		return DROP_OWN_SOURCE;
	unsigned room = f->ip_len - (unsigned)f->l3_len;
	const uint8_t *udp = f->ip + f->l3_len;
	if (room < sizeof(struct rte_udp_hdr))
		return DROP_UDP_LENGTH;
	unsigned udp_len = srtp_read16(udp + 4);
	if (udp_len < sizeof(struct rte_udp_hdr) || udp_len > room)
		return DROP_UDP_LENGTH;
	if (f->family == AF_INET6 && unlikely(srtp_read16(udp + 6) == 0)) // RFC 8200 8.1
		return DROP_UDP_CHECKSUM;
	p->address = address;
	p->to_group = f->to_group;
	p->udp_dst = srtp_read16(udp + 2);
	p->leg_slot = &address->legs[p->udp_dst];
	rte_prefetch0((const void *)p->leg_slot); // for stage_leg
	// Member by member: a structure put together in memory is not read again before all of it is stored.
	p->source.words[0] = f->source[0];
	p->source.words[1] = f->source[1];
	memcpy(&p->source.port, udp, sizeof(p->source.port));
	p->source.family = f->family;
	p->source.zero = 0;
	p->data = udp + sizeof(struct rte_udp_hdr);
	p->len = (uint16_t)(udp_len - sizeof(struct rte_udp_hdr));
	return DROP_NONE;
}

// Leaves the RTP or RTCP packet in the buffer, which has one segment. What follows the IP packet is padding of the
// frame.
static inline void packet_cut_out(struct packet *p, struct rte_mbuf *mbuf)
{
	p->headers_len = (uint16_t)(p->data - rte_pktmbuf_mtod(mbuf, const uint8_t *));
	mbuf->data_off += p->headers_len;
	mbuf_cut(mbuf, p->len);
}

// IGMP, or ICMPv6 right behind a hop-by-hop header, with a query for group members in it: what else
// there is of either is for routers.
static bool frame_is_query(const struct frame *f)
{
	const uint8_t *payload = f->ip + f->l3_len;
	unsigned len = f->ip_len - (unsigned)f->l3_len;
	if (f->family == AF_INET)
		return f->protocol == IPPROTO_IGMP && len > 0 && payload[0] == IGMP_QUERY;
	if (f->protocol != IPPROTO_HOPOPTS || len < 2 || payload[0] != IPPROTO_ICMPV6)
		return false;
	unsigned hop_len = 8 + payload[1] * 8U;
	return len > hop_len && payload[hop_len] == MLD_QUERY;
}

static bool frame_is_to_all(const struct frame *f)
{
	struct endpoint destination = frame_destination(f);
	static const struct endpoint all_systems = {.family = AF_INET, .addr = {224, 0, 0, 1}};
	static const struct endpoint all_nodes = {
		.family = AF_INET6, .addr = {0xff, 0x02, [15] = 1}};
	return endpoint_same_addr(&destination, &all_systems) ||
	       endpoint_same_addr(&destination, &all_nodes);
}

// Whether the control thread is to have a frame that is not UDP, and how many quarters of the port's part such frames may fill.
static enum drop_reason frame_find_punt(
	const struct relay *relay, const struct port *port, const struct frame *f, unsigned *punt)
{
	*punt = PUNT_URGENT;
	if (f->ether_type == RTE_ETHER_TYPE_ARP)
		return DROP_NONE;
	if (f->protocol == IPPROTO_ICMP || f->protocol == IPPROTO_ICMPV6) {
		const uint8_t *icmp = f->ip + f->l3_len;
		if (f->family == AF_INET6 && f->protocol == IPPROTO_ICMPV6 &&
			f->ip_len > f->l3_len &&
			(icmp[0] == ND_SOLICITATION || icmp[0] == ND_ADVERTISEMENT))
			return DROP_NONE;
		struct endpoint destination = frame_destination(f);
		*punt = PUNT_ECHO;
		return port_find_address(port, &destination) ? DROP_NONE : DROP_NOT_LOCAL;
	}
	if (!frame_is_query(f))
		return DROP_IP_PROTOCOL;
	*punt = PUNT_QUERY;
	return frame_is_to_all(f) || frame_address(relay, port, f) ? DROP_NONE : DROP_NOT_LOCAL;
}

// Each port has an equal part of the ring: what floods one is nothing to the others.
static bool punt_has_room(struct relay *relay, unsigned port, unsigned quarters)
{
	uint32_t part = (PUNT_SIZE - 1) / relay->n_ports;
	// What is subtracted has left the ring before.
	uint32_t n = atomic_fetch_add_explicit(&relay->punted[port], 1, memory_order_acquire);
	if (n < part * quarters / PUNT_URGENT)
		return true;
	atomic_fetch_sub_explicit(&relay->punted[port], 1, memory_order_relaxed);
	return false;
}

// Gives a frame that is not UDP to the control thread: DROP_NONE if that has it. There are few, so it is parsed anew.
static NOINLINE enum drop_reason frame_punt(
	struct relay *relay, const struct port *port, struct rte_mbuf *mbuf)
{
	struct frame frame;
	unsigned punt;
	enum drop_reason reason = parse_headers(mbuf, port, &frame);
	if (reason == DROP_NONE)
		reason = frame_find_punt(relay, port, &frame, &punt);
	if (reason != DROP_NONE)
		return reason;
	if (!punt_has_room(relay, (unsigned)(port - relay->ports), punt))
		return DROP_PUNT_FULL;
	rte_ring_enqueue(relay->punt, mbuf); // it has room for all parts
	return DROP_NONE;
}

static NOINLINE void frame_drop(
	struct worker *worker, struct rte_mbuf *mbuf, enum drop_reason reason)
{
	worker_count_drop(worker, NULL, reason);
	rte_pktmbuf_free(mbuf);
}

// Whether a frame waited for a key context, here or at the worker that handed it over.
static inline bool frame_was_held(const struct burst_origin *origin, const struct rte_mbuf *mbuf)
{
	return origin->source == BURST_HELD ||
	       (origin->source == BURST_HANDED_OVER && mbuf->hash.usr == HANDOFF_HELD);
}

uint16_t stage_parse(struct worker *worker, const struct burst_origin *origin,
	struct rte_mbuf *mbufs[], uint16_t n, struct packet *packets[])
{
	struct relay *relay = worker->relay;
	for (uint16_t i = 0; i < n; i++)
		rte_prefetch0(rte_pktmbuf_mtod(mbufs[i], void *));
	struct packet **out = packets, *p = worker->packets;
	for (uint16_t i = 0; i < n; i++) {
		struct rte_mbuf *mbuf = mbufs[i];
		p->mbuf = mbuf;
		p->plaintext = NULL;
		p->held = frame_was_held(origin, mbuf);
		const struct port *port = &relay->ports[relay->port_of_ethdev[mbuf->port]];
		struct frame frame;
		enum drop_reason reason = parse_headers(mbuf, port, &frame);
		if (reason == DROP_NONE && frame.protocol == IPPROTO_UDP) {
			reason = parse_udp(relay, port, &frame, p);
		} else if (reason == DROP_NONE) {
			reason = frame_punt(relay, port, mbuf);
			if (reason == DROP_NONE)
				continue;
		}
		if (reason != DROP_NONE) {
			frame_drop(worker, mbuf, reason);
			continue;
		}
		packet_cut_out(p, mbuf);
		*out++ = p++;
	}
	return (uint16_t)(out - packets);
}
