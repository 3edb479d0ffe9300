// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "mikey/profile.h"

// Parameters of a security policy for SRTP (RFC 3830 6.10.1, RFC 4771 5, RFC 7714 14.3).
enum parameter {
	SP_ENCRYPTION = 0,
	SP_ENCRYPTION_KEY_LEN = 1,
	SP_AUTH = 2,
	SP_AUTH_KEY_LEN = 3,
	SP_SALT_LEN = 4,
	SP_PRF = 5,
	SP_KEY_DERIVATION_RATE = 6,
	SP_SRTP_ENCRYPTED = 7,
	SP_SRTCP_ENCRYPTED = 8,
	SP_FEC_ORDER = 9,
	SP_SRTP_AUTHENTICATED = 10,
	SP_TAG_LEN = 11,
	SP_PREFIX_LEN = 12,
	SP_ROC_RATE = 13,
	SP_SRTP_AUTH = 14,
	SP_SRTCP_AUTH = 15,
	SP_SRTP_AUTH_KEY_LEN = 16,
	SP_SRTCP_AUTH_KEY_LEN = 17,
	SP_SRTP_TAG_LEN = 18,
	SP_SRTCP_TAG_LEN = 19,
	SP_AEAD_TAG_LEN = 20,
	SP_N
};

enum { AES_CM = 1, AES_GCM = 6 };                 // of SP_ENCRYPTION
enum { AUTH_NONE = 0, HMAC_SHA1 = 1, RCCM3 = 4 }; // of SP_AUTH
enum { ABSENT = -1, GMK_ROC_RATE = 1, ROC_LEN = 4 };

// The parameters of one SP: ABSENT, or the value.
struct parameters {
	int32_t values[SP_N];
	size_t octet; // of the message, for faults
};

const char *mikey_type_name(enum mikey_type type)
{
	static const char *const names[] = {[MIKEY_GMK] = "gmk",
		[MIKEY_PCK] = "pck",
		[MIKEY_CSK] = "csk",
		[MIKEY_MKFC] = "mkfc",
		[MIKEY_MSCCK] = "mscck",
		[MIKEY_MUSIK] = "musik"};
	return names[type];
}

bool mikey_message_type(
	const struct mikey_message *message, enum mikey_type *type, struct mikey_fault *fault)
{
	const size_t csb_id_at = 4;
	uint32_t tag = message->csb_id >> 28;
	if (tag == 3)
		return mikey_fail(fault, MIKEY_PURPOSE_TAG, csb_id_at,
			"purpose tag is 3 (SPK), which is provisioned and never sent; accepted: 0, "
			"1, 2, "
			"4, 5, 6");
	if (tag > MIKEY_MUSIK)
		return mikey_fail(fault, MIKEY_PURPOSE_TAG, csb_id_at,
			"purpose tag is %u; accepted: 0, 1, 2, 4, 5, 6", (unsigned)tag);
	*type = (enum mikey_type)tag;
	return true;
}

// --- the parameters of a policy

static bool parameter_read(struct parameters *p, const uint8_t *octets, struct mikey_fault *fault)
{
	uint8_t type = octets[0], len = octets[1];
	if (type >= SP_N)
		return mikey_fail(fault, MIKEY_PROFILE, p->octet,
			"SP parameter %u is not known; accepted: 0 to %u", type, SP_N - 1);
	if (p->values[type] != ABSENT)
		return mikey_fail(
			fault, MIKEY_PROFILE, p->octet, "SP parameter %u stands twice", type);
	if (len == 0 || len > 2)
		return mikey_fail(fault, MIKEY_PROFILE, p->octet,
			"SP parameter %u has %u octets; accepted: 1 or 2", type, len);
	p->values[type] = len == 1 ? octets[2] : octets[2] << 8 | octets[3];
	return true;
}

static bool parameters_read(const struct mikey_message *message, const struct mikey_policy *policy,
	struct parameters *p, struct mikey_fault *fault)
{
	const uint8_t *at = policy->parameters.octets, *end = at + policy->parameters.len;
	p->octet = (size_t)(at - message->whole.octets);
	for (unsigned i = 0; i < SP_N; i++)
		p->values[i] = ABSENT;
	if (policy->protocol != 0)
		return mikey_fail(fault, MIKEY_PROFILE, p->octet - 3,
			"SP %u is for protocol %u; accepted: 0 (SRTP)", policy->number,
			policy->protocol);
	for (; at < end; at += 2 + at[1])
		if (!parameter_read(p, at, fault))
			return false;
	return true;
}

// The parameter, or what RFC 3830 6.10.1 sets in its place.
static int32_t value_or(const struct parameters *p, enum parameter which, int32_t otherwise)
{
	return p->values[which] == ABSENT ? otherwise : p->values[which];
}

static bool parameter_is(const struct parameters *p, enum parameter which, int32_t wanted,
	int32_t otherwise, const char *name, struct mikey_fault *fault)
{
	int32_t value = value_or(p, which, otherwise);
	return value == wanted || mikey_fail(fault, MIKEY_PROFILE, p->octet,
					  "%s (SP parameter %u) is %d; accepted: %d", name,
					  (unsigned)which, (int)value, (int)wanted);
}

// One that SRTP and SRTCP have together, or each of its own.
static bool split_is(const struct parameters *p, enum parameter both, enum parameter own,
	int32_t wanted, int32_t otherwise, const char *name, struct mikey_fault *fault)
{
	return parameter_is(
		p, p->values[own] == ABSENT ? both : own, wanted, otherwise, name, fault);
}

// What every profile of this relay has.
static bool common_ok(const struct parameters *p, struct mikey_fault *fault)
{
	return parameter_is(p, SP_PRF, 0, 0, "SP_PRF", fault) &&
	       parameter_is(p, SP_KEY_DERIVATION_RATE, 0, 0, "key derivation rate", fault) &&
	       parameter_is(p, SP_SRTP_ENCRYPTED, 1, 1, "SRTP encryption", fault) &&
	       parameter_is(p, SP_SRTCP_ENCRYPTED, 1, 1, "SRTCP encryption", fault) &&
	       parameter_is(p, SP_SRTP_AUTHENTICATED, 1, 1, "SRTP authentication", fault) &&
	       parameter_is(p, SP_PREFIX_LEN, 0, 0, "prefix length", fault);
}

// --- the suites

static bool roc_rate_read(const struct parameters *p, uint16_t *roc_rate, struct mikey_fault *fault)
{
	int32_t rate = value_or(p, SP_ROC_RATE, 1);
	if (rate == 0)
		return mikey_fail(fault, MIKEY_PROFILE, p->octet,
			"ROC transmission rate is 0; accepted: 1 to 65535");
	*roc_rate = (uint16_t)rate;
	return split_is(p, SP_TAG_LEN, SP_SRTP_TAG_LEN, ROC_LEN, ROC_LEN, "SRTP tag length",
		       fault) &&
	       parameter_is(p, SP_SRTCP_TAG_LEN, 0, 0, "SRTCP tag length", fault);
}

// RFC 7714 with the ROC of RFC 4771 mode 3 in place of the tag that AEAD does not need, or without.
static bool gcm_read(
	const struct parameters *p, struct mikey_profile *profile, struct mikey_fault *fault)
{
	int32_t key_len = value_or(p, SP_ENCRYPTION_KEY_LEN, 16);
	if (key_len != 16 && key_len != 32)
		return mikey_fail(fault, MIKEY_PROFILE, p->octet,
			"AES-GCM has a key of %d octets; accepted: 16 or 32", (int)key_len);
	profile->suite = key_len == 16 ? SRTP_AEAD_AES_128_GCM : SRTP_AEAD_AES_256_GCM;
	if (!parameter_is(p, SP_SALT_LEN, 12, 12, "salt length", fault) ||
		!parameter_is(p, SP_AEAD_TAG_LEN, 16, 16, "AEAD tag length", fault))
		return false;
	int32_t both = value_or(p, SP_AUTH, AUTH_NONE), srtp = value_or(p, SP_SRTP_AUTH, both),
		srtcp = value_or(p, SP_SRTCP_AUTH, both == RCCM3 ? AUTH_NONE : both);
	if ((srtp != AUTH_NONE && srtp != RCCM3) || srtcp != AUTH_NONE)
		return mikey_fail(fault, MIKEY_PROFILE, p->octet,
			"AES-GCM has authentication algorithm %d; accepted: none, or 4 (RCCm3) for "
			"SRTP",
			(int)(srtcp == AUTH_NONE ? srtp : srtcp));
	if (srtp == RCCM3)
		return roc_rate_read(p, &profile->roc_rate, fault);
	profile->roc_rate = 0;
	return parameter_is(p, SP_ROC_RATE, ABSENT, ABSENT, "ROC transmission rate", fault) &&
	       split_is(p, SP_TAG_LEN, SP_SRTP_TAG_LEN, 0, 0, "SRTP tag length", fault) &&
	       split_is(p, SP_TAG_LEN, SP_SRTCP_TAG_LEN, 0, 0, "SRTCP tag length", fault);
}

// RFC 3711 with its defaults where parameters are absent.
static bool cm_read(
	const struct parameters *p, struct mikey_profile *profile, struct mikey_fault *fault)
{
	if (!parameter_is(p, SP_ENCRYPTION_KEY_LEN, 16, 16, "encryption key length", fault) ||
		!parameter_is(p, SP_SALT_LEN, 14, 14, "salt length", fault) ||
		!split_is(
			p, SP_AUTH, SP_SRTP_AUTH, HMAC_SHA1, HMAC_SHA1, "authentication", fault) ||
		!split_is(
			p, SP_AUTH, SP_SRTCP_AUTH, HMAC_SHA1, HMAC_SHA1, "authentication", fault) ||
		!split_is(p, SP_AUTH_KEY_LEN, SP_SRTP_AUTH_KEY_LEN, 20, 20,
			"authentication key length", fault) ||
		!split_is(p, SP_AUTH_KEY_LEN, SP_SRTCP_AUTH_KEY_LEN, 20, 20,
			"authentication key length", fault) ||
		!parameter_is(p, SP_ROC_RATE, ABSENT, ABSENT, "ROC transmission rate", fault) ||
		!parameter_is(p, SP_AEAD_TAG_LEN, ABSENT, ABSENT, "AEAD tag length", fault))
		return false;
	int32_t tag_len =
		value_or(p, SP_SRTP_TAG_LEN, value_or(p, SP_TAG_LEN, SRTP_SHA1_80_TAG_LEN));
	if (tag_len != SRTP_SHA1_80_TAG_LEN && tag_len != SRTP_SHA1_32_TAG_LEN)
		return mikey_fail(fault, MIKEY_PROFILE, p->octet,
			"SRTP tag length is %d; accepted: 4 or 10", (int)tag_len);
	profile->suite = tag_len == SRTP_SHA1_80_TAG_LEN ? SRTP_AES_CM_128_HMAC_SHA1_80
							 : SRTP_AES_CM_128_HMAC_SHA1_32;
	profile->roc_rate = 0;
	// RFC 4568 6.2.2: SRTCP keeps its 10 octets.
	return parameter_is(p, SP_SRTCP_TAG_LEN, SRTP_SHA1_80_TAG_LEN, SRTP_SHA1_80_TAG_LEN,
		"SRTCP tag length", fault);
}

static bool policy_read(const struct mikey_message *message, const struct mikey_policy *policy,
	struct mikey_profile *profile, struct mikey_fault *fault)
{
	struct parameters p;
	if (!parameters_read(message, policy, &p, fault) || !common_ok(&p, fault))
		return false;
	int32_t encryption = value_or(&p, SP_ENCRYPTION, AES_CM);
	if (encryption == AES_GCM)
		return gcm_read(&p, profile, fault);
	if (encryption == AES_CM)
		return cm_read(&p, profile, fault);
	return mikey_fail(fault, MIKEY_PROFILE, p.octet,
		"encryption algorithm is %d; accepted: 1 (AES-CM), 6 (AES-GCM)", (int)encryption);
}

// --- crypto sessions

// SPK, MKFC and MSCCK have none assigned and use MuSiK's.
unsigned mikey_cs_ids(enum mikey_type type, unsigned services)
{
	const unsigned mcptt = services & MIKEY_MCPTT ? ~0U : 0;
	const unsigned mcvideo = services & MIKEY_MCVIDEO ? ~0U : 0;
	switch (type) {
	case MIKEY_PCK:
		return (mcptt & (1U << 0 | 1U << 1)) | (mcvideo & (1U << 2 | 1U << 3));
	case MIKEY_GMK:
		return (mcptt & 1U << 4) | (mcvideo & 1U << 5);
	case MIKEY_CSK:
		return (mcptt & 1U << 6) | (mcvideo & 1U << 8);
	default:
		return (mcptt & 1U << 7) | (mcvideo & 1U << 9);
	}
}

static const struct mikey_policy *policy_find(const struct mikey_message *message, uint8_t number)
{
	for (unsigned i = 0; i < message->n_policies; i++)
		if (message->policies[i].number == number)
			return &message->policies[i];
	return NULL;
}

static bool session_ok(const struct mikey_message *message, unsigned at, enum mikey_type type,
	struct mikey_fault *fault)
{
	const size_t map_at = 10;
	const struct mikey_cs *cs = &message->cs[at];
	for (unsigned i = 0; i < at; i++)
		if (message->cs[i].id == cs->id)
			return mikey_fail(
				fault, MIKEY_CS_MAP, map_at, "CS-ID %u stands twice", cs->id);
	if (message->map_type == MIKEY_MAP_GENERIC_ID &&
		(cs->id >= MIKEY_CS_IDS ||
			(mikey_cs_ids(type, MIKEY_MCPTT | MIKEY_MCVIDEO) >> cs->id & 1) == 0))
		return mikey_fail(fault, MIKEY_CS_MAP, map_at,
			"CS-ID %u has no place with a %s; accepted: those of TS 33.180 table "
			"E.1.3-1",
			cs->id, mikey_type_name(type));
	if (!policy_find(message, cs->policy))
		return mikey_fail(fault, MIKEY_CS_MAP, map_at,
			"crypto session %u has policy %u, of which there is no SP", cs->id,
			cs->policy);
	return true;
}

static bool policies_ok(const struct mikey_message *message, struct mikey_fault *fault)
{
	if (message->n_cs == 0 && message->n_policies > 1)
		return mikey_fail(fault, MIKEY_PROFILE, 8,
			"there are %u SPs and no crypto session says which; accepted: 1",
			message->n_policies);
	for (unsigned i = 0; i < message->n_policies; i++)
		if (policy_find(message, message->policies[i].number) != &message->policies[i])
			return mikey_fail(fault, MIKEY_PROFILE, 8, "SP %u stands twice",
				message->policies[i].number);
	return true;
}

static bool profile_equal(const struct mikey_profile *a, const struct mikey_profile *b)
{
	return a->suite == b->suite && a->roc_rate == b->roc_rate;
}

bool mikey_profile_read(const struct mikey_message *message, enum mikey_type type,
	struct mikey_profile *profile, struct mikey_fault *fault)
{
	*profile = mikey_profile_default(type);
	if (!policies_ok(message, fault))
		return false;
	for (unsigned i = 0; i < message->n_cs; i++)
		if (!session_ok(message, i, type, fault))
			return false;
	for (unsigned i = 0; i < message->n_policies; i++) {
		struct mikey_profile other = *profile;
		if (!policy_read(message, &message->policies[i], &other, fault))
			return false;
		if (i > 0 && !profile_equal(&other, profile))
			return mikey_fail(fault, MIKEY_PROFILE, 8,
				"the SPs differ; accepted: one profile for one key");
		*profile = other;
	}
	return true;
}

struct mikey_profile mikey_profile_default(enum mikey_type type)
{
	return (struct mikey_profile){
		.suite = SRTP_AEAD_AES_128_GCM, .roc_rate = type == MIKEY_GMK ? GMK_ROC_RATE : 0};
}

bool mikey_profile_is_default(const struct mikey_profile *profile, enum mikey_type type)
{
	const struct mikey_profile is = mikey_profile_default(type);
	return profile_equal(profile, &is);
}

// --- writing: what the tables of E.2.2 and E.3.2 list

static uint8_t *parameter_put(uint8_t *at, enum parameter type, uint8_t value)
{
	*at++ = (uint8_t)type;
	*at++ = 1;
	*at++ = value;
	return at;
}

static uint8_t *roc_put(uint8_t *at, uint16_t rate)
{
	at = parameter_put(at, SP_AUTH, RCCM3);
	*at++ = SP_ROC_RATE; // 16 bits (RFC 4771 5)
	*at++ = 2;
	*at++ = (uint8_t)(rate >> 8);
	*at++ = (uint8_t)rate;
	at = parameter_put(at, SP_SRTP_TAG_LEN, ROC_LEN);
	return parameter_put(at, SP_SRTCP_TAG_LEN, 0);
}

size_t mikey_profile_write(
	const struct mikey_profile *profile, uint8_t parameters[MIKEY_POLICY_MAX])
{
	const enum srtp_suite suite = profile->suite;
	const bool gcm = srtp_suite_is_aead(suite);
	uint8_t *at = parameters;
	at = parameter_put(at, SP_ENCRYPTION, gcm ? AES_GCM : AES_CM);
	at = parameter_put(at, SP_ENCRYPTION_KEY_LEN, srtp_suite_key_len(suite));
	at = parameter_put(at, SP_SALT_LEN, srtp_suite_salt_len(suite));
	at = parameter_put(at, SP_PRF, 0);
	at = parameter_put(at, SP_KEY_DERIVATION_RATE, 0);
	if (gcm && profile->roc_rate > 0)
		at = roc_put(at, profile->roc_rate);
	if (gcm) {
		at = parameter_put(at, SP_AEAD_TAG_LEN, SRTP_GCM_TAG_LEN);
	} else {
		at = parameter_put(at, SP_AUTH, HMAC_SHA1);
		at = parameter_put(at, SP_AUTH_KEY_LEN, SRTP_AUTH_KEY_LEN);
		at = parameter_put(at, SP_SRTP_TAG_LEN, srtp_suite_tag_len(suite, SRTP_RTP));
		at = parameter_put(at, SP_SRTCP_TAG_LEN, srtp_suite_tag_len(suite, SRTP_RTCP));
	}
	return (size_t)(at - parameters);
}
