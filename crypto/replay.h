// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/counter.h"

// The replay list of RFC 3711 3.3.2: which of the last 1,024 packet indices were received. One
// thread writes it. Zeroed memory is an empty list.
enum { REPLAY_LIST_LEN = 1024 };

struct replay_list {
	uint64_t next;                       // highest index received + 1; 0: none yet
	uint64_t seen[REPLAY_LIST_LEN / 64]; // bit (index mod 1,024) of [next - 1,024, next)
};

enum replay_verdict { REPLAY_NEW, REPLAY_SEEN, REPLAY_OLD };

// Whether index was received (SEEN), is too far behind to tell (OLD) or is NEW. Changes nothing.
static inline enum replay_verdict replay_check(const struct replay_list *list, uint64_t index)
{
	if (index >= list->next)
		return REPLAY_NEW;
	if (list->next - index > REPLAY_LIST_LEN)
		return REPLAY_OLD;
	if (list->seen[index / 64 % (REPLAY_LIST_LEN / 64)] >> index % 64 & 1)
		return REPLAY_SEEN;
	return REPLAY_NEW;
}

// A list in which everything below next was received.
static inline void replay_begin(struct replay_list *list, uint64_t next)
{
	list->next = next;
	for (unsigned i = 0; i < REPLAY_LIST_LEN / 64; i++)
		list->seen[i] = next > 0 ? UINT64_MAX : 0;
}

// replay_commit() of what is not the next in sequence.
enum replay_verdict replay_commit_other(struct replay_list *list, uint64_t index);

// Checks again, because a burst can hold one packet twice, and notes a NEW index as received. Only
// after its tag verified. At most 16 words are written however far the index jumps.
static inline enum replay_verdict replay_commit(struct replay_list *list, uint64_t index)
{
	if (index != list->next)
		return replay_commit_other(list, index);
	// The bit that index takes was that of index - 1,024, which leaves the window: in sequence
	// there is nothing to clear.
	counter_set(&list->next, index + 1);
	list->seen[index / 64 % (REPLAY_LIST_LEN / 64)] |= UINT64_C(1) << index % 64;
	return REPLAY_NEW;
}
