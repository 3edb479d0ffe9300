#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors
#
# DPDK 24.11 (Debian 13; 22.11 of Debian 12 does the same), EAL: of two --log-level options that match a log type, the
# last one counts for a type that was there when the options were read, and the first one for a type that was
# registered later, as those of telemetry and of drivers that are opened by name are. The options are documented
# without an order.
#
# What happens here: the same pattern is given twice, with the levels error (4) and debug (8) in either order, to a
# program that registers one type before rte_eal_init() and one behind it.
#
# What follows: options of the user's behind the defaults of a program win for some types and lose for others. Leave
# one's own out where the user gives any, or set levels by rte_log_set_level_pattern() once all types are there.

. "$(dirname "$(readlink -f "$0")")/root.sh"

version=24.11.8-0+deb13u1
finding_root trixie librte-eal25=$version librte-log25=$version gcc libc6-dev

cat >"$root/tmp/levels.c" <<'END'
#include <stdint.h>
#include <stdio.h>

int rte_eal_init(int argc, char **argv);
int rte_log_register(const char *name);
int rte_log_register_type_and_pick_level(const char *name, uint32_t level);
int rte_log_get_level(uint32_t type);

int main(int argc, char **argv)
{
	int early = rte_log_register("lib.early");
	if (rte_eal_init(argc, argv) < 0)
		return 1;
	int late = rte_log_register_type_and_pick_level("lib.late", 7);
	printf("registered before: %d, behind: %d\n", rte_log_get_level((uint32_t)early),
		rte_log_get_level((uint32_t)late));
	return 0;
}
END

# inside: in a mount namespace of its own.
inside() {
	for dir in dev proc sys; do
		mount --rbind "/$dir" "$root/$dir"
	done
	for levels in "error debug" "debug error"; do
		chroot "$root" /tmp/levels --no-huge -m 64 --no-pci --no-telemetry --no-shconf \
			"--log-level=lib.*:${levels% *}" "--log-level=lib.*:${levels#* }" | grep registered
	done
}
export -f inside
export root
lib=/usr/lib/x86_64-linux-gnu
chroot "$root" gcc -o /tmp/levels /tmp/levels.c $lib/librte_eal.so.25 $lib/librte_log.so.25
unshare --mount bash -c inside 2>/dev/null | finding_expect "registered before: 8, behind: 4
registered before: 4, behind: 8"
