# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors
# shellcheck shell=bash
#
# For the findings beside this file, which source it: a temporary Debian with pinned packages in it, removed at the
# end. Needs root, debootstrap, and a mirror in apt's own sources.

set -euo pipefail

# finding_mirror: the archive that this machine's apt uses.
finding_mirror() {
	apt-get indextargets --format '$(SITE) $(RELEASE)' 'Created-By: Packages' | sort -u |
		awk '$2 ~ /^[a-z]+$/ && $1 ~ /\/debian\/?$/ { print $1; exit }'
}

# finding_root SUITE PACKAGE=VERSION...: makes the root and says in $root where it is. A version that the mirror has
# no more is an error of apt's.
finding_root() {
	local suite=$1 mirror log
	shift
	mirror=$(finding_mirror)
	mirror=${mirror%/}
	[ -n "$mirror" ] || { echo "apt has no Debian mirror in its sources" >&2; exit 1; }
	root=$(mktemp -d /var/tmp/finding.XXXXXX)
	trap 'rm -rf "$root"' EXIT
	log=$root.log
	{
		debootstrap --variant=minbase --keyring=/usr/share/keyrings/debian-archive-keyring.gpg \
			"$suite" "$root" "$mirror" &&
			echo "deb $mirror-security $suite-security main" >>"$root/etc/apt/sources.list" &&
			chroot "$root" apt-get -q update &&
			chroot "$root" env DEBIAN_FRONTEND=noninteractive apt-get -q install -y \
				--no-install-recommends "$@"
	} >"$log" 2>&1 || { cat "$log" >&2; rm -f "$log"; exit 1; }
	rm -f "$log"
}

# finding_expect TEXT: standard input is TEXT to the letter, or the behaviour has changed.
finding_expect() {
	diff <(printf '%s\n' "$1") - && echo "as stated" || { echo "the behaviour has changed" >&2; exit 1; }
}
