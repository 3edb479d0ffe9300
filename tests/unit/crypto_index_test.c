// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "crypto/packet_index.h"

// RFC 3711 Appendix A in its own terms of ROC and s_l, and no ROC below 0.
static uint64_t model_estimate(uint64_t roc, int s_l, int seq)
{
	uint64_t v = roc;
	if (s_l < 32768) {
		if (seq - s_l > 32768 && roc > 0)
			v = roc - 1;
	} else if (s_l - 32768 > seq) {
		v = roc + 1;
	}
	return v << 16 | (uint64_t)seq;
}

static void first_packet_guesses_roc_0(void **state)
{
	(void)state;

	assert_int_equal(packet_index_estimate(0, 0), 0);
	assert_int_equal(packet_index_estimate(0, 1), 1);
	assert_int_equal(packet_index_estimate(0, 65535), 65535);
}

// {next, SEQ, index}: named edges, so that a failure reads well.
static void edges(void **state)
{
	static const struct {
		uint64_t next;
		uint16_t seq;
		uint64_t index;
	} cases[] = {
		{0x10000, 0, 0x10000},          // 65535 then 0: ROC goes up
		{0x10001, 0xffff, 0xffff},      // late 65535 after 0: of the ROC before
		{1, 0xffff, 0xffff},            // ... but none is before ROC 0
		{1, 0x8001, 0x8001},            // the same, just beyond half
		{0x18000 + 1, 0, 0x10000},      // exactly half behind: same ROC
		{0x18001 + 1, 0, 0x20000},      // more than half behind: next ROC
		{0x10000 + 1, 0x8000, 0x18000}, // exactly half ahead: same ROC
		{0x10000 + 1, 0x8001, 0x8001},  // more than half ahead: the ROC before
		{0x1ffff + 1, 0x7ffe, 0x27ffe}, {0x1ffff + 1, 0x7fff, 0x17fff},
		{UINT64_C(0x1000000000000), 0,
			UINT64_C(0x1000000000000)}, // beyond 48 bits: refused later
	};
	(void)state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(
			packet_index_estimate(cases[i].next, cases[i].seq), cases[i].index);
}

static void agrees_with_appendix_a(void **state)
{
	static const uint64_t rocs[] = {0, 1, 2, 0x7fffffff, 0xfffffffe, 0xffffffff};
	static const int highest_seqs[] = {0, 1, 2, 100, 0x7ffe, 0x7fff, 0x8000, 0x8001, 0x8002,
		0xbfff, 0xfffd, 0xfffe, 0xffff};
	(void)state;

	for (size_t r = 0; r < sizeof(rocs) / sizeof(rocs[0]); r++) {
		for (size_t s = 0; s < sizeof(highest_seqs) / sizeof(highest_seqs[0]); s++) {
			int s_l = highest_seqs[s];
			uint64_t next = (rocs[r] << 16 | (uint64_t)s_l) + 1;
			for (int seq = 0; seq < 65536; seq++) {
				uint64_t index = packet_index_estimate(next, (uint16_t)seq);
				uint64_t expected = model_estimate(rocs[r], s_l, seq);
				if (index != expected)
					fail_msg("ROC %lx, s_l %x, SEQ %x", rocs[r], s_l, seq);
			}
		}
	}
}

// A stream in order, over two wraps: the estimate is what was sent.
static void follows_a_stream(void **state)
{
	(void)state;

	for (uint64_t index = 65000; index < 3 * 65536; index += 1 + index % 3)
		assert_int_equal(packet_index_estimate(index, (uint16_t)index), index);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(first_packet_guesses_roc_0),
		cmocka_unit_test(edges),
		cmocka_unit_test(agrees_with_appendix_a),
		cmocka_unit_test(follows_a_stream),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
