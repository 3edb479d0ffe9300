// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "control/api.h"
#include "control/methods_event.h"
#include "control/methods_identity.h"
#include "control/methods_key.h"
#include "control/methods_kms.h"
#include "control/methods_log.h"
#include "control/methods_make.h"
#include "control/methods_mcdata.h"
#include "control/methods_message.h"
#include "control/methods_pseudo.h"
#include "control/methods_redirect.h"
#include "control/methods_relay.h"
#include "control/methods_rpc.h"
#include "control/methods_session.h"

// The table of the control API's methods. Each reads its params, checks, acts, answers.

const struct rpc_method control_methods[] = {
	{"relay.info", relay_info},
	{"relay.stats", relay_stats},
	{"log.set", log_set, .changes = true},
	{"key.install", .call_in_slices = key_install_method, .changes = true},
	{"key.revoke", .call_in_slices = key_revoke, .changes = true},
	{"key.list", .call_in_slices = key_list, .reads = true},
	{"session.apply", .call_in_slices = session_apply_method, .changes = true},
	{"session.remove", .call_in_slices = session_remove_method, .changes = true},
	{"session.get", .call_in_slices = session_get, .reads = true},
	{"session.list", .call_in_slices = session_list, .reads = true},
	{"leg.apply", .call_in_slices = leg_apply, .changes = true},
	{"leg.remove", .call_in_slices = leg_remove, .changes = true},
	{"events.subscribe", events_subscribe},
	{"session.top", session_top_method},
	{"kms.install", .call_in_slices = kms_install_method, .changes = true},
	{"kms.create", .call_in_slices = kms_create_method, .changes = true},
	{"kms.certificate", kms_certificate_method},
	{"kms.list", .call_in_slices = kms_list, .reads = true},
	{"kms.remove", kms_remove_method, .changes = true},
	{"identity.install", .call_in_slices = identity_install_method, .changes = true},
	{"identity.list", .call_in_slices = identity_list, .reads = true},
	{"identity.remove", .call_in_slices = identity_remove_method, .changes = true},
	{"message.open", .call_in_slices = message_open_method, .changes = true},
	{"message.make", .call_in_slices = message_make_method, .changes = true},
	{"message.redirect", message_redirect_method},
	{"message.redirected", .call_in_slices = message_redirected_method},
	{"mcdata.protect", mcdata_protect_method},
	{"mcdata.unprotect", mcdata_unprotect_method},
	{"mcdata.select", mcdata_select_method},
	{"rpc.discover", rpc_discover},
	{NULL, NULL},
};
