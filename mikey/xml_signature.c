// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "mikey/xml_signature.h"

#include <string.h>

#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "base/base64.h"
#include "base/secmem.h"
#include "crypto/hmac.h"
#include "mikey/xml_canonical.h"
#include "mikey/xml_value.h"

#define HMAC_LENGTH "256" // HMACOutputLength: a shorter one would be guessed

enum {
	SCALAR_MAX = 66,         // octets of r and of s: P-521
	SIGNATURE_DER_MAX = 160, // octets
	CERTIFICATE_MAX = 8192,  // octets, DER
	CERTIFICATES_MAX = 8     // in a signature
};

// --- the form of a signature

enum method { METHOD_OTHER, METHOD_ECDSA, METHOD_HMAC };

struct signature {
	const xmlNode *node, *signed_info, *value, *key_info;
	const xmlNode *digest_value;
	enum method method;
	bool enveloped;
	bool other; // an algorithm that is not of the profile, or something that is not understood
	char *reference; // URI
};

// The only child of this name; NULL if there is none, or two.
static const xmlNode *part_of(const xmlNode *parent, const char *name)
{
	struct mikey_fault ignored;
	return parent ? xml_only(parent, XML_NS_DSIG, name, &ignored) : NULL;
}

static bool attribute_is(const xmlNode *element, const char *name, const char *expected)
{
	char *value = element ? xml_attribute(element, name) : NULL;
	const char *at = value ? value + strspn(value, " \t\r\n") : "";
	const size_t len = strlen(expected);
	bool is = strncmp(at, expected, len) == 0 && at[len + strspn(at + len, " \t\r\n")] == '\0';
	secmem_free(value);
	return is;
}

static bool hmac_whole(const xmlNode *method)
{
	const xmlNode *length = part_of(method, "HMACOutputLength");
	struct mikey_fault ignored;
	char *text = length ? xml_text(length, &ignored) : NULL;
	bool whole = !xml_child(method) || (text && strcmp(text, HMAC_LENGTH) == 0);
	secmem_free(text);
	return whole;
}

static enum method method_read(const xmlNode *method)
{
	if (attribute_is(method, "Algorithm", XML_ECDSA_SHA256) && !xml_child(method))
		return METHOD_ECDSA;
	if (attribute_is(method, "Algorithm", XML_HMAC_SHA256) && hmac_whole(method))
		return METHOD_HMAC;
	return METHOD_OTHER;
}

// Enveloped, with Canonical XML behind it or not: it follows anyhow.
static void transforms_read(const xmlNode *reference, struct signature *s)
{
	const xmlNode *transforms = part_of(reference, "Transforms");
	const xmlNode *first = transforms ? xml_child(transforms) : NULL;
	const xmlNode *second = first ? xml_next(first) : NULL;
	s->enveloped = first && attribute_is(first, "Algorithm", XML_ENVELOPED);
	if (first && !s->enveloped)
		s->other = true;
	if (second && (!attribute_is(second, "Algorithm", XML_C14N) || xml_child(second) ||
			      xml_next(second)))
		s->other = true;
}

static void signature_read(const xmlNode *node, struct signature *s)
{
	*s = (struct signature){.node = node};
	s->signed_info = part_of(node, "SignedInfo");
	s->value = part_of(node, "SignatureValue");
	s->key_info = part_of(node, "KeyInfo");
	const xmlNode *reference = part_of(s->signed_info, "Reference");
	s->digest_value = part_of(reference, "DigestValue");
	s->method = method_read(part_of(s->signed_info, "SignatureMethod"));
	s->other = !s->value || !s->digest_value || s->method == METHOD_OTHER ||
		   !attribute_is(part_of(s->signed_info, "CanonicalizationMethod"), "Algorithm",
			   XML_C14N) ||
		   !attribute_is(part_of(reference, "DigestMethod"), "Algorithm", XML_SHA256);
	if (reference) {
		transforms_read(reference, s);
		s->reference = xml_attribute(reference, "URI");
	}
}

// --- what it refers to

static unsigned ids_count(const xmlNode *element, const char *id)
{
	const xmlNode *root = xmlDocGetRootElement(element->doc);
	unsigned n = 0, depth = 1;
	for (const xmlNode *node = root; node; node = xml_walk(root, node, &depth)) {
		char *other = node->type == XML_ELEMENT_NODE ? xml_attribute(node, "Id") : NULL;
		if (other && strcmp(other, id) == 0)
			n++;
		secmem_free(other);
	}
	return n;
}

// "#" and the Id of this element, which no other one has.
static bool reference_ok(const xmlNode *element, const struct signature *s)
{
	char *id = xml_attribute(element, "Id");
	bool ok = id && *id && s->reference && s->reference[0] == '#' &&
		  strcmp(s->reference + 1, id) == 0 && ids_count(element, id) == 1;
	secmem_free(id);
	return ok;
}

static bool digest_ok(const xmlNode *element, const struct signature *s)
{
	uint8_t digest[XML_DIGEST_LEN], stated[XML_DIGEST_LEN];
	struct mikey_fault ignored;
	const struct xml_part part = {.top = element, .without = s->node};
	return xml_base64(s->digest_value, stated, sizeof(stated), &ignored) == sizeof(stated) &&
	       xml_part_digest(&part, digest) && secmem_equal(digest, stated, sizeof(digest));
}

// --- HMAC

static const struct mikey_shared_key *key_find(
	const struct signature *s, const struct xml_trust *trust)
{
	struct mikey_fault ignored;
	const xmlNode *name = part_of(s->key_info, "KeyName");
	char *id = name ? xml_text(name, &ignored) : NULL;
	const struct mikey_shared_key *found = NULL;
	for (size_t i = 0; id && !found && i < trust->n_keys; i++)
		if (strcmp(trust->keys[i].id, id) == 0)
			found = &trust->keys[i];
	secmem_free(id);
	return found;
}

static bool hmac_ok(const struct signature *s, const struct mikey_shared_key *key,
	xmlOutputBuffer *signed_octets)
{
	uint8_t mac[HMAC_SHA256_LEN], stated[HMAC_SHA256_LEN];
	struct mikey_fault ignored;
	const struct hmac_part part = {.octets = xmlOutputBufferGetContent(signed_octets),
		.len = xmlOutputBufferGetSize(signed_octets)};
	return xml_base64(s->value, stated, sizeof(stated), &ignored) == sizeof(stated) &&
	       hmac_sha256(key->value, key->len, &part, 1, mac) == 0 &&
	       secmem_equal(mac, stated, sizeof(mac));
}

// --- ECDSA: r and s, each as long as the order of the curve (XML Signature 1.1, 6.4.3)

static size_t scalar_len(const EVP_PKEY *key)
{
	return EVP_PKEY_get_base_id(key) == EVP_PKEY_EC ? ((size_t)EVP_PKEY_get_bits(key) + 7) / 8
							: 0;
}

// r and s as EVP wants them, at most SIGNATURE_DER_MAX octets. Returns how many, 0 if none.
static size_t signature_to_der(const uint8_t *octets, size_t len, uint8_t der[SIGNATURE_DER_MAX])
{
	ECDSA_SIG *signature = ECDSA_SIG_new();
	BIGNUM *r = BN_bin2bn(octets, (int)len, NULL);
	BIGNUM *s = BN_bin2bn(octets + len, (int)len, NULL);
	int n = 0;
	if (signature && r && s && ECDSA_SIG_set0(signature, r, s) == 1) {
		r = s = NULL; // the signature's now
		uint8_t *at = der;
		n = i2d_ECDSA_SIG(signature, NULL) <= SIGNATURE_DER_MAX
			    ? i2d_ECDSA_SIG(signature, &at)
			    : 0;
	}
	BN_free(r);
	BN_free(s);
	ECDSA_SIG_free(signature);
	return n > 0 ? (size_t)n : 0;
}

static bool ecdsa_ok(const struct signature *s, EVP_PKEY *key, xmlOutputBuffer *signed_octets)
{
	uint8_t octets[2 * SCALAR_MAX], der[SIGNATURE_DER_MAX];
	struct mikey_fault ignored;
	const size_t len = scalar_len(key);
	if (len == 0 || len > SCALAR_MAX ||
		xml_base64(s->value, octets, sizeof(octets), &ignored) != 2 * len)
		return false;
	size_t der_len = signature_to_der(octets, len, der);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = der_len > 0 && ctx &&
		  EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
		  EVP_DigestVerify(ctx, der, der_len, xmlOutputBufferGetContent(signed_octets),
			  xmlOutputBufferGetSize(signed_octets)) == 1;
	EVP_MD_CTX_free(ctx);
	return ok;
}

static bool certificate_trusted(
	const struct xml_trust *trust, const uint8_t *certificate, size_t len)
{
	for (size_t i = 0; i < trust->n_certificates; i++)
		if (trust->certificates[i].len == len &&
			memcmp(trust->certificates[i].octets, certificate, len) == 0)
			return true;
	return trust->n_certificates == 0;
}

// Whether a certificate is one to believe, and then whether it made the signature.
static bool certificate_try(const struct signature *s, const xmlNode *element,
	const struct xml_trust *trust, xmlOutputBuffer *signed_octets, bool *trusted)
{
	static const size_t room = CERTIFICATE_MAX;
	struct mikey_fault ignored;
	uint8_t *octets = secmem_malloc(room);
	size_t len = octets ? xml_base64(element, octets, room, &ignored) : 0;
	const uint8_t *at = octets;
	X509 *certificate = len > 0 && certificate_trusted(trust, octets, len)
				    ? d2i_X509(NULL, &at, (long)len)
				    : NULL;
	EVP_PKEY *key = certificate ? X509_get0_pubkey(certificate) : NULL;
	bool ok = key && ecdsa_ok(s, key, signed_octets);
	*trusted = *trusted || key;
	X509_free(certificate);
	secmem_free(octets);
	return ok;
}

static bool certificates_try(const struct signature *s, const struct xml_trust *trust,
	xmlOutputBuffer *signed_octets, bool *trusted)
{
	const xmlNode *data = part_of(s->key_info, "X509Data");
	unsigned n = 0;
	for (const xmlNode *child = data ? xml_child(data) : NULL; child; child = xml_next(child)) {
		if (!xml_is(child, XML_NS_DSIG, "X509Certificate"))
			continue;
		if (++n > CERTIFICATES_MAX)
			break;
		if (certificate_try(s, child, trust, signed_octets, trusted))
			return true;
	}
	return false;
}

// --- checking

static bool value_check(const struct signature *s, const struct xml_trust *trust,
	enum mikey_signed *result, xmlOutputBuffer *signed_octets)
{
	const struct mikey_shared_key *key = key_find(s, trust);
	bool known = s->method == METHOD_HMAC && key;
	bool ok = s->method == METHOD_HMAC ? key && hmac_ok(s, key, signed_octets)
					   : certificates_try(s, trust, signed_octets, &known);
	const bool trusted = s->method == METHOD_HMAC || trust->n_certificates > 0;
	*result = !ok ? MIKEY_UNVERIFIED : trusted ? MIKEY_VERIFIED : MIKEY_UNTRUSTED;
	return ok || !known;
}

static bool profile_check(const xmlNode *element, const struct signature *s,
	const struct xml_trust *trust, enum mikey_reason reason, enum mikey_signed *result,
	struct mikey_fault *fault)
{
	*result = s->other ? MIKEY_UNVERIFIED : MIKEY_UNSIGNED;
	// Over an element with the signature in it, which no signature can be.
	if (s->other || !s->enveloped)
		return true;
	if (!reference_ok(element, s))
		return xml_fail(element, fault, reason,
			"the signature is over %.40s; accepted: # and the Id of this element alone",
			s->reference ? s->reference : "no URI");
	if (!digest_ok(element, s))
		return xml_fail(element, fault, reason,
			"the signature is over another content than this one");
	const struct xml_part part = {.top = s->signed_info};
	xmlOutputBuffer *signed_octets = xml_part_write(&part);
	bool ok = signed_octets && value_check(s, trust, result, signed_octets);
	xmlOutputBufferClose(signed_octets);
	return ok || xml_fail(element, fault, reason,
			     "the signature does not verify under the key that it names");
}

bool xml_signature_check(const xmlNode *element, const xmlNode *signature,
	const struct xml_trust *trust, enum mikey_reason reason, enum mikey_signed *result,
	struct mikey_fault *fault)
{
	struct signature s;
	*result = MIKEY_UNSIGNED;
	if (!signature)
		return true;
	signature_read(signature, &s);
	bool ok = profile_check(element, &s, trust, reason, result, fault);
	secmem_free(s.reference);
	return ok;
}
