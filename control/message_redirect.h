// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "control/api.h"
#include "mikey/open.h"

// What a KMS redirect response (TS 33.180 5.2.8) to an I_MESSAGE whose KMSs are not acceptable says: params for
// message.redirect, but for its creator. Whom the message names by UID is left out. Control thread. NULL: there is no
// memory.
json_t *message_redirect_params(const struct api *api, const struct mikey_opening *opening);
