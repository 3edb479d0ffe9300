// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "crypto/replay.h"

#include <string.h>

#include "base/counter.h"

// Clears the bits of indices [from, to): fewer than REPLAY_LIST_LEN of them, so that no bit is met
// twice.
static void bits_clear(struct replay_list *list, uint64_t from, uint64_t to)
{
	while (from < to) {
		uint64_t bit = from % 64;
		uint64_t span = to - from < 64 - bit ? to - from : 64 - bit;
		uint64_t mask = UINT64_MAX >> (64 - span) << bit;
		list->seen[from / 64 % (REPLAY_LIST_LEN / 64)] &= ~mask;
		from += span;
	}
}

enum replay_verdict replay_commit_other(struct replay_list *list, uint64_t index)
{
	enum replay_verdict verdict = replay_check(list, index);
	if (verdict != REPLAY_NEW)
		return verdict;
	if (index >= list->next) {
		if (index - list->next >= REPLAY_LIST_LEN)
			memset(list->seen, 0, sizeof(list->seen));
		else
			bits_clear(list, list->next, index);
		counter_set(&list->next, index + 1);
	}
	list->seen[index / 64 % (REPLAY_LIST_LEN / 64)] |= UINT64_C(1) << index % 64;
	return REPLAY_NEW;
}
