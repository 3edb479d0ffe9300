// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <string.h>

#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_prefetch.h>
#include <rte_udp.h>

#include "dataplane/stages.h"
#include "dataplane/worker.h"

// Where the borders of a frame are, while it is being parsed.
struct frame {
	struct rte_mbuf *mbuf;
	const struct port *port;
	const struct multicast *multicast; // of the port
	uint16_t l2_len, l3_len;           // octets; l3_len without UDP
	uint16_t ip_len;                   // octets from the IP header on, as the header says
	uint8_t protocol;                  // of the IP payload
	struct endpoint *source;           // of the packet that it becomes
	struct endpoint destination;
	unsigned punt; // for the control thread: how far it may fill the ring to it; 0: not
};

// Of the ring of frames for the control thread. Without ARP and ND nothing can be sent, without
// answers to queries nothing is received from groups; echo requests must not shut out either.
enum {
	PUNT_URGENT = PUNT_SIZE,
	PUNT_QUERY = PUNT_SIZE / 4 * 3,
	PUNT_ECHO = PUNT_SIZE / 2,
};

static enum drop_reason parse_ethernet(struct frame *f, uint16_t *ether_type)
{
	const uint8_t *data = rte_pktmbuf_mtod(f->mbuf, const uint8_t *);
	if (f->mbuf->data_len < RTE_ETHER_HDR_LEN || f->mbuf->nb_segs != 1)
		return DROP_FRAME_SHORT;
	uint16_t type = (uint16_t)(data[12] << 8 | data[13]);
	uint16_t vlan = 0;
	f->l2_len = RTE_ETHER_HDR_LEN;
	if (f->mbuf->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED) {
		vlan = f->mbuf->vlan_tci & 0x0fff;
	} else if (type == RTE_ETHER_TYPE_VLAN) {
		if (f->mbuf->data_len < RTE_ETHER_HDR_LEN + RTE_VLAN_HLEN)
			return DROP_FRAME_SHORT;
		vlan = (uint16_t)(data[14] << 8 | data[15]) & 0x0fff;
		type = (uint16_t)(data[16] << 8 | data[17]);
		f->l2_len += RTE_VLAN_HLEN;
	}
	if (vlan != f->port->vlan)
		return DROP_VLAN;
	*ether_type = type;
	return DROP_NONE;
}

// Nearly all have no options, and a sum of constant length has no loop.
static uint16_t ipv4_header_sum(const uint8_t *ip, uint16_t len)
{
	return len == sizeof(struct rte_ipv4_hdr) ? rte_raw_cksum(ip, sizeof(struct rte_ipv4_hdr))
						  : rte_raw_cksum(ip, len);
}

// RFC 791; options are skipped, fragments refused: media is never fragmented, and reassembly is
// state.
static enum drop_reason parse_ipv4(struct frame *f)
{
	const uint8_t *ip = rte_pktmbuf_mtod_offset(f->mbuf, const uint8_t *, f->l2_len);
	uint16_t room = f->mbuf->data_len - f->l2_len;
	if (room < sizeof(struct rte_ipv4_hdr))
		return DROP_FRAME_SHORT;
	f->l3_len = (uint16_t)((ip[0] & 0x0f) * 4);
	f->ip_len = (uint16_t)(ip[2] << 8 | ip[3]);
	if (f->ip_len > room)
		return DROP_FRAME_SHORT;
	if (ip[0] >> 4 != 4 || f->l3_len < sizeof(struct rte_ipv4_hdr) || f->l3_len > f->ip_len ||
		ipv4_header_sum(ip, f->l3_len) != 0xffff)
		return DROP_IP_HEADER;
	if ((ip[6] & 0x3f) != 0 || ip[7] != 0)
		return DROP_IP_FRAGMENT;
	f->protocol = ip[9];
	*f->source = endpoint_ipv4(ip + 12);
	f->destination = endpoint_ipv4(ip + 16);
	return DROP_NONE;
}

// RFC 8200; extension headers are refused as an unknown protocol, but for those of a query for
// group members: no MCX client sends any with media.
static enum drop_reason parse_ipv6(struct frame *f)
{
	const uint8_t *ip = rte_pktmbuf_mtod_offset(f->mbuf, const uint8_t *, f->l2_len);
	uint16_t room = f->mbuf->data_len - f->l2_len;
	if (room < sizeof(struct rte_ipv6_hdr))
		return DROP_FRAME_SHORT;
	unsigned len = (unsigned)(ip[4] << 8 | ip[5]) + sizeof(struct rte_ipv6_hdr);
	if (len > room)
		return DROP_FRAME_SHORT;
	if (ip[0] >> 4 != 6)
		return DROP_IP_HEADER;
	f->l3_len = sizeof(struct rte_ipv6_hdr);
	f->ip_len = (uint16_t)len;
	f->protocol = ip[6];
	if (f->protocol == IPPROTO_FRAGMENT)
		return DROP_IP_FRAGMENT;
	*f->source = endpoint_ipv6(ip + 8);
	f->destination = endpoint_ipv6(ip + 24);
	return DROP_NONE;
}

// What the port knows of the destination: an address of its own, or a group that it joined.
static const struct port_address *frame_address(const struct frame *f)
{
	if (endpoint_is_multicast(&f->destination))
		return multicast_find(f->multicast, &f->destination);
	return port_find_address(f->port, &f->destination);
}

// RFC 768. The checksum is not verified: veth peers leave it to offload, and media has its tag.
static enum drop_reason parse_udp(struct frame *f, struct packet *p)
{
	const struct port_address *address = frame_address(f);
	if (!address)
		return DROP_NOT_LOCAL;
	// What the relay sent to a group is not for the relay, whoever brings it back.
	if (endpoint_is_multicast(&f->destination) && port_find_address(f->port, f->source))
		return DROP_OWN_SOURCE;
	unsigned udp_len = f->ip_len - f->l3_len;
	const uint8_t *udp =
		rte_pktmbuf_mtod_offset(f->mbuf, const uint8_t *, f->l2_len + f->l3_len);
	if (udp_len < sizeof(struct rte_udp_hdr) || (unsigned)(udp[4] << 8 | udp[5]) != udp_len)
		return DROP_UDP_LENGTH;
	p->address = address;
	p->udp_dst = (uint16_t)(udp[2] << 8 | udp[3]);
	memcpy(&p->source.port, udp, 2);
	// What follows the IP packet is padding of the frame.
	f->mbuf->l2_len = f->l2_len;
	f->mbuf->l3_len = f->l3_len + sizeof(struct rte_udp_hdr);
	rte_pktmbuf_trim(f->mbuf, (uint16_t)(f->mbuf->data_len - f->l2_len - f->ip_len));
	p->data = (const uint8_t *)rte_pktmbuf_adj(f->mbuf, f->mbuf->l2_len + f->mbuf->l3_len);
	p->len = f->mbuf->data_len;
	return DROP_NONE;
}

static enum drop_reason parse_icmp(struct frame *f)
{
	const uint8_t *icmp =
		rte_pktmbuf_mtod_offset(f->mbuf, const uint8_t *, f->l2_len + f->l3_len);
	// Neighbour Solicitation and Advertisement (RFC 4861 4.3, 4.4)
	bool urgent = f->source->family == AF_INET6 && f->protocol == IPPROTO_ICMPV6 &&
		      f->ip_len > f->l3_len && (icmp[0] == 135 || icmp[0] == 136);
	if (!urgent && !port_find_address(f->port, &f->destination))
		return DROP_NOT_LOCAL;
	f->punt = urgent ? PUNT_URGENT : PUNT_ECHO;
	return DROP_NONE;
}

// IGMP, or ICMPv6 right behind a hop-by-hop header, with a query for group members in it: what else
// there is of either is for routers.
static bool frame_is_query(const struct frame *f)
{
	const uint8_t *payload =
		rte_pktmbuf_mtod_offset(f->mbuf, const uint8_t *, f->l2_len + f->l3_len);
	unsigned len = f->ip_len - f->l3_len;
	if (f->source->family == AF_INET)
		return f->protocol == IPPROTO_IGMP && len > 0 && payload[0] == IGMP_QUERY;
	if (f->protocol != IPPROTO_HOPOPTS || len < 2 || payload[0] != IPPROTO_ICMPV6)
		return false;
	unsigned hop_len = 8 + payload[1] * 8U;
	return len > hop_len && payload[hop_len] == MLD_QUERY;
}

static enum drop_reason parse_query(struct frame *f)
{
	static const struct endpoint all_systems = {.family = AF_INET, .addr = {224, 0, 0, 1}};
	static const struct endpoint all_nodes = {
		.family = AF_INET6, .addr = {0xff, 0x02, [15] = 1}};
	if (!endpoint_same_addr(&f->destination, &all_systems) &&
		!endpoint_same_addr(&f->destination, &all_nodes) && !frame_address(f))
		return DROP_NOT_LOCAL;
	f->punt = PUNT_QUERY;
	return DROP_NONE;
}

static enum drop_reason parse_frame(struct frame *f, struct packet *p)
{
	uint16_t ether_type = 0;
	enum drop_reason reason = parse_ethernet(f, &ether_type);
	if (reason != DROP_NONE)
		return reason;
	switch (ether_type) {
	case RTE_ETHER_TYPE_ARP:
		f->punt = PUNT_URGENT;
		return DROP_NONE;
	case RTE_ETHER_TYPE_IPV4:
		reason = parse_ipv4(f);
		break;
	case RTE_ETHER_TYPE_IPV6:
		reason = parse_ipv6(f);
		break;
	default:
		return DROP_ETHERTYPE;
	}
	if (reason != DROP_NONE)
		return reason;
	if (f->protocol == IPPROTO_UDP)
		return parse_udp(f, p);
	if (f->protocol == IPPROTO_ICMP || f->protocol == IPPROTO_ICMPV6)
		return parse_icmp(f);
	return frame_is_query(f) ? parse_query(f) : DROP_IP_PROTOCOL;
}

static bool frame_punt(struct worker *worker, const struct frame *f)
{
	struct rte_ring *punt = worker->relay->punt;
	if (rte_ring_count(punt) > f->punt)
		return false;
	return rte_ring_enqueue(punt, f->mbuf) == 0;
}

uint16_t stage_parse(
	struct worker *worker, struct rte_mbuf *mbufs[], uint16_t n, struct packet *packets[])
{
	for (uint16_t i = 0; i < n; i++)
		rte_prefetch0(rte_pktmbuf_mtod(mbufs[i], void *));
	uint16_t out = 0;
	for (uint16_t i = 0; i < n; i++) {
		struct packet *p = &worker->packets[out];
		p->mbuf = mbufs[i];
		p->clear = NULL;
		p->leg = NULL;
		p->port = worker->relay->port_of_ethdev[mbufs[i]->port];
		struct frame frame; // what parsing finds is set where it is found
		frame.mbuf = mbufs[i];
		frame.port = &worker->relay->ports[p->port];
		frame.multicast = &worker->relay->multicast[p->port];
		frame.source = &p->source;
		frame.punt = 0;
		enum drop_reason reason = parse_frame(&frame, p);
		if (reason == DROP_NONE && frame.punt > 0) {
			if (frame_punt(worker, &frame))
				continue;
			reason = DROP_PUNT_FULL;
		}
		if (reason != DROP_NONE) {
			worker_drop(worker, p, reason);
			continue;
		}
		packets[out++] = p;
	}
	return out;
}
