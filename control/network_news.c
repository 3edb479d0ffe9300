// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "control/network_news.h"

#include "dataplane/relay_tables.h"
#include "event/notice.h"
#include "host/news.h"

static void news_tell(const struct relay *relay, struct notices *notices, const struct news *news)
{
	struct notice what = {
		.type = NOTICE_ADDRESS_CONFLICT,
		.port = relay->ports[news->port].name,
		.host = &news->addr,
		.mac = news->mac.addr_bytes,
	};
	notice(notices, &what);
}

void network_news_tell(struct relay *relay, struct notices *notices)
{
	for (uint32_t i = 0; i < relay->news->n; i++)
		news_tell(relay, notices, &relay->news->news[i]);
	relay->news->n = 0;
}
