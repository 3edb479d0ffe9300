// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

// libFuzzer entry: the input as an RTCP compound packet, translated under maps that change all SSRCs and
// none, into exactly the room that its first two octets say. What comes out is a well-formed packet that
// can be translated again, without another change.

#include <stdlib.h>
#include <string.h>

#include "crypto/srtp.h"
#include "dataplane/rtcp_translate.h"

enum { HEAD_LEN = 2, ROOM_MAX = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool fact)
{
	if (!fact)
		abort();
}

static uint32_t map_same(void *arg, uint32_t ssrc, bool sender)
{
	(void)arg;
	(void)sender;
	return ssrc;
}

static uint32_t map_not(void *arg, uint32_t ssrc, bool sender)
{
	unsigned *n = arg;
	(void)sender;
	(*n)++;
	return ~ssrc;
}

// In buffers that end where they end. The translation is the caller's to free.
static uint16_t translate(
	rtcp_map_ssrc *map, const uint8_t *packet, size_t len, size_t room, uint8_t **out)
{
	static const uint8_t name_key[SIPHASH_KEY_LEN] = {42};
	unsigned mapped = 0;
	struct rtcp_translation translation = {.map = map, .arg = &mapped, .name_key = name_key};
	uint8_t *in = malloc(len);
	*out = malloc(room);
	require((in || len == 0) && (*out || room == 0));
	if (len > 0)
		memcpy(in, packet, len);
	uint16_t written = rtcp_translate(&translation, in, len, *out, room);
	require(written <= room && mapped <= len);
	require(len == 0 || memcmp(in, packet, len) == 0);
	free(in);
	return written;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < HEAD_LEN)
		return 0;
	size_t room = (size_t)(data[0] << 8 | data[1]) % ROOM_MAX;
	uint8_t *same, *other, *again;
	uint16_t len = translate(map_same, data + HEAD_LEN, size - HEAD_LEN, room, &same);
	require(translate(map_not, data + HEAD_LEN, size - HEAD_LEN, room, &other) == len);
	if (len > 0) {
		require(rtcp_compound_ok(same, len) && rtcp_compound_ok(other, len));
		require(translate(map_same, same, len, len, &again) == len);
		free(again);
		require(translate(map_not, other, len, len, &again) == len);
		free(again);
	}
	free(same);
	free(other);
	return 0;
}
