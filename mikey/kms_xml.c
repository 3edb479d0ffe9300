// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "mikey/kms_xml.h"

#include <stdlib.h>
#include <string.h>

#include "base/secmem.h"
#include "crypto/key_wrap.h"
#include "crypto/stack_wipe.h"
#include "mikey/xml_signature.h"
#include "mikey/xml_value.h"

#define KW_AES_256     XML_NS_ENC "kw-aes256"
#define KW_AES_256_PAD "http://www.w3.org/2009/xmlenc11#kw-aes-256-pad"

struct reader {
	const struct mikey_shared_key *keys;
	size_t n_keys;
	struct kms_xml *out;
	struct kms_secrets *secrets; // of the key sets
	uint8_t *new_values;         // of the new keys
};

// --- keys, in clear or wrapped (xmlenc EncryptedKey)

static const xmlNode *encrypted_key(const xmlNode *element)
{
	for (const xmlNode *child = xml_child(element); child; child = xml_next(child))
		if (xml_is(child, XML_NS_ENC, "EncryptedKey"))
			return child;
	return NULL;
}

static bool algorithm_read(
	const xmlNode *encrypted, enum key_wrap *algorithm, struct mikey_fault *fault)
{
	const xmlNode *method = xml_only(encrypted, XML_NS_ENC, "EncryptionMethod", fault);
	if (!method)
		return false;
	char *name = xml_attribute(method, "Algorithm");
	bool padded = name && strcmp(name, KW_AES_256_PAD) == 0;
	bool ok = padded || (name && strcmp(name, KW_AES_256) == 0) ||
		  xml_fail(method, fault, MIKEY_XML_VALUE,
			  "Algorithm is %.80s; accepted: " KW_AES_256 ", " KW_AES_256_PAD,
			  name ? name : "not there");
	*algorithm = padded ? KEY_WRAP_AES_PADDED : KEY_WRAP_AES;
	secmem_free(name);
	return ok;
}

static const struct mikey_shared_key *key_find(const struct reader *r, const char *id)
{
	for (size_t i = 0; i < r->n_keys; i++)
		if (strcmp(r->keys[i].id, id) == 0 && r->keys[i].len == KEY_WRAP_KEK_LEN)
			return &r->keys[i];
	return NULL;
}

static const struct mikey_shared_key *wrapping_key(
	const struct reader *r, const xmlNode *encrypted, struct mikey_fault *fault)
{
	const xmlNode *info = xml_only(encrypted, XML_NS_DSIG, "KeyInfo", fault);
	const xmlNode *name = info ? xml_only(info, XML_NS_DSIG, "KeyName", fault) : NULL;
	char *id = name ? xml_text(name, fault) : NULL;
	if (!id)
		return NULL;
	const struct mikey_shared_key *key = key_find(r, id);
	if (!key)
		xml_fail(name, fault, MIKEY_TRANSPORT_KEY,
			"is %.60s; accepted: the id of a transport key of 32 octets that is given "
			"with the document",
			id);
	secmem_free(id);
	return key;
}

static bool wrapped_read(const struct reader *r, const xmlNode *encrypted, uint8_t *out, size_t len,
	struct mikey_fault *fault)
{
	enum key_wrap algorithm;
	uint8_t wrapped[KEY_WRAP_MAX + 8];
	if (!algorithm_read(encrypted, &algorithm, fault))
		return false;
	const struct mikey_shared_key *key = wrapping_key(r, encrypted, fault);
	const xmlNode *data = key ? xml_only(encrypted, XML_NS_ENC, "CipherData", fault) : NULL;
	const xmlNode *value = data ? xml_only(data, XML_NS_ENC, "CipherValue", fault) : NULL;
	const size_t wrapped_len = key_wrapped_len(len);
	if (!value || !xml_octets(value, wrapped, wrapped_len, fault))
		return false;
	return key_unwrap(algorithm, key->value, wrapped, wrapped_len, out, len) ||
	       xml_fail(value, fault, MIKEY_TRANSPORT_KEY,
		       "is not wrapped under %.60s, or is no key of %zu octets", key->id, len);
}

static bool key_read(const xmlNode *element, uint8_t *out, size_t len, struct xml_context *context)
{
	const xmlNode *encrypted = encrypted_key(element);
	return encrypted ? wrapped_read(context->arg, encrypted, out, len, context->fault)
			 : xml_octets(element, out, len, context->fault);
}

// --- certificates (D.3.2.2)

static bool z_read(const xmlNode *element, void *value, struct xml_context *context)
{
	return xml_octets(element, value, SAKKE_POINT_LEN, context->fault);
}

static bool kpak_read(const xmlNode *element, void *value, struct xml_context *context)
{
	return xml_octets(element, value, ECCSI_POINT_LEN, context->fault);
}

// What is accepted of an element that has one value.
static bool constant_read(const xmlNode *element, const char *only, struct xml_context *context)
{
	char *text = xml_text(element, context->fault);
	if (!text)
		return false;
	bool ok = strcmp(text, only) == 0 || xml_fail(element, context->fault, MIKEY_XML_VALUE,
						     "is another; accepted: %s", only);
	secmem_free(text);
	return ok;
}

// Users are named as F.2.1 says, and there is no other parameter set (RFC 6509 A).
static bool format_read(const xmlNode *element, void *value, struct xml_context *context)
{
	(void)value;
	return constant_read(element, "2", context);
}

static bool parameter_set_read(const xmlNode *element, void *value, struct xml_context *context)
{
	(void)value;
	return constant_read(element, "1", context);
}

static bool domain_read(const xmlNode *element, void *value, struct xml_context *context)
{
	struct kms_certificate *c = value;
	const char **domains = reallocarray(c->domains, c->n_domains + 1, sizeof(*domains));
	if (!domains)
		return xml_fail(element, context->fault, MIKEY_XML_VALUE, "there is no memory");
	c->domains = domains;
	domains[c->n_domains] = NULL;
	return xml_read_uri(element, &domains[c->n_domains++], context);
}

static bool domains_read(const xmlNode *element, void *value, struct xml_context *context)
{
	static const struct xml_field fields[] = {{"KmsDomain", XML_MANY, domain_read, 0}};
	static const struct xml_shape shape = {XML_NS_KMS, fields, 1};
	return xml_fields_read(element, &shape, value, context);
}

static bool attributes_read(
	const xmlNode *element, struct kms_certificate *c, struct mikey_fault *fault)
{
	char *role = xml_attribute(element, "Role");
	char *version = xml_attribute(element, "Version");
	char *gateway = xml_attribute(element, "IsSecurityGateway");
	bool ok = true;
	if (role && strcmp(role, "External") == 0)
		c->role = KMS_CERTIFICATE_EXTERNAL;
	else if (role && (strcmp(role, "Root") == 0 || strcmp(role, "Home") == 0))
		c->role = KMS_CERTIFICATE_ROOT;
	else if (role)
		ok = xml_fail(element, fault, MIKEY_XML_VALUE,
			"Role is %.40s; accepted: Root, Home, External", role);
	if (ok && version && strncmp(version, "1.", 2) != 0)
		ok = xml_fail(element, fault, MIKEY_XML_VALUE,
			"Version is %.40s; accepted: 1.1.0, 1.2.0 and others of 1", version);
	c->security_gateway =
		gateway && (strcmp(gateway, "true") == 0 || strcmp(gateway, "1") == 0);
	if (ok && gateway && !c->security_gateway && strcmp(gateway, "false") != 0 &&
		strcmp(gateway, "0") != 0)
		ok = xml_fail(element, fault, MIKEY_XML_VALUE,
			"IsSecurityGateway is %.40s; accepted: true, false, 1, 0", gateway);
	secmem_free(role);
	secmem_free(version);
	secmem_free(gateway);
	return ok;
}

static bool certificate_read(const xmlNode *element, void *value, struct xml_context *context)
{
#define C(member) offsetof(struct kms_certificate, member)
	static const struct xml_field fields[] = {
		{"CertUri", XML_OPTIONAL, xml_read_uri, C(cert_uri)},
		{"KmsUri", XML_REQUIRED, xml_read_uri, C(kms_uri)},
		{"Issuer", XML_OPTIONAL, xml_read_string, C(issuer)},
		{"ValidFrom", XML_OPTIONAL, xml_read_time, C(valid_from)},
		{"ValidTo", XML_OPTIONAL, xml_read_time, C(valid_to)},
		{"Revoked", XML_OPTIONAL, xml_read_boolean, C(revoked)},
		{"UserIdFormat", XML_REQUIRED, format_read, 0, "UserIDFormat"},
		{"UserKeyPeriod", XML_REQUIRED, xml_read_uint32, C(period)},
		{"UserKeyOffset", XML_REQUIRED, xml_read_uint32, C(offset)},
		{"PubEncKey", XML_REQUIRED, z_read, C(z)},
		{"PubAuthKey", XML_REQUIRED, kpak_read, C(kpak)},
		{"ParameterSet", XML_OPTIONAL, parameter_set_read, 0},
		{"KmsDomainList", XML_OPTIONAL, domains_read, 0},
	};
#undef C
	static const struct xml_shape shape = {
		XML_NS_KMS, fields, sizeof(fields) / sizeof(*fields)};
	struct kms_xml *out = value;
	struct kms_certificate *c = &out->certificates[out->n_certificates++];
	return attributes_read(element, c, context->fault) &&
	       xml_fields_read(element, &shape, c, context);
}

// --- key sets (D.3.3.2)

static bool uid_read(const xmlNode *element, void *value, struct xml_context *context)
{
	return xml_octets(element, value, MCX_UID_LEN, context->fault);
}

static bool rsk_read(const xmlNode *element, void *value, struct xml_context *context)
{
	const struct kms_key_set *set = value;
	return key_read(element, set->secrets->rsk, sizeof(set->secrets->rsk), context);
}

static bool ssk_read(const xmlNode *element, void *value, struct xml_context *context)
{
	const struct kms_key_set *set = value;
	return key_read(element, set->secrets->ssk, sizeof(set->secrets->ssk), context);
}

static bool pvt_read(const xmlNode *element, void *value, struct xml_context *context)
{
	struct kms_key_set *set = value;
	return key_read(element, set->pvt, sizeof(set->pvt), context);
}

static bool key_set_read(const xmlNode *element, void *value, struct xml_context *context)
{
#define S(member) offsetof(struct kms_key_set, member)
	static const struct xml_field fields[] = {
		{"KmsUri", XML_REQUIRED, xml_read_uri, S(kms_uri)},
		{"CertUri", XML_OPTIONAL, xml_read_uri, S(cert_uri)},
		{"Issuer", XML_OPTIONAL, xml_read_string, S(issuer)},
		{"UserUri", XML_REQUIRED, xml_read_uri, S(user_uri)},
		{"UserID", XML_REQUIRED, uid_read, S(uid)},
		{"ValidFrom", XML_OPTIONAL, xml_read_time, S(valid_from)},
		{"ValidTo", XML_OPTIONAL, xml_read_time, S(valid_to)},
		{"KeyPeriodNo", XML_REQUIRED, xml_read_uint64, S(period_no)},
		{"Revoked", XML_OPTIONAL, xml_read_boolean, S(revoked)},
		{"UserDecryptKey", XML_REQUIRED, rsk_read, 0},
		{"UserSigningKeySSK", XML_REQUIRED, ssk_read, 0},
		{"UserPubTokenPVT", XML_REQUIRED, pvt_read, 0},
	};
#undef S
	static const struct xml_shape shape = {
		XML_NS_KMS, fields, sizeof(fields) / sizeof(*fields)};
	struct reader *r = context->arg;
	struct kms_xml *out = value;
	struct kms_key_set *set = &out->key_sets[out->n_key_sets];
	set->secrets = &r->secrets[out->n_key_sets++];
	return xml_fields_read(element, &shape, set, context);
}

// --- new keys that the KMS shares (D.3.4)

static bool new_key_read(const xmlNode *element, void *value, struct xml_context *context)
{
	struct reader *r = context->arg;
	struct kms_xml *out = value;
	struct kms_new_key *key = &out->new_keys[out->n_new_keys];
	uint8_t *octets = r->new_values + KMS_SHARED_KEY_LEN * out->n_new_keys++;
	const xmlNode *encrypted = encrypted_key(element);
	if (!encrypted)
		return xml_fail(element, context->fault, MIKEY_XML_ELEMENT,
			"has no EncryptedKey; accepted: one");
	const xmlNode *name = xml_only(encrypted, XML_NS_ENC, "CarriedKeyName", context->fault);
	key->value = octets;
	key->integrity = xml_is(element, XML_NS_KMS, "NewIntegrityKey");
	return name && xml_read_string(name, &key->id, context) &&
	       wrapped_read(r, encrypted, octets, KMS_SHARED_KEY_LEN, context->fault);
}

// --- what certificates and key sets stand in

// What the signature of an element is worth, if it has one.
static bool signature_read(
	const xmlNode *element, struct xml_context *context, enum mikey_signed *worth)
{
	const struct reader *r = context->arg;
	const struct xml_trust trust = {.keys = r->keys, .n_keys = r->n_keys};
	const xmlNode *signature = NULL;
	for (const xmlNode *child = xml_child(element); child; child = xml_next(child))
		if (xml_is(child, XML_NS_DSIG, "Signature"))
			signature = child;
	return xml_signature_check(
		element, signature, &trust, MIKEY_SIGNATURE, worth, context->fault);
}

// Its signature is told if it is the document, and must not be wrong anywhere.
static bool signed_certificate_read(
	const xmlNode *element, void *value, struct xml_context *context)
{
	static const struct xml_field fields[] = {
		{"KmsCertificate", XML_REQUIRED, certificate_read, 0}};
	static const struct xml_shape shape = {XML_NS_KMS, fields, 1};
	const struct reader *r = context->arg;
	enum mikey_signed worth;
	if (!signature_read(element, context, &worth))
		return false;
	if (element == xmlDocGetRootElement(element->doc))
		r->out->signature = worth;
	return xml_fields_read(element, &shape, value, context);
}

// KmsInit, KmsKeyProv and KmsCertCache: each has some of these.
static bool provision_read(const xmlNode *element, void *value, struct xml_context *context)
{
	static const struct xml_field fields[] = {
		{"SignedKmsCertificate", XML_MANY, signed_certificate_read, 0},
		{"KmsCertificate", XML_MANY, certificate_read, 0},
		{"KmsKeySet", XML_MANY, key_set_read, 0},
		{"NewTransportKey", XML_MANY, new_key_read, 0},
		{"NewIntegrityKey", XML_MANY, new_key_read, 0},
	};
	static const struct xml_shape shape = {
		XML_NS_KMS, fields, sizeof(fields) / sizeof(*fields)};
	return xml_fields_read(element, &shape, value, context);
}

static bool message_read(const xmlNode *element, void *value, struct xml_context *context)
{
	static const struct xml_field fields[] = {
		{"KmsInit", XML_OPTIONAL, provision_read, 0},
		{"KmsKeyProv", XML_OPTIONAL, provision_read, 0},
		{"KmsCertCache", XML_OPTIONAL, provision_read, 0},
	};
	static const struct xml_shape shape = {
		XML_NS_KMS, fields, sizeof(fields) / sizeof(*fields)};
	for (const xmlNode *child = xml_child(element); child; child = xml_next(child))
		if (xml_is(child, XML_NS_ENC, "EncryptedData"))
			return xml_fail(element, context->fault, MIKEY_XML_ELEMENT,
				"is encrypted as a whole; accepted: keys that are wrapped one by "
				"one");
	return xml_fields_read(element, &shape, value, context);
}

static bool error_read(const xmlNode *element, void *value, struct xml_context *context)
{
	char *text = (char *)xmlNodeGetContent(element);
	(void)value;
	xml_fail(element, context->fault, MIKEY_XML_VALUE,
		"the KMS says: %.100s; accepted: a response without an error", text ? text : "");
	secmem_free(text);
	return false;
}

static bool response_read(const xmlNode *element, void *value, struct xml_context *context)
{
	static const struct xml_field fields[] = {
		{"UserUri", XML_OPTIONAL, xml_read_ignored, 0},
		{"KmsUri", XML_OPTIONAL, xml_read_uri, offsetof(struct kms_xml, kms_uri)},
		{"Time", XML_OPTIONAL, xml_read_ignored, 0},
		{"KmsId", XML_OPTIONAL, xml_read_ignored, 0},
		{"ClientReqUrl", XML_OPTIONAL, xml_read_ignored, 0},
		{"KmsMessage", XML_OPTIONAL, message_read, 0},
		{"KmsError", XML_OPTIONAL, error_read, 0},
	};
	static const struct xml_shape shape = {
		XML_NS_KMS, fields, sizeof(fields) / sizeof(*fields)};
	return xml_fields_read(element, &shape, value, context);
}

static bool signed_response_read(const xmlNode *element, void *value, struct xml_context *context)
{
	static const struct xml_field fields[] = {{"KmsResponse", XML_REQUIRED, response_read, 0}};
	static const struct xml_shape shape = {XML_NS_KMS, fields, 1};
	const struct reader *r = context->arg;
	return signature_read(element, context, &r->out->signature) &&
	       xml_fields_read(element, &shape, value, context);
}

static bool root_read(const xmlNode *root, struct xml_context *context)
{
	static const struct xml_field roots[] = {
		{"SignedKmsResponse", XML_OPTIONAL, signed_response_read},
		{"KmsResponse", XML_OPTIONAL, response_read},
		{"KmsInit", XML_OPTIONAL, provision_read},
		{"KmsKeyProv", XML_OPTIONAL, provision_read},
		{"KmsCertCache", XML_OPTIONAL, provision_read},
		{"SignedKmsCertificate", XML_OPTIONAL, signed_certificate_read},
		{"KmsCertificate", XML_OPTIONAL, certificate_read},
		{"KmsKeySet", XML_OPTIONAL, key_set_read},
	};
	const struct reader *r = context->arg;
	for (size_t i = 0; i < sizeof(roots) / sizeof(*roots); i++)
		if (xml_is(root, XML_NS_KMS, roots[i].name))
			return roots[i].read(root, r->out, context);
	return xml_fail(root, context->fault, MIKEY_XML_ELEMENT,
		"is not what a KMS sends; accepted: SignedKmsResponse, KmsResponse, KmsInit, "
		"KmsKeyProv, KmsCertCache, SignedKmsCertificate, KmsCertificate, KmsKeySet of "
		"namespace " XML_NS_KMS);
}

// --- the whole

static size_t elements_count(const xmlNode *root, const char *name)
{
	size_t n = 0;
	unsigned depth = 1;
	for (const xmlNode *node = root; node; node = xml_walk(root, node, &depth))
		if (node->type == XML_ELEMENT_NODE && xml_is(node, XML_NS_KMS, name))
			n++;
	return n;
}

// As many places as the document can fill.
static bool room_make(const xmlNode *root, struct reader *r)
{
	struct kms_xml *out = r->out;
	const size_t n_sets = elements_count(root, "KmsKeySet");
	const size_t n_new =
		elements_count(root, "NewTransportKey") + elements_count(root, "NewIntegrityKey");
	out->certificates =
		calloc(elements_count(root, "KmsCertificate") + 1, sizeof(*out->certificates));
	out->key_sets = calloc(n_sets + 1, sizeof(*out->key_sets));
	out->new_keys = calloc(n_new + 1, sizeof(*out->new_keys));
	out->secrets_size = n_sets * sizeof(*r->secrets) + n_new * KMS_SHARED_KEY_LEN;
	out->secrets = out->secrets_size > 0 ? secmem_map(out->secrets_size) : NULL;
	r->secrets = out->secrets;
	if (out->secrets)
		r->new_values = (uint8_t *)out->secrets + n_sets * sizeof(*r->secrets);
	return out->certificates && out->key_sets && out->new_keys &&
	       (out->secrets || out->secrets_size == 0);
}

static STACK_WIPED bool document_read(
	const xmlDoc *document, struct reader *r, struct mikey_fault *fault)
{
	const xmlNode *root = xmlDocGetRootElement(document);
	struct xml_context context = {.fault = fault, .arg = r};
	return room_make(root, r) ? root_read(root, &context)
				  : mikey_fail(fault, MIKEY_MALFORMED, 0,
					    "there is no memory for the document");
}

bool kms_xml_read(const char *text, size_t len, const struct mikey_shared_key *keys, size_t n_keys,
	struct kms_xml *out, struct mikey_fault *fault)
{
	struct reader r = {.keys = keys, .n_keys = n_keys, .out = out};
	*out = (struct kms_xml){};
	xmlDoc *document = xml_read(text, len, fault);
	if (!document)
		return false;
	bool ok = document_read(document, &r, fault);
	xml_free(document);
	stack_wipe();
	if (!ok)
		kms_xml_free(out);
	return ok;
}

static void certificate_free(struct kms_certificate *c)
{
	for (size_t i = 0; i < c->n_domains; i++)
		free((void *)c->domains[i]);
	free((void *)c->domains);
	free((void *)c->kms_uri);
	free((void *)c->cert_uri);
	free((void *)c->issuer);
}

static void key_set_free(struct kms_key_set *set)
{
	free(set->kms_uri);
	free(set->cert_uri);
	free(set->user_uri);
	free(set->issuer);
}

void kms_xml_free(struct kms_xml *document)
{
	for (size_t i = 0; i < document->n_certificates; i++)
		certificate_free(&document->certificates[i]);
	for (size_t i = 0; i < document->n_key_sets; i++)
		key_set_free(&document->key_sets[i]);
	for (size_t i = 0; i < document->n_new_keys; i++)
		free(document->new_keys[i].id);
	free(document->kms_uri);
	free(document->certificates);
	free(document->key_sets);
	free(document->new_keys);
	if (document->secrets)
		secmem_wipe(document->secrets, document->secrets_size);
	secmem_unmap(document->secrets, document->secrets_size);
	*document = (struct kms_xml){};
}
