// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "key/state_record.h"

// One file of the state directory: a record that survives a crash as it was or as it was to be, never
// in between. directory is a descriptor of it, so that what takes the directory's place while the
// relay runs is not taken for it. Control thread, startup.

enum state_finding {
	STATE_GOOD,
	STATE_OLD, // of an older version, as format says
	STATE_MISSING,
	STATE_DAMAGED,       // not what the relay wrote
	STATE_ELSEWHERE,     // written to another file: restored or copied
	STATE_OTHER_MACHINE, // written to this file by another machine: its disk is a copy
	STATE_UNREADABLE,    // error says why
	N_STATE_FINDINGS
};

struct state_found {
	enum state_finding finding;
	enum state_format format;
	int error;                  // -errno
	struct state_record record; // unless missing, damaged or unreadable
};

// Reads no more than a record, and only from a regular file. The caller wipes *found.
void state_file_read(int directory, const char *name, struct state_found *found);

// Puts a record in the place of the file, with that file's identity in it, and returns 0 when that is on
// disk. Else -errno, with the old file in place, or the new one.
int state_file_write(int directory, const char *name, struct state_record *record);
