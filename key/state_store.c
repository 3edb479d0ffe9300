// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "key/state_store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/secmem.h"
#include "crypto/srtp.h"
#include "key/state_file.h"

enum { N_FILES = 2, FINDING_SIZE = 128 };

// A new state begins at random in half of all indices, so that the other half is left to use. One that
// follows another leaves out as many as 50 a second are in two weeks, and up to as many again.
#define SRTCP_BEGIN_RANGE (UINT32_C(1) << 30)
#define SRTCP_LEFT_OUT    (UINT32_C(1) << 26)

static const char *const names[N_FILES] = {"ssrc", "srtcp"};

enum verdict {
	VERDICT_GOOD,
	VERDICT_REPAIRED, // by one of the files
	VERDICT_OLD,      // of an older version
	VERDICT_NEW,      // there is none
	VERDICT_LOST,     // there is none, and must be
	VERDICT_UNKNOWN,  // neither file says what was used
	VERDICT_TWO,      // they are of two states
	VERDICT_UNREADABLE,
};

static const char *finding_text(const struct state_found *found, char text[FINDING_SIZE])
{
	static const char *const texts[N_STATE_FINDINGS] = {
		[STATE_GOOD] = "is good",
		[STATE_OLD] = "is an older version's",
		[STATE_MISSING] = "is missing",
		[STATE_DAMAGED] = "is damaged",
		[STATE_ELSEWHERE] = "was restored or copied, and may be behind",
		[STATE_OTHER_MACHINE] = "is another machine's",
		[STATE_UNREADABLE] = "cannot be read: ",
	};
	snprintf(text, FINDING_SIZE, "%s%s", texts[found->finding],
		found->error != 0 ? strerror(-found->error) : "");
	return text;
}

static bool is_same_state(const struct state_record *a, const struct state_record *b)
{
	return secmem_equal(a->ssrc_key, b->ssrc_key, sizeof(a->ssrc_key));
}

// One file is good. The other may be an older one, or no more than a ruin: before anything was used
// both were written. Only a newer one is not, since then the good one was put back.
static enum verdict judge_beside_good(
	const struct state_record *good, const struct state_found *other)
{
	if (other->finding == STATE_GOOD && !is_same_state(good, &other->record))
		return VERDICT_TWO;
	if (other->format == STATE_RECORD && is_same_state(good, &other->record) &&
		other->record.generation > good->generation)
		return VERDICT_UNKNOWN;
	return other->finding == STATE_GOOD ? VERDICT_GOOD : VERDICT_REPAIRED;
}

// What the files of a directory are together, and their record if they have one.
static enum verdict state_judge(
	const struct state_found found[N_FILES], bool required, struct state_record *record)
{
	const struct state_found *a = &found[0], *b = &found[1];
	*record = (struct state_record){};
	if (a->finding == STATE_UNREADABLE || b->finding == STATE_UNREADABLE)
		return VERDICT_UNREADABLE;
	if (a->finding == STATE_MISSING && b->finding == STATE_MISSING)
		return required ? VERDICT_LOST : VERDICT_NEW;
	if (a->format == STATE_OLD_SSRC && b->format == STATE_OLD_SRTCP) {
		*record = a->record;
		record->srtcp_next = b->record.srtcp_next;
		return VERDICT_OLD;
	}
	const struct state_found *good = NULL;
	for (unsigned i = 0; i < N_FILES; i++)
		if (found[i].finding == STATE_GOOD &&
			(!good || found[i].record.generation > good->record.generation))
			good = &found[i];
	if (!good)
		return VERDICT_UNKNOWN;
	*record = good->record;
	return judge_beside_good(&good->record, good == a ? b : a);
}

static void files_read(int directory, struct state_found found[N_FILES])
{
	for (unsigned i = 0; i < N_FILES; i++)
		state_file_read(directory, names[i], &found[i]);
}

static int refusal_explain(enum verdict verdict, const char *directory,
	const struct state_found found[N_FILES], char *why, size_t why_size)
{
	static const char *const reasons[] = {
		[VERDICT_LOST] = "what was used before is not known",
		[VERDICT_UNKNOWN] = "what was used since is not known",
		[VERDICT_TWO] = "they are of two states",
		[VERDICT_UNREADABLE] = "what was used is not known",
	};
	char texts[N_FILES][FINDING_SIZE];
	snprintf(why, why_size,
		"%s/%s %s, %s/%s %s: %s; accepted: both files as mcxrelay left them, or a new "
		"state by \"mcxrelay --new-state\", best with new root keys: see mcxrelay(8)",
		directory, names[0], finding_text(&found[0], texts[0]), directory, names[1],
		finding_text(&found[1], texts[1]), reasons[verdict]);
	return verdict == VERDICT_UNREADABLE ? -EIO : -EBADMSG;
}

static int srtcp_begin(struct state_record *record, uint32_t from, uint32_t range)
{
	uint32_t random;
	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		return -EIO;
	record->srtcp_next = from + random % range; // range is a power of 2
	return 0;
}

static int record_begin(struct state_record *record, uint32_t from, uint32_t range)
{
	record->ssrc_next = 0;
	if (getrandom(record->ssrc_key, sizeof(record->ssrc_key), 0) != sizeof(record->ssrc_key))
		return -EIO;
	return srtcp_begin(record, from, range);
}

static int directory_lock(const char *directory, char *why, size_t why_size)
{
	if (mkdir(directory, 0700) != 0 && errno != EEXIST) {
		int rc = -errno;
		snprintf(why, why_size, "state_directory %s cannot be made: %s", directory,
			strerror(-rc));
		return rc;
	}
	int lock = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (lock >= 0 && flock(lock, LOCK_EX | LOCK_NB) == 0)
		return lock;
	int rc = -errno;
	snprintf(why, why_size, "state_directory %s %s: %s", directory,
		rc == -EWOULDBLOCK ? "is in use by another process" : "cannot be used",
		strerror(-rc));
	if (lock >= 0)
		close(lock);
	return rc;
}

static void verdict_log(
	enum verdict verdict, const char *directory, const struct state_found found[N_FILES])
{
	char path[LOG_QUOTED_SIZE], text[FINDING_SIZE];
	log_quoted(path, directory);
	if (verdict == VERDICT_NEW)
		log_info("state_begun path=%s", path);
	else if (verdict == VERDICT_OLD)
		log_info("state_taken_over path=%s", path);
	for (unsigned i = 0; verdict == VERDICT_REPAIRED && i < N_FILES; i++)
		if (found[i].finding != STATE_GOOD)
			log_warning("state_repaired path=%s file=%s reason=\"it %s\"", path,
				names[i], finding_text(&found[i], text));
}

int state_store_open(
	struct state_store *state, const char *directory, bool required, char *why, size_t why_size)
{
	struct state_found found[N_FILES];
	*state = (struct state_store){.lock = directory_lock(directory, why, why_size)};
	if (state->lock < 0)
		return state->lock;
	files_read(state->lock, found);
	enum verdict verdict = state_judge(found, required, &state->record);
	int rc = 0;
	if (verdict >= VERDICT_LOST)
		rc = refusal_explain(verdict, directory, found, why, why_size);
	else if (verdict == VERDICT_NEW &&
		 (rc = record_begin(&state->record, 1, SRTCP_BEGIN_RANGE)) != 0)
		snprintf(why, why_size, "no random numbers: %s", strerror(-rc));
	if (rc == 0)
		verdict_log(verdict, directory, found);
	else
		state_store_close(state);
	secmem_wipe(found, sizeof(found));
	return rc;
}

void state_store_close(struct state_store *state)
{
	if (state->lock >= 0)
		close(state->lock);
	secmem_wipe(state, sizeof(*state));
	state->lock = -1;
}

int state_store_cover(struct state_store *state, uint32_t ssrc_next, uint32_t srtcp_next)
{
	struct state_record record = state->record;
	record.ssrc_next = ssrc_next;
	record.srtcp_next = srtcp_next;
	// Above that of any file, also of one that only the first write reached.
	record.generation = ++state->record.generation;
	store_state_begin(state->store, record.generation);
	int rc = 0;
	for (unsigned i = 0; rc == 0 && i < N_FILES; i++)
		rc = state_file_write(state->lock, names[i], &record);
	if (rc == 0) {
		state->record = record;
		store_state_end(state->store, record.generation);
	}
	secmem_wipe(&record, sizeof(record));
	return rc;
}

static const char *const verdict_texts[] = {
	[VERDICT_GOOD] = "is good",
	[VERDICT_REPAIRED] = "has one good file, which stands for both",
	[VERDICT_OLD] = "is an older version's, and is taken over",
	[VERDICT_NEW] = "has no state; the first start begins one",
};

int state_store_check(const char *directory, bool required, char *says, size_t says_size)
{
	struct state_found found[N_FILES];
	struct state_record record;
	int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC), rc = 0;
	if (fd < 0) {
		rc = -errno;
		snprintf(says, says_size, "state_directory %s was not looked at: %s", directory,
			strerror(-rc));
		return rc == -ENOENT && required ? -EBADMSG : rc;
	}
	files_read(fd, found);
	enum verdict verdict = state_judge(found, required, &record);
	if (verdict >= VERDICT_LOST)
		rc = refusal_explain(verdict, directory, found, says, says_size);
	else
		snprintf(says, says_size, "state_directory %s %s", directory,
			verdict_texts[verdict]);
	close(fd);
	secmem_wipe(found, sizeof(found));
	secmem_wipe(&record, sizeof(record));
	return rc;
}

// The numbers of a new record: above all that any of the old files has, whatever else is wrong with it.
static int record_renew(const struct state_found found[N_FILES], struct state_record *record)
{
	uint32_t known = 0;
	*record = (struct state_record){};
	for (unsigned i = 0; i < N_FILES; i++) {
		if (found[i].record.srtcp_next > known)
			known = found[i].record.srtcp_next;
		if (found[i].record.generation > record->generation)
			record->generation = found[i].record.generation;
	}
	if (known == 0)
		return record_begin(record, 1, SRTCP_BEGIN_RANGE);
	if (known > SRTCP_INDEX_MAX - 3 * SRTCP_LEFT_OUT)
		return -EOVERFLOW;
	return record_begin(record, known + SRTCP_LEFT_OUT, SRTCP_LEFT_OUT);
}

// Made by root for whoever has the directory.
static int files_give(int directory)
{
	struct stat owner;
	if (geteuid() != 0)
		return 0;
	if (fstat(directory, &owner) != 0)
		return -errno;
	for (unsigned i = 0; i < N_FILES; i++)
		if (fchownat(directory, names[i], owner.st_uid, owner.st_gid,
			    AT_SYMLINK_NOFOLLOW) != 0)
			return -errno;
	return 0;
}

int state_store_renew(const char *directory, char *says, size_t says_size)
{
	struct state_found found[N_FILES];
	struct state_store state = {.lock = directory_lock(directory, says, says_size)};
	if (state.lock < 0)
		return state.lock;
	files_read(state.lock, found);
	int rc = record_renew(found, &state.record);
	if (rc == 0)
		rc = state_store_cover(&state, state.record.ssrc_next, state.record.srtcp_next);
	if (rc == 0)
		rc = files_give(state.lock);
	if (rc == 0)
		snprintf(says, says_size, "state_directory %s has a new state", directory);
	else if (rc == -EOVERFLOW)
		snprintf(says, says_size,
			"state_directory %s: too few SRTCP indices are left; accepted: replace "
			"all root keys, then remove ssrc and srtcp",
			directory);
	else
		snprintf(says, says_size,
			"state_directory %s cannot be written: %s; accepted: a directory with room "
			"that mcxrelay's user may write to",
			directory, strerror(-rc));
	state_store_close(&state);
	secmem_wipe(found, sizeof(found));
	return rc;
}
