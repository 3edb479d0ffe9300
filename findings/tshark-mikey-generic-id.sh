#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors
#
# tshark 4.0.17 (Debian 12; 4.4.19 of Debian 13 was seen to do the same) does not know the GENERIC-ID map of RFC 6043
# 6.1.1 (CS ID map type 2), which every MIKEY-SAKKE message of TS 33.180 with crypto sessions has. It neither says so nor
# calls the message malformed: it takes the first octet of the map for the next payload. A timestamp of 2026 is shown as
# one of 2036, RAND and all that follow are not shown, and the message seems to end early and well.
#
# What happens here: two MIKEY messages that differ in the CS ID map alone (empty, type 1; GENERIC-ID, type 2) go through
# tshark. Of the first, T and RAND come out right.
#
# What follows: when a MIKEY-SAKKE message looks too short or too old in Wireshark, look at the octets.

. "$(dirname "$(readlink -f "$0")")/root.sh"

finding_root bookworm tshark=4.0.17-0+deb12u3

head='01 1a 05 01 10 00 00 01'                                   # HDR: SAKKE, next T, PRF-HMAC-SHA-256, CSB ID
none='00 01'                                                     # no crypto session, map type 1
generic='01 02  00 00 01 00  00 04 00 00 00 00  04 10 00 00 01'  # one, type 2: CS ID 0, policy 0, SSRC 0, SPI
rest='0b 00 ee b4 98 00 00 00 00 00  00 10 00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f' # T, RAND

# shown OCTET...: what tshark makes of a MIKEY message over UDP.
shown() {
	echo "000000 $*" | chroot "$root" sh -c 'text2pcap -q -u 2269,2269 - /tmp/mikey.pcap && tshark -r /tmp/mikey.pcap -V' \
		2>/dev/null | grep -E 'NTP timestamp|RAND:|[Mm]alformed' | sed 's/^ *//; s/\.0* UTC//'
}

{
	echo "empty map"
	shown "$head $none $rest"
	echo "GENERIC-ID map"
	shown "$head $generic $rest"
} | finding_expect "empty map
NTP timestamp: Nov 28, 2026 00:00:00
RAND: 000102030405060708090a0b0c0d0e0f
GENERIC-ID map
NTP timestamp: Aug 19, 2036 10:48:36"
