// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "session/session_types.h"

// Sessions follow when a key that their legs name changes. What is sent under a key that went ends at
// once; then each leg is built anew, in a large session some at a time; then what is sent may be
// under keys that came. So no leg's media is re-encrypted under a key that its own client may use
// before the leg knows. Control thread.

// For struct key_owner: a key that its legs name has changed. user is such a leg; of a few the others
// need not follow.
void session_touch(struct key_owner *owner, void *user);
void session_follow_key(struct key_owner *owner);

// Goes on with those that follow until the time of clock_now_ns(): with one leg at least.
void sessions_follow(struct sessions *sessions, uint64_t until_ns);

// The session follows no more: it has done so, or goes.
void session_follow_end(struct session *session);
