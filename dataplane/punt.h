// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#pragma once

// Types of the messages, beside ARP and echo requests, that stage_parse gives to the control thread
// and that host/ reads.

enum {
	IGMP_QUERY = 0x11,      // RFC 3376 4.1
	MLD_QUERY = 130,        // RFC 3810 5.1
	ND_SOLICITATION = 135,  // RFC 4861 4.3
	ND_ADVERTISEMENT = 136, // RFC 4861 4.4
};
