// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "dataplane/retire.h"
#include "key/keystore.h"
#include "key/users.h"
#include "tests/unit/dataplane_lab.h"

// Root keys of a relay with one worker, without an MCX server.
struct key_lab {
	struct lab lab;
	struct retire retire;
	struct users users;
	struct keystore store;
};

// Room for n_keys root keys. 0 or -errno, as keystore_init() says.
int key_lab_open(struct key_lab *keys, uint32_t n_keys);

void key_lab_close(struct key_lab *keys);
