// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "mikey/kms_xml.h"
#include "server/rpc.h"

// What methods install that take an array, or a document of a KMS (TS 33.180 Annex D), and how. Control thread.

struct api;

// Installs an element, or goes on with it; error tells why it is refused. False if the method is to be called again
// for it.
typedef bool install_element(const struct api *api, const json_t *value, const char *path,
	bool replace, struct rpc_slice *slice, struct rpc_error *error);

struct install_kind {
	const char *list; // the array
	install_element *install;
	// The same in a document; all NULL: they come in params only.
	const char *element; // "KmsCertificate"
	const char *path;    // what errors call the elements
	const char *const
		*given;    // params beside it that say what a document does not, up to a NULL
	bool given_of_one; // they are of one element
	size_t (*count)(const struct kms_xml *document);
	// The object for install() of an element; NULL with *error set. given: the members above that were stated.
	json_t *(*make)(const struct api *api, const struct kms_xml *document, size_t i,
		const json_t *given, struct rpc_error *error);
};

// What "rejected" says of an element.
json_t *rejected_show(size_t index, const struct rpc_error *error);
