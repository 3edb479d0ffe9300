// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "session/session_restore.h"

#include "base/address.h"
#include "base/alloc.h"
#include "key/key_read.h"
#include "session/session_learn.h"
#include "session/session_record.h"

void session_keys_gone(struct session *session, json_t *gone)
{
	const char *text;
	json_t *key;
	size_t n = session->n_keys + json_object_size(gone);
	if (n == 0)
		return;
	session->key_ids = alloc_resize(session->key_ids, n, sizeof(*session->key_ids));
	json_object_foreach (gone, text, key) {
		uint32_t id;
		struct rpc_error error = {};
		if (key_id_of_json(json_object_get(key, "id"), "", &id, &error))
			session->key_ids[session->n_keys++] = id;
	}
}

void leg_restore(struct sessions *sessions, struct session_leg *leg, const json_t *body,
	const json_t *learnt)
{
	const char *address = json_string_value(json_object_get(learnt, "address"));
	json_int_t form = json_integer_value(json_object_get(body, "form"));
	struct endpoint remote = {};
	if (form == LOCAL_ADDRESS || form == LOCAL_FAMILY)
		leg->spec.local_form = (uint8_t)form;
	leg->born = (uint64_t)json_integer_value(json_object_get(body, "born"));
	if (address && address_read(address, &remote) && remote.family == leg->spec.local.family)
		session_move(sessions, leg,
			json_is_true(json_object_get(learnt, "rtcp")) ? SRTP_RTCP : SRTP_RTP,
			&remote);
	leg_record(leg);
}
