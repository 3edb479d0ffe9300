#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors
#
# IPsec-MB 1.3 (Debian 12; 2.0 of Debian 13 was seen to do the same): the header gives struct gcm_key_data an alignment
# of 64 octets only #ifdef LINUX. gcc defines no such macro (it has linux and __linux__), the library's own makefile
# does. So a program sees a type of 1,008 octets that may stand anywhere, and what is built with -DLINUX one of 1,024
# octets (2.0: 1,264 and 1,280): an array of keys, or a structure with one in it, differs between the two, and only the
# first key of an array begins a cache line, if any does.
#
# What happens here: a program prints size and alignment of the type, compiled without and with the macro.
#
# What follows: align keys yourself (_Alignas(64) and a stride rounded up), and do not pass structures with such a key
# between parts that are compiled apart. An expanded key is not to be stored either: its size changes with the release.

. "$(dirname "$(readlink -f "$0")")/root.sh"

finding_root bookworm libipsec-mb-dev=1.3-2 gcc libc6-dev

cat >"$root/tmp/key.c" <<'END'
#include <intel-ipsec-mb.h>
#include <stdio.h>

int main(void)
{
	printf("%zu octets, aligned to %zu\n", sizeof(struct gcm_key_data), _Alignof(struct gcm_key_data));
	return 0;
}
END
for macro in '' -DLINUX; do
	chroot "$root" sh -c "gcc $macro -o /tmp/key /tmp/key.c && /tmp/key"
done | finding_expect "1008 octets, aligned to 1
1024 octets, aligned to 64"
