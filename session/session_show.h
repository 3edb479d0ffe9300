// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <jansson.h>

#include "session/session_types.h"

// Sessions as JSON. Control thread.

// All but its legs.
json_t *session_show(const struct sessions *sessions, const struct session *session);
// What a leg has beside remote, protections, rate and statistics, as it was stated.
json_t *leg_form_show(const struct sessions *sessions, const struct session_leg *leg);
json_t *address_show(const struct endpoint *address);
// key: the one that is named, or NULL.
json_t *protection_show(const struct protection_spec *spec, const struct key_slot *key);
// As session.apply takes it, without keys and legs.
json_t *session_stated(const struct session *session);

json_t *leg_show(const struct sessions *sessions, const struct session_leg *leg);
// Its id and local address.
json_t *leg_local_show(const struct session_leg *leg);
json_t *session_summary(const struct session *session);
