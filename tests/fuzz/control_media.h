// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <jansson.h>

#include "control/app.h"
#include "tests/fuzz/schema.h"

// Packets of the legs that control_fuzz.c states, and what the relay may not do with them, whatever it was asked for:
// invariants 1 and 2 of docs/security.md, and no plaintext out of a leg that is protected. Aborts if it does.

void media_open(struct app *app);

// An input begins: nothing has been said yet.
void media_begin(void);

// Where legs are, as session.get shows it; before it there are none.
void media_forget_legs(void);
void media_note_legs(const json_t *session);

// Requests are under way: where legs are is not known.
void media_unsettle(void);

// Keys have changed: what a key that is gone was used for is forgotten, but for the indices of SRTCP, which do not come
// again with the key.
void media_forget_keys(void);

// One packet that comes to a leg, and all that comes of it.
void media_packet(struct choices *choices);

// What the control thread has the worker send, and who waits for it.
void media_settle(void);
