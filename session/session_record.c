// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "session/session_record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/address.h"
#include "base/alloc.h"
#include "dataplane/relay_tables.h"
#include "session/session_show.h"
#include "store/store_json.h"

static struct store *store_of(const struct session *session)
{
	return session->sessions->keys->records;
}

static void set(json_t *object, const char *name, json_t *value)
{
	json_object_set_new(object, name, value);
}

// --- sessions

void session_record(struct session *session)
{
	struct store *store = store_of(session);
	char *name;
	session->ends = false;
	if (!store)
		return;
	if (asprintf(&name, "session:%s", session->spec.id) < 0)
		alloc_failed(__func__, strlen(session->spec.id));
	store_put_json(store, &session->record, name,
		json_pack("{s:o}", "session", session_stated(session)));
	free(name);
}

void session_record_drop(struct session *session)
{
	session->ends = true;
	store_drop(store_of(session), &session->record);
}

// --- legs as stated: members that were not are left out, because they may follow from something that changes

static json_t *profile_stated(const struct protection_spec *spec)
{
	json_t *profile = json_object();
	if (spec->has_suite)
		set(profile, "suite", json_string(srtp_suite_name(spec->profile.suite)));
	if (spec->has_mki_len)
		set(profile, "mki_length", json_integer(spec->profile.mki_len));
	if (spec->has_roc_rate)
		set(profile, "roc_rate", json_integer(spec->profile.roc_rate));
	return profile;
}

static json_t *protection_stated(const struct protection_spec *spec)
{
	json_t *out = protection_show(spec, NULL);
	json_object_del(out, "key_state");
	if (spec->has_suite || spec->has_mki_len || spec->has_roc_rate)
		set(out, "profile", profile_stated(spec));
	set(out, "verify", json_boolean(spec->verify));
	set(out, "encrypt", json_boolean(spec->encrypt));
	return out;
}

static json_t *rate_stated(const struct rate_spec *rate)
{
	json_t *out = json_object();
	if (rate->has_packets)
		set(out, "packets", json_integer((json_int_t)rate->packets));
	if (rate->has_octets)
		set(out, "octets", json_integer((json_int_t)rate->octets));
	return out;
}

static json_t *leg_stated(const struct session_leg *leg)
{
	const struct leg_spec *spec = &leg->spec;
	json_t *out = leg_form_show(leg->session->sessions, leg);
	set(out, "remote", address_show(&spec->remote));
	if (spec->clock_rate != 0)
		set(out, "clock_rate", json_integer(spec->clock_rate));
	set(out, "protection", protection_stated(&spec->protection[SRTP_RTP]));
	if (!spec->same_protection)
		set(out, "rtcp_protection", protection_stated(&spec->protection[SRTP_RTCP]));
	if (spec->rate.has_packets || spec->rate.has_octets)
		set(out, "rate", rate_stated(&spec->rate));
	return out;
}

static char *leg_name(const struct session_leg *leg, const char *what)
{
	const char *session = leg->session->spec.id;
	char *name;
	if (asprintf(&name, "%s:%zu:%s:%s", what, strlen(session), session, leg->spec.id) < 0)
		alloc_failed(__func__, strlen(leg->spec.id));
	return name;
}

char *leg_learnt_name(const struct session_leg *leg)
{
	return leg_name(leg, "learnt");
}

void leg_record(struct session_leg *leg)
{
	struct store *store = store_of(leg->session);
	if (!store || leg->session->ends)
		return;
	char *name = leg_name(leg, "leg");
	// What was learnt belongs to what is stated, whenever the process ends.
	store_drop(store, &leg->learnt_record);
	store_put_json(store, &leg->record, name,
		json_pack("{s:o,s:I,s:i,s:I}", "leg", leg_stated(leg), "order",
			(json_int_t)leg->order, "form", (int)leg->spec.local_form, "born",
			(json_int_t)leg->born));
	free(name);
	leg_record_learnt(leg);
}

void leg_record_learnt(struct session_leg *leg)
{
	struct store *store = store_of(leg->session);
	if (!store || leg->session->ends)
		return;
	if (endpoint_equal(&leg->remote, &leg->spec.remote)) {
		store_drop(store, &leg->learnt_record);
		return;
	}
	char *name = leg_learnt_name(leg);
	store_put_json(store, &leg->learnt_record, name,
		json_pack("{s:o,s:b}", "address", address_show(&leg->remote), "rtcp",
			leg->learnt_of_rtcp));
	free(name);
}

void leg_record_drop(struct session_leg *leg)
{
	store_drop(store_of(leg->session), &leg->learnt_record);
	store_drop(store_of(leg->session), &leg->record);
}
