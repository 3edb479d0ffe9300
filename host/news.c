// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "host/news.h"

#include "dataplane/relay_tables.h"

void news_add(struct relay *relay, const struct news *news)
{
	if (relay->news->n < NEWS_MAX)
		relay->news->news[relay->news->n++] = *news;
}
