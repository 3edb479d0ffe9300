// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "ctl/commands.h"
#include "ctl/ctl.h"
#include "ctl/table.h"

// mcxctl kms, identity, message make, message open: whom the relay is, and what it sends. What such a call needs is read from a
// file, as params of the control API: nothing of it stands in a command line.

static void members_add(struct table *table, const json_t *object, const char *const names[])
{
	for (; *names; names++)
		table_add_member(table, object, *names);
}

static void kmss_print(const json_t *result)
{
	static const char *const titles[] = {"KMS", "ROLE", "PSEUDO", "GATEWAY", "REVOKED",
		">PERIOD", ">OFFSET", ">KEY SETS", NULL};
	static const char *const names[] = {"uri", "role", "pseudo", "security_gateway", "revoked",
		"period", "offset", "identities", NULL};
	const json_t *list = json_object_get(result, "kms");
	struct table *table = table_new(titles);
	for (size_t i = 0; i < json_array_size(list); i++)
		members_add(table, json_array_get(list, i), names);
	table_print(table, 0, 0);
}

static double end_of(const json_t *identity)
{
	const json_t *periods = json_object_get(identity, "periods");
	double end = 0;
	for (size_t i = 0; i < json_array_size(periods); i++) {
		double to = json_number_value(json_object_get(json_array_get(periods, i), "to"));
		end = to > end ? to : end;
	}
	return end;
}

static void identities_print(const json_t *result)
{
	static const char *const titles[] = {"IDENTITY", "KMS", "ROLE", "DOMAIN", ">PERIODS",
		"KEYS UNTIL", ">OPENED", ">MADE", NULL};
	static const char *const names[] = {"uri", "kms", "role", "domain", NULL};
	const json_t *list = json_object_get(result, "identities");
	struct table *table = table_new(titles);
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *identity = json_array_get(list, i);
		char until[32];
		members_add(table, identity, names);
		table_add_number(
			table, (long long)json_array_size(json_object_get(identity, "periods")));
		table_add(table, time_text(end_of(identity), false, until));
		table_add_member(table, identity, "opened");
		table_add_member(table, identity, "made");
	}
	table_print(table, 0, 0);
}

// The certificate as it is given to a partner's KMS.
static void xml_print(const json_t *result)
{
	const char *xml = json_string_value(json_object_get(result, "xml"));
	fputs(xml ? xml : "", stdout);
}

static void messages_print(const json_t *result)
{
	static const char *const titles[] = {"RECEIVER", "KEY", "GUK-ID", "MESSAGE", NULL};
	const json_t *list = json_object_get(result, "messages");
	struct table *table = table_new(titles);
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *one = json_array_get(list, i);
		table_add_member(table, one, "receiver");
		table_add_member(table, result, "id");
		table_add_member(table, one, "guk_id");
		table_add_member(table, one, "message");
	}
	table_print(table, 0, 0);
}

static int rejected_say(const json_t *result)
{
	const json_t *list = json_object_get(result, "rejected");
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *one = json_array_get(list, i);
		const char *path =
			json_string_value(json_object_get(json_object_get(one, "data"), "path"));
		const char *message = json_string_value(json_object_get(one, "message"));
		ctl_fail("%s %s", path ? path : "a receiver", message ? message : "was refused");
	}
	return json_array_size(list) > 0;
}

// Takes params, NULL: they could not be read.
static int call_print(
	struct ctl *ctl, const char *method, json_t *params, void (*print)(const json_t *result))
{
	if (!params)
		return 1;
	json_t *result = NULL;
	if (connection_open(&ctl->connection))
		result = connection_call(&ctl->connection, method, params);
	else
		json_decref(params);
	if (!result)
		return 1;
	int status = rejected_say(result);
	if (ctl->json)
		return ctl_json_print(result) || status;
	print(result);
	json_decref(result);
	return status;
}

int ctl_kms(struct ctl *ctl)
{
	const char *what = ctl->argc > 0 ? ctl->argv[0] : "";
	if (strcmp(what, "list") == 0 && ctl->argc == 1)
		return call_print(ctl, "kms.list", json_object(), kmss_print);
	if (strcmp(what, "create") == 0 && ctl->argc == 2)
		return call_print(ctl, "kms.create", ctl_file_read(ctl->argv[1]), xml_print);
	if (strcmp(what, "certificate") == 0 && ctl->argc == 2)
		return call_print(
			ctl, "kms.certificate", json_pack("{s:s}", "uri", ctl->argv[1]), xml_print);
	return ctl_fail("kms takes: list, create FILE, certificate URI; see mcxctl --help");
}

int ctl_identity(struct ctl *ctl)
{
	if (ctl->argc != 1 || strcmp(ctl->argv[0], "list") != 0)
		return ctl_fail("identity takes: list; see mcxctl --help");
	return call_print(ctl, "identity.list", json_object(), identities_print);
}

static void opened_print(const json_t *result)
{
	static const char *const titles[] = {
		"KEY", "TYPE", "DOMAIN", "INITIATOR", "RECEIVER", "INSTALLED", "REVOKED", NULL};
	static const char *const names[] = {
		"id", "type", "domain", "initiator", "receiver", "installed", "revoked", NULL};
	struct table *table = table_new(titles);
	members_add(table, result, names);
	table_print(table, 0, 0);
}

int ctl_message_open(struct ctl *ctl, const uint8_t *octets, size_t len, const char *initiator)
{
	char *text = malloc(base64_len(len) + 1);
	if (!text)
		return ctl_fail("there is no memory");
	base64_encode(octets, len, text);
	json_t *params = json_pack("{s:s,s:s*}", "message", text, "initiator", initiator);
	free(text);
	return call_print(ctl, "message.open", params, opened_print);
}

int ctl_message_make(struct ctl *ctl)
{
	if (ctl->argc != 2)
		return ctl_fail("message make takes FILE; see mcxctl --help");
	return call_print(ctl, "message.make", ctl_file_read(ctl->argv[1]), messages_print);
}
