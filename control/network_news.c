// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "control/network_news.h"

#include "dataplane/relay_tables.h"
#include "event/notice.h"
#include "host/news.h"
#include "session/leg_path.h"

// Of news about a port or a host on its network.
static const enum notice_type port_types[] = {
	[NEWS_CONFLICT] = NOTICE_ADDRESS_CONFLICT,
	[NEWS_NEIGHBOUR_MOVED] = NOTICE_NEIGHBOUR_MOVED,
	[NEWS_PORT_DOWN] = NOTICE_PORT_DOWN,
	[NEWS_PORT_UP] = NOTICE_PORT_UP,
};

static void port_tell(const struct relay *relay, struct notices *notices, const struct news *news)
{
	bool about_host = news->addr.family != AF_UNSPEC;
	struct notice what = {
		.type = port_types[news->type],
		.port = relay->ports[news->port].name,
		.host = about_host ? &news->addr : NULL,
		.mac = about_host ? news->mac.addr_bytes : NULL,
		.reason = news->reason,
	};
	notice(notices, &what);
}

void network_news_tell(struct sessions *sessions, struct notices *notices, uint64_t now)
{
	struct news_list *list = sessions->relay->news;
	for (uint32_t i = 0; i < list->n; i++) {
		const struct news *news = &list->news[i];
		if (news->type == NEWS_PATH_MTU || news->type == NEWS_UNREACHABLE)
			leg_path_hear(sessions, news, now);
		else
			port_tell(sessions->relay, notices, news);
	}
	list->n = 0;
}
