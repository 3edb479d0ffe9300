// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "session/gmk_ways.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "session/protection_rule.h"

struct gmk_way {
	struct protection_rule rule;
	uint32_t n_legs;
};

struct way_list {
	struct gmk_way *ways;
	uint32_t n, size;
};

struct gmk_ways {
	struct way_list of[SRTP_N_PROTOCOLS];
};

struct gmk_ways *gmk_ways_new(void)
{
	return alloc_zero(1, sizeof(struct gmk_ways));
}

struct gmk_ways *gmk_ways_copy(const struct gmk_ways *ways)
{
	struct gmk_ways *copy = gmk_ways_new();
	for (unsigned protocol = 0; ways && protocol < SRTP_N_PROTOCOLS; protocol++) {
		const struct way_list *from = &ways->of[protocol];
		struct way_list *to = &copy->of[protocol];
		to->ways = alloc_zero(from->n, sizeof(struct gmk_way));
		to->n = to->size = from->n;
		for (uint32_t i = 0; i < from->n; i++)
			to->ways[i] = from->ways[i];
	}
	return copy;
}

void gmk_ways_free(struct gmk_ways *ways)
{
	for (unsigned protocol = 0; ways && protocol < SRTP_N_PROTOCOLS; protocol++)
		free(ways->of[protocol].ways);
	free(ways);
}

static struct gmk_way *way_find(const struct way_list *list, const struct protection_spec *p)
{
	struct protection_rule rule = protection_rule_of(p);
	for (uint32_t i = 0; i < list->n; i++)
		if (protection_rules_equal(&list->ways[i].rule, &rule))
			return &list->ways[i];
	return NULL;
}

static struct gmk_way *way_open(struct way_list *list, const struct protection_spec *p)
{
	if (list->n == list->size) {
		list->size = list->size ? list->size * 2 : 1;
		list->ways = alloc_resize(list->ways, list->size, sizeof(*list->ways));
	}
	struct gmk_way *way = &list->ways[list->n++];
	*way = (struct gmk_way){.rule = protection_rule_of(p)};
	return way;
}

static bool uses_gmk(const struct protection_spec *p)
{
	return p->mode == LEG_SRTP && p->has_key && key_id_type(p->key.id) == KEY_GMK;
}

void gmk_ways_add(struct gmk_ways *ways, const struct protection_spec protections[])
{
	for (unsigned protocol = 0; protocol < SRTP_N_PROTOCOLS; protocol++) {
		const struct protection_spec *p = &protections[protocol];
		struct way_list *list = &ways->of[protocol];
		if (!uses_gmk(p))
			continue;
		struct gmk_way *way = way_find(list, p);
		if (!way)
			way = way_open(list, p);
		way->n_legs++;
	}
}

void gmk_ways_drop(struct gmk_ways *ways, const struct protection_spec protections[])
{
	for (unsigned protocol = 0; protocol < SRTP_N_PROTOCOLS; protocol++) {
		const struct protection_spec *p = &protections[protocol];
		struct way_list *list = &ways->of[protocol];
		struct gmk_way *way = uses_gmk(p) ? way_find(list, p) : NULL;
		if (way && --way->n_legs == 0)
			*way = list->ways[--list->n];
	}
}

bool gmk_ways_fit(const struct gmk_ways *ways)
{
	bool fit = true;
	for (unsigned protocol = 0; protocol < SRTP_N_PROTOCOLS; protocol++)
		fit &= ways->of[protocol].n <= FANOUT_TALKER_VARIANTS_MAX;
	return fit;
}
