// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "confine/privilege.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "confine/threads.h"

struct identity {
	uid_t uid;
	gid_t gid;
};

static int identity_find(
	const char *user, const char *group, struct identity *identity, char *why, size_t why_size)
{
	const struct passwd *passwd = getpwnam(user);
	if (!passwd) {
		snprintf(why, why_size, "user %s is not known; accepted: the name of a user", user);
		return -ENOENT;
	}
	*identity = (struct identity){.uid = passwd->pw_uid, .gid = passwd->pw_gid};
	if (!group)
		return 0;
	const struct group *entry = getgrnam(group);
	if (!entry) {
		snprintf(why, why_size, "group %s is not known; accepted: the name of a group",
			group);
		return -ENOENT;
	}
	identity->gid = entry->gr_gid;
	return 0;
}

// Sets the calling thread's effective and permitted capabilities to those of keep that it has, and
// its inheritable and ambient ones to none. 0 or a positive errno. Async-signal-safe.
static int capabilities_limit(uint64_t keep)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];
	if (syscall(SYS_capget, &header, data) != 0)
		return errno;
	for (unsigned i = 0; i < 2; i++) {
		data[i].permitted &= (uint32_t)(keep >> 32 * i);
		data[i].effective = data[i].permitted;
		data[i].inheritable = 0;
	}
	return syscall(SYS_capset, &header, data) == 0 ? 0 : errno;
}

// Only who has CAP_SETPCAP may and needs to: for others the set is their service manager's. 0.
// Async-signal-safe.
static int bounding_set_empty(void)
{
	// EINVAL comes behind the last capability that the kernel knows.
	for (unsigned long capability = 0;
		capability < 64 && prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0; capability++)
		;
	return 0;
}

int privilege_user_set(const char *user, const char *group, char *why, size_t why_size)
{
	const uint64_t keep = UINT64_C(1) << CAP_IPC_LOCK | UINT64_C(1) << CAP_NET_BIND_SERVICE;
	struct identity identity;
	int rc = identity_find(user, group, &identity, why, why_size);
	if (rc != 0)
		return rc;
	if (geteuid() == identity.uid && getegid() == identity.gid)
		return 0;
	if (geteuid() != 0) {
		snprintf(why, why_size, "user %s: only root can become another user", user);
		return -EPERM;
	}
	rc = threads_run(bounding_set_empty, why, why_size);
	if (rc != 0)
		return rc;
	// The C library does these three in every thread. Threads without SECBIT_KEEP_CAPS lose
	// their capabilities with the user; the main thread keeps what it is told below.
	if (prctl(PR_SET_KEEPCAPS, 1) != 0 || initgroups(user, identity.gid) != 0 ||
		setresgid(identity.gid, identity.gid, identity.gid) != 0 ||
		setresuid(identity.uid, identity.uid, identity.uid) != 0)
		rc = -errno;
	else
		rc = -capabilities_limit(keep);
	if (rc == 0 && prctl(PR_SET_KEEPCAPS, 0) != 0)
		rc = -errno;
	if (rc != 0)
		snprintf(why, why_size, "user %s: %s", user, strerror(-rc));
	return rc;
}

int privilege_directory_make(const char *path, unsigned mode, const char *user, const char *group,
	char *why, size_t why_size)
{
	struct identity identity;
	int rc = identity_find(user, group, &identity, why, why_size);
	if (rc != 0 || (mkdir(path, (mode_t)mode) != 0 && errno == EEXIST))
		return rc;
	// By descriptor and without following a link: its parent may be anybody's.
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fchown(fd, identity.uid, identity.gid) != 0) {
		rc = -errno;
		snprintf(why, why_size, "directory %s cannot be made for user %s: %s", path, user,
			strerror(-rc));
	}
	if (fd >= 0)
		close(fd);
	return rc;
}

static int thread_drop(void)
{
	bounding_set_empty();
	return capabilities_limit(0);
}

int privilege_drop(char *why, size_t why_size)
{
	char reason[256];
	int rc = threads_run(thread_drop, reason, sizeof(reason));
	if (rc != 0)
		snprintf(why, why_size, "capabilities cannot be dropped: %s", reason);
	return rc;
}
