// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/base64.h"
#include "base/hex.h"
#include "crypto/mcx_uid.h"
#include "ctl/commands.h"
#include "ctl/ctl.h"
#include "mikey/ntp.h"

// The UID of an identity, for those who look for a key set.

enum { BASE64_SIZE = 45 }; // of a UID

struct uid_options {
	const char *uri, *kms;
	unsigned period, offset;
	uint64_t time; // seconds since 1970-01-01T00:00:00Z
};

static bool time_read(const char *text, uint64_t *out)
{
	struct tm tm = {};
	const char *end = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	unsigned seconds;
	if (end && (strcmp(end, "Z") == 0 || *end == '\0')) {
		*out = (uint64_t)timegm(&tm);
		return timegm(&tm) >= 0;
	}
	bool ok = ctl_number_read(text, UINT32_MAX, &seconds);
	*out = seconds;
	return ok;
}

static int option_read(struct uid_options *o, int option, const char *text)
{
	switch (option) {
	case 'u':
		o->uri = text;
		return 0;
	case 'k':
		o->kms = text;
		return 0;
	case 'p':
		return ctl_number_read(text, UINT32_MAX, &o->period)
			       ? 0
			       : ctl_fail("--period is no number; accepted: 3600 to 4294967295");
	case 'o':
		return ctl_number_read(text, UINT32_MAX, &o->offset)
			       ? 0
			       : ctl_fail("--offset is no number; accepted: 0 to less than "
					  "--period");
	case 't':
		return time_read(text, &o->time)
			       ? 0
			       : ctl_fail("--time is no time; accepted: such as "
					  "2026-11-28T22:00:00Z, or seconds since 1970");
	default:
		return ctl_fail("see mcxctl --help");
	}
}

static int options_read(struct uid_options *o, int argc, char **argv)
{
	static const struct option options[] = {
		{"uri", required_argument, NULL, 'u'},
		{"kms", required_argument, NULL, 'k'},
		{"period", required_argument, NULL, 'p'},
		{"offset", required_argument, NULL, 'o'},
		{"time", required_argument, NULL, 't'},
		{"json", no_argument, NULL, 'j'},
		{},
	};
	int option, status = 0;
	optind = 0; // a new run over other arguments
	while (status == 0 && (option = getopt_long(argc, argv, ":j", options, NULL)) != -1) {
		if (option == '?' || option == ':')
			status = ctl_option_refused(argc, argv, option);
		else if (option != 'j')
			status = option_read(o, option, optarg);
	}
	if (status == 0 && optind < argc)
		return ctl_fail("there is an argument too many; see mcxctl --help");
	if (status == 0 && (!o->uri || !o->kms))
		return ctl_fail("uid takes --uri and --kms; see mcxctl --help");
	return status;
}

static int uid_print(const struct mcx_uid_input *input, const uint8_t uid[MCX_UID_LEN])
{
	char hex[2 * MCX_UID_LEN + 1], base64[BASE64_SIZE];
	const json_int_t from = (json_int_t)input->offset +
				(json_int_t)input->period_no * input->period -
				(json_int_t)MIKEY_NTP_UNIX;
	hex_encode(uid, MCX_UID_LEN, hex);
	base64_encode(uid, MCX_UID_LEN, base64);
	return ctl_json_print(
		json_pack("{s:s,s:s,s:I,s:I,s:I}", "uid", hex, "uid_base64", base64, "period_no",
			(json_int_t)input->period_no, "from", from, "to", from + input->period));
}

int ctl_uid(int argc, char **argv)
{
	struct uid_options o = {.period = 2592000, .time = (uint64_t)time(NULL)};
	uint8_t uid[MCX_UID_LEN];
	if (options_read(&o, argc, argv) != 0 || !o.uri || !o.kms)
		return 1;
	struct mcx_uid_input input = {.identity = o.uri,
		.identity_len = strlen(o.uri),
		.kms = o.kms,
		.kms_len = strlen(o.kms),
		.period = o.period,
		.offset = o.offset};
	enum mcx_uid_status status =
		mcx_uid_period_no(o.period, o.offset, o.time + MIKEY_NTP_UNIX, &input.period_no);
	if (status == MCX_UID_OK)
		status = mcx_uid(&input, uid);
	if (status != MCX_UID_OK)
		return ctl_fail("the UID cannot be computed: %s", mcx_uid_status_text(status));
	return uid_print(&input, uid);
}
