// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "session/protection_profile.h"

uint8_t cs_id_receive(enum session_service service, enum key_type type, enum leg_role role)
{
	bool video = service == SERVICE_MCVIDEO;
	switch (type) {
	case KEY_GMK:
		return video ? 5 : 4;
	case KEY_PCK:
		return (uint8_t)((video ? 2 : 0) + (role == ROLE_RECEIVER ? 1 : 0));
	case KEY_CSK:
	case KEY_SPK:
		return video ? 8 : 6;
	default:
		return video ? 9 : 7;
	}
}

// What a client receives its peer has sent: the other role's crypto session.
uint8_t cs_id_send(enum session_service service, enum key_type type, enum leg_role role)
{
	return cs_id_receive(service, type, role == ROLE_RECEIVER ? ROLE_INITIATOR : ROLE_RECEIVER);
}

struct key_profile protection_profile(
	const struct protection_spec *spec, const struct key_slot *key)
{
	struct key_profile profile = key->profile;
	if (spec->has_suite)
		profile.suite = spec->profile.suite;
	if (spec->has_mki_len)
		profile.mki_len = spec->profile.mki_len;
	if (spec->has_roc_rate)
		profile.roc_rate = spec->profile.roc_rate;
	// Whatever the key's profile for AES-GCM is.
	if (!srtp_suite_is_aead(profile.suite))
		profile.roc_rate = 0;
	return profile;
}
