// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <jansson.h>

#include "identity/identity_store.h"
#include "mikey/kms_xml.h"

// What a KMS provisions as XML (TS 33.180 Annex D), as the objects of docs/api.md that say the same. A document does
// not say all that they have: that is taken from given, what the client stated of it, else it stays as it is
// installed. Control thread.

// The Kms of a certificate; other: the one of its URI that is installed, or NULL. NULL: there is no memory.
json_t *kms_document_kms(
	const struct kms_certificate *certificate, const json_t *given, const struct kms *other);

// The Identity of a key set; other: the identity that is installed, or NULL. With its keys as text: the allocator of
// jansson wipes what it frees. NULL: there is no memory.
json_t *kms_document_identity(
	const struct kms_key_set *set, const json_t *given, const struct identity *other);
