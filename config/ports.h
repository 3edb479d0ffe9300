// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "config/setting.h"

void ports_read(struct check *c, const config_setting_t *s, const struct member *m, void *out);
