// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mikey/document_key.h"
#include "mikey/message.h"

// KMS redirect responses (TS 33.180 5.2.8, D.4): what comes back instead of an I_MESSAGE's answer if
// a KMS in it is not acceptable, and says which are. Functions on memory without clock, any thread;
// of secrets only the key of who signs. Strings are URIs of 1 to 255 octets, compared octet by octet.

enum { KRR_RECEIVED_MAX = 5 }; // KRRs inside of a KRR (5.2.8.2.4)

// Acceptable KMSs, the preferred one first.
struct krr_list {
	bool any; // all are; uris is not looked at then
	const char **uris;
	size_t n;
};

struct krr {
	uint64_t time; // seconds since 1970-01-01T00:00:00Z
	const char *creator;
	// Of the I_MESSAGE: IDRi, IDRkmsi, IDRr, IDRkmsr.
	const char *initiator, *initiator_kms, *receiver, *receiver_kms;
	struct krr_list initiator_list, receiver_list;
	enum mikey_signed signature;
	struct krr *received; // the one that this one was made of, or NULL
	size_t n_received;    // how many are inside of each other
};

// Reads a KRR and all that it was made of. certificates: of whom to trust, X.509 in DER; with none of
// them no signature is better than MIKEY_UNTRUSTED (D.4.2 leaves open whom to trust). The chain has to be one that
// 5.2.8.2.4 makes: of one I_MESSAGE, with lists that grow no longer. A signature that is wrong is
// refused, whatever the policy. The caller gives *krr to krr_free(). False with *fault filled in, and
// nothing to free.
bool krr_read(const char *text, size_t len, const struct mikey_octets *certificates,
	size_t n_certificates, struct krr *krr, struct mikey_fault *fault);

void krr_free(struct krr *krr);

// --- whose next I_MESSAGE goes by it (5.2.8.2.5)

enum krr_kms_role { KRR_HOME, KRR_MIGRATION, KRR_EXTERNAL };

// A KMS that the initiator was provisioned with.
struct krr_kms {
	const char *uri;
	enum krr_kms_role role;
};

// 5.2.8.5. That an unsigned KRR is ignored is what require_signed is taken to mean: the clause has it
// the wrong way round.
struct krr_policy {
	bool allow;
	bool require_signed;
	bool request_unknown;
};

struct krr_choice {
	const char *initiator_kms; // of those who were given
	const char *receiver_kms;
	// KMSs of the receiver list that are not known, to be asked for at the home KMS if the policy
	// says so; point into the KRR. For free().
	const char **unknown;
	size_t n_unknown;
};

// Selects the KMSs of the next I_MESSAGE: the home KMS if it is acceptable, else the first one in the
// list that may be used; with 'ANY' those are the KMSs that are known, home first. False with *fault
// filled in if the policy is against the KRR or if no KMS is left; choice->unknown is to be freed in
// any case.
bool krr_choose(const struct krr *krr, const struct krr_policy *policy, const struct krr_kms *kms,
	size_t n_kms, struct krr_choice *choice, struct mikey_fault *fault);

// --- making one (5.2.8.2.2 to 5.2.8.2.4)

struct krr_draft {
	uint64_t time;
	const char *creator;
	// Of the I_MESSAGE; with a received KRR NULL, or the same.
	const char *initiator, *initiator_kms, *receiver, *receiver_kms;
	// What is allowed: of a received KRR those that are not allowed are removed, and 'any' leaves a
	// list as it is.
	struct krr_list initiator_list, receiver_list;
	const char *received; // a KRR that goes into this one, or NULL
	size_t received_len;
	const struct mikey_certified_key *signer; // NULL: it is not signed
};

// The KRR as a document, for free(). NULL with *fault filled in.
char *krr_write(const struct krr_draft *draft, struct mikey_fault *fault);
