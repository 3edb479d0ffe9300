// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "host/news.h"

#include "dataplane/relay_tables.h"

void news_add(struct relay *relay, const struct news *news)
{
	bool strangers = news->type != NEWS_PORT_DOWN && news->type != NEWS_PORT_UP;
	if (relay->news->n < (strangers ? NEWS_STRANGERS_MAX : NEWS_MAX))
		relay->news->news[relay->news->n++] = *news;
}

const char *unreachable_label(enum unreachable_reason reason)
{
	static const char *const labels[UNREACHABLE_N] = {
#define _(name, label) label,
		UNREACHABLE_REASONS(_)
#undef _
	};
	return labels[reason];
}
