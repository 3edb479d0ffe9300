// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "key/state_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"

int state_file_read(const char *path, void *out, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	char more;
	ssize_t n = read(fd, out, size);
	int rc = n < 0 ? -errno : 0;
	if (rc == 0 && ((size_t)n != size || read(fd, &more, 1) != 0))
		rc = -EBADMSG;
	close(fd);
	return rc;
}

static int file_write_synced(const char *path, const void *data, size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	int rc = 0;
	errno = ENOSPC; // what a short write means
	if (write(fd, data, size) != (ssize_t)size || fsync(fd) != 0)
		rc = -errno;
	close(fd);
	return rc;
}

static int directory_sync(const char *path)
{
	char *directory = alloc_string(path);
	*strrchr(directory, '/') = '\0';
	int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	free(directory);
	if (fd < 0)
		return -errno;
	int rc = fsync(fd) == 0 ? 0 : -errno;
	close(fd);
	return rc;
}

int state_file_write(const char *path, const void *data, size_t size)
{
	char temporary[4096];
	if (snprintf(temporary, sizeof(temporary), "%s.new", path) >= (int)sizeof(temporary))
		return -ENAMETOOLONG;
	int rc = file_write_synced(temporary, data, size);
	if (rc == 0 && rename(temporary, path) != 0)
		rc = -errno;
	return rc == 0 ? directory_sync(path) : rc;
}
