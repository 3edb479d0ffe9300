// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include <stdbool.h>

#include "bench/gen/calls.h"

// Writes options->packets frames of the calls into a pcap file (Ethernet, times in nanoseconds, as
// far apart as the options' rate says). False with a message printed.
bool capture_write(struct gen_calls *calls);
