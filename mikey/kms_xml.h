// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "crypto/eccsi.h"
#include "crypto/mcx_uid.h"
#include "crypto/sakke.h"
#include "mikey/document_key.h"
#include "mikey/fault.h"

// What a KMS provisions, as XML (TS 33.180 Annex D): KMS certificates and key sets, read, and
// certificates, written. Functions on memory without clock, any thread.
//
// Read: SignedKmsResponse, KmsResponse, KmsInit, KmsKeyProv, KmsCertCache, SignedKmsCertificate,
// KmsCertificate, KmsKeySet; by name, in any order, elements of other namespaces ignored. Only the
// form is checked: whether points are on their curves, a key set is valid and a UID is that of the
// user is for whoever installs them (crypto/sakke.h, crypto/eccsi.h, crypto/mcx_uid.h).
//
// Secrets are in memory of secmem_map(). While a document is read, copies of its text are on the
// heap, from where a core dump of that moment would have them; they are wiped before the function
// returns. The caller wipes the text itself. With keys wrapped there is no secret in the text.

enum kms_certificate_role {
	KMS_CERTIFICATE_ROLE_NONE, // the attribute is not there
	KMS_CERTIFICATE_ROOT,      // of the KMS whose users' keys come with it; "Home" is read, too
	KMS_CERTIFICATE_EXTERNAL
};

// D.3.2.2. Strings are NULL if they are not there.
struct kms_certificate {
	enum kms_certificate_role role;
	bool security_gateway; // IsSecurityGateway (L.3)
	bool revoked;
	const char *kms_uri; // 1 to 255 octets, as the next
	const char *cert_uri;
	const char *issuer;
	// Seconds since 1970-01-01T00:00:00Z: from the first one on, before the second one; 0: no bound.
	uint64_t valid_from, valid_to;
	uint32_t period;               // UserKeyPeriod, seconds
	uint32_t offset;               // UserKeyOffset, seconds after 0h on 1 January 1900
	uint8_t z[SAKKE_POINT_LEN];    // PubEncKey
	uint8_t kpak[ECCSI_POINT_LEN]; // PubAuthKey
	const char **domains;          // KmsDomainList
	size_t n_domains;
};

struct kms_secrets {
	uint8_t rsk[SAKKE_POINT_LEN];  // UserDecryptKey
	uint8_t ssk[ECCSI_SCALAR_LEN]; // UserSigningKeySSK
};

// D.3.3.2. Strings are NULL if they are not there.
struct kms_key_set {
	char *kms_uri; // 1 to 255 octets, as the next two
	char *cert_uri;
	char *user_uri;
	char *issuer;
	uint8_t uid[MCX_UID_LEN];      // UserID
	uint64_t valid_from, valid_to; // as of a certificate
	uint64_t period_no;
	bool revoked;
	uint8_t pvt[ECCSI_POINT_LEN];
	struct kms_secrets *secrets;
};

// NewTransportKey, NewIntegrityKey.
struct kms_new_key {
	char *id; // CarriedKeyName
	bool integrity;
	const uint8_t *value; // [KMS_SHARED_KEY_LEN], secret
};

enum { KMS_SHARED_KEY_LEN = 32 }; // octets (5.3.3)

struct kms_xml {
	struct kms_certificate *certificates;
	struct kms_key_set *key_sets;
	struct kms_new_key *new_keys;
	size_t n_certificates, n_key_sets, n_new_keys;
	enum mikey_signed signature; // of what the document is, under one of the keys
	char *kms_uri;               // of a KmsResponse; NULL: none
	void *secrets;               // what key sets and new keys point to
	size_t secrets_size;
};

// Reads a document. keys: what unwraps the keys in it and verifies its signature, by the names in
// it. The caller gives *out to kms_xml_free(). False with *fault filled in, and nothing to free.
bool kms_xml_read(const char *text, size_t len, const struct mikey_shared_key *keys, size_t n_keys,
	struct kms_xml *out, struct mikey_fault *fault);

void kms_xml_free(struct kms_xml *document);

// A certificate as a document, for free(): Version 1.2.0 if it is of a security gateway, 1.1.0 if
// not (D.3.2.2). NULL with *fault filled in.
char *kms_certificate_write(const struct kms_certificate *certificate, struct mikey_fault *fault);
