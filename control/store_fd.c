// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "control/store_fd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <systemd/sd-daemon.h>

#include "base/log.h"

#define FD_NAME "FDNAME=" STORE_FD_NAME

// The last one of that name, -1: there is none. Others of that name are closed.
static int fd_listed(void)
{
	char **names = NULL;
	int found = -1, n = sd_listen_fds_with_names(1, &names);
	for (int i = 0; i < n; i++) {
		if (strcmp(names[i], STORE_FD_NAME) == 0) {
			if (found >= 0)
				close(found);
			found = SD_LISTEN_FDS_START + i;
		}
		free(names[i]);
	}
	free(names);
	return found;
}

// Of sd_notify(3).
static int fd_take_back(void)
{
	return sd_notify(0, "FDSTOREREMOVE=1\n" FD_NAME);
}

// What it has of that name goes, and this one comes.
static void fd_hand_over(int fd)
{
	int rc = fd_take_back();
	if (rc > 0)
		rc = sd_pid_notify_with_fds(0, 0, "FDSTORE=1\n" FD_NAME "\nFDPOLL=0", &fd, 1);
	if (rc <= 0)
		log_warning("store_not_kept reason=\"%s; calls end with the process\"",
			rc == 0 ? "no service manager has started it" : strerror(-rc));
}

struct store *store_fd_open(uint64_t generation)
{
	bool fresh;
	struct store *store = store_open(fd_listed(), generation, &fresh);
	if (!store) {
		log_error("no_store reason=\"%s; calls end with the process\"", strerror(errno));
		fd_take_back();
	} else if (fresh) {
		fd_hand_over(store_fd(store));
	}
	return store;
}

void store_fd_drop(void)
{
	int fd = fd_listed();
	if (fd < 0)
		return;
	close(fd);
	fd_take_back();
	log_warning("store_dropped reason=\"an earlier mcxrelay recorded calls; this one does not, "
		    "so they do not come back\"");
}
