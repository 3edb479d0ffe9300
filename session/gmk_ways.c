// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "session/gmk_ways.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

struct gmk_way {
	struct key_ref key;
	bool has_suite, has_mki_len, has_roc_rate, encrypt;
	struct key_profile profile;
	uint32_t n_accept;
	struct key_ref accept[FANOUT_ACCEPT_MAX];
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

static bool refs_equal(const struct key_ref *a, const struct key_ref *b)
{
	return a->id == b->id && a->scope == b->scope;
}

static bool way_is(const struct gmk_way *way, const struct protection_spec *p)
{
	bool same = refs_equal(&way->key, &p->key) && way->encrypt == p->encrypt &&
		    way->has_suite == p->has_suite && way->has_mki_len == p->has_mki_len &&
		    way->has_roc_rate == p->has_roc_rate &&
		    way->profile.suite == p->profile.suite &&
		    way->profile.mki_len == p->profile.mki_len &&
		    way->profile.roc_rate == p->profile.roc_rate && way->n_accept == p->n_accept;
	for (uint32_t i = 0; same && i < p->n_accept; i++)
		same = refs_equal(&way->accept[i], &p->accept[i]);
	return same;
}

static struct gmk_way *way_find(const struct way_list *list, const struct protection_spec *p)
{
	for (uint32_t i = 0; i < list->n; i++)
		if (way_is(&list->ways[i], p))
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
	*way = (struct gmk_way){.key = p->key,
		.has_suite = p->has_suite,
		.has_mki_len = p->has_mki_len,
		.has_roc_rate = p->has_roc_rate,
		.encrypt = p->encrypt,
		.profile = p->profile,
		.n_accept = p->n_accept};
	for (uint32_t i = 0; i < p->n_accept; i++)
		way->accept[i] = p->accept[i];
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
