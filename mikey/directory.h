// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "crypto/eccsi.h"
#include "crypto/mcx_uid.h"
#include "crypto/sakke.h"
#include "mikey/message.h"

// What whoever opens messages knows of KMSs and of identities of its own: plain facts, which do not
// change while a message is opened. The owner is whoever fills them in.

enum mikey_role { MIKEY_ROLE_USER, MIKEY_ROLE_GMS, MIKEY_ROLE_MDSI };

// A KMS certificate (TS 33.180 D.3.2.2), and what is said of those whom the KMS provisions.
struct mikey_kms {
	struct mikey_octets uri;
	uint8_t kpak[ECCSI_POINT_LEN];
	uint32_t period; // UserKeyPeriod, seconds
	uint32_t offset; // UserKeyOffset, seconds
	// Seconds since 1970-01-01T00:00:00Z: from the first one on, before the second one; 0: no bound.
	uint64_t valid_from, valid_to;
	bool revoked;
	bool security_gateway;          // IsSecurityGateway (L.3)
	unsigned quirks;                // of enum mikey_quirk: accepted of its users
	const struct mikey_octets *gms; // URIs that act as GMS, as MDSI
	const struct mikey_octets *mdsi;
	size_t n_gms, n_mdsi;
};

// The keys of an identity for one key period.
struct mikey_key_set {
	uint64_t period_no;
	uint8_t uid[MCX_UID_LEN];
	const struct sakke_receiver *receiver;
};

// An identity that messages may be for.
struct mikey_local {
	struct mikey_octets uri;
	enum mikey_role role;
	const struct mikey_key_set *sets; // one a period, in any order
	size_t n_sets;
	bool derived; // sets is not looked at: who opens a message derives the key set of its period
};

// Look-ups; NULL if there is none such.
struct mikey_directory {
	void *arg;
	const struct mikey_kms *(*kms)(void *arg, const struct mikey_octets *uri);
	const struct mikey_local *(*local)(
		void *arg, const struct mikey_kms *kms, const struct mikey_octets *uri);
	// The one that has a key set with this UID.
	const struct mikey_local *(*hidden)(
		void *arg, const struct mikey_kms *kms, const uint8_t uid[MCX_UID_LEN]);
	// The KMS of the one that a message is for which names no KMS, by its URI, or with uri NULL by
	// its UID; only a KMS that lets its users do so. NULL also if there are two such.
	const struct mikey_kms *(*assumed)(
		void *arg, const struct mikey_octets *uri, const uint8_t uid[MCX_UID_LEN]);
};
