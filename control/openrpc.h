// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stddef.h>

// The control API as an OpenRPC document: JSON that openrpc.py makes of docs/schema/control-api.json
// when the relay is built.

extern const char openrpc_text[];
extern const size_t openrpc_len; // octets, without the NUL
