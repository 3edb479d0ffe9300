// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "mikey/xml_canonical.h"

#include <libxml/c14n.h>
#include <libxml/xmlerror.h>

#include <openssl/sha.h>

static int node_visible(void *arg, xmlNode *node, xmlNode *parent)
{
	const struct xml_part *part = arg;
	// Namespaces and attributes are there with their element.
	const bool own = node->type != XML_NAMESPACE_DECL && node->type != XML_ATTRIBUTE_NODE;
	for (const xmlNode *at = own ? node : parent; at; at = at->parent) {
		if (at == part->without)
			return 0;
		if (at == part->top)
			return 1;
	}
	return 0;
}

// libxml2 would write to stderr.
static void error_ignore(void *arg, const char *format, ...)
{
	(void)arg;
	(void)format;
}

xmlOutputBuffer *xml_part_write(const struct xml_part *part)
{
	struct xml_part copy = *part;
	xmlOutputBuffer *buffer = xmlAllocOutputBuffer(NULL);
	xmlSetGenericErrorFunc(NULL, error_ignore);
	if (buffer && xmlC14NExecute(part->top->doc, node_visible, &copy, XML_C14N_1_0, NULL, 0,
			      buffer) < 0) {
		xmlOutputBufferClose(buffer);
		return NULL;
	}
	return buffer;
}

bool xml_part_digest(const struct xml_part *part, uint8_t digest[XML_DIGEST_LEN])
{
	xmlOutputBuffer *buffer = xml_part_write(part);
	bool ok = buffer &&
		  SHA256(xmlOutputBufferGetContent(buffer), xmlOutputBufferGetSize(buffer), digest);
	xmlOutputBufferClose(buffer);
	return ok;
}
