// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "identity/pool.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

STAILQ_HEAD(job_list, pool_job);

enum { NICENESS = 10 }; // a tenth of a CPU that the control thread wants, too

struct pool {
	pthread_mutex_t mutex; // of all that follows but threads
	pthread_cond_t work, ended;
	struct job_list queued, run;
	unsigned n_queued, queue_max;
	unsigned n_open; // jobs queued, running or run
	bool closing;
	pthread_t *threads;
	unsigned n_threads, n_ready;
};

// The control thread handles these, whichever thread the kernel chooses.
static void signals_leave(void)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
}

// The next job; NULL at the end. With the mutex held.
static struct pool_job *job_take(struct pool *pool)
{
	while (!pool->closing && STAILQ_EMPTY(&pool->queued))
		pthread_cond_wait(&pool->work, &pool->mutex);
	if (pool->closing)
		return NULL;
	struct pool_job *job = STAILQ_FIRST(&pool->queued);
	STAILQ_REMOVE_HEAD(&pool->queued, next);
	pool->n_queued--;
	return job;
}

static void *pool_thread(void *arg)
{
	struct pool *pool = arg;
	struct pool_job *job;
	pthread_setname_np(pthread_self(), "opener");
	signals_leave();
	// Of Linux, a thread has a niceness of its own. It may be lower already, which is as good.
	(void)setpriority(PRIO_PROCESS, (id_t)gettid(), NICENESS);
	pthread_mutex_lock(&pool->mutex);
	pool->n_ready++;
	pthread_cond_signal(&pool->ended);
	while ((job = job_take(pool)) != NULL) {
		pthread_mutex_unlock(&pool->mutex);
		job->run(job);
		pthread_mutex_lock(&pool->mutex);
		STAILQ_INSERT_TAIL(&pool->run, job, next);
		pthread_cond_signal(&pool->ended);
	}
	pthread_mutex_unlock(&pool->mutex);
	return NULL;
}

struct pool *pool_open(unsigned n_threads, unsigned queue_max)
{
	struct pool *pool = calloc(1, sizeof(*pool));
	if (!pool)
		return NULL;
	pthread_mutex_init(&pool->mutex, NULL);
	pthread_cond_init(&pool->work, NULL);
	pthread_cond_init(&pool->ended, NULL);
	STAILQ_INIT(&pool->queued);
	STAILQ_INIT(&pool->run);
	pool->queue_max = queue_max;
	pool->threads = calloc(n_threads, sizeof(*pool->threads));
	int rc = pool->threads ? 0 : ENOMEM;
	while (rc == 0 && pool->n_threads < n_threads) {
		rc = pthread_create(&pool->threads[pool->n_threads], NULL, pool_thread, pool);
		pool->n_threads += rc == 0;
	}
	// What they ask of the system they have asked before it is forbidden.
	pthread_mutex_lock(&pool->mutex);
	while (pool->n_ready < pool->n_threads)
		pthread_cond_wait(&pool->ended, &pool->mutex);
	pthread_mutex_unlock(&pool->mutex);
	if (rc == 0)
		return pool;
	pool_close(pool);
	errno = rc;
	return NULL;
}

void pool_close(struct pool *pool)
{
	if (!pool)
		return;
	pthread_mutex_lock(&pool->mutex);
	pool->closing = true;
	pthread_cond_broadcast(&pool->work);
	pthread_mutex_unlock(&pool->mutex);
	for (unsigned i = 0; i < pool->n_threads; i++)
		pthread_join(pool->threads[i], NULL);
	pthread_cond_destroy(&pool->work);
	pthread_cond_destroy(&pool->ended);
	pthread_mutex_destroy(&pool->mutex);
	free(pool->threads);
	free(pool);
}

bool pool_submit(struct pool *pool, struct pool_job *job)
{
	pthread_mutex_lock(&pool->mutex);
	bool room = pool->n_queued < pool->queue_max;
	if (room) {
		STAILQ_INSERT_TAIL(&pool->queued, job, next);
		pool->n_queued++;
		pool->n_open++;
		pthread_cond_signal(&pool->work);
	}
	pthread_mutex_unlock(&pool->mutex);
	return room;
}

unsigned pool_waiting(struct pool *pool)
{
	pthread_mutex_lock(&pool->mutex);
	unsigned n = pool->n_queued;
	pthread_mutex_unlock(&pool->mutex);
	return n;
}

void pool_poll(struct pool *pool)
{
	struct job_list run = STAILQ_HEAD_INITIALIZER(run);
	struct pool_job *job;
	pthread_mutex_lock(&pool->mutex);
	STAILQ_CONCAT(&run, &pool->run);
	pthread_mutex_unlock(&pool->mutex);
	while ((job = STAILQ_FIRST(&run)) != NULL) {
		STAILQ_REMOVE_HEAD(&run, next);
		pthread_mutex_lock(&pool->mutex);
		pool->n_open--;
		pthread_mutex_unlock(&pool->mutex);
		job->done(job);
	}
}

void pool_await(struct pool *pool)
{
	pthread_mutex_lock(&pool->mutex);
	while (pool->n_open > 0 && STAILQ_EMPTY(&pool->run))
		pthread_cond_wait(&pool->ended, &pool->mutex);
	pthread_mutex_unlock(&pool->mutex);
}
