// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "mikey/document_key.h"
#include "mikey/xml.h"

// Making an XML signature in the profile of mikey/xml_signature.h, by ECDSA. Any thread.

// Adds it as the last child of an element that has an attribute Id of its own, which is written
// without anything that the signature would not cover. False with *fault filled in.
bool xml_signature_make(
	xmlNode *element, const struct mikey_certified_key *signer, struct mikey_fault *fault);
