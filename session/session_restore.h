// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <jansson.h>

#include "session/session_types.h"

// Sessions of an earlier life of the relay, as session/session_record.h records them, come back by session.apply's code;
// then what it does not know. Control thread.

// Own keys of a session that comes back, by their ids, the members of gone: they are gone, but legs may name them.
void session_keys_gone(struct session *session, json_t *gone);

// What a record of a leg says beside what was stated, and that of what was learnt, NULL: nothing was. After the leg
// joined.
void leg_restore(struct sessions *sessions, struct session_leg *leg, const json_t *body,
	const json_t *learnt);
