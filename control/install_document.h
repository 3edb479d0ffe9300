// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "control/install_kind.h"
#include "server/reader.h"

// Documents of a KMS (TS 33.180 Annex D) as a param of the methods that install what is in them. Control thread.

struct install_document {
	const char *text;       // of the params; NULL: there is none
	const json_t *keys;     // "transport_keys"
	const json_t *given[4]; // of kind->given, in its order
};

// Reads "xml" and what may stand beside it. True if there is one.
bool install_document_params(
	struct reader *r, const struct install_kind *kind, struct install_document *document);

// Reads the document, in the pool. True if slice->made has "elements", of which those that cannot be are null and in
// slice->list, and "shown", what the result says beside. Else there is another slice, or *error is set and nothing was
// changed. The keys that the document brought are kept.
bool install_document_read(const struct api *api, const struct install_kind *kind,
	const struct install_document *document, struct rpc_slice *slice, struct rpc_error *error);
