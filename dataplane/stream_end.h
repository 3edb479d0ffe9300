// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdint.h>

#include "dataplane/stream_table.h"

// How a stream ends before its key or leg does. One without key is forgotten. One under a key goes to rest: its record
// keeps what must not be forgotten. Control thread.

struct relay;
struct retire;

// The list in which a stream of that scope is.
struct stream_list *stream_list_of(struct relay *relay, uint32_t scope);

// Whether a stream is to end.
typedef bool stream_ends(const struct stream *stream, void *arg);

// Ends those streams of a list of which ends(stream, arg) says so, and for which there is room at rest. Returns how many
// streams were looked at.
uint32_t stream_list_sweep(struct relay *relay, struct retire *retire, struct stream_list *list,
	stream_ends *ends, void *arg);
