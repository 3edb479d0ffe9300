// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "control/state_command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "confine/privilege.h"
#include "key/state_store.h"

enum { SAYS_SIZE = 2048 };

bool state_is_required(void)
{
	const char *state = getenv("MCXRELAY_STATE");
	return state && strcmp(state, "required") == 0;
}

int state_command_check(const char *directory)
{
	char says[SAYS_SIZE];
	int rc = state_store_check(directory, state_is_required(), says, sizeof(says));
	// No directory is made at the start; another user's is not the mistake of this file.
	bool refused = rc != 0 && rc != -ENOENT && rc != -EACCES;
	fprintf(refused ? stderr : stdout, "%s\n", says);
	return refused ? 1 : 0;
}

int state_command_renew(const char *directory, const char *user, const char *group)
{
	char says[SAYS_SIZE];
	int rc = 0;
	if (user && geteuid() == 0)
		rc = privilege_directory_make(directory, 0700, user, group, says, sizeof(says));
	if (rc == 0)
		rc = state_store_renew(directory, says, sizeof(says));
	fprintf(rc != 0 ? stderr : stdout, "%s\n", says);
	return rc != 0 ? 1 : 0;
}
