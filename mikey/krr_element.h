// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "mikey/krr.h"
#include "mikey/xml_signature.h"

// A KRR as an element, for who reads one and for who puts one into another. Any thread.

// As krr_read(); krr is to be freed in any case.
bool krr_element_read(const xmlNode *root, const struct xml_trust *trust, struct krr *krr,
	struct mikey_fault *fault);

// The KRR inside of a KRR, or NULL.
const xmlNode *krr_element_inner(const xmlNode *element);

// Whether a list has this KMS, or has all.
bool krr_list_has(const struct krr_list *list, const char *uri);
