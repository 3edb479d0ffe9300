// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

// What a reader of HTTP would like best.

// Its quality for a media type of a request's Accept header (RFC 9110 12.5.1), in thousandths: of the type itself, else
// of all with its first half, else of all. accept NULL: there is no such header, all are welcome.
unsigned http_accept_quality(const char *accept, const char *type);
