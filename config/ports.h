// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "config/setting.h"

void ports_read(struct check *c, const config_setting_t *s, const struct member *m, void *out);

// limits.ports: a range of UDP ports for all ports, or a group with one by the name of each. out: the
// struct config, whose ports are read.
void udp_ports_read(struct check *c, const config_setting_t *s, const struct member *m, void *out);
