// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include <openssl/types.h>

// TLS 1.3 as the control plane speaks it (RFC 8446): both sides show a certificate, nothing is
// resumed, and what was read is wiped. Control thread, and mcxctl.

// Paths of PEM files. They outlive what is made of them.
struct tls_files {
	const char *certificate; // the own chain, leaf first
	const char *key;         // its private key, without a passphrase
	const char *ca;          // who must have signed the certificate of the other side
};

// What new connections are made of, in either role.
struct tls;

// Reads the files for a listener. NULL with a sentence in why[why_size] if one of them is not
// usable. Warns in the log if others may read the key.
struct tls *tls_open(const struct tls_files *files, char *why, size_t why_size);

// Reads the files again: connections made from now on have what they say, those that are there go
// on as they are. False with a sentence in why if a file is not usable; nothing changes then.
bool tls_reload(struct tls *tls, char *why, size_t why_size);

// Connections that are there keep what they need. NULL is ignored.
void tls_close(struct tls *tls);

// When the certificate that new connections show expires, in Unix seconds.
time_t tls_expiry(const struct tls *tls);

// The listener's side of one more connection, to be freed by SSL_free(); NULL if memory is short.
SSL *tls_accept(struct tls *tls);

// Has before_handshake(arg) called before the costly part of each handshake. Survives tls_reload().
void tls_set_before_handshake(struct tls *tls, void (*before_handshake)(void *arg), void *arg);

// A client's context of the files, to be freed by SSL_CTX_free(); NULL with a sentence in why.
SSL_CTX *tls_client_context(const struct tls_files *files, char *why, size_t why_size);

// The subject of the certificate that the other side proved to have (RFC 4514), fit to stand
// between quotation marks in one line of the log; cut to size octets with its NUL.
void tls_subject(const SSL *ssl, char *text, size_t size);

// Why a handshake failed, for the log: what was wrong with the certificate, or what the library
// says of error (ERR_get_error(), 0 if it says nothing).
const char *tls_failure(const SSL *ssl, unsigned long error);
