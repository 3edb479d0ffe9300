// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/rpc_error.h"

// JSON-RPC 2.0 (docs/api.md): requests in, responses out, methods by name. Knows no socket and
// no relay. Everything here runs in the control thread.

// One method. Returns a new reference to its result, or NULL with *error set. params is never NULL:
// an empty object if the request had none.
typedef json_t *(*rpc_method_fn)(void *app, const json_t *params, struct rpc_error *error);

struct rpc_work;

// Where a method that does much one by one is, from one slice of its run to the next: others have
// their turns between them. All zero at first but for until_ns.
struct rpc_slice {
	size_t next;         // element to go on with
	int64_t count;       // of what the method counts
	json_t *list;        // what it has collected; released with the request
	uint64_t until_ns;   // of clock_now_ns(): time to let others have their turn
	bool more;           // set by rpc_slice_expired(): to be called again
	const char *emitted; // set by rpc_emit()
	struct rpc_work *work;
};

// True if the slice has expired: the method returns NULL without an error and is called again with the
// same params. next is what it goes on with; not expired if that is what it began with.
bool rpc_slice_expired(struct rpc_slice *slice, size_t next);

// Puts one more element into the array that is the only member of the result, which is not kept as
// JSON: for lists of a million. Takes over the reference; NULL: there was no memory for it. The
// method's own result is not looked at any more, and it cannot fail.
void rpc_emit(struct rpc_slice *slice, const char *member, json_t *element);

// A method in slices. Each slice ends in a state that others may see. A request that cannot be done
// fails before its first change.
typedef json_t *(*rpc_slices_fn)(
	void *app, const json_t *params, struct rpc_slice *slice, struct rpc_error *error);

struct rpc_method {
	const char *name;
	rpc_method_fn call; // at once, or
	rpc_slices_fn call_in_slices;
	bool reads; // changes nothing: what is left of it is not run for somebody who is gone
};

struct subscriptions;

struct rpc {
	const struct rpc_method *methods; // ends with name NULL
	void *app;                        // handed to each method
	struct subscriptions *events; // NULL: none. Whoever serves a connection says in it whose
				      // requests run
	void (*before_call)(
		void *app); // NULL: nothing. So that a long batch does not keep all else waiting
	// NULL: nothing. Told of every request, and of every line that is none, once it is done.
	// method is NULL if it is not known; code is that of the answer; the time is that of the
	// method, 0 if none ran.
	void (*after_call)(
		void *app, const struct rpc_method *method, int code, uint64_t duration_ns);
};

enum {
	RPC_ANSWERS_MAX = 64 * 1024 * 1024, // octets of a batch's answers: no request runs beyond
};

// One line while it is answered: a request, a notification or a batch is a struct rpc_work.

// Reads a line (without its LF, len octets, not NUL-terminated), which is not needed after. Nothing
// runs yet. Deep nesting, duplicate members, invalid UTF-8 and NUL in strings are parse errors. NULL
// if there is no memory.
struct rpc_work *rpc_work_open(const struct rpc *rpc, const char *line, size_t len);

// Runs its requests one after the other, at least a slice of one, until the time of clock_now_ns() is
// over. True if all have run.
bool rpc_work_step(struct rpc_work *work, uint64_t until_ns);

// Takes what there is of the response to a single request that is not done, so that a long one need
// not be held as a whole: text that the caller frees with secmem_free(), its length in octets in
// *len. NULL if there is nothing, and always of a batch of several.
char *rpc_work_take(struct rpc_work *work, size_t *len);

// Octets of the response so far, without those taken.
size_t rpc_work_size(const struct rpc_work *work);

// Nobody wants the response any more: no request begins, and of the one that runs nothing is left to
// do if it only reads. True if something is; it goes on with rpc_work_step().
bool rpc_work_leave(struct rpc_work *work);

// Ends it. A request that has begun is run to its end, others of a batch are not. Returns the response,
// or what was not taken of it, as malloc-like text that the caller frees with secmem_free(), its length
// in octets in *out_len (no LF). NULL if nothing is to be answered, or if there was no memory after a
// part was taken. Params by position are refused with RPC_INVALID_PARAMS.
char *rpc_work_close(struct rpc_work *work, size_t *out_len);

// All of it in one: opens, runs and closes.
char *rpc_answer(const struct rpc *rpc, const char *line, size_t len, size_t *out_len);
