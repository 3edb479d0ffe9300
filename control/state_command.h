// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>

// What an operator asks about the state directory while no relay runs on it. Main thread.

// Whether a directory without state is refused: MCXRELAY_STATE=required in the environment. The service has it,
// whose package began the first state.
bool state_is_required(void);

// Says on stdout what is in the directory, or on stderr why mcxrelay would not start with it. Returns
// the exit status.
int state_command_check(const char *directory);

// Begins a new state, and says so. A directory that is not there is made for user and group, if root asks
// and they are not NULL. Returns the exit status.
int state_command_renew(const char *directory, const char *user, const char *group);
