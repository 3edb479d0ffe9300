// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/hex.h"
#include "dataplane/rtcp_translate.h"

// Packets by hand from the RFCs. The map tells senders from others: it changes the first digit of a
// sender's SSRC and the second one of others.

enum { ROOM = 2048 };

// Key 00 to 0f. The names below are base64 of the first 12 octets of the hash that `openssl mac -macopt
// size:16 SIPHASH` gives of "alice@radio" and of nothing.
static const uint8_t name_key[SIPHASH_KEY_LEN] = {
	0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

static uint32_t map_digit(void *arg, uint32_t ssrc, bool sender)
{
	unsigned *n = arg;
	(*n)++;
	return ssrc ^ (sender ? 0xf0000000 : 0x0f000000);
}

// Reads hex in which spaces stand where people want them.
static size_t octets(const char *text, uint8_t *out)
{
	char digits[2 * ROOM + 1];
	size_t n = 0;
	for (; *text; text++)
		if (*text != ' ')
			digits[n++] = *text;
	digits[n] = 0;
	assert_true(hex_decode(digits, out, n / 2));
	return n / 2;
}

// In buffers of exactly the size that the contract asks for.
static size_t translate(const char *text, uint8_t *out, size_t size, unsigned *n_left_out)
{
	unsigned mapped = 0;
	uint8_t packet[ROOM];
	size_t len = octets(text, packet);
	uint8_t *in = malloc(len), *room = malloc(size + (size == 0));
	assert_true(in && room);
	memcpy(in, packet, len);
	struct rtcp_translation t = {.map = map_digit, .arg = &mapped, .name_key = name_key};
	size_t written = rtcp_translate(&t, in, len, room, size);
	assert_true(written <= size);
	assert_memory_equal(in, packet, len);
	if (out)
		memcpy(out, room, written);
	free(in);
	free(room);
	if (n_left_out)
		*n_left_out = t.n_left_out;
	return written;
}

#define BLOCK(ssrc) ssrc " 0a000001 00001234 00000010 aabbccdd 00010000 "
#define SENDER_INFO "e0000000 80000000 00001000 00000007 00000460 "
#define BARE_RR     "80c90001 11111111 "
#define MAPPED_RR   "80c90001 e1111111 "
#define ALICE_ITEM  "010b 616c69636540726164696f "
#define ALICE_NAME  "0110 4741555131624b45705653686a454b57 "
#define NO_NAME     "0110 6f34462f424c6f6c714f5a74396e4955 "

struct sample {
	const char *what, *in, *out;
	unsigned n_left_out;
};

static const struct sample samples[] = {
	{"sender report", "80c80006 11111111" SENDER_INFO, "80c80006 e1111111" SENDER_INFO},
	{"sender report with two blocks and a profile's extension",
		"82c80013 11111111" SENDER_INFO BLOCK("22222222") BLOCK("33333333") "44444444",
		"82c80012 e1111111" SENDER_INFO BLOCK("2d222222") BLOCK("3c333333"), 1},
	{"receiver report", "81c90007 11111111" BLOCK("22222222"),
		"81c90007 e1111111" BLOCK("2d222222")},
	{"CNAME between other items",
		BARE_RR "81ca0009 11111111 0203 426f62" ALICE_ITEM
			"0404 2b313233 0602 6875 0701 78 00",
		MAPPED_RR "81ca0006 e1111111" ALICE_NAME "0000"},
	{"two chunks, one without a CNAME, the other with an empty one",
		BARE_RR "82ca0005 11111111 0203 426f62 000000 22222222 0100 0000",
		MAPPED_RR "82ca0008 e1111111 00000000 d2222222" NO_NAME "0000"},
	{"the first of two CNAMEs", BARE_RR "81ca0005 11111111" ALICE_ITEM "0100 00",
		MAPPED_RR "81ca0006 e1111111" ALICE_NAME "0000"},
	{"SDES without a chunk", BARE_RR "80ca0000", MAPPED_RR "80ca0000"},
	{"SDES alone, with padding", "a1ca0006 11111111" ALICE_ITEM "000000 00000004",
		"81ca0006 e1111111" ALICE_NAME "0000"},
	{"goodbye with a reason", "82cb0004 11111111 22222222 05 6c61746572 0000",
		"82cb0004 e1111111 d2222222 05 6c61746572 0000"},
	{"goodbye of nobody", BARE_RR "80cb0000", MAPPED_RR "80cb0000"},
	{"floor request: no octet of it but the sender", "80cc0003 11111111 4d435054 22222222",
		"80cc0003 e1111111 4d435054 22222222"},
	{"picture loss", "81ce0002 11111111 22222222", "81ce0002 e1111111 2d222222"},
	{"generic NACK", "81cd0003 11111111 22222222 00070003",
		"81cd0003 e1111111 2d222222 00070003"},
	{"TMMBR for two", "83cd0006 11111111 00000000 22222222 1a0b0c0d 33333333 01020304",
		"83cd0006 e1111111 00000000 2d222222 1a0b0c0d 3c333333 01020304"},
	{"TMMBN without entries", "84cd0002 11111111 00000000", "84cd0002 e1111111 00000000"},
	{"full intra request", "84ce0004 11111111 00000000 22222222 05000000",
		"84ce0004 e1111111 00000000 2d222222 05000000"},
	{"trade-off notification", "86ce0004 11111111 00000000 22222222 05000003",
		"86ce0004 e1111111 00000000 2d222222 05000003"},
	{"XR: loss RLE, duplicate RLE, receipt times, summary, receiver's time, unknown",
		"80cf0011 11111111 01000002 22222222 00010002 02000001 22222222"
		"03000003 33333333 00010002 00000001 06e00001 22222222"
		"04000002 11111111 22222222 fe000001 22222222",
		"80cf000f e1111111 01000002 2d222222 00010002 02000001 2d222222"
		"03000003 3c333333 00010002 00000001 06e00001 2d222222"
		"04000002 11111111 22222222",
		1},
	{"XR: DLRR of two and VoIP metrics",
		"80cf000a 11111111 05000006 22222222 00000001 00000002"
		"33333333 00000003 00000004 07000001 22222222",
		"80cf000a e1111111 05000006 2d222222 00000001 00000002"
		"3c333333 00000003 00000004 07000001 2d222222"},
	{"interarrival jitter", BARE_RR "81c30001 00000155", MAPPED_RR "81c30001 00000155"},
	{"a type that nobody knows, with nothing in it", BARE_RR "80df0000", MAPPED_RR, 1},
	{"types that are not listed",
		"9fdf0002 11111111 22222222" BARE_RR "80c00001 11111111" BARE_RR
		"80d10003 11111111 22222222 00000000"
		"a0d20002 11111111 00000004",
		MAPPED_RR MAPPED_RR, 4},
	{"feedback that is not listed",
		BARE_RR "81ce0002 11111111 22222222"
			"86cd0003 11111111 22222222 01000000"
			"8fce0003 11111111 22222222 4d534654"
			"9fce0002 11111111 22222222",
		MAPPED_RR "81ce0002 e1111111 2d222222", 3},
	{"bandwidth for two (REMB)",
		"8fce0006 11111111 00000000 52454d42 020307d0 22222222 33333333",
		"8fce0006 e1111111 00000000 52454d42 020307d0 2d222222 3c333333"},
	{"layer refresh of two (LRR)",
		"8ace0008 11111111 00000000 22222222 01600000 00010000 33333333 02600000 00010000",
		"8ace0008 e1111111 00000000 2d222222 01600000 00010000 3c333333 02600000 00010000"},
	{"congestion control of three (CCFB)",
		"8bcd000b 11111111 22222222 00010003 80018002 80030000 33333333 00050000"
		"44444444 00070001 80010000 12345678",
		"8bcd000b e1111111 2d222222 00010003 80018002 80030000 3c333333 00050000"
		"4b444444 00070001 80010000 12345678"},
	{"congestion control of nobody", "8bcd0002 11111111 12345678",
		"8bcd0002 e1111111 12345678"},
	{"transport-wide congestion control",
		"8fcd0006 11111111 22222222 00010002 12345601 20020000 33333333",
		"8fcd0006 e1111111 2d222222 00010002 12345601 20020000 33333333"},
	{"pause of one, refused by another (PAUSE)",
		"89cd0007 11111111 00000000 22222222 00000001 33333333 30010002 00000003",
		"89cd0007 e1111111 00000000 2d222222 00000001 3c333333 30010002 00000003"},
	{"video back channel of two",
		"87ce0008 11111111 00000000 22222222 01600005 68656c6c 6f000000 33333333 02600000",
		"87ce0008 e1111111 00000000 2d222222 01600005 68656c6c 6f000000 3c333333 02600000"},
	{"XR: burst and gap loss, ECN of two, a block that nobody knows between",
		"80cf0011 11111111 14000002 22222222 00000001 63000001 22222222"
		"0d00000a 22222222 00000001 00000002 00000003 00000004"
		"33333333 00000005 00000006 00000007 00000008",
		"80cf000f e1111111 14000002 2d222222 00000001"
		"0d00000a 2d222222 00000001 00000002 00000003 00000004"
		"3c333333 00000005 00000006 00000007 00000008",
		1},
	{"third-party loss of two pictures (PSLEI)", "88ce0004 11111111 00000000 22222222 33333333",
		"88ce0004 e1111111 00000000 2d222222 3c333333"},
	{"third-party loss of packets (TLLEI), region of interest and delay budget: numbers",
		BARE_RR "87cd0003 11111111 22222222 33330001 89ce0004 11111111 22222222 33333333"
			"44444444 8acd0003 11111111 22222222 33338000",
		MAPPED_RR "87cd0003 e1111111 2d222222 33330001 89ce0004 e1111111 2d222222 33333333"
			  "44444444 8acd0003 e1111111 2d222222 33338000"},
	{"XR: synchronization of media and its delay and offset",
		"80cf000f 11111111 0c000007 60000000 22222222 33333333 44444444 55555555"
		"66666666 77777777 1b000002 22222222 33333333 1c000002 22222222 33333333",
		"80cf000f e1111111 0c000007 60000000 22222222 3c333333 44444444 55555555"
		"66666666 77777777 1b000002 2d222222 33333333 1c000002 2d222222 33333333"},
	{"XR: decodability, and network quality, which names nobody",
		"80cf0009 11111111 16000002 22222222 33333333 20000001 22222222"
		"08000002 22222222 33333333",
		"80cf0009 e1111111 16000002 2d222222 33333333 20000001 2d222222"
		"08000002 22222222 33333333"},
	{"XR: proprietary blocks and multicast acquisition, whose values nobody knows",
		"80cf0005 11111111 09000001 22222222 0b000001 22222222", "80cf0001 e1111111", 2},
	{"padding of the last packet", BARE_RR "a0c90002 11111111 00000004",
		MAPPED_RR "a0c90002 e1111111 00000004"},
	{"report, source and goodbye in one",
		"81c8000c 11111111" SENDER_INFO BLOCK("22222222") "81ca0005 11111111" ALICE_ITEM
								  "000000"
								  "81cb0001 11111111",
		"81c8000c e1111111" SENDER_INFO BLOCK("2d222222") "81ca0006 e1111111" ALICE_NAME
								  "0000"
								  "81cb0001 e1111111"},
};

enum { N_SAMPLES = sizeof(samples) / sizeof(samples[0]) };

static void translates_samples(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_SAMPLES; i++) {
		uint8_t out[ROOM], expected[ROOM];
		unsigned n_left_out;
		size_t len = translate(samples[i].in, out, ROOM, &n_left_out);
		size_t expected_len = octets(samples[i].out, expected);
		if (len != expected_len || memcmp(out, expected, len) != 0)
			print_message("sample: %s\n", samples[i].what);
		assert_int_equal(len, expected_len);
		assert_memory_equal(out, expected, len);
		assert_int_equal(n_left_out, samples[i].n_left_out);
	}
}

static void needs_exactly_the_room_of_the_translation(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_SAMPLES; i++) {
		uint8_t out[ROOM], expected[ROOM];
		size_t len = octets(samples[i].out, expected);
		assert_int_equal(translate(samples[i].in, out, len, NULL), len);
		assert_memory_equal(out, expected, len);
		for (size_t size = 0; size < len; size++)
			assert_int_equal(translate(samples[i].in, NULL, size, NULL), 0);
	}
}

static void refuses_malformed(void **state)
{
	static const struct {
		const char *what, *in;
	} bad[] = {
		{"shorter than a word", "80c900"},
		{"a word alone", "80c90000"},
		{"version 1", "40c90001 11111111"},
		{"cut off", "80c90002 11111111"},
		{"octets behind the last packet", BARE_RR "80c9"},
		{"second packet cut off", BARE_RR "80c90001"},
		{"sender report without its report", "80c80001 11111111"},
		{"one report block less than stated", "82c90007 11111111" BLOCK("22222222")},
		{"padding instead of a block's end",
			"a1c90007 11111111 22222222 0a000001 00001234 00000010 aabbccdd 00000004"},
		{"chunk without items", "81ca0001 11111111"},
		{"items without an end", "81ca0002 11111111 01026162"},
		{"item longer than the packet", "81ca0002 11111111 01056162"},
		{"item without a length", "81ca0002 11111111 01016101"},
		{"item that ends in the next packet", "81ca0002 11111111 01046162" BARE_RR},
		{"one chunk less than stated", "82ca0002 11111111 00000000"},
		{"SDES without a chunk alone", "80ca0001 00000000"},
		{"one goodbye less than stated", "82cb0001 11111111"},
		{"APP without a name", "80cc0001 11111111"},
		{"feedback without a media source", "81ce0001 11111111"},
		{"half a full intra request", "84ce0003 11111111 00000000 22222222"},
		{"half a TMMBR", "83cd0003 11111111 00000000 22222222"},
		{"XR without a sender", BARE_RR "80cf0000"},
		{"XR block longer than the packet", "80cf0002 11111111 01000001"},
		{"XR block without its SSRC", "80cf0002 11111111 01000000"},
		{"XR block that ends in front of its SSRC",
			"80cf0004 11111111 0c000002 60000000 22222222"},
		{"part of an SSRC of third-party loss", "88ce0002 11111111"},
		{"part of a DLRR entry", "80cf0003 11111111 05000001 22222222"},
		{"jitter without a report", "81c30001 00000155"},
		{"jitter behind what is left out", "80df0000 81c30001 00000155"},
		{"nothing but what is left out", "80df0001 11111111"},
		{"one bandwidth less than stated",
			"8fce0005 11111111 00000000 52454d42 020307d0 22222222"},
		{"one bandwidth more than stated",
			"8fce0006 11111111 00000000 52454d42 010307d0 22222222 33333333"},
		{"part of a layer refresh", "8ace0004 11111111 00000000 22222222 01600000"},
		{"congestion control with one report less than stated",
			"8bcd0005 11111111 22222222 00010003 80018002 12345678"},
		{"congestion control without a timestamp",
			"8bcd0004 11111111 22222222 00010002 80018002"},
		{"pause that is longer than the packet",
			"89cd0004 11111111 00000000 22222222 00010001"},
		{"video back channel that is longer than the packet",
			"87ce0005 11111111 00000000 22222222 01600005 68656c6c"},
		{"part of an ECN summary", "80cf0004 11111111 0d000002 22222222 00000001"},
		{"padding before the end", "a0c90002 11111111 00000004" BARE_RR},
		{"padding of nothing", "a0c90002 11111111 00000000"},
		{"padding of no whole word", "a0c90002 11111111 00000003"},
		{"padding that takes the sender", "a0c90002 11111111 00000008"},
		{"padding that takes all", "a0c90002 11111111 0000000c"},
		{"padding longer than the packet", "a0c90002 11111111 000000fc"},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		size_t len = translate(bad[i].in, NULL, ROOM, NULL);
		if (len != 0)
			print_message("taken: %s\n", bad[i].what);
		assert_int_equal(len, 0);
	}
}

// The name depends on the key and on every octet of the CNAME.
static void names_differ(void **state)
{
	static const char *const cnames[] = {
		"alice@radio", "alice@radiO", "alice@radi", "Alice@radio"};
	static const uint8_t other_key[SIPHASH_KEY_LEN] = {1};
	enum { N = sizeof(cnames) / sizeof(cnames[0]), NAME_AT = 10 };
	uint8_t names[N + 1][RTCP_NAME_LEN];
	unsigned mapped = 0;
	(void)state;

	for (size_t i = 0; i <= N; i++) {
		const char *cname = cnames[i % N];
		uint8_t packet[64] = {0x81, 202, 0, 15, 0, 0, 0, 1, 1, (uint8_t)strlen(cname)},
			out[64];
		memcpy(packet + NAME_AT, cname, strlen(cname));
		struct rtcp_translation t = {
			.map = map_digit, .arg = &mapped, .name_key = i < N ? name_key : other_key};
		assert_int_equal(rtcp_translate(&t, packet, sizeof(packet), out, sizeof(out)), 28);
		memcpy(names[i], out + NAME_AT, RTCP_NAME_LEN);
		for (size_t j = 0; j < i; j++)
			assert_memory_not_equal(names[i], names[j], RTCP_NAME_LEN);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(translates_samples),
		cmocka_unit_test(needs_exactly_the_room_of_the_translation),
		cmocka_unit_test(refuses_malformed),
		cmocka_unit_test(names_differ),
	};
	return cmocka_run_group_tests_name("dataplane_rtcp_translate", tests, NULL, NULL);
}
