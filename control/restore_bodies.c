// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "control/restore_bodies.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "store/store_json.h"

void bodies_add(struct bodies *bodies, struct store *store, uint32_t place, const char *order)
{
	json_t *json = store_read_json(store, place);
	if (!json)
		return;
	if (bodies->n == bodies->size) {
		bodies->size = bodies->size ? bodies->size * 2 : 16;
		bodies->all = alloc_resize(bodies->all, bodies->size, sizeof(*bodies->all));
	}
	bodies->all[bodies->n++] = (struct body){json,
		json_integer_value(json_object_get(json, order)), store_version_of(store, place)};
}

static int body_compare(const void *a, const void *b)
{
	const struct body *x = a, *y = b;
	return (x->order > y->order) - (x->order < y->order);
}

void bodies_sort(struct bodies *bodies)
{
	if (bodies->n > 0)
		qsort(bodies->all, bodies->n, sizeof(*bodies->all), body_compare);
}

// Those that leave go.
void bodies_part(struct bodies *bodies)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < bodies->n; i++) {
		if (bodies->all[i].leaves)
			json_decref(bodies->all[i].json);
		else
			bodies->all[n++] = bodies->all[i];
	}
	bodies->n = n;
}

void bodies_free(struct bodies *bodies)
{
	while (bodies->n > 0)
		json_decref(bodies->all[--bodies->n].json);
	free(bodies->all);
}
