// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "server/crl.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>

static void why_openssl(char *why, size_t why_size, const char *path)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());
	snprintf(why, why_size, "crl %s: %s", path, reason ? reason : "not usable");
	ERR_clear_error();
}

// RFC 4514 escapes with a backslash; a trailing one would escape the closing quotation mark.
static void escape_trim(char *text, size_t len)
{
	size_t n_backslashes = 0;
	while (n_backslashes < len && text[len - 1 - n_backslashes] == '\\')
		n_backslashes++;
	if (n_backslashes % 2 == 1)
		text[len - 1] = '\0';
}

void crl_name(const X509_NAME *name, char *text, size_t size)
{
	BIO *bio = BIO_new(BIO_s_mem());
	int len = 0;
	if (bio && X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) >= 0)
		len = BIO_read(bio, text, (int)size - 1);
	text[len > 0 ? len : 0] = '\0';
	if (len > 0)
		escape_trim(text, (size_t)len);
	BIO_free(bio);
}

// The authority in ca that issued the list; NULL if it is absent or the signature does not verify.
static X509 *crl_authority(X509_STORE *store, X509_CRL *crl)
{
	const STACK_OF(X509_OBJECT) *objects = X509_STORE_get0_objects(store);

	for (int i = 0; i < sk_X509_OBJECT_num(objects); i++) {
		X509 *ca = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(objects, i));
		if (ca && X509_NAME_cmp(X509_get_subject_name(ca), X509_CRL_get_issuer(crl)) == 0 &&
			X509_CRL_verify(crl, X509_get0_pubkey(ca)) == 1)
			return ca;
	}
	ERR_clear_error();
	return NULL;
}

static bool store_has_crl_of(X509_STORE *store, const X509 *ca)
{
	const STACK_OF(X509_OBJECT) *objects = X509_STORE_get0_objects(store);

	for (int i = 0; i < sk_X509_OBJECT_num(objects); i++) {
		X509_CRL *crl = X509_OBJECT_get0_X509_CRL(sk_X509_OBJECT_value(objects, i));
		if (crl && X509_NAME_cmp(X509_get_subject_name(ca), X509_CRL_get_issuer(crl)) == 0)
			return true;
	}
	return false;
}

// OpenSSL would refuse each client of an authority without a list; the configuration is refused
// instead.
static bool crl_check_whole(X509_STORE *store, const char *path, char *why, size_t why_size)
{
	const STACK_OF(X509_OBJECT) *objects = X509_STORE_get0_objects(store);
	char name[128];

	for (int i = 0; i < sk_X509_OBJECT_num(objects); i++) {
		const X509 *ca = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(objects, i));
		if (!ca || store_has_crl_of(store, ca))
			continue;
		crl_name(X509_get_subject_name(ca), name, sizeof(name));
		snprintf(why, why_size, "crl %s: has no list of %s; accepted: one of each of ca",
			path, name);
		return false;
	}
	return true;
}

static bool crl_add(X509_STORE *store, X509_CRL *crl, const char *path, char *why, size_t why_size)
{
	if (!crl_authority(store, crl)) {
		char name[128];
		crl_name(X509_CRL_get_issuer(crl), name, sizeof(name));
		snprintf(why, why_size, "crl %s: nobody of ca has signed the list of %s", path,
			name);
		return false;
	}
	if (X509_STORE_add_crl(store, crl) == 1)
		return true;
	why_openssl(why, why_size, path);
	return false;
}

bool crl_read(X509_STORE *store, const char *path, char *why, size_t why_size)
{
	BIO *bio = BIO_new_file(path, "r");
	bool good = bio;
	X509_CRL *crl;
	while (good && (crl = PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL)) != NULL) {
		good = crl_add(store, crl, path, why, why_size);
		X509_CRL_free(crl);
	}
	if (!bio || (good && ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)) {
		why_openssl(why, why_size, path);
		good = false;
	}
	ERR_clear_error();
	BIO_free(bio);
	X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
	return good && crl_check_whole(store, path, why, why_size);
}

time_t crl_unix_time(const ASN1_TIME *time)
{
	struct tm tm;
	return time && ASN1_TIME_to_tm(time, &tm) == 1 ? timegm(&tm) : 0;
}

// When the last list of that authority is due for replacement; 0 if one of them has no nextUpdate.
static time_t authority_expiry(const STACK_OF(X509_OBJECT) * objects, const X509_NAME *authority)
{
	time_t last = 0;
	for (int i = 0; i < sk_X509_OBJECT_num(objects); i++) {
		X509_CRL *crl = X509_OBJECT_get0_X509_CRL(sk_X509_OBJECT_value(objects, i));
		if (!crl || X509_NAME_cmp(X509_CRL_get_issuer(crl), authority) != 0)
			continue;
		time_t expiry = crl_unix_time(X509_CRL_get0_nextUpdate(crl));
		if (expiry == 0)
			return 0;
		last = expiry > last ? expiry : last;
	}
	return last;
}

time_t crl_expiry(X509_STORE *store)
{
	const STACK_OF(X509_OBJECT) *objects = X509_STORE_get0_objects(store);
	time_t first = 0;

	for (int i = 0; i < sk_X509_OBJECT_num(objects); i++) {
		X509_CRL *crl = X509_OBJECT_get0_X509_CRL(sk_X509_OBJECT_value(objects, i));
		time_t expiry = crl ? authority_expiry(objects, X509_CRL_get_issuer(crl)) : 0;
		if (expiry != 0 && (first == 0 || expiry < first))
			first = expiry;
	}
	return first;
}

// Continues after any other error: an expired list still revokes.
static int note_revoked(int good, X509_STORE_CTX *verification)
{
	bool *revoked = X509_STORE_CTX_get_app_data(verification);
	(void)good;
	if (X509_STORE_CTX_get_error(verification) == X509_V_ERR_CERT_REVOKED)
		*revoked = true;
	return 1;
}

bool crl_revokes(X509_STORE *store, X509 *certificate, STACK_OF(X509) * chain)
{
	X509_STORE_CTX *verification = X509_STORE_CTX_new();
	bool revoked = false;
	if (verification && X509_STORE_CTX_init(verification, store, certificate, chain) == 1) {
		X509_STORE_CTX_set_app_data(verification, &revoked);
		X509_STORE_CTX_set_verify_cb(verification, note_revoked);
		X509_verify_cert(verification);
	}
	ERR_clear_error();
	X509_STORE_CTX_free(verification);
	return revoked;
}
