// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/endpoint.h"

// "192.0.2.1:5004" or "[2001:db8::1]:5004"; port 1 to 65,535.
bool address_read(const char *text, struct endpoint *out);

// The same without port: "192.0.2.1", "2001:db8::1" or "[2001:db8::1]"; port 0.
bool address_read_host(const char *text, struct endpoint *out);

enum {
	ADDRESS_TEXT_SIZE = 64,
	HOST_TEXT_SIZE = 46,
};

// A binary address into text.
void address_write(const struct endpoint *address, char text[ADDRESS_TEXT_SIZE]);
// The same without port: "192.0.2.1", "2001:db8::1".
void address_write_host(const struct endpoint *address, char text[HOST_TEXT_SIZE]);
