// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

// Every reason for which a packet, or one copy of it, is not forwarded: enum, name in relay.stats
// and metrics, text. Counted per worker and, where the leg is known, per leg.
#define DROP_REASONS(_)                                                                            \
	/* stage_parse */                                                                          \
	_(FRAME_SHORT, "frame_short", "frame shorter than its headers say")                        \
	_(VLAN, "vlan", "frame of another VLAN than the port's")                                   \
	_(ETHERTYPE, "ethertype", "neither IPv4, IPv6 nor ARP")                                    \
	_(IP_HEADER, "ip_header", "malformed IP header or wrong header checksum")                  \
	_(IP_FRAGMENT, "ip_fragment", "IP fragment")                                               \
	_(IP_PROTOCOL, "ip_protocol", "neither UDP, ICMP nor a query for group members")           \
	_(NOT_LOCAL, "not_local", "destination is no address of the port nor a group it joined")   \
	_(OWN_SOURCE, "own_source", "multicast from the own address of the port")                  \
	_(UDP_LENGTH, "udp_length", "UDP length disagrees with the IP packet")                     \
	_(UDP_CHECKSUM, "udp_checksum", "UDP over IPv6 without a checksum")                        \
	_(PUNT_FULL, "punt_full", "more ARP, ND, ICMP and IGMP than the control thread takes")     \
	/* stage_leg */                                                                            \
	_(NO_LEG, "no_leg", "no leg on this address and port")                                     \
	_(LEG_MUTED, "leg_muted", "the leg may not send to the relay (receive is false)")          \
	_(SOURCE, "source_mismatch",                                                               \
		"not from where an unauthenticated leg is heard, its source or remote")            \
	_(NOT_RTP, "not_rtp", "neither well-formed RTP nor RTCP")                                  \
	_(RTCP_OFF, "rtcp_off", "RTCP on a leg with rtcp none")                                    \
	_(MEDIA_ON_CONTROL, "media_on_control", "RTP on a leg for control traffic")                \
	/* stage_key */                                                                            \
	_(UNKNOWN_MKI, "unknown_mki", "MKI of no key of the leg that is active")                   \
	_(UNKNOWN_USER, "unknown_user",                                                            \
		"GUK-ID of no user that the GMK lists, or none and the leg names no user")         \
	_(NO_KEY, "no_key", "the leg's key is not installed or not active")                        \
	_(DERIVE_LIMIT, "derive_limit", "too many unknown talkers on the leg at once")             \
	_(HOLD_FULL, "hold_full", "too many packets of the leg wait for key contexts")             \
	/* stage_stream */                                                                         \
	_(REPLAYED, "replayed", "packet index was received before")                                \
	_(TOO_OLD, "too_old", "packet index behind the replay list")                               \
	_(MISORDERED, "misordered",                                                                \
		"plain packet from before its sender's first one: no packet index is left")        \
	_(STREAM_LIMIT, "stream_limit", "as many streams as limits.streams allows")                \
	_(STREAM_SHARE, "stream_share",                                                            \
		"its sender, or its leg, has begun as many streams as one may have")               \
	_(SSRC_COLLISION, "ssrc_collision", "two senders with one SSRC under one key")             \
	_(INDEX_USED, "index_used",                                                                \
		"its sender counts anew, and the leg may not take another fresh SSRC yet")         \
	_(STREAM_BUSY, "stream_busy",                                                              \
		"another worker was sending under the same key and SSRC, or it goes to rest")      \
	_(SSRC_POOL, "ssrc_pool", "no fresh SSRC at hand for media that needs one")                \
	_(HANDOFF_FULL, "handoff_full", "the worker that owns the stream takes no more")           \
	/* stage_unprotect */                                                                      \
	_(SRTP_SHORT, "srtp_short", "shorter than header, tag, index and MKI")                     \
	_(AUTH_FAIL, "auth_fail", "authentication tag does not match")                             \
	_(INDEX_LIMIT, "index_limit", "packet index beyond the lifetime of the key")               \
	_(CIPHER_FAIL, "cipher_fail", "the cipher reported an error")                              \
	_(MALFORMED_CLEAR, "malformed_clear", "authentic, but no well-formed RTCP inside")         \
	/* stage_commit */                                                                         \
	_(RATE_LIMITED, "rate_limited",                                                            \
		"more than the rate of the leg, or than its share while the worker is overloaded") \
	/* stage_route and stage_protect, per copy */                                              \
	_(NO_RECEIVER, "no_receiver", "no other leg of the session takes it")                      \
	_(UNKNOWN_TALKER, "unknown_talker", "user unknown who would be the talker under the GMK")  \
	_(SENDERS_KEY, "senders_key", "the receiver's key is one that its sender protects under")  \
	_(NO_CONVERSION, "no_conversion", "one of two legs is opaque: no key to convert with")     \
	_(RTCP_UNTRANSLATED, "rtcp_untranslated",                                                  \
		"RTCP beside plain media, or a part of it, that cannot be translated")             \
	/* stage_output, per copy */                                                               \
	_(TOO_BIG, "larger_than_mtu",                                                              \
		"larger, after protection, than the MTU of the port or of the path")               \
	_(NO_REMOTE, "no_remote", "remote of the leg is null: not known where to send")            \
	_(NEXT_HOP, "next_hop_unresolved", "next hop does not tell its link-layer address")        \
	_(NO_BUFFER, "no_buffer", "packet buffers used up")                                        \
	_(TX_FULL, "tx_full", "the port takes no more packets")                                    \
	_(PORT_DOWN, "port_down", "the port's link is down")

enum drop_reason {
	DROP_NONE,
#define _(name, label, text) DROP_##name,
	DROP_REASONS(_)
#undef _
		DROP_N_REASONS,
};

// The reasons of stage_output stand last in the list: a leg counts them as a receiver.
enum { DROP_COPY_FIRST = DROP_TOO_BIG, DROP_COPY_N = DROP_N_REASONS - DROP_COPY_FIRST };

// Label in relay.stats and metrics; "" for DROP_NONE.
const char *drop_label(enum drop_reason reason);

// What it means, for people.
const char *drop_text(enum drop_reason reason);
