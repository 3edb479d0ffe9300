// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <openssl/x509_vfy.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

// Lists of revoked certificates (RFC 5280, 5) beside the authorities of a store. Control thread.

// Reads the lists of a PEM file into the store, which has its authorities already. From then on it
// accepts no certificate of an authority whose list is out of date, no listed certificate, and none
// below a listed authority. Each authority must have a list that it has signed. False with a
// sentence in why[why_size]; the store must then not be used.
bool crl_read(X509_STORE *store, const char *path, char *why, size_t why_size);

// When the first authority needs another list, in Unix seconds; of several lists of one authority
// the last counts. 0 if there are none, or none has a nextUpdate.
time_t crl_expiry(X509_STORE *store);

// Whether the store's lists revoke the certificate or an authority above it; chain[0..] are the
// certificates that came with it, may be NULL. Other verification errors are ignored.
bool crl_revokes(X509_STORE *store, X509 *certificate, STACK_OF(X509) * chain);

// Unix seconds; 0 if there is no time.
time_t crl_unix_time(const ASN1_TIME *time);

// A name in the form of RFC 4514 that can be put between quotation marks in a line of the log; cut
// to size octets with its NUL.
void crl_name(const X509_NAME *name, char *text, size_t size);
