// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "mikey/xml.h"

#include <libxml/parser.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/secmem.h"
#include "base/utf8.h"
#include "crypto/stack_wipe.h"

enum { PATH_SIZE = 160 };

// --- libxml2's memory

static pthread_once_t memory_once = PTHREAD_ONCE_INIT;

static char *secmem_string(const char *text)
{
	const size_t size = strlen(text) + 1;
	char *copy = secmem_malloc(size);
	return copy ? memcpy(copy, text, size) : NULL;
}

// Keys pass through the parser as text: what it frees is wiped.
static void memory_serve(void)
{
	xmlMemSetup(secmem_free, secmem_malloc, secmem_realloc, secmem_string);
	xmlInitParser();
}

// --- faults

static unsigned twins(const xmlNode *element, bool before)
{
	unsigned n = 0;
	for (const xmlNode *other = before ? element->prev : element->next; other;
		other = before ? other->prev : other->next)
		if (other->type == XML_ELEMENT_NODE && xmlStrEqual(other->name, element->name))
			n++;
	return n;
}

// "KmsKeyProv/KmsKeySet[2]/UserID", from the root on; what does not fit is left out at the front.
static void path_write(const xmlNode *element, char path[PATH_SIZE])
{
	char *at = &path[PATH_SIZE - 1];
	*at = '\0';
	for (; element && element->type == XML_ELEMENT_NODE; element = element->parent) {
		char step[64];
		const unsigned before = twins(element, true);
		int len = before || twins(element, false)
				  ? snprintf(step, sizeof(step), "%.40s[%u]",
					    (const char *)element->name, before + 1)
				  : snprintf(step, sizeof(step), "%.40s",
					    (const char *)element->name);
		if (len + 1 > at - path)
			break;
		if (*at)
			*--at = '/';
		at -= len;
		memcpy(at, step, (size_t)len);
	}
	memmove(path, at, strlen(at) + 1);
}

bool xml_fail(const xmlNode *element, struct mikey_fault *fault, enum mikey_reason reason,
	const char *format, ...)
{
	char path[PATH_SIZE], text[sizeof(fault->text)];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	path_write(element, path);
	return mikey_fail(fault, reason, 0, "%s: %s", path, text);
}

// --- documents

// The XML declaration is all that may name another encoding; without a byte order mark, which the
// validity of UTF-8 excludes, nothing else makes libxml2 convert.
static bool encoding_ok(const char *text, size_t len)
{
	static const char *const names[] = {"utf-8", "us-ascii"};
	const char *end =
		len > 5 && memcmp(text, "<?xml", 5) == 0 ? memmem(text, len, "?>", 2) : NULL;
	const char *at = end ? memmem(text, (size_t)(end - text), "encoding", 8) : NULL;
	if (!at)
		return true;
	at += 8;
	at += strspn(at, " \t\r\n=\"'");
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (strncasecmp(at, names[i], strlen(names[i])) == 0 &&
			strchr("\"'", at[strlen(names[i])]))
			return true;
	return false;
}

// What is not shown to the parser at all.
static bool octets_ok(const char *text, size_t len, struct mikey_fault *fault)
{
	const char *dtd;
	if (!text || len == 0 || len > XML_LEN_MAX)
		return mikey_fail(fault, MIKEY_MALFORMED, 0,
			"the document has %zu octets; accepted: 1 to %u", len, XML_LEN_MAX);
	if (memchr(text, 0, len) || !utf8_valid((const uint8_t *)text, len) ||
		!encoding_ok(text, len))
		return mikey_fail(fault, MIKEY_MALFORMED, 0,
			"the document is not in UTF-8; accepted: UTF-8 without NUL");
	if ((dtd = memmem(text, len, "<!DOCTYPE", 9)))
		return mikey_fail(fault, MIKEY_MALFORMED, (size_t)(dtd - text),
			"the document has a DTD; accepted: none");
	return true;
}

xmlNode *xml_walk(const xmlNode *top, const xmlNode *node, unsigned *depth)
{
	if (node->type == XML_ELEMENT_NODE && node->children) {
		++*depth;
		return node->children;
	}
	while (node != top && !node->next) {
		node = node->parent;
		--*depth;
	}
	return node == top ? NULL : node->next;
}

static bool depth_ok(const xmlDoc *document, struct mikey_fault *fault)
{
	const xmlNode *root = xmlDocGetRootElement(document);
	unsigned depth = 1;
	for (const xmlNode *node = root; node; node = xml_walk(root, node, &depth))
		if (node->type == XML_ELEMENT_NODE && depth > XML_DEPTH_MAX)
			return mikey_fail(fault, MIKEY_MALFORMED, 0,
				"elements are nested deeper than %u; accepted: at most that",
				XML_DEPTH_MAX);
	return true;
}

// libxml2's own limits are wider. Its time grows with the square of an element's attributes.
static void element_begin(void *arg, const xmlChar *name, const xmlChar *prefix, const xmlChar *uri,
	int n_namespaces, const xmlChar **namespaces, int n_attributes, int n_defaulted,
	const xmlChar **attributes)
{
	xmlParserCtxt *parser = arg;
	if (n_namespaces + n_attributes > XML_ATTRIBUTES_MAX) {
		xmlStopParser(parser);
		parser->wellFormed = 0; // or a part would be taken for the whole
	} else {
		xmlSAX2StartElementNs(arg, name, prefix, uri, n_namespaces, namespaces,
			n_attributes, n_defaulted, attributes);
	}
}

// Without libxml2's own text, which may quote a key.
static void fail_parse(xmlParserCtxt *parser, size_t len, struct mikey_fault *fault)
{
	const xmlError *error = xmlCtxtGetLastError(parser);
	const long consumed = xmlByteConsumed(parser);
	const size_t octet = consumed > 0 && (size_t)consumed < len ? (size_t)consumed : 0;
	if (error && error->code != XML_ERR_OK)
		mikey_fail(fault, MIKEY_MALFORMED, octet,
			"the document is not well-formed XML (error %d of libxml2 in line %d)",
			error->code, error->line);
	else
		mikey_fail(fault, MIKEY_MALFORMED, octet,
			"an element has more than %u attributes; accepted: at most that",
			XML_ATTRIBUTES_MAX);
}

static STACK_WIPED xmlDoc *parse(const char *text, size_t len, struct mikey_fault *fault)
{
	enum {
		OPTIONS = XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING |
			  XML_PARSE_IGNORE_ENC
	};
	xmlParserCtxt *parser = xmlNewParserCtxt();
	if (!parser) {
		mikey_fail(fault, MIKEY_MALFORMED, 0, "there is no memory for the document");
		return NULL;
	}
	parser->sax->startElementNs = element_begin;
	xmlDoc *document = xmlCtxtReadMemory(parser, text, (int)len, NULL, NULL, OPTIONS);
	if (!document)
		fail_parse(parser, len, fault);
	xmlFreeParserCtxt(parser);
	return document;
}

xmlDoc *xml_read(const char *text, size_t len, struct mikey_fault *fault)
{
	pthread_once(&memory_once, memory_serve);
	if (!octets_ok(text, len, fault))
		return NULL;
	xmlDoc *document = parse(text, len, fault);
	stack_wipe();
	if (document && !depth_ok(document, fault)) {
		xml_free(document);
		return NULL;
	}
	return document;
}

void xml_free(xmlDoc *document)
{
	xmlFreeDoc(document);
}

xmlDoc *xml_new(const char *ns, const char *prefix, const char *name)
{
	pthread_once(&memory_once, memory_serve);
	xmlDoc *document = xmlNewDoc((const xmlChar *)"1.0");
	xmlNode *root =
		document ? xmlNewDocNode(document, NULL, (const xmlChar *)name, NULL) : NULL;
	xmlNs *own = root ? xmlNewNs(root, (const xmlChar *)ns, (const xmlChar *)prefix) : NULL;
	if (root) {
		xmlDocSetRootElement(document, root);
		xmlSetNs(root, own);
	}
	if (own)
		return document;
	xml_free(document);
	return NULL;
}

xmlDoc *xml_extract(const xmlNode *element)
{
	xmlDoc *document = xmlNewDoc((const xmlChar *)"1.0");
	xmlNode *root = document ? xmlDocCopyNode((xmlNode *)element, document, 1) : NULL;
	if (root) {
		xmlDocSetRootElement(document, root);
		return document;
	}
	xml_free(document);
	return NULL;
}

char *xml_write(xmlDoc *document)
{
	xmlChar *text = NULL;
	int len = 0;
	xmlDocDumpMemoryEnc(document, &text, &len, "UTF-8");
	char *copy = text ? strdup((const char *)text) : NULL;
	secmem_free(text);
	return copy;
}

// --- elements

bool xml_is(const xmlNode *element, const char *ns, const char *name)
{
	return element->ns && xmlStrEqual(element->ns->href, (const xmlChar *)ns) &&
	       xmlStrEqual(element->name, (const xmlChar *)name);
}

static xmlNode *element_from(xmlNode *node)
{
	while (node && node->type != XML_ELEMENT_NODE)
		node = node->next;
	return node;
}

xmlNode *xml_child(const xmlNode *parent)
{
	return element_from(parent->children);
}

xmlNode *xml_next(const xmlNode *element)
{
	return element_from(element->next);
}

xmlNode *xml_only(
	const xmlNode *parent, const char *ns, const char *name, struct mikey_fault *fault)
{
	xmlNode *found = NULL;
	for (xmlNode *child = xml_child(parent); child; child = xml_next(child)) {
		if (!xml_is(child, ns, name))
			continue;
		if (found) {
			xml_fail(parent, fault, MIKEY_XML_ELEMENT, "has %s twice; accepted: once",
				name);
			return NULL;
		}
		found = child;
	}
	if (!found)
		xml_fail(parent, fault, MIKEY_XML_ELEMENT, "has no %s; accepted: one", name);
	return found;
}

char *xml_attribute(const xmlNode *element, const char *name)
{
	return (char *)xmlGetNoNsProp(element, (const xmlChar *)name);
}

static bool field_read(const xmlNode *element, const struct xml_shape *shape, uint32_t *seen,
	void *out, struct xml_context *context)
{
	for (size_t i = 0; i < shape->n; i++) {
		const struct xml_field *field = &shape->fields[i];
		if (!xmlStrEqual(element->name, (const xmlChar *)field->name) &&
			!(field->alias &&
				xmlStrEqual(element->name, (const xmlChar *)field->alias)))
			continue;
		if (*seen & UINT32_C(1) << i && field->occurs != XML_MANY)
			return xml_fail(element->parent, context->fault, MIKEY_XML_ELEMENT,
				"has %s twice; accepted: once", field->name);
		*seen |= UINT32_C(1) << i;
		return field->read(element, (char *)out + field->offset, context);
	}
	return xml_fail(element, context->fault, MIKEY_XML_ELEMENT,
		"is no element that belongs here; accepted: those of TS 33.180 Annex D");
}

bool xml_fields_read(const xmlNode *parent, const struct xml_shape *shape, void *out,
	struct xml_context *context)
{
	uint32_t seen = 0;
	for (const xmlNode *child = xml_child(parent); child; child = xml_next(child)) {
		bool ours = child->ns && xmlStrEqual(child->ns->href, (const xmlChar *)shape->ns);
		if (ours && !field_read(child, shape, &seen, out, context))
			return false;
	}
	for (size_t i = 0; i < shape->n; i++)
		if (shape->fields[i].occurs == XML_REQUIRED && !(seen & UINT32_C(1) << i))
			return xml_fail(parent, context->fault, MIKEY_XML_ELEMENT,
				"has no %s; accepted: one", shape->fields[i].name);
	return true;
}
