// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "key/key.h"

const char *const key_type_names[KEY_N_TYPES + 1] = {
	"gmk", "pck", "csk", "spk", "mkfc", "mscck", "musik", NULL};

const char *key_state_name(enum key_state state)
{
	static const char *const names[] = {"pending", "active", "expired"};
	return names[state];
}

struct key_profile key_profile_default(enum key_type type)
{
	if (type == KEY_GMK)
		return (struct key_profile){SRTP_AEAD_AES_128_GCM, 8, 1};
	return (struct key_profile){SRTP_AEAD_AES_128_GCM, 4, 0};
}
