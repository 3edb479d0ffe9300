// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <openssl/x509_vfy.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

// Lists of revoked certificates (RFC 5280, 5) beside the authorities of a store. Control thread.

// Reads the lists of a PEM file into the store, which has its authorities already: from then on it
// verifies no certificate of an authority whose list is out of date, none that a list has, and none
// below an authority that a list has. Each authority must have a list, and have signed it. False
// with a sentence in why[why_size]; the store is of no use then.
bool crl_read(X509_STORE *store, const char *path, char *why, size_t why_size);

// When the first authority needs another list, in Unix seconds: of several that it has, the last
// counts. 0 if there are none, or none says when.
time_t crl_expiry(X509_STORE *store);

// Whether the store's lists have the certificate, or an authority above it; chain[0..] are those
// that came with it, may be NULL. What else is wrong with it does not count.
bool crl_revokes(X509_STORE *store, X509 *certificate, STACK_OF(X509) * chain);

// Unix seconds; 0 if there is no time.
time_t crl_unix_time(const ASN1_TIME *time);

// A name as RFC 4514 writes it, fit to stand between quotation marks in one line of the log; cut to
// size octets with its NUL.
void crl_name(const X509_NAME *name, char *text, size_t size);
