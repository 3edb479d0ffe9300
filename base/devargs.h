// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>

// What a device string ("net_af_packet0,iface=eth1,qpairs=2") says of the device's queues and
// their frames. Each worker needs a queue to send.

// The argument that the relay adds for more than one worker, "qpairs"; NULL: the driver takes none, it
// is given already, or who opens the other end must know of it.
const char *devargs_queues_missing(const char *device);

// True if the number of queues can be told from the string alone: *n of them by the argument *name,
// 0 if that is no number.
bool devargs_queues(const char *device, const char **name, unsigned *n);

// Octets of a frame in the rings of net_af_packet as its argument framesz says; 0 for its default and for other
// drivers.
unsigned devargs_frame_size(const char *device);
