// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "dataplane/retire.h"

#include <stdlib.h>

#include "base/alloc.h"

void retire_init(struct retire *retire, struct rte_rcu_qsbr *rcu)
{
	*retire = (struct retire){.rcu = rcu};
}

void retire_fini(struct retire *retire)
{
	free(retire->items);
	*retire = (struct retire){};
}

static void retire_grow(struct retire *retire)
{
	uint32_t size = retire->size ? retire->size * 2 : 64;
	struct retired *items = alloc_zero(size, sizeof(*items));
	for (uint32_t i = 0; i < retire->n; i++)
		items[i] = retire->items[(retire->head + i) & (retire->size - 1)];
	free(retire->items);
	retire->items = items;
	retire->head = 0;
	retire->size = size;
}

void retire_later(struct retire *retire, retire_fn release, void *what, uint32_t index)
{
	if (retire->n == retire->size)
		retire_grow(retire);
	retire->items[(retire->head + retire->n++) & (retire->size - 1)] = (struct retired){
		.token = rte_rcu_qsbr_start(retire->rcu),
		.release = release,
		.what = what,
		.index = index,
	};
}

static void retire_release_first(struct retire *retire)
{
	struct retired item = retire->items[retire->head];
	retire->head = (retire->head + 1) & (retire->size - 1);
	retire->n--;
	item.release(item.what, item.index);
}

void retire_poll(struct retire *retire)
{
	for (unsigned i = 0; i < RETIRE_AT_A_TIME && retire->n > 0; i++) {
		const struct retired *first = &retire->items[retire->head];
		if (rte_rcu_qsbr_check(retire->rcu, first->token, false) != 1)
			break;
		retire_release_first(retire);
	}
}

void retire_all(struct retire *retire)
{
	while (retire->n > 0) {
		rte_rcu_qsbr_check(retire->rcu, retire->items[retire->head].token, true);
		retire_release_first(retire);
	}
}
