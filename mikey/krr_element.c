// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "mikey/krr_element.h"

#include <stdlib.h>
#include <string.h>

#include "base/secmem.h"
#include "mikey/xml_signature.h"
#include "mikey/xml_value.h"

// --- lists

static bool any_read(const xmlNode *element, void *value, struct xml_context *context)
{
	struct krr_list *list = value;
	char *text = xml_text(element, context->fault);
	bool ok = text && (*text == '\0' || xml_fail(element, context->fault, MIKEY_XML_VALUE,
						    "has text in it; accepted: none"));
	list->any = ok;
	secmem_free(text);
	return ok;
}

static bool kms_uri_read(const xmlNode *element, void *value, struct xml_context *context)
{
	struct krr_list *list = value;
	const char **uris = reallocarray(list->uris, list->n + 1, sizeof(*uris));
	if (!uris)
		return xml_fail(element, context->fault, MIKEY_XML_VALUE, "there is no memory");
	list->uris = uris;
	uris[list->n] = NULL;
	return xml_read_uri(element, &uris[list->n++], context);
}

static bool list_read(const xmlNode *element, void *value, struct xml_context *context)
{
	static const struct xml_field fields[] = {
		{"ANY", XML_OPTIONAL, any_read, 0},
		{"KmsUri", XML_MANY, kms_uri_read, 0},
	};
	static const struct xml_shape shape = {XML_NS_KRR, fields, 2};
	const struct krr_list *list = value;
	return xml_fields_read(element, &shape, value, context) &&
	       (!list->any || list->n == 0 ||
		       xml_fail(element, context->fault, MIKEY_XML_ELEMENT,
			       "has ANY and KmsUri; accepted: either"));
}

// --- one KRR

static bool received_read(const xmlNode *element, void *value, struct xml_context *context)
{
	struct krr *krr = value;
	const xmlNode *inner = xml_only(element, XML_NS_KRR, "KmsRedirectResponse", context->fault);
	krr->received = inner ? calloc(1, sizeof(*krr->received)) : NULL;
	return krr->received ||
	       (inner && xml_fail(element, context->fault, MIKEY_XML_VALUE, "there is no memory"));
}

static bool fields_read(const xmlNode *element, struct krr *krr, struct xml_context *context)
{
#define K(member) offsetof(struct krr, member)
	static const struct xml_field fields[] = {
		{"Time", XML_REQUIRED, xml_read_time, K(time)},
		{"KRRCreatorUri", XML_REQUIRED, xml_read_uri, K(creator)},
		{"InitiatorUri", XML_REQUIRED, xml_read_uri, K(initiator)},
		{"InitiatorKmsUri", XML_REQUIRED, xml_read_uri, K(initiator_kms)},
		{"ReceiverUri", XML_REQUIRED, xml_read_uri, K(receiver)},
		{"ReceiverKmsUri", XML_REQUIRED, xml_read_uri, K(receiver_kms)},
		{"InitiatorKmsList", XML_REQUIRED, list_read, K(initiator_list)},
		{"ReceiverKmsList", XML_REQUIRED, list_read, K(receiver_list)},
		{"ReceivedKmsRedirectResponse", XML_OPTIONAL, received_read, 0},
		{"Signature", XML_OPTIONAL, xml_read_ignored, 0},
	};
#undef K
	static const struct xml_shape shape = {
		XML_NS_KRR, fields, sizeof(fields) / sizeof(*fields)};
	return xml_fields_read(element, &shape, krr, context);
}

// The schema has Signature in the namespace of the KRR, the examples in that of XML signatures.
static const xmlNode *signature_find(const xmlNode *element)
{
	const xmlNode *found = NULL;
	for (const xmlNode *child = xml_child(element); child; child = xml_next(child))
		if (xml_is(child, XML_NS_DSIG, "Signature") ||
			xml_is(child, XML_NS_KRR, "Signature"))
			found = child;
	return found;
}

static bool signature_check(const xmlNode *element, const struct xml_trust *trust,
	enum mikey_signed *result, struct mikey_fault *fault)
{
	return xml_signature_check(
		element, signature_find(element), trust, MIKEY_KRR_SIGNATURE, result, fault);
}

// One that was received was signed as a document of its own. Where it stands now the namespaces of
// the KRR around it belong to what is hashed, which may make another hash of it.
static bool received_signature_check(const xmlNode *element, const struct xml_trust *trust,
	enum mikey_signed *result, struct mikey_fault *fault)
{
	struct mikey_fault ignored;
	xmlDoc *alone = xml_extract(element);
	bool ok = alone && signature_check(xmlDocGetRootElement(alone), trust, result, &ignored);
	xml_free(alone);
	return ok || signature_check(element, trust, result, fault);
}

static bool one_read(const xmlNode *element, bool received, const struct xml_trust *trust,
	struct krr *krr, struct mikey_fault *fault)
{
	struct xml_context context = {.fault = fault};
	return fields_read(element, krr, &context) &&
	       (received ? received_signature_check : signature_check)(
		       element, trust, &krr->signature, fault);
}

// --- the chain

bool krr_list_has(const struct krr_list *list, const char *uri)
{
	for (size_t i = 0; !list->any && i < list->n; i++)
		if (strcmp(list->uris[i], uri) == 0)
			return true;
	return list->any;
}

static bool list_within(const struct krr_list *list, const struct krr_list *allowed)
{
	if (list->any)
		return allowed->any;
	for (size_t i = 0; i < list->n; i++)
		if (!krr_list_has(allowed, list->uris[i]))
			return false;
	return true;
}

// Whether a KRR may have been made of the one that it has inside (5.2.8.2.4).
static bool link_ok(const xmlNode *element, const struct krr *krr, struct mikey_fault *fault)
{
	const struct krr *inner = krr->received;
	if (strcmp(krr->initiator, inner->initiator) != 0 ||
		strcmp(krr->initiator_kms, inner->initiator_kms) != 0 ||
		strcmp(krr->receiver, inner->receiver) != 0 ||
		strcmp(krr->receiver_kms, inner->receiver_kms) != 0)
		return xml_fail(element, fault, MIKEY_KRR_POLICY,
			"has a KRR of another I_MESSAGE inside; accepted: of the same");
	return (list_within(&krr->initiator_list, &inner->initiator_list) &&
		       list_within(&krr->receiver_list, &inner->receiver_list)) ||
	       xml_fail(element, fault, MIKEY_KRR_POLICY,
		       "lists a KMS that the KRR inside does not; accepted: its lists, or less");
}

const xmlNode *krr_element_inner(const xmlNode *element)
{
	struct mikey_fault ignored;
	const xmlNode *received =
		xml_only(element, XML_NS_KRR, "ReceivedKmsRedirectResponse", &ignored);
	return received ? xml_only(received, XML_NS_KRR, "KmsRedirectResponse", &ignored) : NULL;
}

static size_t inner_count(const xmlNode *root)
{
	size_t n = 0;
	for (const xmlNode *at = krr_element_inner(root); at; at = krr_element_inner(at))
		n++;
	return n;
}

bool krr_element_read(const xmlNode *root, const struct xml_trust *trust, struct krr *krr,
	struct mikey_fault *fault)
{
	*krr = (struct krr){.n_received = inner_count(root)};
	if (!xml_is(root, XML_NS_KRR, "KmsRedirectResponse"))
		return xml_fail(root, fault, MIKEY_XML_ELEMENT,
			"is no KRR; accepted: KmsRedirectResponse of namespace " XML_NS_KRR);
	if (krr->n_received > KRR_RECEIVED_MAX)
		return mikey_fail(fault, MIKEY_KRR_DEPTH, 0,
			"the KRR has %zu KRRs inside of each other; accepted: at most %u",
			krr->n_received, KRR_RECEIVED_MAX);
	const xmlNode *element = root;
	struct krr *outer = NULL;
	for (struct krr *at = krr; at; outer = at, at = at->received) {
		if (outer) {
			element = krr_element_inner(element);
			at->n_received = outer->n_received - 1;
		}
		if (!one_read(element, outer, trust, at, fault) ||
			(outer && !link_ok(element->parent->parent, outer, fault)))
			return false;
	}
	return true;
}

bool krr_read(const char *text, size_t len, const struct mikey_octets *certificates,
	size_t n_certificates, struct krr *krr, struct mikey_fault *fault)
{
	const struct xml_trust trust = {
		.certificates = certificates, .n_certificates = n_certificates};
	*krr = (struct krr){};
	xmlDoc *document = xml_read(text, len, fault);
	bool ok = document && krr_element_read(xmlDocGetRootElement(document), &trust, krr, fault);
	xml_free(document);
	if (!ok)
		krr_free(krr);
	return ok;
}

static void list_free(struct krr_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		free((void *)list->uris[i]);
	free((void *)list->uris);
}

static void one_free(struct krr *krr)
{
	free((void *)krr->creator);
	free((void *)krr->initiator);
	free((void *)krr->initiator_kms);
	free((void *)krr->receiver);
	free((void *)krr->receiver_kms);
	list_free(&krr->initiator_list);
	list_free(&krr->receiver_list);
}

void krr_free(struct krr *krr)
{
	for (struct krr *at = krr->received, *next; at; at = next) {
		next = at->received;
		one_free(at);
		free(at);
	}
	one_free(krr);
	*krr = (struct krr){};
}
