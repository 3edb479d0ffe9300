// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "control/network_news.h"

#include "dataplane/relay_tables.h"
#include "event/notice.h"
#include "host/news.h"
#include "session/leg_path.h"

// Of news about a host on the network of a port.
static const enum notice_type host_types[] = {
	[NEWS_CONFLICT] = NOTICE_ADDRESS_CONFLICT,
	[NEWS_NEIGHBOUR_MOVED] = NOTICE_NEIGHBOUR_MOVED,
};

static void host_tell(const struct relay *relay, struct notices *notices, const struct news *news)
{
	struct notice what = {
		.type = host_types[news->type],
		.port = relay->ports[news->port].name,
		.host = &news->addr,
		.mac = news->mac.addr_bytes,
	};
	notice(notices, &what);
}

void network_news_tell(struct sessions *sessions, struct notices *notices, uint64_t now)
{
	struct news_list *list = sessions->relay->news;
	for (uint32_t i = 0; i < list->n; i++) {
		const struct news *news = &list->news[i];
		if (news->type == NEWS_CONFLICT || news->type == NEWS_NEIGHBOUR_MOVED)
			host_tell(sessions->relay, notices, news);
		else
			leg_path_hear(sessions, news, now);
	}
	list->n = 0;
}
