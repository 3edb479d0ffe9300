// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "key/state_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/secmem.h"
#include "crypto/mcx_kdf.h"

enum { STATE_NAME_SIZE = 32 };

// Digest of machine-id(5), which itself is not to leave its place. Zeros if the machine has none: a
// container, or before its first boot.
static void machine_digest(uint8_t digest[STATE_MACHINE_LEN])
{
	static const char purpose[] = "mcxrelay state";
	uint8_t id[32], mac[32];
	struct kdf_param param = {purpose, sizeof(purpose) - 1};
	memset(digest, 0, STATE_MACHINE_LEN);
	int fd = open("/etc/machine-id", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	if (read(fd, id, sizeof(id)) == (ssize_t)sizeof(id) &&
		mcx_kdf(id, sizeof(id), 0, &param, 1, mac) == 0)
		memcpy(digest, mac, STATE_MACHINE_LEN);
	close(fd);
}

static int file_identify(int fd, struct state_identity *identity)
{
	struct statx file;
	if (statx(fd, "", AT_EMPTY_PATH, STATX_TYPE | STATX_INO | STATX_BTIME, &file) != 0)
		return -errno;
	if (!S_ISREG(file.stx_mode))
		return S_ISDIR(file.stx_mode) ? -EISDIR : -EINVAL;
	*identity = (struct state_identity){.inode = file.stx_ino};
	if (file.stx_mask & STATX_BTIME) {
		identity->born_s = file.stx_btime.tv_sec;
		identity->born_ns = file.stx_btime.tv_nsec;
	}
	machine_digest(identity->machine);
	return 0;
}

// A machine without id is not known to be another.
static bool machine_differs(const struct state_identity *a, const struct state_identity *b)
{
	static const uint8_t none[STATE_MACHINE_LEN];
	return memcmp(a->machine, none, sizeof(none)) != 0 &&
	       memcmp(b->machine, none, sizeof(none)) != 0 &&
	       memcmp(a->machine, b->machine, sizeof(none)) != 0;
}

static enum state_finding file_judge(
	const struct state_found *found, const struct state_identity *actual)
{
	const struct state_identity *written = &found->record.identity;
	if (found->format == STATE_NO_RECORD)
		return STATE_DAMAGED;
	if (found->format != STATE_RECORD)
		return STATE_OLD;
	if (written->inode != actual->inode || written->born_s != actual->born_s ||
		written->born_ns != actual->born_ns)
		return STATE_ELSEWHERE;
	return machine_differs(written, actual) ? STATE_OTHER_MACHINE : STATE_GOOD;
}

void state_file_read(int directory, const char *name, struct state_found *found)
{
	uint8_t octets[STATE_RECORD_LEN + 1];
	struct state_identity actual = {};
	ssize_t n = -1;
	*found = (struct state_found){.finding = STATE_MISSING};
	// Nobody waits for the other end of a pipe.
	int fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return;
	found->error = fd < 0 ? -errno : file_identify(fd, &actual);
	if (found->error == 0) {
		n = read(fd, octets, sizeof(octets));
		found->error = n < 0 ? -errno : 0;
	}
	if (fd >= 0)
		close(fd);
	if (found->error != 0) {
		found->finding = STATE_UNREADABLE;
		return;
	}
	found->format = state_record_decode(octets, (size_t)n, &found->record);
	found->finding = file_judge(found, &actual);
	secmem_wipe(octets, sizeof(octets));
}

static int record_write(int fd, struct state_record *record)
{
	uint8_t octets[STATE_RECORD_LEN];
	int rc = file_identify(fd, &record->identity);
	if (rc == 0)
		rc = state_record_encode(record, octets);
	errno = ENOSPC; // what a short write means
	if (rc == 0 &&
		(write(fd, octets, sizeof(octets)) != (ssize_t)sizeof(octets) || fsync(fd) != 0))
		rc = -errno;
	secmem_wipe(octets, sizeof(octets));
	return rc;
}

int state_file_write(int directory, const char *name, struct state_record *record)
{
	char temporary[STATE_NAME_SIZE];
	snprintf(temporary, sizeof(temporary), "%s.new", name);
	// Always a new file: the record is of no other.
	if (unlinkat(directory, temporary, 0) != 0 && errno != ENOENT)
		return -errno;
	int fd = openat(directory, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	int rc = record_write(fd, record);
	if (close(fd) != 0 && rc == 0)
		rc = -errno;
	if (rc == 0 && renameat(directory, temporary, directory, name) != 0)
		rc = -errno;
	if (rc != 0)
		unlinkat(directory, temporary, 0);
	else if (fsync(directory) != 0)
		rc = -errno;
	return rc;
}
