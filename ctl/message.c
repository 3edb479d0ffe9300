// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/base64.h"
#include "base/hex.h"
#include "ctl/commands.h"
#include "ctl/ctl.h"
#include "ctl/table.h"
#include "mikey/ntp.h"
#include "mikey/profile.h"

// What is in an I_MESSAGE, for those who look for what is wrong with one. Without a key: nothing of
// it is verified or decrypted.

enum {
	INPUT_MAX = 1 << 16, // octets of a file: a message in base64, with line breaks
	CONTENT_SIZE = 400   // octets of what is said of a payload
};

// --- reading

static uint8_t *file_read(const char *path, size_t *len)
{
	const bool standard = strcmp(path, "-") == 0;
	FILE *file = standard ? stdin : fopen(path, "rb");
	uint8_t *octets = malloc(INPUT_MAX + 1);
	*len = file && octets ? fread(octets, 1, INPUT_MAX, file) : 0;
	const bool failed = !file || !octets || ferror(file);
	if (failed)
		ctl_fail("cannot read %s: %s", standard ? "stdin" : path, strerror(errno));
	if (file && !standard)
		(void)fclose(file);
	if (!failed)
		return octets;
	free(octets);
	return NULL;
}

// As SDP has it ("a=key-mgmt:mikey ..."), or base64 alone; in place. False if it is none.
static bool text_decode(uint8_t *octets, size_t *len)
{
	char *text = (char *)octets;
	text[*len] = '\0';
	const char *prefix = strstr(text, "mikey ");
	const char *from = prefix ? prefix + strlen("mikey ") : text;
	char *packed = malloc(strlen(from) + 1);
	size_t n = 0;
	for (; packed && *from; from++)
		if (!isspace((unsigned char)*from))
			packed[n++] = *from;
	bool ok = packed && n > 0 && base64_decode(packed, n, octets, len);
	free(packed);
	return ok;
}

static bool is_text(const uint8_t *octets, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!isprint(octets[i]) && !isspace(octets[i]))
			return false;
	return true;
}

static uint8_t *message_read(const char *path, size_t *len)
{
	uint8_t *octets = file_read(path, len);
	if (!octets || !is_text(octets, *len) || text_decode(octets, len))
		return octets;
	ctl_fail("%s has no I_MESSAGE; accepted: its octets, or base64",
		strcmp(path, "-") == 0 ? "stdin" : path);
	free(octets);
	return NULL;
}

// --- what is said of it

static json_t *octets_show(const struct mikey_octets *octets)
{
	return json_stringn((const char *)octets->octets, octets->len);
}

static json_t *hex_show(const uint8_t *octets, size_t len)
{
	char hex[2 * MIKEY_ID_MAX + 1] = "";
	if (len <= MIKEY_ID_MAX)
		hex_encode(octets, len, hex);
	return json_string(hex);
}

static void warn(json_t *warnings, const char *text)
{
	json_array_append_new(warnings, json_string(text));
}

static void header_content(const struct mikey_message *m, char content[CONTENT_SIZE])
{
	struct mikey_fault ignored;
	enum mikey_type type;
	snprintf(content, CONTENT_SIZE, "%s, CSB-ID %08x, %u crypto sessions, CS ID map type %u",
		mikey_message_type(m, &type, &ignored) ? mikey_type_name(type) : "no known key",
		m->csb_id, m->n_cs, m->map_type);
}

static void idr_content(
	const struct mikey_message *m, size_t from, size_t to, char content[CONTENT_SIZE])
{
	const uint8_t *begin = m->whole.octets + from, *end = m->whole.octets + to;
	for (enum mikey_party i = 0; i < MIKEY_N_PARTIES; i++) {
		const struct mikey_identity *id = &m->parties[i];
		char hex[2 * MIKEY_ID_MAX + 1];
		if (!id->value.octets || id->value.octets < begin || id->value.octets >= end)
			continue;
		hex_encode(id->value.octets, id->value.len, hex);
		if (id->hidden)
			snprintf(content, CONTENT_SIZE, "%s, hidden: UID %.88s",
				mikey_party_name(i), hex);
		else
			snprintf(content, CONTENT_SIZE, "%s %.*s", mikey_party_name(i),
				(int)id->value.len, (const char *)id->value.octets);
	}
}

static void extension_content(const uint8_t *payload, char content[CONTENT_SIZE])
{
	snprintf(content, CONTENT_SIZE, "%s",
		payload[1] == MIKEY_EXTENSION_SAKKE_TO_SELF ? "SAKKE-to-self, not examined"
		: payload[1] == MIKEY_EXTENSION_KEY_PARAMETERS
			? "key parameters, encrypted"
			: "of a type that is not known, not examined");
}

static uint64_t time_of(const struct mikey_message *m)
{
	return mikey_unix_time(m->ntp_seconds, (uint64_t)time(NULL));
}

static const char *payload_content(
	const struct mikey_message *m, const struct mikey_place *place, size_t end, char *content)
{
	char text[32];
	content[0] = '\0';
	switch ((enum mikey_payload)place->type) {
	case MIKEY_T:
		snprintf(content, CONTENT_SIZE, "%s", time_text((double)time_of(m), false, text));
		return "T";
	case MIKEY_RAND:
		snprintf(content, CONTENT_SIZE, "%zu octets", m->rand.len);
		return "RAND";
	case MIKEY_IDR:
		idr_content(m, place->octet, end, content);
		return "IDR";
	case MIKEY_SP:
		snprintf(content, CONTENT_SIZE, "policy %u", m->whole.octets[place->octet + 1]);
		return "SP";
	case MIKEY_SAKKE:
		snprintf(content, CONTENT_SIZE, "parameter set 1, %zu octets of data", m->sed.len);
		return "SAKKE";
	case MIKEY_EXTENSION:
		extension_content(m->whole.octets + place->octet, content);
		return "EXT";
	case MIKEY_SIGN:
		snprintf(content, CONTENT_SIZE, "ECCSI, over octets 0 to %zu", m->signed_len - 1);
		return "SIGN";
	case MIKEY_LAST:
		break;
	}
	return "?";
}

static void payload_add(
	json_t *payloads, size_t octet, size_t end, const char *name, const char *content)
{
	json_array_append_new(
		payloads, json_pack("{s:I,s:I,s:s,s:s}", "octet", (json_int_t)octet, "length",
				  (json_int_t)(end - octet), "payload", name, "content", content));
}

static json_t *payloads_show(const struct mikey_message *m)
{
	char content[CONTENT_SIZE];
	json_t *payloads = json_array();
	header_content(m, content);
	payload_add(
		payloads, 0, m->n_places > 0 ? m->places[0].octet : m->whole.len, "HDR", content);
	for (unsigned i = 0; i < m->n_places; i++) {
		size_t end = i + 1 < m->n_places ? m->places[i + 1].octet : m->whole.len;
		const char *name = payload_content(m, &m->places[i], end, content);
		payload_add(payloads, m->places[i].octet, end, name, content);
	}
	return payloads;
}

static void parties_show(json_t *out, const struct mikey_message *m)
{
	static const char *const names[][2] = {
		[MIKEY_INITIATOR] = {"initiator", "initiator_uid"},
		[MIKEY_RECEIVER] = {"receiver", "receiver_uid"},
		[MIKEY_INITIATOR_KMS] = {"initiator_kms", "initiator_kms"},
		[MIKEY_RECEIVER_KMS] = {"receiver_kms", "receiver_kms"},
	};
	for (enum mikey_party i = 0; i < MIKEY_N_PARTIES; i++) {
		const struct mikey_identity *id = &m->parties[i];
		if (id->value.octets)
			json_object_set_new(out, names[i][id->hidden],
				id->hidden ? hex_show(id->value.octets, id->value.len)
					   : octets_show(&id->value));
	}
}

static json_t *sessions_show(const struct mikey_message *m)
{
	json_t *sessions = json_array();
	for (unsigned i = 0; i < m->n_cs; i++) {
		const struct mikey_cs *cs = &m->cs[i];
		json_array_append_new(
			sessions, json_pack("{s:i,s:i,s:o}", "id", cs->id, "policy", cs->policy,
					  "spi", hex_show(cs->spi.octets, cs->spi.len)));
	}
	return sessions;
}

static void type_show(json_t *out, const struct mikey_message *m, json_t *warnings)
{
	struct mikey_fault fault;
	enum mikey_type type;
	struct mikey_profile profile;
	if (!mikey_message_type(m, &type, &fault)) {
		warn(warnings, fault.text);
		return;
	}
	json_object_set_new(out, "type", json_string(mikey_type_name(type)));
	if (mikey_profile_read(m, type, &profile, &fault))
		json_object_set_new(out, "profile",
			json_pack("{s:s,s:i}", "suite", srtp_suite_name(profile.suite), "roc_rate",
				profile.roc_rate));
	else
		warn(warnings, fault.text);
	if (type == MIKEY_GMK && !m->key_parameters.octets)
		warn(warnings,
			"a GMK should have key parameters (TS 33.180 E.2.1); there are none");
}

static json_t *message_show(const struct mikey_message *m, json_t *warnings)
{
	char id[9];
	snprintf(id, sizeof(id), "%08x", m->csb_id);
	json_t *out = json_pack("{s:I,s:I,s:s,s:I}", "length", (json_int_t)m->whole.len, "signed",
		(json_int_t)m->signed_len, "csb_id", id, "time", (json_int_t)time_of(m));
	parties_show(out, m);
	json_object_set_new(out, "rand", hex_show(m->rand.octets, m->rand.len));
	json_object_set_new(out, "crypto_sessions", sessions_show(m));
	json_object_set_new(out, "payloads", payloads_show(m));
	type_show(out, m, warnings);
	json_object_set(out, "warnings", warnings);
	return out;
}

// --- the command

static int table_show(json_t *shown)
{
	static const char *const titles[] = {">OCTET", ">LENGTH", "PAYLOAD", "CONTENT", NULL};
	static const char *const members[] = {"octet", "length", "payload", "content"};
	struct table *table = table_new(titles);
	size_t i;
	json_t *item;
	json_array_foreach (json_object_get(shown, "payloads"), i, item) {
		for (size_t k = 0; k < sizeof(members) / sizeof(*members); k++)
			table_add_member(table, item, members[k]);
	}
	table_print(table, 0, 0);
	json_array_foreach (json_object_get(shown, "warnings"), i, item) {
		fputs("warning: ", stdout);
		text_print(json_string_value(item));
		putchar('\n');
	}
	json_decref(shown);
	return 0;
}

static int octets_print(const struct ctl *ctl, const uint8_t *octets, size_t len)
{
	struct mikey_message message;
	struct mikey_fault fault = {}, ignored;
	bool strict = mikey_decode(octets, len, 0, &message, &fault);
	if (!strict && !mikey_decode(octets, len, ~0U, &message, &ignored))
		return ctl_fail("no I_MESSAGE (%s): %s, at octet %zu of %zu",
			mikey_reason_slug(fault.reason), fault.text, fault.octet, len);
	json_t *warnings = json_array();
	if (!strict) {
		char text[sizeof(fault.text) + 64];
		snprintf(text, sizeof(text), "taken only of a KMS of which that is accepted: %s",
			fault.text);
		warn(warnings, text);
	}
	json_t *shown = message_show(&message, warnings);
	json_decref(warnings);
	return ctl->json ? ctl_json_print(shown) : table_show(shown);
}

int ctl_message(struct ctl *ctl)
{
	size_t len;
	if (ctl->argc > 0 && strcmp(ctl->argv[0], "make") == 0)
		return ctl_message_make(ctl);
	const bool open = ctl->argc > 0 && strcmp(ctl->argv[0], "open") == 0;
	if (ctl->argc < 1 || (!open && strcmp(ctl->argv[0], "show") != 0))
		return ctl_fail("message takes: show, open, make; see mcxctl --help");
	if (open && (ctl->argc < 2 || ctl->argc > 3))
		return ctl_fail("message open takes FILE and INITIATOR; see mcxctl --help");
	if (!open && ctl->argc > 2)
		return ctl_fail("message show takes one FILE; see mcxctl --help");
	uint8_t *octets = message_read(ctl->argc >= 2 ? ctl->argv[1] : "-", &len);
	if (!octets)
		return 1;
	int status = open ? ctl_message_open(ctl, octets, len, ctl->argc == 3 ? ctl->argv[2] : NULL)
			  : octets_print(ctl, octets, len);
	free(octets);
	return status;
}
