// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdint.h>

// Tells of KMSs and of identities whose time is nearly over, so that whoever runs the relay has the
// next certificate, or key set, in time. Control thread.

struct identity_store;
struct kms_store;
struct notices;

enum { EXPIRY_WATCH_SECONDS = 24 * 60 * 60 }; // before the end

// Zeroed memory is ready.
struct expiry_watch {
	uint64_t kms_place, identity_place; // looked at next
};

// Looks at some of them, all within minutes; tells each end once. About ten times a second.
void expiry_watch_tick(struct expiry_watch *watch, const struct kms_store *kmss,
	const struct identity_store *identities, struct notices *notices, uint64_t now);
