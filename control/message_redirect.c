// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "control/message_redirect.h"

#include <string.h>
#include <time.h>

#include "identity/pseudo.h"

enum { LISTED_MAX = 100 }; // KMSs of a list, those at home first

// Of the message, as far as it names them; initiator also by what SIP says.
static void parties_put(json_t *params, const struct mikey_opening *opening)
{
	static const char *const names[MIKEY_N_PARTIES] = {[MIKEY_INITIATOR] = "initiator",
		[MIKEY_RECEIVER] = "receiver",
		[MIKEY_INITIATOR_KMS] = "initiator_kms",
		[MIKEY_RECEIVER_KMS] = "receiver_kms"};
	for (unsigned i = 0; i < MIKEY_N_PARTIES; i++) {
		const struct mikey_identity *party = &opening->message.parties[i];
		if (party->value.octets && !party->hidden)
			json_object_set_new(params, names[i],
				json_stringn((const char *)party->value.octets, party->value.len));
	}
	if (opening->initiator.octets)
		json_object_set_new(params, "initiator",
			json_stringn(
				(const char *)opening->initiator.octets, opening->initiator.len));
}

static bool usable(const struct kms *kms)
{
	struct mikey_fault ignored;
	return mikey_kms_usable(&kms->facts, (uint64_t)time(NULL), "", 0, &ignored);
}

static bool at_home(const struct kms *kms)
{
	const char *role = json_string_value(json_object_get(kms->stated, "role"));
	return kms->pseudo || strcmp(role, "external") != 0;
}

static bool provisions(
	const struct api *api, const struct kms *kms, const struct mikey_octets *receiver)
{
	return identity_local(api->identities, &kms->facts, receiver) ||
	       (kms->pseudo && pseudo_kms_serves(kms, receiver));
}

// KMSs that are installed and valid now; with a receiver those that give it keys.
static json_t *kmss_list(const struct api *api, const struct mikey_octets *receiver)
{
	json_t *list = json_array();
	for (int home = 1; home >= 0; home--) {
		struct map_cursor cursor = {0};
		const struct kms *kms;
		while ((kms = map_next(api->kmss->by_uri, &cursor)) != NULL) {
			if (at_home(kms) != home || !usable(kms) ||
				json_array_size(list) == LISTED_MAX ||
				(receiver && !provisions(api, kms, receiver)))
				continue;
			json_array_append_new(
				list, json_string((const char *)kms->facts.uri.octets));
		}
	}
	return list;
}

json_t *message_redirect_params(const struct api *api, const struct mikey_opening *opening)
{
	const struct mikey_identity *receiver = &opening->message.parties[MIKEY_RECEIVER];
	const bool named = receiver->value.octets && !receiver->hidden;
	json_t *params = json_pack("{s:{s:o,s:o}}", "allowed", "initiator", kmss_list(api, NULL),
		"receiver", kmss_list(api, named ? &receiver->value : NULL));
	if (params)
		parties_put(params, opening);
	return params;
}
