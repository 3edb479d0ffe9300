// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <stdio.h>
#include <string.h>

#include <openssl/rand.h>

#include "base/hex.h"
#include "mikey/krr_element.h"
#include "mikey/xml_signer.h"
#include "mikey/xml_value.h"

enum {
	ID_LEN = 8,      // random octets of an Id
	ID_HEX_SIZE = 17 // in hex, with a NUL
};

// --- elements

static xmlNode *child_add(xmlNode *parent, const char *name, const char *text)
{
	return xmlNewTextChild(parent, parent->ns, (const xmlChar *)name, (const xmlChar *)text);
}

// What one list has that the other one allows; an empty list is written, too, and says that there is
// nothing to agree on.
static bool list_add(xmlNode *parent, const char *name, const struct krr_list *list,
	const struct krr_list *allowed)
{
	xmlNode *element = child_add(parent, name, NULL);
	if (!element || (list->any && allowed->any))
		return element && child_add(element, "ANY", NULL);
	const struct krr_list *from = list->any ? allowed : list;
	const struct krr_list *by = list->any ? list : allowed;
	for (size_t i = 0; i < from->n; i++)
		if (krr_list_has(by, from->uris[i]) && !child_add(element, "KmsUri", from->uris[i]))
			return false;
	return true;
}

static bool identify(xmlNode *root)
{
	uint8_t octets[ID_LEN];
	char hex[ID_HEX_SIZE], id[sizeof("krr-") + ID_HEX_SIZE];
	if (RAND_bytes(octets, sizeof(octets)) != 1)
		return false;
	hex_encode(octets, sizeof(octets), hex);
	snprintf(id, sizeof(id), "krr-%s", hex);
	return xmlNewProp(root, (const xmlChar *)"Version", (const xmlChar *)"1.0.0") &&
	       xmlNewProp(root, (const xmlChar *)"Id", (const xmlChar *)id);
}

static bool received_add(xmlNode *root, const xmlDoc *received)
{
	xmlNode *element = child_add(root, "ReceivedKmsRedirectResponse", NULL);
	xmlNode *copy =
		element ? xmlDocCopyNode(xmlDocGetRootElement(received), root->doc, 1) : NULL;
	return copy && xmlAddChild(element, copy);
}

// In the order of the schema (D.4.4).
static bool krr_fill(
	xmlNode *root, const struct krr_draft *d, const struct krr *about, const xmlDoc *received)
{
	char time[XML_TIME_SIZE];
	return identify(root) && xml_time_write(d->time, time) && child_add(root, "Time", time) &&
	       child_add(root, "KRRCreatorUri", d->creator) &&
	       child_add(root, "InitiatorUri", about->initiator) &&
	       child_add(root, "InitiatorKmsUri", about->initiator_kms) &&
	       child_add(root, "ReceiverUri", about->receiver) &&
	       child_add(root, "ReceiverKmsUri", about->receiver_kms) &&
	       list_add(root, "InitiatorKmsList", &about->initiator_list, &d->initiator_list) &&
	       list_add(root, "ReceiverKmsList", &about->receiver_list, &d->receiver_list) &&
	       (!received || received_add(root, received));
}

// --- what can be wrong with a draft

static bool uri_ok(const char *uri)
{
	const struct mikey_octets octets = {
		.octets = (const uint8_t *)uri, .len = uri ? strlen(uri) : 0};
	return uri && mikey_uri_ok(&octets) && !strpbrk(uri, " \t\r\n");
}

static bool list_ok(const struct krr_list *list)
{
	for (size_t i = 0; !list->any && i < list->n; i++)
		if (!uri_ok(list->uris[i]))
			return false;
	return true;
}

static bool draft_ok(const struct krr_draft *d, const struct krr *about, struct mikey_fault *fault)
{
	return (uri_ok(d->creator) && uri_ok(about->initiator) && uri_ok(about->initiator_kms) &&
		       uri_ok(about->receiver) && uri_ok(about->receiver_kms) &&
		       list_ok(&d->initiator_list) && list_ok(&d->receiver_list)) ||
	       mikey_fail(fault, MIKEY_ID_VALUE, 0,
		       "a URI of the KRR is none; accepted: 1 to %u octets of UTF-8 without NUL "
		       "and white space",
		       MIKEY_ID_MAX);
}

static bool same_or_none(const char *uri, const char *other)
{
	return !uri || strcmp(uri, other) == 0;
}

// A KRR that is to go into another one.
static bool received_ok(
	const struct krr_draft *d, const struct krr *received, struct mikey_fault *fault)
{
	if (received->n_received + 1 > KRR_RECEIVED_MAX)
		return mikey_fail(fault, MIKEY_KRR_DEPTH, 0,
			"the KRR has %zu KRRs inside of each other already; accepted: at most %u",
			received->n_received, KRR_RECEIVED_MAX - 1);
	return (same_or_none(d->initiator, received->initiator) &&
		       same_or_none(d->initiator_kms, received->initiator_kms) &&
		       same_or_none(d->receiver, received->receiver) &&
		       same_or_none(d->receiver_kms, received->receiver_kms)) ||
	       mikey_fail(fault, MIKEY_KRR_POLICY, 0,
		       "the KRR that was received is of another I_MESSAGE; accepted: of the same");
}

// --- the whole

// That of the KRR inside: Canonical XML has the namespaces around an element in it, and one that is
// not its own would break its signature.
static const char *prefix_of(const xmlDoc *received)
{
	return received ? (const char *)xmlDocGetRootElement(received)->ns->prefix : NULL;
}

static char *document_write(const struct krr_draft *d, const struct krr *about,
	const xmlDoc *received, struct mikey_fault *fault)
{
	char *text = NULL;
	xmlDoc *document = xml_new(XML_NS_KRR, prefix_of(received), "KmsRedirectResponse");
	xmlNode *root = document ? xmlDocGetRootElement(document) : NULL;
	bool ok = (root && krr_fill(root, d, about, received)) ||
		  mikey_fail(fault, MIKEY_XML_VALUE, 0,
			  "the KRR cannot be written: its time is beyond the year 9999, or the "
			  "library failed");
	if (ok && (!d->signer || xml_signature_make(root, d->signer, fault)) &&
		!(text = xml_write(document)))
		mikey_fail(fault, MIKEY_XML_VALUE, 0, "there is no memory for the KRR");
	xml_free(document);
	return text;
}

static char *first_write(const struct krr_draft *d, struct mikey_fault *fault)
{
	const struct krr about = {.initiator = d->initiator,
		.initiator_kms = d->initiator_kms,
		.receiver = d->receiver,
		.receiver_kms = d->receiver_kms,
		.initiator_list = {.any = true},
		.receiver_list = {.any = true}};
	return draft_ok(d, &about, fault) ? document_write(d, &about, NULL, fault) : NULL;
}

static char *next_write(
	const struct krr_draft *d, const xmlDoc *received, struct mikey_fault *fault)
{
	const struct xml_trust trust = {};
	struct krr about;
	char *text = NULL;
	if (krr_element_read(xmlDocGetRootElement(received), &trust, &about, fault) &&
		received_ok(d, &about, fault) && draft_ok(d, &about, fault))
		text = document_write(d, &about, received, fault);
	krr_free(&about);
	return text;
}

char *krr_write(const struct krr_draft *draft, struct mikey_fault *fault)
{
	if (!draft->received)
		return first_write(draft, fault);
	xmlDoc *received = xml_read(draft->received, draft->received_len, fault);
	char *text = received ? next_write(draft, received, fault) : NULL;
	xml_free(received);
	return text;
}
