// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <event2/buffer.h>

// The text format of Prometheus 0.0.4, for those that do not read OpenMetrics.

#define METRICS_PLAIN_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

// Appends to out what metrics_write() wrote to in, which is emptied. Counters are named by their samples (_total), so
// is what runs (_info); there are neither units nor an end. 0, or -1 if memory is short.
int metrics_make_plain(struct evbuffer *out, struct evbuffer *in);
