// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/hex.h"
#include "mikey/kms_xml.h"
#include "mikey/xml_value.h"

enum { HEX_SIZE = 2 * SAKKE_POINT_LEN + 1 };

static bool text_add(xmlNode *parent, const char *name, const char *text)
{
	return !text ||
	       xmlNewTextChild(parent, parent->ns, (const xmlChar *)name, (const xmlChar *)text);
}

static bool time_add(xmlNode *parent, const char *name, uint64_t seconds)
{
	char text[XML_TIME_SIZE];
	return seconds == 0 || (xml_time_write(seconds, text) && text_add(parent, name, text));
}

static bool number_add(xmlNode *parent, const char *name, uint32_t number)
{
	char text[16];
	snprintf(text, sizeof(text), "%" PRIu32, number);
	return text_add(parent, name, text);
}

static bool octets_add(xmlNode *parent, const char *name, const uint8_t *octets, size_t len)
{
	char text[HEX_SIZE];
	hex_encode(octets, len, text);
	return text_add(parent, name, text);
}

static bool domains_add(xmlNode *parent, const struct kms_certificate *c)
{
	if (c->n_domains == 0)
		return true;
	xmlNode *list = xmlNewChild(parent, parent->ns, (const xmlChar *)"KmsDomainList", NULL);
	bool ok = list;
	for (size_t i = 0; ok && i < c->n_domains; i++)
		ok = text_add(list, "KmsDomain", c->domains[i]);
	return ok;
}

static bool attribute_add(xmlNode *element, const char *name, const char *value)
{
	return xmlNewProp(element, (const xmlChar *)name, (const xmlChar *)value);
}

// In the order of the schema (D.3.5.1).
static bool certificate_fill(xmlNode *root, const struct kms_certificate *c)
{
	const char *role = c->role == KMS_CERTIFICATE_EXTERNAL ? "External" : "Root";
	return attribute_add(root, "Version", c->security_gateway ? "1.2.0" : "1.1.0") &&
	       attribute_add(root, "Role", role) &&
	       (!c->security_gateway || attribute_add(root, "IsSecurityGateway", "true")) &&
	       text_add(root, "CertUri", c->cert_uri) && text_add(root, "KmsUri", c->kms_uri) &&
	       text_add(root, "Issuer", c->issuer) && time_add(root, "ValidFrom", c->valid_from) &&
	       time_add(root, "ValidTo", c->valid_to) &&
	       text_add(root, "Revoked", c->revoked ? "true" : "false") &&
	       text_add(root, "UserIdFormat", "2") &&
	       number_add(root, "UserKeyPeriod", c->period) &&
	       number_add(root, "UserKeyOffset", c->offset) &&
	       octets_add(root, "PubEncKey", c->z, sizeof(c->z)) &&
	       octets_add(root, "PubAuthKey", c->kpak, sizeof(c->kpak)) &&
	       number_add(root, "ParameterSet", 1) && domains_add(root, c);
}

char *kms_certificate_write(const struct kms_certificate *certificate, struct mikey_fault *fault)
{
	xmlDoc *document = xml_new(XML_NS_KMS, NULL, "KmsCertificate");
	char *text = NULL;
	if (document && certificate_fill(xmlDocGetRootElement(document), certificate))
		text = xml_write(document);
	if (!text)
		mikey_fail(fault, MIKEY_XML_VALUE, 0,
			"the certificate cannot be written: a time is beyond the year 9999, or "
			"there is no memory");
	xml_free(document);
	return text;
}
