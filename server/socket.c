// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "server/socket.h"

#include <errno.h>
#include <grp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

void socket_set_tcp_options(evutil_socket_t fd)
{
	static const int on = 1, idle_s = 60, interval_s = 10, probes = 6;
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof(interval_s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

void socket_format_address(
	const struct sockaddr *address, socklen_t address_len, char *text, size_t size)
{
	char host[INET6_ADDRSTRLEN], port[8];
	if (getnameinfo(address, address_len, host, sizeof(host), port, sizeof(port),
		    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		snprintf(text, size, "?");
	else
		snprintf(text, size, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
}

// Removes the socket file that a process left behind. -EADDRINUSE if a process listens on it, or if
// it is not a socket: other files are left alone.
static int socket_remove_stale(const struct sockaddr_un *address)
{
	struct stat st;
	if (lstat(address->sun_path, &st) != 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EADDRINUSE;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	int ret = -EADDRINUSE;
	// Only ECONNREFUSED shows that no process listens: a full backlog gives EAGAIN.
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) != 0 &&
		errno == ECONNREFUSED)
		ret = unlink(address->sun_path) == 0 ? 0 : -errno;
	close(fd);
	return ret;
}

// Sets group and mode of the socket file.
static int socket_set_permissions(const struct server_options *options)
{
	if (options->group) {
		errno = 0;
		const struct group *group = getgrnam(options->group);
		if (!group)
			return errno != 0 ? -errno : -ENOENT;
		if (chown(options->path, (uid_t)-1, group->gr_gid) != 0)
			return -errno;
	}
	return chmod(options->path, (mode_t)options->mode) == 0 ? 0 : -errno;
}

int socket_listen(const struct server_options *options, struct stat *st)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t path_len = strlen(options->path);
	if (path_len == 0 || path_len >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, options->path, path_len);
	int ret = socket_remove_stale(&address);
	if (ret != 0)
		return ret;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	// Linux gives the file the mode of the socket inode at bind().
	if (fchmod(fd, 0) != 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
		ret = -errno;
		goto not_bound;
	}
	ret = socket_set_permissions(options);
	if (ret != 0)
		goto not_permitted;
	if (lstat(options->path, st) != 0 || listen(fd, SERVER_BACKLOG) != 0) {
		ret = -errno;
		goto not_permitted;
	}
	return fd;

not_permitted:
	unlink(options->path);
not_bound:
	close(fd);
	return ret;
}
