// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "mikey/message.h"

// Writes a message from its start to its end. Whatever is beyond the room is counted and not
// written, so that only the end has to look whether all fitted.
struct mikey_writer {
	uint8_t *out;
	size_t room, len; // octets
	size_t next_at;   // where the type of the payload to come is to be written
};

// Room for n octets that the caller fills; NULL if there is none.
static inline uint8_t *mikey_write_room(struct mikey_writer *w, size_t n)
{
	uint8_t *at = w->len + n <= w->room ? w->out + w->len : NULL;
	w->len += n;
	return at;
}

static inline void mikey_write(struct mikey_writer *w, const void *octets, size_t n)
{
	uint8_t *at = mikey_write_room(w, n);
	if (at && n > 0)
		memcpy(at, octets, n);
}

// The low n octets of a number, big-endian.
static inline void mikey_write_number(struct mikey_writer *w, uint64_t number, unsigned n)
{
	for (unsigned i = n; i-- > 0;) {
		uint8_t octet = (uint8_t)(number >> (8 * i));
		mikey_write(w, &octet, 1);
	}
}

// An octet for the type of the payload to come, 0 as long as there is none.
static inline void mikey_write_next(struct mikey_writer *w)
{
	w->next_at = w->len;
	mikey_write_number(w, MIKEY_LAST, 1);
}

static inline void mikey_write_type(struct mikey_writer *w, enum mikey_payload type)
{
	if (w->next_at < w->room)
		w->out[w->next_at] = (uint8_t)type;
}

// Begins a payload: tells its type to the one before, leaves room for that of the next.
static inline void mikey_write_payload(struct mikey_writer *w, enum mikey_payload type)
{
	mikey_write_type(w, type);
	mikey_write_next(w);
}

// SIGN is the last payload and has no room for a next one.
static inline void mikey_write_sign(struct mikey_writer *w)
{
	mikey_write_type(w, MIKEY_SIGN);
}
