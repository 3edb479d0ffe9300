// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "control/message_tell.h"

#include <string.h>

#include "control/api.h"
#include "control/message_stats.h"
#include "event/notice.h"

// Who sent a message, as far as that is known; nobody vouches for it. Empty: not known.
static void initiator_claimed(const struct mikey_opening *opening, const struct mikey_octets *sip,
	char uri[MIKEY_ID_MAX + 1])
{
	const struct mikey_identity *stated = &opening->message.parties[MIKEY_INITIATOR];
	const struct mikey_octets *claim = sip->octets                 ? sip
					   : opening->initiator.octets ? &opening->initiator
					   : opening->time != 0 && !stated->hidden ? &stated->value
										   : NULL;
	size_t len = claim ? claim->len : 0;
	if (len > 0)
		memcpy(uri, claim->octets, len);
	uri[len] = '\0';
}

void message_refusal_tell(const struct api *api, const struct mikey_opening *opening,
	const struct mikey_octets *sip, const struct rpc_error *error)
{
	struct message_stats *stats = api->messages;
	char initiator[MIKEY_ID_MAX + 1];
	unsigned reason = message_reason_of(error);
	stats->refused[reason]++;
	stats->untold[reason]++;
	initiator_claimed(opening, sip, initiator);
	const struct notice what = {.type = NOTICE_MESSAGE_REFUSED,
		.reason = message_reason_name(reason),
		.initiator = initiator[0] != '\0' ? initiator : NULL,
		.count = stats->untold[reason]};
	if (notice(api->keys->notices, &what))
		stats->untold[reason] = 0;
}
