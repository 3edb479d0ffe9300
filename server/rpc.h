// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/rpc_error.h"

// JSON-RPC 2.0 (docs/api.md): requests in, responses out, methods by name. Independent of sockets
// and of the relay. Everything here runs in the control thread.

// One method. Returns a new reference to its result, or NULL with *error set. params is never NULL:
// an empty object if the request had none.
typedef json_t *(*rpc_method_fn)(void *app, const json_t *params, struct rpc_error *error);

struct rpc_work;

// State of a method that processes many elements, kept from one slice of its run to the next; other
// clients have their turns in between. All zero at first but for until_ns.
struct rpc_slice {
	size_t next;   // element to go on with
	int64_t count; // of what the method counts
	size_t again;  // how often an element was not finished: next counts it anew each time
	json_t *list;  // what it has collected; released with the request
	json_t *made;  // what it made of its params; released with the request
	json_t *told;  // members that it emitted beside the array; released with the request
	void *state;   // its own, or NULL
	void (*state_free)(void *state); // called with it when the request ends
	uint64_t until_ns;               // of clock_now_ns(): end of the slice
	bool more;    // set by rpc_slice_expired() and rpc_slice_wait(): to be called again
	bool waits;   // set by rpc_slice_wait(): not before others had their turns
	bool sleeps;  // set by rpc_slice_sleep()
	bool emitted; // set by rpc_emit() and rpc_emit_members()
	bool listed;  // the same: the array has an element
	bool ended;   // set by rpc_emit_end()
	struct rpc_work *work;
};

// True if the slice has expired: the method then returns NULL without an error and is called again
// with the same params. next is the element to continue with; never expires on the element that the
// slice began with.
bool rpc_slice_expired(struct rpc_slice *slice, size_t next);

// The method cannot go on before another request has ended: it then returns NULL without an error and
// is called again with the same params, after other clients have had their turns.
void rpc_slice_wait(struct rpc_slice *slice, size_t next);

// The same for what another thread does: the method returns NULL without an error, and is
// called again once rpc_work_wake() was called of its work, or a little later in any case. Such a
// method changes something, so that its request is finished whoever disconnects. Not if until_ns is
// UINT64_MAX: then it waits itself.
void rpc_slice_sleep(struct rpc_slice *slice);

// Appends one element to the array that is the only member of the result. The array is serialised
// at once and not kept as JSON, for lists of a million. Takes over the reference; NULL: there was
// no memory for it. The method's own result is ignored from then on, and it cannot fail.
void rpc_emit(struct rpc_slice *slice, const char *member, json_t *element);

// Begins such a result that has other members as well, in front of the array of that name, which
// may stay empty. Takes over the reference; NULL: there was no memory for it.
void rpc_emit_members(struct rpc_slice *slice, json_t *members, const char *member);

// Ends the array of rpc_emit_members(), with members behind it; nothing is emitted any more. Takes over the reference.
void rpc_emit_end(struct rpc_slice *slice, json_t *members);

// A method in slices. Each slice leaves a state that others may see. A request that cannot be done
// fails before its first change.
typedef json_t *(*rpc_slices_fn)(
	void *app, const json_t *params, struct rpc_slice *slice, struct rpc_error *error);

struct rpc_method {
	const char *name;
	rpc_method_fn call; // at once, or
	rpc_slices_fn call_in_slices;
	bool reads;   // changes nothing: abandoned when the client disconnects
	bool changes; // what it does is told in the log
};

// A request that was answered, or a line that is none.
struct rpc_call {
	const struct rpc_method *method; // NULL: not known
	const char *caller;              // who asked, for the log; NULL: the server did not say
	const json_t *params;            // NULL: the method did not run
	const json_t *result;            // NULL: refused; of one that was emitted without the array
	const json_t *made;              // rpc_slice.made; NULL: none
	const struct rpc_error *error;
	uint64_t duration_ns; // of the method, 0 if it did not run
};

struct subscriptions;

struct rpc {
	const struct rpc_method *methods; // ends with name NULL
	void *app;                        // handed to each method
	// NULL: none. The server sets its caller to the client whose requests run.
	struct subscriptions *events;
	void (*before_call)(void *app); // NULL: nothing. Lets other work run during a long batch.
	// NULL: nothing. Called after every request, and after every line that is not a request.
	void (*after_call)(void *app, const struct rpc_call *call);
};

enum {
	// octets of a batch's answers: no further request runs beyond
	RPC_ANSWERS_MAX = 64 * 1024 * 1024,
};

// One line while it is answered: a request, a notification or a batch is a struct rpc_work.

// Takes a line (without its LF, len octets, not NUL-terminated), which is not used afterwards, and
// parses it, a long one with the first steps. Runs nothing yet. Deep nesting, duplicate members, invalid UTF-8 and NUL in strings are parse
// errors. NULL if there is no memory.
struct rpc_work *rpc_work_open(const struct rpc *rpc, const char *line, size_t len);

// Who asks, for after_call: key=value, which outlives the work.
void rpc_work_set_caller(struct rpc_work *work, const char *caller);

// Runs the requests one after the other, at least one slice, until clock_now_ns() reaches until_ns or
// one waits. True if all have run.
bool rpc_work_step(struct rpc_work *work, uint64_t until_ns);

// Whether the request that runs sleeps: a step does nothing before it was woken.
bool rpc_work_sleeps(const struct rpc_work *work);

// Tells wake(arg) when a request that sleeps is to be stepped, from rpc_work_wake().
void rpc_work_on_wake(struct rpc_work *work, void (*wake)(void *arg), void *arg);
void rpc_work_wake(struct rpc_work *work);

// Takes the part of the response to a single request that is complete so far, so that a long
// response need not be held as a whole: text that the caller frees with secmem_free(), its length
// in octets in *len. NULL if there is nothing, once it is whole, and always for a batch of several.
char *rpc_work_take(struct rpc_work *work, size_t *len);

// Octets of the response so far, without those already taken.
size_t rpc_work_size(const struct rpc_work *work);

// The response is not needed any more: no further request begins, and the running one is abandoned
// if it only reads. True if something is left to be finished with rpc_work_step(): a request, or freeing what was read.
bool rpc_work_leave(struct rpc_work *work);

// Ends it. A request that has begun runs to its end, unless it waits, others of a batch do not run. Returns the
// response, or the part of it that was not taken, as text that the caller frees with secmem_free(),
// its length in octets in *out_len (no LF). NULL if there is nothing to answer, or if memory ran
// out after a part was taken. Params by position are refused with RPC_INVALID_PARAMS.
char *rpc_work_close(struct rpc_work *work, size_t *out_len);

// Opens, runs and closes in one call.
char *rpc_answer(const struct rpc *rpc, const char *line, size_t len, size_t *out_len);
