// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "identity/transport_keys.h"

#include <stdio.h>
#include <string.h>

#include "base/secmem.h"

struct transport_keys *transport_keys_open(void)
{
	return secmem_map(sizeof(struct transport_keys));
}

void transport_keys_close(struct transport_keys *kept)
{
	if (kept)
		secmem_wipe(kept, sizeof(*kept));
	secmem_unmap(kept, sizeof(*kept));
}

static struct transport_key *key_find(const struct transport_keys *kept, const char *id)
{
	for (size_t i = 0; i < kept->n; i++)
		if (strcmp(kept->keys[i].id, id) == 0)
			return (struct transport_key *)(uintptr_t)&kept->keys[i];
	return NULL;
}

static bool twin_differs(const struct kms_xml *document, size_t i)
{
	const struct kms_new_key *keys = document->new_keys;
	for (size_t j = 0; j < i; j++)
		if (strcmp(keys[i].id, keys[j].id) == 0 &&
			!secmem_equal(keys[i].value, keys[j].value, KMS_SHARED_KEY_LEN))
			return true;
	return false;
}

bool transport_keys_fit(
	const struct transport_keys *kept, const struct kms_xml *document, const char **id)
{
	for (size_t i = 0; i < document->n_new_keys; i++) {
		const struct kms_new_key *key = &document->new_keys[i];
		const struct transport_key *known = key_find(kept, key->id);
		*id = key->id;
		if (twin_differs(document, i) ||
			(known && !secmem_equal(known->value, key->value, KMS_SHARED_KEY_LEN)))
			return false;
	}
	return true;
}

void transport_keys_keep(
	struct transport_keys *kept, const struct kms_xml *document, const char *kms_uri)
{
	for (size_t i = 0; i < document->n_new_keys; i++) {
		const struct kms_new_key *key = &document->new_keys[i];
		if (key_find(kept, key->id))
			continue;
		struct transport_key *place = &kept->keys[kept->next];
		snprintf(place->id, sizeof(place->id), "%s", key->id);
		snprintf(place->kms, sizeof(place->kms), "%s", kms_uri);
		memcpy(place->value, key->value, KMS_SHARED_KEY_LEN);
		place->len = KMS_SHARED_KEY_LEN;
		kept->next = (kept->next + 1) % TRANSPORT_KEYS_MAX;
		if (kept->n < TRANSPORT_KEYS_MAX)
			kept->n++;
	}
}

void transport_keys_forget(struct transport_keys *kept, const char *kms_uri)
{
	size_t n = 0;
	for (size_t i = 0; i < kept->n; i++)
		if (strcmp(kept->keys[i].kms, kms_uri) != 0)
			kept->keys[n++] = kept->keys[i];
	if (n == kept->n)
		return;
	secmem_wipe(&kept->keys[n], (TRANSPORT_KEYS_MAX - n) * sizeof(kept->keys[0]));
	kept->n = n;
	kept->next = n % TRANSPORT_KEYS_MAX;
}
