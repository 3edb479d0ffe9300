// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <libxml/tree.h>
#include <libxml/xmlIO.h>
#include <stdbool.h>
#include <stdint.h>

// The octets of a part of a document that signatures are over: Canonical XML 1.0 without comments.
// Functions on memory, any thread.

// Names of algorithms in signatures.
#define XML_C14N         "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
#define XML_ENVELOPED    "http://www.w3.org/2000/09/xmldsig#enveloped-signature"
#define XML_SHA256       "http://www.w3.org/2001/04/xmlenc#sha256"
#define XML_ECDSA_SHA256 "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"
#define XML_HMAC_SHA256  "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256"

enum { XML_DIGEST_LEN = 32 }; // octets of SHA-256

// An element without one of its descendants.
struct xml_part {
	const xmlNode *top;
	const xmlNode *without; // NULL: whole
};

// Its octets, for xmlOutputBufferClose(); NULL if it has no canonical form or there is no memory.
xmlOutputBuffer *xml_part_write(const struct xml_part *part);

// SHA-256 of its octets; false if there are none.
bool xml_part_digest(const struct xml_part *part, uint8_t digest[XML_DIGEST_LEN]);
