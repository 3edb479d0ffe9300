// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

// The state directory: nothing that any run may have used comes again, whatever becomes of the files.

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/log.h"
#include "crypto/srtp.h"
#include "dataplane/relay_tables.h"
#include "key/srtcp_floor.h"
#include "key/ssrc_source.h"
#include "key/state_file.h"
#include "key/state_store.h"

enum { WHY_SIZE = 1024, SPACES = 4 };

static const char *const names[] = {"ssrc", "srtcp"};

// A run of the relay, as far as the state goes.
struct run {
	struct state_store state;
	struct ssrc_source ssrcs;
	struct srtcp_floor srtcp;
	struct relay relay;
	_Atomic uint32_t srtcp_next[SPACES];
};

struct lab {
	char directory[64];
	char why[WHY_SIZE];
	struct run run;
};

// System calls that change the disk: the n-th from now does not happen, and none after it.
static struct {
	int until_fault; // 0: none
	int fault;       // errno, or 0: the process ends
	char calls[64];  // a letter each: write, fsync, renameat
	unsigned n_calls;
} disk;

static bool disk_fails(char call)
{
	if (disk.n_calls < sizeof(disk.calls))
		disk.calls[disk.n_calls++] = call;
	if (disk.until_fault == 0 || --disk.until_fault > 0)
		return false;
	if (disk.fault == 0)
		_exit(0);
	disk.until_fault = 1; // stays as it is
	errno = disk.fault;
	return true;
}

ssize_t __real_write(int fd, const void *data, size_t size);
ssize_t __wrap_write(int fd, const void *data, size_t size);
ssize_t __wrap_write(int fd, const void *data, size_t size)
{
	return disk_fails('w') ? -1 : __real_write(fd, data, size);
}

// A process that ends takes nothing from the disk; only their order is looked at.
int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
	(void)fd;
	return disk_fails('f') ? -1 : 0;
}

int __real_renameat(int from_directory, const char *from, int to_directory, const char *to);
int __wrap_renameat(int from_directory, const char *from, int to_directory, const char *to);
int __wrap_renameat(int from_directory, const char *from, int to_directory, const char *to)
{
	return disk_fails('r') ? -1 : __real_renameat(from_directory, from, to_directory, to);
}

static int lab_setup(void **state)
{
	static struct lab lab; // of which parts are aligned
	memset(&lab, 0, sizeof(lab));
	strcpy(lab.directory, "/tmp/mcx-state-XXXXXX");
	*state = &lab;
	return mkdtemp(lab.directory) ? 0 : -1;
}

static void files_remove(struct lab *lab)
{
	char command[128];
	snprintf(command, sizeof(command), "rm -rf %s/*", lab->directory);
	assert_int_equal(system(command), 0);
}

static int lab_teardown(void **state)
{
	struct lab *lab = *state;
	disk.until_fault = 0;
	files_remove(lab);
	return rmdir(lab->directory);
}

static const char *path_of(const struct lab *lab, const char *name)
{
	static char paths[4][128];
	static unsigned next;
	char *path = paths[next++ % 4];
	snprintf(path, sizeof(paths[0]), "%s/%s", lab->directory, name);
	return path;
}

static int state_try(struct lab *lab, bool required)
{
	return state_store_open(
		&lab->run.state, lab->directory, required, lab->why, sizeof(lab->why));
}

static int run_try(struct lab *lab)
{
	struct run *run = &lab->run;
	memset(run->srtcp_next, 0, sizeof(run->srtcp_next));
	run->relay.keys.srtcp_next = run->srtcp_next;
	run->relay.keys.size = SPACES;
	int rc = state_try(lab, false);
	if (rc != 0)
		return rc;
	rc = ssrc_source_open(&run->ssrcs, &run->state);
	if (rc == 0)
		rc = srtcp_floor_open(&run->srtcp, &run->state, &run->relay);
	if (rc != 0)
		state_store_close(&run->state);
	return rc;
}

static void run_begin(struct lab *lab)
{
	assert_int_equal(run_try(lab), 0);
}

static uint32_t run_floor(const struct lab *lab)
{
	return atomic_load(&lab->run.relay.srtcp_floor);
}

// What a worker may use at most, under one of the keys.
static void run_use_all(struct lab *lab)
{
	atomic_store(&lab->run.srtcp_next[2], atomic_load(&lab->run.relay.srtcp_limit));
}

static void run_crash(struct lab *lab)
{
	state_store_close(&lab->run.state);
}

static void run_stop(struct lab *lab)
{
	struct run *run = &lab->run;
	assert_int_equal(
		state_store_cover(&run->state, run->ssrcs.next, srtcp_floor_exact(&run->relay)), 0);
	state_store_close(&run->state);
}

struct octets {
	uint8_t data[STATE_RECORD_LEN + 1];
	size_t len;
};

static struct octets file_octets(const struct lab *lab, const char *name)
{
	struct octets octets = {};
	int fd = open(path_of(lab, name), O_RDONLY);
	assert_true(fd >= 0);
	ssize_t n = read(fd, octets.data, sizeof(octets.data));
	assert_true(n >= 0);
	octets.len = (size_t)n;
	close(fd);
	return octets;
}

// Into the file that is there: it stays the same one.
static void file_overwrite(const struct lab *lab, const char *name, const void *data, size_t len)
{
	int fd = open(path_of(lab, name), O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), (ssize_t)len);
	close(fd);
}

// The clock of file times moves on: what is made from here on is younger than any file there is.
static void file_clock_step(void)
{
	struct timespec before, now;
	clock_gettime(CLOCK_REALTIME_COARSE, &before);
	do {
		clock_gettime(CLOCK_REALTIME_COARSE, &now);
	} while (now.tv_sec == before.tv_sec && now.tv_nsec == before.tv_nsec);
}

// As cp(1) does that restores a backup.
static void file_restore(const struct lab *lab, const char *name, const struct octets *octets)
{
	file_clock_step();
	unlink(path_of(lab, name));
	file_overwrite(lab, name, octets->data, octets->len);
}

static void refused(struct lab *lab, const char *says)
{
	struct octets before[2] = {};
	for (unsigned i = 0; i < 2; i++)
		if (access(path_of(lab, names[i]), R_OK) == 0)
			before[i] = file_octets(lab, names[i]);
	assert_int_not_equal(run_try(lab), 0);
	assert_non_null(strstr(lab->why, says));
	assert_non_null(strstr(lab->why, "accepted: "));
	for (unsigned i = 0; i < 2; i++)
		if (before[i].len > 0) {
			struct octets after = file_octets(lab, names[i]);
			assert_int_equal(after.len, before[i].len);
			assert_memory_equal(after.data, before[i].data, after.len);
		}
}

// Begun

static void new_states_are_apart(void **state)
{
	struct lab *lab = *state;
	uint32_t floors[2], ssrcs[2];
	for (unsigned i = 0; i < 2; i++) {
		run_begin(lab);
		floors[i] = run_floor(lab);
		ssrcs[i] = ssrc_source_take(&lab->run.ssrcs);
		assert_in_range(floors[i], 1, UINT32_C(1) << 30);
		run_crash(lab);
		files_remove(lab);
	}
	assert_int_not_equal(ssrcs[0], ssrcs[1]);
	uint32_t apart = floors[0] > floors[1] ? floors[0] - floors[1] : floors[1] - floors[0];
	assert_true(apart > 64); // one of 10 million runs fails
}

static void lost_state_is_refused_if_one_is_required(void **state)
{
	struct lab *lab = *state;
	assert_int_equal(state_try(lab, true), -EBADMSG);
	assert_non_null(strstr(lab->why, "is missing"));
	assert_non_null(strstr(lab->why, "--new-state"));
	assert_int_equal(state_store_renew(lab->directory, lab->why, sizeof(lab->why)), 0);
	assert_int_equal(state_try(lab, true), 0);
	run_crash(lab);
}

static void stop_wastes_nothing(void **state)
{
	struct lab *lab = *state;
	run_begin(lab);
	uint32_t floor = run_floor(lab), ssrc = lab->run.ssrcs.next;
	run_stop(lab);
	for (unsigned i = 0; i < 5; i++) {
		run_begin(lab);
		assert_int_equal(run_floor(lab), floor + i * 10);
		assert_int_equal(lab->run.ssrcs.next, ssrc + i);
		assert_int_not_equal(ssrc_source_take(&lab->run.ssrcs), 0);
		atomic_store(&lab->run.srtcp_next[i % SPACES], floor + i * 10 + 10);
		run_stop(lab);
	}
}

static void crash_burns_what_can_have_been_used(void **state)
{
	struct lab *lab = *state;
	run_begin(lab);
	for (unsigned i = 0; i < 5; i++) {
		uint32_t limit = atomic_load(&lab->run.relay.srtcp_limit);
		uint32_t ssrc = lab->run.ssrcs.next;
		assert_int_equal(limit, run_floor(lab) + SRTCP_BLOCK_MIN);
		run_crash(lab);
		run_begin(lab);
		assert_int_equal(run_floor(lab), limit);
		assert_int_equal(lab->run.ssrcs.next, ssrc + SSRC_BLOCK);
	}
	run_crash(lab);
}

static void blocks_grow_with_use(void **state)
{
	struct lab *lab = *state;
	struct relay *relay = &lab->run.relay;
	run_begin(lab);
	uint32_t limit = atomic_load(&relay->srtcp_limit), block = SRTCP_BLOCK_MIN;
	srtcp_floor_tick(&lab->run.srtcp, relay);
	assert_int_equal(atomic_load(&relay->srtcp_limit), limit);
	for (unsigned i = 0; i < 8; i++) {
		assert_int_equal(atomic_load(&relay->srtcp_near), limit - block / 2);
		atomic_store(&relay->srtcp_low, true);
		srtcp_floor_tick(&lab->run.srtcp, relay);
		block = block < SRTCP_BLOCK_MAX ? block * 2 : SRTCP_BLOCK_MAX;
		limit += block;
		assert_int_equal(atomic_load(&relay->srtcp_limit), limit);
		assert_false(atomic_load(&relay->srtcp_low));
	}
	run_crash(lab);
	run_begin(lab);
	assert_int_equal(run_floor(lab), limit);
	run_crash(lab);
}

// Damaged

// One that was used to its limits, crashed.
static uint32_t used_state(struct lab *lab)
{
	file_clock_step(); // as the files of an earlier run are older
	run_begin(lab);
	uint32_t limit = atomic_load(&lab->run.relay.srtcp_limit);
	run_crash(lab);
	return limit;
}

static void state_stands(struct lab *lab, uint32_t floor, uint32_t ssrc_next)
{
	assert_int_equal(state_try(lab, false), 0);
	assert_int_equal(lab->run.state.record.srtcp_next, floor);
	assert_int_equal(lab->run.state.record.ssrc_next, ssrc_next);
	state_store_close(&lab->run.state);
}

static void every_bit_of_one_file(void **state)
{
	struct lab *lab = *state;
	uint32_t floor = used_state(lab);
	for (unsigned i = 0; i < 2; i++) {
		struct octets good = file_octets(lab, names[i]);
		assert_int_equal(good.len, STATE_RECORD_LEN);
		for (unsigned bit = 0; bit < STATE_RECORD_LEN * 8; bit++) {
			struct octets bad = good;
			bad.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
			file_overwrite(lab, names[i], bad.data, bad.len);
			state_stands(lab, floor, SSRC_BLOCK);
		}
		file_overwrite(lab, names[i], good.data, good.len);
	}
	run_begin(lab);
	assert_int_equal(run_floor(lab), floor);
	run_crash(lab);
}

static void every_bit_of_both_files(void **state)
{
	struct lab *lab = *state;
	used_state(lab);
	struct octets good[2] = {file_octets(lab, names[0]), file_octets(lab, names[1])};
	for (unsigned bit = 0; bit < STATE_RECORD_LEN * 8; bit++) {
		for (unsigned i = 0; i < 2; i++) {
			struct octets bad = good[i];
			bad.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
			file_overwrite(lab, names[i], bad.data, bad.len);
		}
		refused(lab, "/srtcp is damaged");
	}
}

static void other_lengths(void **state)
{
	struct lab *lab = *state;
	uint32_t floor = used_state(lab);
	struct octets good[2] = {file_octets(lab, names[0]), file_octets(lab, names[1])};
	for (size_t len = 0; len <= STATE_RECORD_LEN + 1; len++) {
		if (len == STATE_RECORD_LEN)
			continue;
		file_overwrite(lab, names[1], good[1].data, len);
		state_stands(lab, floor, SSRC_BLOCK);
		file_overwrite(lab, names[0], good[0].data, len);
		refused(lab, "/ssrc is damaged");
		file_overwrite(lab, names[1], good[1].data, good[1].len);
		state_stands(lab, floor, SSRC_BLOCK);
		file_overwrite(lab, names[0], good[0].data, good[0].len);
	}
}

static void missing_file(void **state)
{
	struct lab *lab = *state;
	for (unsigned i = 0; i < 2; i++) {
		uint32_t floor = used_state(lab), ssrc_next = lab->run.ssrcs.next + SSRC_BLOCK;
		unlink(path_of(lab, names[i]));
		state_stands(lab, floor, ssrc_next);
		run_begin(lab);
		run_crash(lab);
		assert_int_equal(access(path_of(lab, names[i]), F_OK), 0); // repaired
	}
	file_overwrite(lab, names[0], "", 0);
	unlink(path_of(lab, names[1]));
	refused(lab, "/ssrc is damaged");
}

static void files_that_are_none(void **state)
{
	struct lab *lab = *state;
	used_state(lab);
	for (unsigned i = 0; i < 2; i++) {
		const char *path = path_of(lab, names[i]), *aside = path_of(lab, "aside");
		assert_int_equal(rename(path, aside), 0);
		assert_int_equal(mkdir(path, 0700), 0);
		assert_int_equal(run_try(lab), -EIO);
		assert_non_null(strstr(lab->why, "Is a directory"));
		assert_int_equal(rmdir(path), 0);
		assert_int_equal(mkfifo(path, 0600), 0);
		assert_int_equal(run_try(lab), -EIO);
		assert_int_equal(unlink(path), 0);
		assert_int_equal(symlink(aside, path), 0);
		assert_int_equal(run_try(lab), -EIO);
		assert_int_equal(rename(aside, path), 0);
	}
	run_begin(lab);
	run_crash(lab);
}

// Put back

static void older_files_put_back(void **state)
{
	struct lab *lab = *state;
	used_state(lab);
	struct octets old[2] = {file_octets(lab, names[0]), file_octets(lab, names[1])};
	uint32_t floor = used_state(lab), ssrc_next = lab->run.ssrcs.next + SSRC_BLOCK;
	// Over the file that is there, and as a new one.
	for (unsigned i = 0; i < 2; i++) {
		struct octets now = file_octets(lab, names[i]);
		file_overwrite(lab, names[i], old[i].data, old[i].len);
		state_stands(lab, floor, ssrc_next);
		file_overwrite(lab, names[i], now.data, now.len);
	}
	file_overwrite(lab, names[0], old[0].data, old[0].len);
	file_overwrite(lab, names[1], old[1].data, old[1].len);
	refused(lab, "/ssrc was restored or copied");
	file_restore(lab, names[0], &old[0]);
	file_restore(lab, names[1], &old[1]);
	refused(lab, "/srtcp was restored or copied");
	unlink(path_of(lab, names[0]));
	refused(lab, "/srtcp was restored or copied");
}

// A backup of hard links keeps the very files.
static void older_link_put_back(void **state)
{
	struct lab *lab = *state;
	for (unsigned i = 0; i < 2; i++) {
		used_state(lab);
		assert_int_equal(link(path_of(lab, names[i]), path_of(lab, "kept")), 0);
		uint32_t floor = used_state(lab), ssrc_next = lab->run.ssrcs.next + SSRC_BLOCK;
		assert_int_equal(rename(path_of(lab, "kept"), path_of(lab, names[i])), 0);
		state_stands(lab, floor, ssrc_next);
	}
}

// An old file that is itself, beside a newer one that was copied: the newer one knows better.
static void newer_copy_beside_an_older_file(void **state)
{
	struct lab *lab = *state;
	used_state(lab);
	assert_int_equal(link(path_of(lab, names[0]), path_of(lab, "kept")), 0);
	used_state(lab);
	struct octets copy = file_octets(lab, names[1]);
	file_restore(lab, names[1], &copy);
	assert_int_equal(rename(path_of(lab, "kept"), path_of(lab, names[0])), 0);
	refused(lab, "/srtcp was restored or copied");
}

static void names_exchanged(void **state)
{
	struct lab *lab = *state;
	uint32_t floor = used_state(lab);
	assert_int_equal(rename(path_of(lab, names[0]), path_of(lab, "aside")), 0);
	assert_int_equal(rename(path_of(lab, names[1]), path_of(lab, names[0])), 0);
	assert_int_equal(rename(path_of(lab, "aside"), path_of(lab, names[1])), 0);
	state_stands(lab, floor, SSRC_BLOCK);
}

static void files_of_two_states(void **state)
{
	struct lab *lab = *state;
	used_state(lab);
	assert_int_equal(rename(path_of(lab, names[0]), path_of(lab, "aside")), 0);
	unlink(path_of(lab, names[1]));
	used_state(lab);
	assert_int_equal(rename(path_of(lab, "aside"), path_of(lab, names[0])), 0);
	refused(lab, "two states");
}

static void other_machine(void **state)
{
	struct lab *lab = *state;
	uint32_t floor = used_state(lab);
	for (unsigned with_id = 0; with_id < 2; with_id++) {
		for (unsigned i = 0; i < 2; i++) {
			struct octets octets = file_octets(lab, names[i]);
			struct state_record record;
			assert_int_equal(state_record_decode(octets.data, octets.len, &record),
				STATE_RECORD);
			memset(record.identity.machine, with_id ? 0x5a : 0,
				sizeof(record.identity.machine));
			assert_int_equal(state_record_encode(&record, octets.data), 0);
			file_overwrite(lab, names[i], octets.data, octets.len);
		}
		if (!with_id)
			state_stands(lab, floor, SSRC_BLOCK);
		else if (access("/etc/machine-id", R_OK) == 0)
			refused(lab, "another machine's");
	}
}

// An older version's

static void file_old_make(const struct lab *lab, uint32_t ssrc_next, uint32_t srtcp_next)
{
	uint8_t ssrc[44] = "mcxssrc1", srtcp[12] = "mcxsrtcp";
	memset(ssrc + 8, 0x77, 32);
	srtp_write32(ssrc + 40, ssrc_next);
	srtp_write32(srtcp + 8, srtcp_next);
	file_overwrite(lab, names[0], ssrc, sizeof(ssrc));
	file_overwrite(lab, names[1], srtcp, sizeof(srtcp));
}

static void older_version_is_taken_over(void **state)
{
	struct lab *lab = *state;
	file_old_make(lab, 3 * 4096, 65536 * 7 + 1);
	run_begin(lab);
	assert_int_equal(run_floor(lab), 65536 * 7 + 1);
	assert_int_equal(lab->run.ssrcs.next, 3 * 4096);
	assert_int_equal(lab->run.state.record.ssrc_key[31], 0x77);
	run_stop(lab);
	run_begin(lab);
	uint32_t floor = atomic_load(&lab->run.relay.srtcp_limit);
	run_crash(lab);
	// An old one beside what was taken over says nothing, and nothing alone.
	struct octets now = file_octets(lab, names[1]);
	file_old_make(lab, 3 * 4096, 65536 * 7 + 1);
	file_overwrite(lab, names[1], now.data, now.len);
	state_stands(lab, floor, 4 * 4096);
	unlink(path_of(lab, names[1]));
	refused(lab, "/ssrc is an older version's");
}

// Crashes and full disks

// A file has its octets before its name, and its name before the other file is touched.
static void both_files_are_synced_in_order(void **state)
{
	struct lab *lab = *state;
	run_begin(lab);
	disk.n_calls = 0;
	assert_int_equal(state_store_cover(&lab->run.state, 1, 2), 0);
	assert_int_equal(disk.n_calls, 8);
	assert_memory_equal(disk.calls, "wfrfwfrf", 8);
	run_crash(lab);
}

// What a life has been promised, in memory that outlives its process.
struct promised {
	_Atomic uint32_t srtcp, ssrc;
	_Atomic bool over; // it did all
};

static void life_live(struct lab *lab, struct promised *promised)
{
	struct run *run = &lab->run;
	if (run_try(lab) != 0)
		return;
	atomic_store(&promised->srtcp, atomic_load(&run->relay.srtcp_limit));
	atomic_store(&promised->ssrc, run->state.record.ssrc_next);
	atomic_store(&run->relay.srtcp_low, true);
	srtcp_floor_tick(&run->srtcp, &run->relay);
	atomic_store(&promised->srtcp, atomic_load(&run->relay.srtcp_limit));
	run->ssrcs.next = run->state.record.ssrc_next;
	ssrc_source_take(&run->ssrcs);
	atomic_store(&promised->ssrc, run->state.record.ssrc_next);
	// It stops: what was promised is what was used.
	run_use_all(lab);
	uint32_t exact = srtcp_floor_exact(&run->relay) - 5;
	atomic_store(&run->srtcp_next[2], exact);
	atomic_store(&promised->srtcp, exact);
	atomic_store(&promised->ssrc, run->ssrcs.next);
	state_store_cover(&run->state, run->ssrcs.next, exact);
	atomic_store(&promised->over, true);
}

// Returns whether the disk let it live to the end. by: errno, or 0 for kill -9.
static bool life_with_fault(struct lab *lab, struct promised *promised, int at, int by)
{
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		disk.until_fault = at;
		disk.fault = by;
		life_live(lab, promised);
		_exit(0);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	return atomic_load(&promised->over);
}

static void life_ends_at_every_write(struct lab *lab, int by, int n_faults_min)
{
	struct promised *promised = mmap(
		NULL, sizeof(*promised), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(promised != MAP_FAILED);
	int at = 1;
	for (bool over = false; !over; at++) {
		atomic_store(&promised->over, false);
		over = life_with_fault(lab, promised, at, by) && at > n_faults_min;
		assert_int_equal(state_try(lab, false), 0);
		assert_true(lab->run.state.record.srtcp_next >= atomic_load(&promised->srtcp));
		assert_true(lab->run.state.record.ssrc_next >= atomic_load(&promised->ssrc));
		state_store_close(&lab->run.state);
		if (atomic_load(&promised->srtcp) == 0)
			continue;
		// With either file alone as well.
		for (unsigned i = 0; i < 2; i++) {
			assert_int_equal(rename(path_of(lab, names[i]), path_of(lab, "aside")), 0);
			assert_int_equal(state_try(lab, false), 0);
			assert_true(
				lab->run.state.record.srtcp_next >= atomic_load(&promised->srtcp));
			assert_true(
				lab->run.state.record.ssrc_next >= atomic_load(&promised->ssrc));
			state_store_close(&lab->run.state);
			assert_int_equal(rename(path_of(lab, "aside"), path_of(lab, names[i])), 0);
		}
	}
	assert_true(at > n_faults_min);
	munmap(promised, sizeof(*promised));
}

// Each pair of writes is 8 calls; there are 5 pairs.
static void crash_at_every_write(void **state)
{
	life_ends_at_every_write(*state, 0, 40);
}

static void disk_is_full_at_every_write(void **state)
{
	life_ends_at_every_write(*state, ENOSPC, 40);
}

static void disk_is_read_only_at_every_write(void **state)
{
	life_ends_at_every_write(*state, EROFS, 40);
}

static void nothing_more_is_given_while_the_disk_is_full(void **state)
{
	struct lab *lab = *state;
	struct relay *relay = &lab->run.relay;
	run_begin(lab);
	uint32_t limit = atomic_load(&relay->srtcp_limit);
	disk.until_fault = 1;
	disk.fault = ENOSPC;
	atomic_store(&relay->srtcp_low, true);
	srtcp_floor_tick(&lab->run.srtcp, relay);
	assert_int_equal(atomic_load(&relay->srtcp_limit), limit);
	for (unsigned i = 0; i < SSRC_BLOCK; i++)
		ssrc_source_take(&lab->run.ssrcs);
	assert_int_equal(ssrc_source_take(&lab->run.ssrcs), 0);
	disk.until_fault = 0;
	lab->run.ssrcs.retry = 0;
	lab->run.srtcp.retry_ms = 1;
	assert_int_not_equal(ssrc_source_take(&lab->run.ssrcs), 0);
	srtcp_floor_tick(&lab->run.srtcp, relay);
	assert_true(atomic_load(&relay->srtcp_limit) > limit);
	run_stop(lab);
}

// What took the directory's place is another's.
static void directory_replaced_while_it_runs(void **state)
{
	struct lab *lab = *state;
	char aside[80];
	run_begin(lab);
	snprintf(aside, sizeof(aside), "%s-aside", lab->directory);
	assert_int_equal(rename(lab->directory, aside), 0);
	assert_int_equal(mkdir(lab->directory, 0700), 0);
	run_stop(lab);
	assert_int_not_equal(access(path_of(lab, names[0]), F_OK), 0);
	assert_int_equal(rmdir(lab->directory), 0);
	assert_int_equal(rename(aside, lab->directory), 0);
	run_begin(lab);
	run_crash(lab);
}

// Used up

static void all_indices_used(void **state)
{
	struct lab *lab = *state;
	file_old_make(lab, UINT32_MAX - 10, SRTCP_INDEX_MAX - 10);
	run_begin(lab);
	assert_int_equal(atomic_load(&lab->run.relay.srtcp_limit), SRTCP_INDEX_MAX);
	assert_int_equal(ssrc_source_take(&lab->run.ssrcs), 0);
	assert_true(lab->run.ssrcs.used_up);
	atomic_store(&lab->run.relay.srtcp_low, true);
	srtcp_floor_tick(&lab->run.srtcp, &lab->run.relay);
	assert_int_equal(atomic_load(&lab->run.relay.srtcp_limit), SRTCP_INDEX_MAX);
	run_use_all(lab);
	run_stop(lab);
	assert_int_equal(run_try(lab), -EOVERFLOW);
	assert_int_equal(state_store_renew(lab->directory, lab->why, sizeof(lab->why)), -EOVERFLOW);
	assert_non_null(strstr(lab->why, "accepted: "));
}

// By an operator

static void renewed_state_is_above_the_old_one(void **state)
{
	struct lab *lab = *state;
	uint32_t floor = used_state(lab);
	struct octets old[2] = {file_octets(lab, names[0]), file_octets(lab, names[1])};
	struct state_record record;
	assert_int_equal(state_record_decode(old[0].data, old[0].len, &record), STATE_RECORD);
	// Restored ones count, and one of two damaged ones.
	for (unsigned i = 0; i < 2; i++) {
		file_restore(lab, names[0], &old[0]);
		file_restore(lab, names[1], &old[1]);
		if (i == 1)
			file_overwrite(lab, names[0], "", 0);
		assert_int_equal(state_store_renew(lab->directory, lab->why, sizeof(lab->why)), 0);
		run_begin(lab);
		assert_in_range(
			run_floor(lab), floor + (UINT32_C(1) << 26), floor + (UINT32_C(1) << 27));
		assert_memory_not_equal(lab->run.state.record.ssrc_key, record.ssrc_key, 32);
		assert_int_equal(lab->run.ssrcs.next, 0);
		assert_true(lab->run.state.record.generation > record.generation);
		run_crash(lab);
	}
	file_overwrite(lab, names[0], "", 0);
	file_overwrite(lab, names[1], "", 0);
	refused(lab, "is damaged");
	assert_int_equal(state_store_renew(lab->directory, lab->why, sizeof(lab->why)), 0);
	run_begin(lab);
	run_crash(lab);
}

static void renewed_while_it_runs(void **state)
{
	struct lab *lab = *state;
	char why[WHY_SIZE];
	run_begin(lab);
	struct octets before = file_octets(lab, names[0]);
	assert_int_equal(state_store_renew(lab->directory, why, sizeof(why)), -EWOULDBLOCK);
	assert_non_null(strstr(why, "in use"));
	struct octets after = file_octets(lab, names[0]);
	assert_memory_equal(before.data, after.data, sizeof(before.data));
	run_stop(lab);
}

static void check_tells(void **state)
{
	struct lab *lab = *state;
	char says[WHY_SIZE];
	assert_int_equal(state_store_check(lab->directory, false, says, sizeof(says)), 0);
	assert_non_null(strstr(says, "has no state"));
	assert_int_equal(state_store_check(lab->directory, true, says, sizeof(says)), -EBADMSG);
	used_state(lab);
	assert_int_equal(state_store_check(lab->directory, true, says, sizeof(says)), 0);
	assert_non_null(strstr(says, "is good"));
	unlink(path_of(lab, names[0]));
	assert_int_equal(state_store_check(lab->directory, true, says, sizeof(says)), 0);
	assert_non_null(strstr(says, "one good file"));
	file_overwrite(lab, names[1], "", 0);
	assert_int_equal(state_store_check(lab->directory, false, says, sizeof(says)), -EBADMSG);
	assert_non_null(strstr(says, "/srtcp is damaged"));
	assert_int_equal(state_store_check("/nonexistent", false, says, sizeof(says)), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, lab_setup, lab_teardown)
		TEST(new_states_are_apart),
		TEST(lost_state_is_refused_if_one_is_required),
		TEST(stop_wastes_nothing),
		TEST(crash_burns_what_can_have_been_used),
		TEST(blocks_grow_with_use),
		TEST(every_bit_of_one_file),
		TEST(every_bit_of_both_files),
		TEST(other_lengths),
		TEST(missing_file),
		TEST(files_that_are_none),
		TEST(older_files_put_back),
		TEST(older_link_put_back),
		TEST(newer_copy_beside_an_older_file),
		TEST(names_exchanged),
		TEST(files_of_two_states),
		TEST(other_machine),
		TEST(older_version_is_taken_over),
		TEST(both_files_are_synced_in_order),
		TEST(crash_at_every_write),
		TEST(disk_is_full_at_every_write),
		TEST(disk_is_read_only_at_every_write),
		TEST(nothing_more_is_given_while_the_disk_is_full),
		TEST(directory_replaced_while_it_runs),
		TEST(all_indices_used),
		TEST(renewed_state_is_above_the_old_one),
		TEST(renewed_while_it_runs),
		TEST(check_tells),
#undef TEST
	};
	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
