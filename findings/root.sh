# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors
# shellcheck shell=bash
#
# For the findings beside this file, which source it: a temporary Debian with pinned packages in it, removed at the
# end. Needs root and debootstrap.

set -euo pipefail

# finding_root SUITE PACKAGE=VERSION...: makes the root and says in $root where it is. A version that the mirror has
# no more is an error of apt's.
finding_root() {
	local suite=$1 base
	shift
	base=$(mktemp -d /var/tmp/finding.XXXXXX)
	trap "rm -rf '$base'" EXIT
	root=$base/root
	{
		"$(dirname "${BASH_SOURCE[0]}")/../tests/debian/root" "$suite" "$root" &&
			chroot "$root" apt-get -q update &&
			chroot "$root" env DEBIAN_FRONTEND=noninteractive apt-get -q install -y \
				--no-install-recommends "$@"
	} >"$base/log" 2>&1 || { cat "$base/log" >&2; exit 1; }
}

# finding_expect TEXT: standard input is TEXT to the letter, or the behaviour has changed.
finding_expect() {
	diff <(printf '%s\n' "$1") - && echo "as stated" || { echo "the behaviour has changed" >&2; exit 1; }
}
