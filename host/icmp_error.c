// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "host/icmp_error.h"

#include <string.h>

#include <rte_cycles.h>
#include <rte_icmp.h>
#include <rte_ip.h>
#include <rte_udp.h>

#include "base/clock.h"
#include "base/counter.h"
#include "dataplane/relay_tables.h"
#include "dataplane/worker_state.h"
#include "host/frame.h"
#include "host/news.h"

enum {
	ICMP_UNREACHABLE = 3, // types and codes of RFC 792, RFC 1122 3.2.2.1, RFC 1812 5.2.7.1
	ICMP_FRAGMENTATION_NEEDED = 4,
	ICMP_TIME_EXCEEDED = 11,
	ICMP6_UNREACHABLE = 1, // of RFC 4443 3
	ICMP6_TOO_BIG = 2,
	ICMP6_TIME_EXCEEDED = 3,
	ICMP_IN_TRANSIT = 0, // code of both types of time exceeded
	QUOTE_TTL_MAX = 64,  // with which the relay sends
	ICMP_HEADER_LEN = sizeof(struct rte_icmp_hdr),
	UDP_LEN = sizeof(struct rte_udp_hdr),
};

static const uint8_t reasons_v4[] = {UNREACHABLE_NET, UNREACHABLE_HOST,
	UNREACHABLE_PORT, // no such protocol
	UNREACHABLE_PORT,
	UNREACHABLE_HOST, // fragmentation needed
	UNREACHABLE_NET,  // source route failed
	UNREACHABLE_NET, UNREACHABLE_HOST,
	UNREACHABLE_HOST, // isolated
	UNREACHABLE_PROHIBITED, UNREACHABLE_PROHIBITED,
	UNREACHABLE_NET, // for the type of service
	UNREACHABLE_HOST, UNREACHABLE_PROHIBITED, UNREACHABLE_PROHIBITED, UNREACHABLE_PROHIBITED};

static const uint8_t reasons_v6[] = {UNREACHABLE_NET, UNREACHABLE_PROHIBITED,
	UNREACHABLE_NET, // beyond the scope of the source
	UNREACHABLE_HOST, UNREACHABLE_PORT,
	UNREACHABLE_PROHIBITED, // ingress or egress policy of the source
	UNREACHABLE_PROHIBITED};

// --- reading

static uint16_t octets_read16(const uint8_t *octets)
{
	return (uint16_t)(octets[0] << 8 | octets[1]);
}

// The UDP header behind a quoted IP header, of a packet of quoted_len octets.
static bool quote_read_udp(const uint8_t *udp, size_t ip_len, struct icmp_error *error)
{
	memcpy(&error->local.port, udp, 2);
	memcpy(&error->remote.port, udp + 2, 2);
	return error->quoted_len == ip_len + octets_read16(udp + 4);
}

// The relay sends without options, and unfragmented. The checksum of the quoted header may be from before its TTL
// was lowered.
static bool quote_read_v4(const uint8_t *quote, struct icmp_error *error)
{
	if (quote[0] != RTE_IPV4_VHL_DEF || quote[9] != IPPROTO_UDP || quote[8] > QUOTE_TTL_MAX ||
		(octets_read16(quote + 6) & 0x3fff) != 0)
		return false;
	error->quoted_len = octets_read16(quote + 2);
	error->local = endpoint_ipv4(quote + 12);
	error->remote = endpoint_ipv4(quote + 16);
	return quote_read_udp(
		quote + sizeof(struct rte_ipv4_hdr), sizeof(struct rte_ipv4_hdr), error);
}

static bool quote_read_v6(const uint8_t *quote, struct icmp_error *error)
{
	const size_t ip_len = sizeof(struct rte_ipv6_hdr);
	if (quote[0] >> 4 != 6 || quote[6] != IPPROTO_UDP || quote[7] > QUOTE_TTL_MAX ||
		octets_read16(quote + 4) > UINT16_MAX - ip_len)
		return false;
	error->quoted_len = (uint16_t)(octets_read16(quote + 4) + ip_len);
	error->local = endpoint_ipv6(quote + 8);
	error->remote = endpoint_ipv6(quote + 24);
	return quote_read_udp(quote + ip_len, ip_len, error);
}

static bool error_read_type_v4(const uint8_t *icmp, struct icmp_error *error)
{
	uint8_t code = icmp[1];
	if (icmp[0] == ICMP_TIME_EXCEEDED && code == ICMP_IN_TRANSIT) {
		error->reason = UNREACHABLE_HOPS;
		return true;
	}
	if (icmp[0] != ICMP_UNREACHABLE || code >= RTE_DIM(reasons_v4))
		return false;
	error->too_big = code == ICMP_FRAGMENTATION_NEEDED;
	error->reason = reasons_v4[code];
	error->mtu = octets_read16(icmp + 6);
	return true;
}

static bool error_read_type_v6(const uint8_t *icmp, struct icmp_error *error)
{
	uint8_t code = icmp[1];
	rte_be32_t mtu;
	switch (icmp[0]) {
	case ICMP6_UNREACHABLE:
		if (code >= RTE_DIM(reasons_v6))
			return false;
		error->reason = reasons_v6[code];
		return true;
	case ICMP6_TOO_BIG: // its code does not matter (RFC 4443 3.2)
		memcpy(&mtu, icmp + 4, sizeof(mtu));
		error->too_big = true;
		error->mtu = rte_be_to_cpu_32(mtu);
		return true;
	case ICMP6_TIME_EXCEEDED:
		error->reason = UNREACHABLE_HOPS;
		return code == ICMP_IN_TRANSIT;
	default:
		return false;
	}
}

// An error goes to the source of the packet that it is about.
static bool error_is_to_source(const struct icmp_error *error, const struct endpoint *to)
{
	return endpoint_same_addr(&error->local, to);
}

static bool error_read_v4(const uint8_t *packet, uint16_t len, struct icmp_error *error)
{
	struct rte_ipv4_hdr ip;
	memcpy(&ip, packet, sizeof(ip));
	unsigned header_len = (ip.version_ihl & 0x0fU) * 4;
	unsigned total = rte_be_to_cpu_16(ip.total_length);
	if (ip.next_proto_id != IPPROTO_ICMP || header_len < sizeof(ip) || total > len ||
		total < header_len + ICMP_HEADER_LEN + sizeof(ip) + UDP_LEN)
		return false;
	const uint8_t *icmp = packet + header_len;
	struct endpoint to = endpoint_ipv4((const uint8_t *)&ip.dst_addr);
	error->from = endpoint_ipv4((const uint8_t *)&ip.src_addr);
	return error_read_type_v4(icmp, error) &&
	       rte_raw_cksum(icmp, total - header_len) == 0xffff &&
	       quote_read_v4(icmp + ICMP_HEADER_LEN, error) && error_is_to_source(error, &to);
}

static bool error_read_v6(const uint8_t *packet, uint16_t len, struct icmp_error *error)
{
	struct rte_ipv6_hdr ip;
	memcpy(&ip, packet, sizeof(ip));
	unsigned icmp_len = rte_be_to_cpu_16(ip.payload_len);
	if (ip.proto != IPPROTO_ICMPV6 || icmp_len + sizeof(ip) > len ||
		icmp_len < ICMP_HEADER_LEN + sizeof(ip) + UDP_LEN)
		return false;
	const uint8_t *icmp = packet + sizeof(ip);
	struct endpoint to = endpoint_ipv6((const uint8_t *)&ip.dst_addr);
	error->from = endpoint_ipv6((const uint8_t *)&ip.src_addr);
	return error_read_type_v6(icmp, error) && frame_icmp6_checksum_ok(&ip, icmp) &&
	       quote_read_v6(icmp + ICMP_HEADER_LEN, error) && error_is_to_source(error, &to);
}

bool icmp_error_read(const uint8_t *packet, uint16_t len, struct icmp_error *error)
{
	*error = (struct icmp_error){};
	if (len >= sizeof(struct rte_ipv6_hdr) && packet[0] >> 4 == 6)
		return error_read_v6(packet, len, error);
	return len >= sizeof(struct rte_ipv4_hdr) && packet[0] >> 4 == 4 &&
	       error_read_v4(packet, len, error);
}

// --- checking

static bool leg_was_sent_to(const struct relay *relay, uint32_t leg)
{
	uint64_t last = 0, now = rte_rdtsc();
	for (unsigned w = 0; w < relay->n_workers; w++)
		last = RTE_MAX(last, counter_read(&relay->workers[w]->legs[leg].last_tx_tsc));
	return last != 0 && now < last + ICMP_QUOTE_SECONDS * rte_get_tsc_hz();
}

// The leg that was sent what is quoted, as far as the relay knows what it sent; NULL: none.
static const struct leg *quote_find_leg(
	const struct relay *relay, uint8_t port, const struct icmp_error *error)
{
	const struct port *p = &relay->ports[port];
	const struct port_address *address = port_find_address(p, &error->local);
	if (!address || error->quoted_len > p->mtu)
		return NULL;
	uint32_t slot = atomic_load_explicit(
		&address->legs[ntohs(error->local.port)], memory_order_relaxed);
	const struct leg *leg = slot != 0 ? leg_get(&relay->legs, slot - 1) : NULL;
	if (!leg || leg->port != port || !endpoint_equal(&leg->remote, &error->remote) ||
		!leg_was_sent_to(relay, leg->index))
		return NULL;
	return leg;
}

// What a router that is older than RFC 1191 would say: the next of the sizes that links have (7.1).
static uint32_t mtu_guess(uint16_t quoted_len)
{
	static const uint16_t plateaus[] = {8166, 4352, 2002, 1492, 1006, ICMP_MTU_MIN_IPV4};
	for (size_t i = 0; i < RTE_DIM(plateaus); i++)
		if (plateaus[i] < quoted_len)
			return plateaus[i];
	return 0;
}

// The MTU that an error tells; 0: none that can be.
static uint16_t error_mtu(const struct icmp_error *error)
{
	bool ipv4 = error->local.family == AF_INET;
	uint32_t mtu = error->mtu == 0 && ipv4 ? mtu_guess(error->quoted_len) : error->mtu;
	if (mtu < (ipv4 ? ICMP_MTU_MIN_IPV4 : ICMP_MTU_MIN_IPV6) || mtu >= error->quoted_len)
		return 0;
	return (uint16_t)mtu;
}

// Nobody may send an error about a packet to a group (RFC 1122 3.2.2), but in IPv6 of its size (RFC 4443 2.4).
static bool error_may_be(const struct port *port, const struct icmp_error *error)
{
	bool to_group = endpoint_is_multicast(&error->remote);
	return port_address_is_hosts(port, &error->from) &&
	       (!to_group || (error->too_big && error->remote.family == AF_INET6)) &&
	       (!error->too_big || error_mtu(error) != 0);
}

// Whoever guesses at addresses and ports has few guesses, and all are deaf to errors while he makes them.
static bool quotes_exhausted(struct news_list *news)
{
	uint64_t now_ms = clock_now_ms();
	if (now_ms >= news->quotes_ms + 1000) {
		news->quotes_ms = now_ms;
		news->quotes_right = news->quotes_wrong = 0;
	}
	return news->quotes_wrong >= ICMP_WRONG_PER_SECOND ||
	       news->quotes_right >= ICMP_RIGHT_PER_SECOND;
}

void icmp_error_hear(struct relay *relay, uint8_t port, const uint8_t *packet, uint16_t len)
{
	struct icmp_error error;
	if (!icmp_error_read(packet, len, &error) || quotes_exhausted(relay->news))
		return;
	const struct leg *leg = quote_find_leg(relay, port, &error);
	if (!leg || !error_may_be(&relay->ports[port], &error)) {
		relay->news->quotes_wrong++;
		return;
	}
	relay->news->quotes_right++;
	const struct news news = {
		.type = error.too_big ? NEWS_PATH_MTU : NEWS_UNREACHABLE,
		.port = port,
		.unreachable = error.reason,
		.mtu = error.too_big ? error_mtu(&error) : 0,
		.leg = leg->index,
		.serial = leg->serial,
		.addr = error.from,
	};
	news_add(relay, &news);
}
