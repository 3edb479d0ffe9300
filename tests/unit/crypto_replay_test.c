// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/replay.h"

// The list as RFC 3711 3.3.2 tells it, without any bit twiddling: what was received, and the
// highest.
enum { MODEL_MAX = 1 << 20 };
struct model {
	bool any;
	uint64_t highest;
	bool received[MODEL_MAX];
};

static enum replay_verdict model_commit(struct model *model, uint64_t index)
{
	if (model->any && index + REPLAY_LIST_LEN <= model->highest)
		return REPLAY_OLD;
	if (model->received[index])
		return REPLAY_SEEN;
	model->received[index] = true;
	if (!model->any || index > model->highest)
		model->highest = index;
	model->any = true;
	return REPLAY_NEW;
}

// Cases build on the ones before them, up to the next reset.
static void numbered_cases(void **state)
{
	enum { N = REPLAY_NEW, S = REPLAY_SEEN, O = REPLAY_OLD, L = REPLAY_LIST_LEN };
	static const struct {
		unsigned int number;
		bool reset;
		uint64_t index;
		unsigned int verdict;
	} cases[] = {
		{1, true, 0, N},
		{2, false, 0, S},
		{3, false, 1, N},
		{4, false, 1, S},
		{5, false, 9, N},
		{6, false, 8, N},
		{7, false, 7, N},
		{8, false, 7, S},
		{9, false, L, N},
		{10, false, L - 1, N},
		{11, false, L - 1, S},
		{12, false, 0, O},
		{13, false, 1, S},
		{14, false, 2, N},
		{15, false, L + 1, N},
		{16, false, 1, O},
		{17, false, 2, S},
		{18, false, 3, N},
		{19, false, 3 * L, N},
		{20, false, 2 * L, O},
		{21, false, 2 * L + 1, N},
		{22, false, 2 * L + 1, S},
		{23, false, 3 * L - 1, N},
		{24, false, 4 * L, N},
		{25, false, 3 * L, O},
		{26, false, 3 * L + 1, N},
		{27, true, 5000, N},
		{28, false, 5000 - L, O},
		{29, false, 5000 - L + 1, N},
		{30, false, 5000 - L + 1, S},
		{31, false, 5000 + L - 1, N},
		{32, false, 5000, S},
		{33, false, 4999, O},
		{34, true, L - 1, N},
		{35, false, 0, N},
		{36, false, 0, S},
		{37, true, UINT64_C(0xffffffffffff), N},
		{38, false, UINT64_C(0xffffffffffff), S},
		{39, false, UINT64_C(0xfffffffffffe), N},
		{40, false, UINT64_C(0xffffffffffff) - L, O},
		{41, false, UINT64_C(0xffffffffffff) - L + 1, N},
		{42, true, 1, N},
		{43, false, UINT64_C(0x10000), N},
		{44, false, 1, O},
		{45, false, UINT64_C(0xffff), N},
	};
	struct replay_list list = {0};
	(void)state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (cases[i].reset)
			memset(&list, 0, sizeof(list));
		enum replay_verdict checked = replay_check(&list, cases[i].index);
		enum replay_verdict committed = replay_commit(&list, cases[i].index);
		if (checked != cases[i].verdict || committed != cases[i].verdict)
			fail_msg("case %u: check %d, commit %d, not %u", cases[i].number, checked,
				committed, cases[i].verdict);
	}
}

// What a check must never do, and a commit not after it refused.
static void refusal_changes_nothing(void **state)
{
	struct replay_list list = {0};
	(void)state;

	replay_commit(&list, 3000);
	replay_commit(&list, 2500);
	struct replay_list before = list;
	replay_check(&list, 3001);
	replay_check(&list, 9999);
	assert_int_equal(replay_commit(&list, 2500), REPLAY_SEEN);
	assert_int_equal(replay_commit(&list, 3000 - REPLAY_LIST_LEN), REPLAY_OLD);
	assert_memory_equal(&list, &before, sizeof(list));
}

// A jump of every length up to beyond the list, from every position within a word: afterwards
// exactly the old packets that are still within reach are known.
static void jumps_of_every_length(void **state)
{
	(void)state;

	for (uint64_t start = 2048; start < 2048 + 64; start += 7) {
		for (uint64_t jump = 1; jump < REPLAY_LIST_LEN + 130; jump++) {
			struct replay_list list = {0};
			for (uint64_t i = start - REPLAY_LIST_LEN; i <= start; i++)
				assert_int_equal(replay_commit(&list, i), REPLAY_NEW);
			uint64_t top = start + jump;
			assert_int_equal(replay_commit(&list, top), REPLAY_NEW);
			for (uint64_t i = start - REPLAY_LIST_LEN; i <= top; i++) {
				enum replay_verdict expected =
					i + REPLAY_LIST_LEN <= top ? REPLAY_OLD
					: i <= start || i == top   ? REPLAY_SEEN
								   : REPLAY_NEW;
				assert_int_equal(replay_check(&list, i), expected);
			}
		}
	}
}

// Random reordering, duplicates and jumps, beside the model.
static void random_walk(void **state)
{
	struct model *model = calloc(1, sizeof(*model));
	struct replay_list list = {0};
	uint64_t random = 88172645463325252;
	uint64_t n_verdicts[3] = {0};
	(void)state;

	assert_non_null(model);
	for (uint64_t at = 0; at < MODEL_MAX - 5000;) {
		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		uint64_t back = random >> 20 & 2047;
		uint64_t index = random & 1 ? at : at > back ? at - back : 0;
		if ((random & 0xff00) == 0x4200)
			index = at + (random >> 32 & 4095);
		enum replay_verdict expected = model_commit(model, index);
		assert_int_equal(replay_check(&list, index), expected);
		assert_int_equal(replay_commit(&list, index), expected);
		n_verdicts[expected]++;
		at = list.next;
	}
	for (size_t i = 0; i < 3; i++)
		assert_true(n_verdicts[i] > 1000);
	free(model);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbered_cases),
		cmocka_unit_test(refusal_changes_nothing),
		cmocka_unit_test(jumps_of_every_length),
		cmocka_unit_test(random_walk),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
