// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <stdlib.h>
#include <string.h>

#include "mikey/krr_element.h"

struct known {
	const struct krr_kms *kms;
	size_t n;
	bool external; // whether external KMSs may be chosen: of the receiver alone
};

static const struct krr_kms *known_find(const struct known *known, const char *uri)
{
	for (size_t i = 0; i < known->n; i++)
		if (strcmp(known->kms[i].uri, uri) == 0 &&
			(known->external || known->kms[i].role != KRR_EXTERNAL))
			return &known->kms[i];
	return NULL;
}

// The first KMS of this role that a list has.
static const struct krr_kms *role_find(
	const struct known *known, const struct krr_list *list, enum krr_kms_role role)
{
	for (size_t i = 0; i < known->n; i++)
		if (known->kms[i].role == role && krr_list_has(list, known->kms[i].uri))
			return &known->kms[i];
	return NULL;
}

static const struct krr_kms *first_find(const struct known *known, const struct krr_list *list)
{
	const struct krr_kms *found = NULL;
	for (size_t i = 0; !found && i < list->n; i++)
		found = known_find(known, list->uris[i]);
	return found;
}

// 5.2.8.2.5, of those that belong: step b has "do not", with which no KMS could be used.
static const char *choose(const struct known *known, const struct krr_list *list)
{
	const struct krr_kms *chosen = role_find(known, list, KRR_HOME);
	if (!chosen && !list->any)
		chosen = first_find(known, list);
	if (!chosen && list->any)
		chosen = role_find(known, list, KRR_MIGRATION);
	if (!chosen && list->any && known->external)
		chosen = role_find(known, list, KRR_EXTERNAL);
	return chosen ? chosen->uri : NULL;
}

static bool fail_empty(const struct krr_list *list, const char *who, const char *accepted,
	struct mikey_fault *fault)
{
	return mikey_fail(fault, MIKEY_NO_COMMON_KMS, 0,
		"the list of the %s's KMSs has %zu, none of them known; accepted: %s", who,
		list->any ? 0 : list->n, accepted);
}

static bool policy_ok(
	const struct krr *krr, const struct krr_policy *policy, struct mikey_fault *fault)
{
	if (!policy->allow)
		return mikey_fail(
			fault, MIKEY_KRR_POLICY, 0, "KRRs are not allowed; accepted: none");
	if (policy->require_signed && krr->signature != MIKEY_VERIFIED)
		return mikey_fail(fault, MIKEY_KRR_POLICY, 0,
			"the KRR of %.100s %s; accepted: a signature that verifies", krr->creator,
			krr->signature == MIKEY_UNSIGNED
				? "is not signed"
				: "is signed by a certificate or an algorithm that is not known");
	return true;
}

static bool unknown_list(
	const struct krr_list *list, const struct known *known, struct krr_choice *choice)
{
	choice->unknown = list->any || list->n == 0 ? NULL : calloc(list->n, sizeof(char *));
	for (size_t i = 0; choice->unknown && i < list->n; i++)
		if (!known_find(known, list->uris[i]))
			choice->unknown[choice->n_unknown++] = list->uris[i];
	return choice->unknown || list->any || list->n == 0;
}

bool krr_choose(const struct krr *krr, const struct krr_policy *policy, const struct krr_kms *kms,
	size_t n_kms, struct krr_choice *choice, struct mikey_fault *fault)
{
	const struct known initiator = {.kms = kms, .n = n_kms};
	const struct known receiver = {.kms = kms, .n = n_kms, .external = true};
	*choice = (struct krr_choice){};
	if (!policy_ok(krr, policy, fault))
		return false;
	if (policy->request_unknown && !unknown_list(&krr->receiver_list, &receiver, choice))
		return mikey_fail(fault, MIKEY_NO_COMMON_KMS, 0, "there is no memory");
	choice->initiator_kms = choose(&initiator, &krr->initiator_list);
	if (!choice->initiator_kms)
		return fail_empty(&krr->initiator_list, "initiator",
			"a home or migration KMS in it, or ANY", fault);
	choice->receiver_kms = choose(&receiver, &krr->receiver_list);
	return choice->receiver_kms ||
	       fail_empty(&krr->receiver_list, "receiver",
		       "a home, migration or external KMS in it, or ANY", fault);
}
