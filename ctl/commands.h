// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>

#include "ctl/connection.h"

// The commands of mcxctl. They return its exit status after saying on stderr what was wrong.

struct ctl {
	struct connection connection;
	bool json, replace;
	unsigned n; // iterations or events; 0: without end
	int argc;   // arguments behind the command
	char **argv;
};

int ctl_show(struct ctl *ctl);
int ctl_top(struct ctl *ctl);
int ctl_watch(struct ctl *ctl);
int ctl_install_keys(struct ctl *ctl);
int ctl_derive(int argc, char **argv);
int ctl_guk_id(int argc, char **argv);
int ctl_uid(int argc, char **argv);
int ctl_message(struct ctl *ctl);
int ctl_message_make(struct ctl *ctl);
int ctl_message_open(struct ctl *ctl, const uint8_t *octets, size_t len, const char *initiator);
int ctl_kms(struct ctl *ctl);
int ctl_identity(struct ctl *ctl);
