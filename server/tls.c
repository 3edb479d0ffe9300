// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "server/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/secmem.h"
#include "server/crl.h"

enum {
	TLS_KEY_FILE_MAX = 64 * 1024, // octets
	TLS_SECURITY_LEVEL =
		2, // 112 bits: RSA from 2,048, no SHA-1 (SSL_CTX_set_security_level(3))
};

struct tls {
	struct tls_files files;
	SSL_CTX *context;
	void (*before_handshake)(void *arg);
	void *arg;
};

// Writes OpenSSL's reason for refusing a file to why and empties its error queue.
static void why_openssl(char *why, size_t why_size, const char *what, const char *path)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());
	snprintf(why, why_size, "%s %s: %s", what, path, reason ? reason : "not usable");
	ERR_clear_error();
}

static bool why_errno(char *why, size_t why_size, const char *what, const char *path)
{
	snprintf(why, why_size, "%s %s: %s", what, path, strerror(errno));
	return false;
}

// A missing file is the most frequent error; OpenSSL calls it "system lib".
static bool file_check(const char *what, const char *path, char *why, size_t why_size)
{
	return access(path, R_OK) == 0 || why_errno(why, why_size, what, path);
}

static void key_warn_if_open(const char *path, mode_t mode)
{
	if (mode & (S_IROTH | S_IWOTH))
		log_warning("tls.key_open path=\"%s\" mode=%04o reason=\"others may read or change "
			    "it\"",
			path, (unsigned)mode & 07777);
}

// The whole file in memory that is wiped when freed: stdio would leave its buffer unwiped.
static char *key_file_read(const char *path, size_t *len, char *why, size_t why_size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *text = fd >= 0 ? secmem_malloc(TLS_KEY_FILE_MAX) : NULL;
	ssize_t n = 1;
	*len = 0;
	struct stat st;
	if (text && fstat(fd, &st) == 0)
		key_warn_if_open(path, st.st_mode);
	while (text && *len < TLS_KEY_FILE_MAX && n > 0) {
		n = read(fd, text + *len, TLS_KEY_FILE_MAX - *len);
		*len += n > 0 ? (size_t)n : 0;
	}
	if (!text || n < 0) {
		why_errno(why, why_size, "key", path);
		secmem_free(text);
		text = NULL;
	}
	if (fd >= 0)
		close(fd);
	return text;
}

// A key with a passphrase is refused; by default OpenSSL would ask the terminal.
static int passphrase_none(char *passphrase, int size, int writing, void *arg)
{
	(void)passphrase;
	(void)size;
	(void)writing;
	(void)arg;
	return -1;
}

static bool context_use_key(SSL_CTX *context, const char *path, char *why, size_t why_size)
{
	size_t len;
	char *text = key_file_read(path, &len, why, why_size);
	if (!text)
		return false;
	BIO *bio = BIO_new_mem_buf(text, (int)len);
	EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, passphrase_none, NULL) : NULL;
	bool ok = key && SSL_CTX_use_PrivateKey(context, key) == 1 &&
		  SSL_CTX_check_private_key(context) == 1;
	if (!ok)
		why_openssl(why, why_size, "key", path);
	EVP_PKEY_free(key);
	BIO_free(bio);
	secmem_free(text);
	return ok;
}

static bool context_use_files(
	SSL_CTX *context, const struct tls_files *files, char *why, size_t why_size)
{
	if (!file_check("certificate", files->certificate, why, why_size) ||
		!file_check("key", files->key, why, why_size) ||
		!file_check("ca", files->ca, why, why_size) ||
		(files->crl && !file_check("crl", files->crl, why, why_size)))
		return false;
	if (SSL_CTX_use_certificate_chain_file(context, files->certificate) != 1) {
		why_openssl(why, why_size, "certificate", files->certificate);
		return false;
	}
	if (!context_use_key(context, files->key, why, why_size))
		return false;
	if (SSL_CTX_load_verify_file(context, files->ca) != 1) {
		why_openssl(why, why_size, "ca", files->ca);
		return false;
	}
	return !files->crl || crl_read(SSL_CTX_get_cert_store(context), files->crl, why, why_size);
}

static SSL_CTX *context_new(
	const SSL_METHOD *method, const struct tls_files *files, char *why, size_t why_size)
{
	SSL_CTX *context = SSL_CTX_new(method);
	ERR_clear_error();
	if (!context || SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) != 1 ||
		SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) != 1 ||
		SSL_CTX_set_num_tickets(context, 0) != 1) {
		snprintf(why, why_size, "TLS 1.3: OpenSSL does not have it");
		SSL_CTX_free(context);
		return NULL;
	}
	SSL_CTX_set_security_level(context, TLS_SECURITY_LEVEL);
	// Requests carry keys: no copy of what was read stays in the record layer.
	SSL_CTX_set_options(context, SSL_OP_CLEANSE_PLAINTEXT);
	// Each client presents a certificate that is valid now; a session ticket would outlive it.
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	if (!context_use_files(context, files, why, why_size)) {
		SSL_CTX_free(context);
		return NULL;
	}
	return context;
}

static int on_client_hello(SSL *ssl, int *alert, void *arg)
{
	const struct tls *tls = arg;
	(void)ssl;
	(void)alert;
	if (tls->before_handshake)
		tls->before_handshake(tls->arg);
	return SSL_CLIENT_HELLO_SUCCESS;
}

static SSL_CTX *listener_context(struct tls *tls, char *why, size_t why_size)
{
	SSL_CTX *context = context_new(TLS_server_method(), &tls->files, why, why_size);
	if (!context)
		return NULL;
	SSL_CTX_set_client_hello_cb(context, on_client_hello, tls);
	// By default a read continues for as long as there are KeyUpdates (RFC 8446 4.6.3) without
	// data: a client that sends nothing else would block the control thread.
	SSL_CTX_clear_mode(context, SSL_MODE_AUTO_RETRY);
	return context;
}

// An expired list locks out all clients, and nothing in its file shows it.
static void crl_warn_if_expired(const struct tls *tls)
{
	time_t expiry = tls_crl_expiry(tls);
	char when[32];
	struct tm utc;
	if (expiry == 0 || expiry > time(NULL) || !gmtime_r(&expiry, &utc) ||
		strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &utc) == 0)
		return;
	log_error(
		"tls.crl_expired path=\"%s\" next_update=%s consequence=\"its clients are refused "
		"until there is a new list and SIGHUP\"",
		tls->files.crl, when);
}

struct tls *tls_open(const struct tls_files *files, char *why, size_t why_size)
{
	struct tls *tls = calloc(1, sizeof(*tls));
	if (!tls) {
		snprintf(why, why_size, "out of memory");
		return NULL;
	}
	tls->files = *files;
	tls->context = listener_context(tls, why, why_size);
	if (!tls->context) {
		free(tls);
		return NULL;
	}
	crl_warn_if_expired(tls);
	return tls;
}

bool tls_reload(struct tls *tls, char *why, size_t why_size)
{
	SSL_CTX *context = listener_context(tls, why, why_size);
	if (!context)
		return false;
	SSL_CTX_free(tls->context);
	tls->context = context;
	crl_warn_if_expired(tls);
	return true;
}

void tls_close(struct tls *tls)
{
	if (!tls)
		return;
	SSL_CTX_free(tls->context);
	free(tls);
}

time_t tls_expiry(const struct tls *tls)
{
	const X509 *certificate = SSL_CTX_get0_certificate(tls->context);
	return certificate ? crl_unix_time(X509_get0_notAfter(certificate)) : 0;
}

time_t tls_crl_expiry(const struct tls *tls)
{
	return crl_expiry(SSL_CTX_get_cert_store(tls->context));
}

bool tls_is_revoked(const struct tls *tls, const SSL *ssl)
{
	X509 *certificate = SSL_get1_peer_certificate(ssl);
	bool revoked = certificate && crl_revokes(SSL_CTX_get_cert_store(tls->context), certificate,
					      SSL_get_peer_cert_chain(ssl));
	X509_free(certificate);
	return revoked;
}

SSL *tls_accept(struct tls *tls)
{
	return SSL_new(tls->context);
}

void tls_set_before_handshake(struct tls *tls, void (*before_handshake)(void *arg), void *arg)
{
	tls->before_handshake = before_handshake;
	tls->arg = arg;
}

SSL_CTX *tls_client_context(const struct tls_files *files, char *why, size_t why_size)
{
	return context_new(TLS_client_method(), files, why, why_size);
}

void tls_subject(const SSL *ssl, char *text, size_t size)
{
	X509 *certificate = SSL_get1_peer_certificate(ssl);
	text[0] = '\0';
	if (certificate)
		crl_name(X509_get_subject_name(certificate), text, size);
	X509_free(certificate);
}

static const char *const failure_labels[TLS_N_FAILURES] = {
#define _(name, label) label,
	TLS_FAILURES(_)
#undef _
};

const char *tls_failure_label(enum tls_failure failure)
{
	return failure_labels[failure];
}

static enum tls_failure verify_failure(long verified)
{
	switch (verified) {
	case X509_V_ERR_CERT_HAS_EXPIRED:
		return TLS_EXPIRED;
	case X509_V_ERR_CERT_NOT_YET_VALID:
		return TLS_NOT_YET_VALID;
	case X509_V_ERR_INVALID_PURPOSE:
		return TLS_PURPOSE;
	case X509_V_ERR_CERT_REVOKED:
		return TLS_REVOKED;
	case X509_V_ERR_UNABLE_TO_GET_CRL:
	case X509_V_ERR_CRL_HAS_EXPIRED:
	case X509_V_ERR_CRL_NOT_YET_VALID:
	case X509_V_ERR_CRL_SIGNATURE_FAILURE:
		return TLS_CRL;
	default:
		return TLS_UNTRUSTED;
	}
}

enum tls_failure tls_failure_kind(const SSL *ssl, unsigned long error)
{
	long verified = SSL_get_verify_result(ssl);
	if (verified != X509_V_OK)
		return verify_failure(verified);
	if (error == 0 || ERR_GET_REASON(error) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
		return TLS_ENDED;
	if (ERR_GET_REASON(error) == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE)
		return TLS_NO_CERTIFICATE;
	return ERR_GET_REASON(error) >= SSL_AD_REASON_OFFSET ? TLS_ALERT : TLS_PROTOCOL;
}

const char *tls_failure_reason(const SSL *ssl, unsigned long error)
{
	long verified = SSL_get_verify_result(ssl);
	const char *reason = ERR_reason_error_string(error);
	if (verified != X509_V_OK)
		return X509_verify_cert_error_string(verified);
	return reason ? reason : "the connection ended";
}
