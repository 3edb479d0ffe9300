// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "control/message_answer.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "control/clock_sync.h"

// A clock that says less was never set (1 January 2026).
#define CLOCK_MIN UINT64_C(1767225600)

static json_t *text_of(const struct mikey_octets *octets)
{
	return json_stringn((const char *)octets->octets, octets->len);
}

static json_t *groups_of(const struct mikey_key_parameters *parameters)
{
	json_t *groups = json_array();
	for (unsigned i = 0; i < parameters->n_groups; i++)
		json_array_append_new(groups, text_of(&parameters->groups[i]));
	return groups;
}

void message_key_spec(const struct mikey_opening *opening, const struct mikey_opened *opened,
	const char *domain, struct key_spec *spec, json_t **groups)
{
	const struct mikey_key_parameters *parameters = &opened->parameters;
	const struct mikey_octets *rand = &opening->message.rand;
	*spec = (struct key_spec){.id = opened->key_id, .type = (enum key_type)opening->type};
	snprintf(spec->domain, sizeof(spec->domain), "%s", domain);
	spec->secret.value_len = sizeof(opened->ssv);
	memcpy(spec->secret.value, opened->ssv, sizeof(opened->ssv));
	spec->secret.rand_len = (uint8_t)rand->len;
	memcpy(spec->secret.rand, rand->octets, rand->len);
	// Without parameters, or an activation time, that of T (E.6.4).
	spec->activation =
		(time_t)(parameters->activation != 0 ? parameters->activation : opening->time);
	spec->expiry = (time_t)parameters->expiry;
	spec->profile = key_profile_default(spec->type);
	spec->profile.suite = (uint8_t)opening->profile.suite;
	spec->profile.roc_rate = opening->profile.roc_rate;
	spec->has_profile = true;
	*groups = groups_of(parameters);
	spec->groups = parameters->n_groups > 0 ? *groups : NULL;
}

static json_t *parameters_show(const struct mikey_key_parameters *p)
{
	json_t *shown = json_pack("{s:{s:b,s:b},s:I,s:I,s:o}", "status", "revoked",
		!(p->status & MIKEY_STATUS_NOT_REVOKED), "security_gateway",
		(p->status & MIKEY_STATUS_SECURITY_GATEWAY) != 0, "activation",
		(json_int_t)p->activation, "expiry", (json_int_t)p->expiry, "groups", groups_of(p));
	json_object_set_new(shown, "text", text_of(&p->text));
	return shown;
}

static bool is_gateway(const struct mikey_opening *o, const struct mikey_opened *opened)
{
	return o->initiator_kms->security_gateway || o->receiver_kms->security_gateway ||
	       (opened->has_parameters &&
		       opened->parameters.status & MIKEY_STATUS_SECURITY_GATEWAY);
}

json_t *message_answer(const struct mikey_opening *o, const struct mikey_opened *opened,
	const struct key_spec *spec)
{
	const struct mikey_identity *parties = o->message.parties;
	json_t *out = json_object();
	json_object_set_new(out, "type", json_string(mikey_type_name(o->type)));
	json_object_set_new(out, "id", json_sprintf("%08x", opened->key_id));
	if (o->type == MIKEY_GMK)
		json_object_set_new(out, "guk_id", json_sprintf("%08x", o->message.csb_id));
	json_object_set_new(out, "domain", json_string(spec->domain));
	json_object_set_new(out, "initiator", text_of(&o->initiator));
	json_object_set_new(out, "initiator_kms", text_of(&o->initiator_kms->uri));
	json_object_set_new(out, "receiver", text_of(&o->receiver->uri));
	json_object_set_new(out, "receiver_kms", text_of(&o->receiver_kms->uri));
	json_object_set_new(out, "hidden",
		json_boolean(parties[MIKEY_INITIATOR].hidden || parties[MIKEY_RECEIVER].hidden));
	json_object_set_new(out, "time", json_integer((json_int_t)o->time));
	json_object_set_new(out, "profile",
		json_pack("{s:s,s:i,s:i}", "suite",
			srtp_suite_name((enum srtp_suite)spec->profile.suite), "mki_length",
			spec->profile.mki_len, "roc_rate", spec->profile.roc_rate));
	if (opened->has_parameters)
		json_object_set_new(out, "key_parameters", parameters_show(&opened->parameters));
	json_object_set_new(out, "security_gateway", json_boolean(is_gateway(o, opened)));
	return out;
}

void message_refuse(const struct mikey_fault *fault, struct rpc_error *error)
{
	message_refuse_at("params.message", fault, error);
}

static void refuse(const char *path, const struct mikey_fault *fault, const char *more,
	struct rpc_error *error)
{
	bool says = strstr(fault->text, "accepted: ") != NULL;
	rpc_fail(error, RPC_MESSAGE_REFUSED, path, "%s%s", fault->text, says ? "" : more);
	error->reason = mikey_reason_slug(fault->reason);
	error->octet = fault->octet;
}

void message_refuse_at(const char *path, const struct mikey_fault *fault, struct rpc_error *error)
{
	refuse(path, fault, "; accepted: another message", error);
}

void document_refuse(const char *path, const struct mikey_fault *fault, struct rpc_error *error)
{
	refuse(path, fault, "; accepted: another document", error);
}

void message_refuse_as(struct rpc_error *error, const char *reason, const char *format, ...)
{
	char text[sizeof(error->message)];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	rpc_fail(error, RPC_MESSAGE_REFUSED, "params.message", "%s", text);
	error->reason = reason;
}

bool message_clock_ok(
	const struct config_mikey *mikey, uint64_t now, const char *path, struct rpc_error *error)
{
	if (now < CLOCK_MIN)
		rpc_fail(error, RPC_BUSY, path,
			"cannot be dated: the clock of this relay says %llu; accepted: later, when "
			"it is set",
			(unsigned long long)now);
	return error->code == RPC_OK && (!mikey->require_sync || clock_sync_ok(path, error));
}
