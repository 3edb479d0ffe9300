// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "crypto/suite.h"
#include "mikey/message.h"

// Which SRTP profile the key of a message has (TS 33.180 E.2, E.3, E.4; RFC 3830 6.10.1, RFC 4771,
// RFC 7714 14): one, whatever number of crypto sessions it is for. Functions on memory, any thread.

// Purpose tags of the CSB-ID (TS 33.180 Annex G) that a message may have; 3, the SPK, is provisioned
// and never sent (5.5).
enum mikey_type {
	MIKEY_GMK = 0,
	MIKEY_PCK = 1,
	MIKEY_CSK = 2,
	MIKEY_MKFC = 4,
	MIKEY_MSCCK = 5,
	MIKEY_MUSIK = 6
};

// "gmk", "pck", "csk", "mkfc", "mscck" or "musik".
const char *mikey_type_name(enum mikey_type type);

// Services that crypto sessions are of.
enum mikey_service { MIKEY_MCPTT = 1 << 0, MIKEY_MCVIDEO = 1 << 1 };

enum { MIKEY_CS_IDS = 10 }; // 0 to 9

// The CS-IDs of a key of this type for these services (of enum mikey_service), a bit each (E.1.3).
unsigned mikey_cs_ids(enum mikey_type type, unsigned services);

// What the CSB-ID is of.
bool mikey_message_type(
	const struct mikey_message *message, enum mikey_type *type, struct mikey_fault *fault);

struct mikey_profile {
	enum srtp_suite suite;
	uint16_t roc_rate; // R of RFC 4771 mode 3; 0: packets carry no ROC
};

enum { MIKEY_POLICY_MAX = 64 }; // octets of the parameters of a policy that is written here

// The profile that a message without SP means (E.2.2, E.3.2, E.4.2).
struct mikey_profile mikey_profile_default(enum mikey_type type);
bool mikey_profile_is_default(const struct mikey_profile *profile, enum mikey_type type);

// The parameters of a security policy (RFC 3830 6.10) for a profile. Returns their octets.
size_t mikey_profile_write(
	const struct mikey_profile *profile, uint8_t parameters[MIKEY_POLICY_MAX]);

// The profile of a decoded message of this type: that of its SPs, or the default of the type (E.2.2,
// E.3.2, E.4.2) if it has none. False with *fault filled in.
bool mikey_profile_read(const struct mikey_message *message, enum mikey_type type,
	struct mikey_profile *profile, struct mikey_fault *fault);
