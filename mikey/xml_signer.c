// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "mikey/xml_signer.h"

#include <stdio.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/base64.h"
#include "base/secmem.h"
#include "mikey/xml_canonical.h"

enum {
	SCALAR_MAX = 66, // octets of r and of s: P-521
	ID_MAX = 64      // octets of an Id
};

// --- the key

struct pair {
	EVP_PKEY *key;
	X509 *certificate;
};

// A key under a passphrase is none: there is nobody to ask.
static int passphrase_refuse(char *out, int size, int write, void *arg)
{
	(void)out;
	(void)size;
	(void)write;
	(void)arg;
	return -1;
}

static bool pair_read(const struct mikey_certified_key *signer, struct pair *pair)
{
	BIO *key = BIO_new_mem_buf(signer->key, -1);
	BIO *certificate = BIO_new_mem_buf(signer->certificate, -1);
	if (key && certificate) {
		pair->key = PEM_read_bio_PrivateKey(key, NULL, passphrase_refuse, NULL);
		pair->certificate = PEM_read_bio_X509(certificate, NULL, passphrase_refuse, NULL);
	}
	BIO_free(key);
	BIO_free(certificate);
	return pair->key && pair->certificate && EVP_PKEY_get_base_id(pair->key) == EVP_PKEY_EC &&
	       X509_check_private_key(pair->certificate, pair->key) == 1;
}

// --- elements

static xmlNode *child_add(xmlNode *parent, const char *name, const char *text)
{
	return xmlNewTextChild(parent, parent->ns, (const xmlChar *)name, (const xmlChar *)text);
}

static void algorithm_add(xmlNode *parent, const char *name, const char *algorithm)
{
	xmlNode *child = child_add(parent, name, NULL);
	if (child)
		xmlNewProp(child, (const xmlChar *)"Algorithm", (const xmlChar *)algorithm);
}

static bool base64_add(xmlNode *parent, const char *name, const uint8_t *octets, size_t len)
{
	char *text = secmem_malloc(base64_len(len) + 1);
	if (!text)
		return false;
	base64_encode(octets, len, text);
	bool ok = child_add(parent, name, text);
	secmem_free(text);
	return ok;
}

static xmlNode *reference_add(xmlNode *parent, const char *id)
{
	char uri[ID_MAX + 2];
	xmlNode *reference = child_add(parent, "Reference", NULL);
	snprintf(uri, sizeof(uri), "#%s", id);
	if (!reference)
		return NULL;
	xmlNewProp(reference, (const xmlChar *)"URI", (const xmlChar *)uri);
	xmlNode *transforms = child_add(reference, "Transforms", NULL);
	if (!transforms)
		return NULL;
	algorithm_add(transforms, "Transform", XML_ENVELOPED);
	algorithm_add(transforms, "Transform", XML_C14N);
	algorithm_add(reference, "DigestMethod", XML_SHA256);
	return reference;
}

// With the digest of the element, that is of all but the signature.
static xmlNode *signed_info_add(xmlNode *signature, const char *id)
{
	uint8_t digest[XML_DIGEST_LEN];
	const struct xml_part part = {.top = signature->parent, .without = signature};
	xmlNode *info = child_add(signature, "SignedInfo", NULL);
	if (!info)
		return NULL;
	algorithm_add(info, "CanonicalizationMethod", XML_C14N);
	algorithm_add(info, "SignatureMethod", XML_ECDSA_SHA256);
	xmlNode *reference = reference_add(info, id);
	bool ok = reference && xml_part_digest(&part, digest) &&
		  base64_add(reference, "DigestValue", digest, sizeof(digest));
	return ok ? info : NULL;
}

// --- the signature

// r and s, each as long as the order of the curve. Returns how many octets, 0 if there are none.
static size_t scalars_write(
	const uint8_t *der, size_t der_len, size_t scalar_len, uint8_t out[2 * SCALAR_MAX])
{
	ECDSA_SIG *signature = d2i_ECDSA_SIG(NULL, &der, (long)der_len);
	bool ok = signature && scalar_len <= SCALAR_MAX &&
		  BN_bn2binpad(ECDSA_SIG_get0_r(signature), out, (int)scalar_len) >= 0 &&
		  BN_bn2binpad(ECDSA_SIG_get0_s(signature), out + scalar_len, (int)scalar_len) >= 0;
	ECDSA_SIG_free(signature);
	return ok ? 2 * scalar_len : 0;
}

static bool value_add(xmlNode *signature, const xmlNode *info, EVP_PKEY *key)
{
	uint8_t der[160], scalars[2 * SCALAR_MAX] = {0};
	size_t der_len = sizeof(der), len = 0;
	const struct xml_part part = {.top = info};
	xmlOutputBuffer *octets = xml_part_write(&part);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	if (octets && ctx && EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
		EVP_DigestSign(ctx, der, &der_len, xmlOutputBufferGetContent(octets),
			xmlOutputBufferGetSize(octets)) == 1)
		len = scalars_write(
			der, der_len, ((size_t)EVP_PKEY_get_bits(key) + 7) / 8, scalars);
	EVP_MD_CTX_free(ctx);
	xmlOutputBufferClose(octets);
	return len > 0 && base64_add(signature, "SignatureValue", scalars, len);
}

static bool key_info_add(xmlNode *signature, X509 *certificate)
{
	uint8_t *der = NULL;
	int len = i2d_X509(certificate, &der);
	xmlNode *info = child_add(signature, "KeyInfo", NULL);
	xmlNode *data = info ? child_add(info, "X509Data", NULL) : NULL;
	bool ok = data && len > 0 && base64_add(data, "X509Certificate", der, (size_t)len);
	OPENSSL_free(der);
	return ok;
}

static bool signature_add(xmlNode *element, const char *id, const struct pair *pair)
{
	xmlNode *signature = xmlNewChild(element, NULL, (const xmlChar *)"Signature", NULL);
	xmlNs *ns = signature ? xmlNewNs(signature, (const xmlChar *)XML_NS_DSIG, NULL) : NULL;
	if (!ns)
		return false;
	xmlSetNs(signature, ns);
	const xmlNode *info = signed_info_add(signature, id);
	return info && value_add(signature, info, pair->key) &&
	       key_info_add(signature, pair->certificate);
}

bool xml_signature_make(
	xmlNode *element, const struct mikey_certified_key *signer, struct mikey_fault *fault)
{
	struct pair pair = {};
	char *id = xml_attribute(element, "Id");
	bool ok = pair_read(signer, &pair) ||
		  mikey_fail(fault, MIKEY_XML_VALUE, 0,
			  "who is to sign has no key that fits its certificate; accepted: an EC "
			  "private key without passphrase and its X.509 certificate, PEM");
	if (ok)
		ok = (id && strlen(id) <= ID_MAX && signature_add(element, id, &pair)) ||
		     mikey_fail(fault, MIKEY_XML_VALUE, 0,
			     "the document cannot be signed: the library failed");
	secmem_free(id);
	EVP_PKEY_free(pair.key);
	X509_free(pair.certificate);
	return ok;
}
