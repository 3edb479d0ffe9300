// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "confine/threads.h"

#include <dirent.h>
#include <errno.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
	THREADS_MAX = 1024,
	ANSWER_SLICES = 50, // how often a thread is waited for
	ANSWER_SLICE_MS = 100,
};

// What is run, and how it went. The handler has no other way to know.
static struct {
	int (*function)(void);
	_Atomic int error;
	sem_t done;
} job;

static void on_signal(int number)
{
	int saved = errno;
	(void)number;
	int error = job.function();
	if (error != 0)
		atomic_store(&job.error, error);
	sem_post(&job.done);
	errno = saved;
}

// A real-time signal that nobody handles: port drivers take some for themselves.
static int signal_take(struct sigaction *old)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	for (int number = SIGRTMAX; number >= SIGRTMIN; number--) {
		if (sigaction(number, NULL, old) == 0 && old->sa_handler == SIG_DFL &&
			sigaction(number, &action, NULL) == 0)
			return number;
	}
	return -1;
}

// True if the thread ran the job, or ended meanwhile.
static bool answer_await(pid_t tid)
{
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	for (int n = 0; n < ANSWER_SLICES; n++) {
		until.tv_nsec += ANSWER_SLICE_MS * 1000000L;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		int rc;
		while ((rc = sem_clockwait(&job.done, CLOCK_MONOTONIC, &until)) != 0 &&
			errno == EINTR)
			;
		if (rc == 0 || (tgkill(getpid(), tid, 0) != 0 && errno == ESRCH))
			return true;
	}
	return false;
}

static int thread_run(pid_t tid, int number, char *why, size_t why_size)
{
	if (tid == gettid()) {
		int error = job.function();
		if (error != 0)
			atomic_store(&job.error, error);
		return 0;
	}
	if (tgkill(getpid(), tid, number) != 0 && errno != ESRCH) {
		int rc = -errno;
		snprintf(why, why_size, "thread %d takes no signal: %s", (int)tid, strerror(-rc));
		return rc;
	}
	if (answer_await(tid))
		return 0;
	snprintf(why, why_size, "thread %d does not answer", (int)tid);
	return -ETIMEDOUT;
}

static bool tid_is_in(const pid_t *tids, unsigned n, pid_t tid)
{
	for (unsigned i = 0; i < n; i++)
		if (tids[i] == tid)
			return true;
	return false;
}

// Runs the job in the threads that are not among tids, and adds them. How many, or -errno.
static int new_threads_run(
	pid_t tids[THREADS_MAX], unsigned *n, int number, char *why, size_t why_size)
{
	DIR *tasks = opendir("/proc/self/task");
	int rc = 0, n_new = 0;
	if (!tasks) {
		rc = -errno;
		snprintf(why, why_size, "/proc/self/task: %s", strerror(-rc));
		return rc;
	}
	for (const struct dirent *task; rc == 0 && (task = readdir(tasks)) != NULL;) {
		pid_t tid = (pid_t)strtol(task->d_name, NULL, 10);
		if (tid <= 0 || tid_is_in(tids, *n, tid))
			continue;
		if (*n == THREADS_MAX) {
			snprintf(why, why_size, "more than %d threads", THREADS_MAX);
			rc = -E2BIG;
			break;
		}
		tids[(*n)++] = tid;
		n_new++;
		rc = thread_run(tid, number, why, why_size);
	}
	closedir(tasks);
	return rc != 0 ? rc : n_new;
}

int threads_run(int (*function)(void), char *why, size_t why_size)
{
	static pid_t tids[THREADS_MAX];
	struct sigaction old;
	unsigned n = 0;
	int number = signal_take(&old);
	if (number < 0) {
		snprintf(why, why_size, "every real-time signal is in use");
		return -EBUSY;
	}
	job.function = function;
	atomic_store(&job.error, 0);
	sem_init(&job.done, 0, 0);
	int rc;
	// A thread that another one starts has what its parent had at that moment: look again until
	// there is none that is new.
	do
		rc = new_threads_run(tids, &n, number, why, why_size);
	while (rc > 0);
	sigaction(number, &old, NULL);
	// After a timeout the handler may still come: then the semaphore must be there.
	if (rc == 0)
		sem_destroy(&job.done);
	if (rc == 0 && atomic_load(&job.error) != 0) {
		rc = -atomic_load(&job.error);
		snprintf(why, why_size, "%s", strerror(-rc));
	}
	return rc;
}
