// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include <openssl/types.h>

// TLS 1.3 for the control plane (RFC 8446): mutual authentication, no session resumption, plaintext
// wiped after it was read. Control thread, and mcxctl.

// Paths of PEM files. They outlive what is made of them.
struct tls_files {
	const char *certificate; // the own chain, leaf first
	const char *key;         // its private key, without a passphrase
	const char *ca;          // authorities of the peer's certificate
	const char *crl;         // their certificate revocation lists; NULL: none
};

// Why a handshake failed, as label of a counter.
#define TLS_FAILURES(_)                                                                            \
	_(NO_CERTIFICATE, "no_certificate") /* it shows none */                                    \
	_(UNTRUSTED, "untrusted")           /* none of ca signed it, or it is not well made */     \
	_(EXPIRED, "expired")                                                                      \
	_(NOT_YET_VALID, "not_yet_valid")                                                          \
	_(PURPOSE, "purpose") /* it is not for a client */                                         \
	_(REVOKED, "revoked")                                                                      \
	_(CRL, "crl")           /* its authority has no list that is valid now */                  \
	_(ALERT, "alert")       /* the client refused, for instance the relay's certificate */     \
	_(PROTOCOL, "protocol") /* no TLS, not version 1.3, or broken */                           \
	_(ENDED, "ended")       /* the client went before the end */                               \
	_(TIMEOUT, "timeout")                                                                      \
	_(TOO_MANY, "too_many") /* handshakes or clients */

enum tls_failure {
#define _(name, label) TLS_##name,
	TLS_FAILURES(_)
#undef _
		TLS_N_FAILURES,
};

// What new connections are created from, in either role.
struct tls;

// Reads the files for a listener. NULL with a sentence in why[why_size] if one of them is not
// usable. Warns in the log if others may read the key.
struct tls *tls_open(const struct tls_files *files, char *why, size_t why_size);

// Reads the files again, for new connections; existing ones are not affected. False with a sentence
// in why if a file is not usable; nothing changes then.
bool tls_reload(struct tls *tls, char *why, size_t why_size);

// Existing connections keep what they need. NULL is ignored.
void tls_close(struct tls *tls);

// When the certificate for new connections expires, in Unix seconds.
time_t tls_expiry(const struct tls *tls);

// When the first authority needs another list of revoked certificates, in Unix seconds: from then
// on its clients are refused. 0 if there are no lists, or none has a nextUpdate.
time_t tls_crl_expiry(const struct tls *tls);

// Whether the current lists revoke the peer's certificate.
bool tls_is_revoked(const struct tls *tls, const SSL *ssl);

// The listener's side of a new connection, to be freed by SSL_free(); NULL if memory is short.
SSL *tls_accept(struct tls *tls);

// Has before_handshake(arg) called before the costly part of each handshake. Survives tls_reload().
void tls_set_before_handshake(struct tls *tls, void (*before_handshake)(void *arg), void *arg);

// A client's context from the files, to be freed by SSL_CTX_free(); NULL with a sentence in why.
SSL_CTX *tls_client_context(const struct tls_files *files, char *why, size_t why_size);

// The subject of the peer's verified certificate (RFC 4514), fit to stand between quotation marks
// in one line of the log; cut to size octets with its NUL.
void tls_subject(const SSL *ssl, char *text, size_t size);

// Why a handshake failed, for the log: the verification error of the certificate, or the library's
// text for error (ERR_get_error(), 0 if it reported none).
const char *tls_failure_reason(const SSL *ssl, unsigned long error);
enum tls_failure tls_failure_kind(const SSL *ssl, unsigned long error);
const char *tls_failure_label(enum tls_failure failure);
