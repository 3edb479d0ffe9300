// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

#include "dataplane/rtcp_part.h"

// Translates a feedback packet (RTPFB, PSFB: RFC 4585 6.1) whose format is listed.
enum part_verdict rtcp_feedback_translate(struct rtcp_part *part);
