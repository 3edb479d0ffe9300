// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "store/store_json.h"

#include "base/alloc.h"
#include "base/log.h"
#include "base/secmem.h"

enum { TEXT_SIZE = 2048 }; // octets; what has more is written twice

void store_put_json(struct store *store, uint32_t *place, const char *name, json_t *body)
{
	size_t size = TEXT_SIZE, len;
	char *text = secmem_malloc(size);
	while (text && (len = json_dumpb(body, text, size, JSON_COMPACT)) > size) {
		secmem_free(text);
		size = len;
		text = secmem_malloc(size);
	}
	json_decref(body);
	if (!text)
		alloc_failed(__func__, size);
	store_put(store, place, name, text, len);
	secmem_free(text);
}

json_t *store_read_json(struct store *store, uint32_t place)
{
	size_t len;
	char *text = store_read(store, place, &len);
	json_t *body = text ? json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL) : NULL;
	if (text && !body)
		log_error("record_not_read reason=\"it is no object; another version of mcxrelay "
			  "may have written it\"");
	secmem_free(text);
	return body;
}
