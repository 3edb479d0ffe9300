// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <libxml/tree.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mikey/fault.h"

// XML documents of others, read by libxml2 with everything refused that a document of this kind does
// not need: no DTD and so no entities, nothing fetched, UTF-8 alone. Functions on memory, any thread;
// the first document of a process has libxml2 take its memory from secmem_malloc(), so nothing else
// of the process may use libxml2 before.
//
// A document of 64 KiB costs 12 ms at most (Xeon, 3.3 GHz): one of a single element with thousands of
// attributes, which libxml2 compares with each other before it asks for them. Others cost up to 5 ms.

enum {
	XML_LEN_MAX = 65536,    // octets of a document
	XML_DEPTH_MAX = 32,     // elements inside of each other
	XML_ATTRIBUTES_MAX = 32 // of an element, namespaces among them
};

#define XML_NS_KMS  "urn:3gpp:ns:mcsecKMSInterface:1.0"
#define XML_NS_KRR  "urn:3gpp:ns:mcsecKMSKRR:1.0"
#define XML_NS_DSIG "http://www.w3.org/2000/09/xmldsig#"
#define XML_NS_ENC  "http://www.w3.org/2001/04/xmlenc#"

// The document, for xml_free(); NULL with *fault filled in.
xmlDoc *xml_read(const char *text, size_t len, struct mikey_fault *fault);
void xml_free(xmlDoc *document);

// A new document with a root of this name and namespace, by this prefix or, NULL, by none. NULL: there
// is no memory.
xmlDoc *xml_new(const char *ns, const char *prefix, const char *name);

// An element as a document of its own; NULL: there is no memory.
xmlDoc *xml_extract(const xmlNode *element);

// A document as text, for free(); NULL: there is no memory.
char *xml_write(xmlDoc *document);

// Whether an element has this name in this namespace.
bool xml_is(const xmlNode *element, const char *ns, const char *name);

// An element's first child element, and the one behind it; of any namespace. NULL: there is none.
xmlNode *xml_child(const xmlNode *parent);
xmlNode *xml_next(const xmlNode *element);

// The only child element of this name; NULL with *fault filled in if there is none or another one.
xmlNode *xml_only(
	const xmlNode *parent, const char *ns, const char *name, struct mikey_fault *fault);

// The node that follows in the document below top, children first; depth is kept. NULL at the end.
xmlNode *xml_walk(const xmlNode *top, const xmlNode *node, unsigned *depth);

// An attribute without namespace, for secmem_free(); NULL if the element has it not.
char *xml_attribute(const xmlNode *element, const char *name);

// Fills in the fault, with the path of the element before the text. Returns false.
bool xml_fail(const xmlNode *element, struct mikey_fault *fault, enum mikey_reason reason,
	const char *format, ...) __attribute__((format(printf, 4, 5)));

// --- elements that a parent has, in any order

struct xml_context {
	struct mikey_fault *fault;
	void *arg; // of whoever reads
};

// False with *context->fault filled in.
typedef bool xml_reader(const xmlNode *element, void *value, struct xml_context *context);

enum xml_occurs { XML_OPTIONAL, XML_REQUIRED, XML_MANY };

struct xml_field {
	const char *name;
	enum xml_occurs occurs;
	xml_reader *read;
	size_t offset;     // of value in what the elements are read into
	const char *alias; // another name of it, or NULL
};

// Elements of the namespace are all of them known, others are not looked at.
struct xml_shape {
	const char *ns;
	const struct xml_field *fields;
	size_t n; // at most 32
};

bool xml_fields_read(const xmlNode *parent, const struct xml_shape *shape, void *out,
	struct xml_context *context);
