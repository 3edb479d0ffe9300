// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "mikey/authority.h"

#include <string.h>

bool mikey_octets_equal(const struct mikey_octets *a, const struct mikey_octets *b)
{
	return a->len == b->len && memcmp(a->octets, b->octets, a->len) == 0;
}

static bool list_has(const struct mikey_octets *list, size_t n, const struct mikey_octets *uri)
{
	for (size_t i = 0; i < n; i++)
		if (mikey_octets_equal(&list[i], uri))
			return true;
	return false;
}

bool mikey_kms_usable(const struct mikey_kms *kms, uint64_t time, const char *what, size_t octet,
	struct mikey_fault *fault)
{
	if (kms->revoked)
		return mikey_fail(fault, MIKEY_KMS_REVOKED, octet, "%s is %.*s, which is revoked",
			what, (int)kms->uri.len, (const char *)kms->uri.octets);
	if (time < kms->valid_from || (kms->valid_to != 0 && time >= kms->valid_to))
		return mikey_fail(fault, MIKEY_KMS_NOT_VALID, octet,
			"%s is %.*s, which is not valid at the time of the message", what,
			(int)kms->uri.len, (const char *)kms->uri.octets);
	return true;
}

// A URI in both lists gets a CSK as MDSI and a GMK as GMS.
enum mikey_role mikey_role_of(
	const struct mikey_kms *kms, const struct mikey_octets *uri, enum mikey_type type)
{
	const bool gms = list_has(kms->gms, kms->n_gms, uri);
	const bool mdsi = list_has(kms->mdsi, kms->n_mdsi, uri);
	if (mdsi && (type == MIKEY_CSK || !gms))
		return MIKEY_ROLE_MDSI;
	return gms ? MIKEY_ROLE_GMS : MIKEY_ROLE_USER;
}

static bool fail(const struct mikey_delivery *d, struct mikey_fault *fault, const char *accepted)
{
	return mikey_fail(fault, MIKEY_NOT_AUTHORIZED, 0,
		"a %s from %.*s of %.*s is not authorized; accepted: %s", mikey_type_name(d->type),
		(int)d->initiator.len, (const char *)d->initiator.octets, (int)d->kms->uri.len,
		(const char *)d->kms->uri.octets, accepted);
}

bool mikey_authority_ok(const struct mikey_delivery *delivery, struct mikey_fault *fault)
{
	const struct mikey_delivery *d = delivery;
	const bool gms = list_has(d->kms->gms, d->kms->n_gms, &d->initiator);
	const bool mdsi = list_has(d->kms->mdsi, d->kms->n_mdsi, &d->initiator);
	switch (d->type) {
	case MIKEY_GMK:
	case MIKEY_MKFC:
		return (gms && d->receiver != MIKEY_ROLE_MDSI) ||
		       fail(d, fault, "a GMS of its KMS, to a user or a GMS");
	case MIKEY_PCK:
		return (!gms && !mdsi && d->receiver == MIKEY_ROLE_USER) ||
		       fail(d, fault, "a user, to a user");
	case MIKEY_CSK:
		return (!gms && !mdsi && d->receiver == MIKEY_ROLE_MDSI) ||
		       (mdsi && d->receiver == MIKEY_ROLE_USER) ||
		       fail(d, fault, "a user, to an MDSI, or back");
	case MIKEY_MSCCK:
	case MIKEY_MUSIK:
		return (mdsi && d->receiver == MIKEY_ROLE_USER) ||
		       fail(d, fault, "an MDSI of its KMS, to a user");
	}
	return fail(d, fault, "gmk, pck, csk, mkfc, mscck, musik");
}
