# shellcheck shell=bash disable=SC2034
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors
#
# The Debian packages that ./demo and ./check install, by purpose; they source this file.
#
# The name of a DPDK driver's package ends with DPDK's ABI: 23 in Debian 12, 25 in Debian 13. apt-get takes a regular
# expression for a name and installs what matches, or fails if nothing does.

packages_build=(
	gcc libconfig-dev libdpdk-dev libevent-dev libipsec-mb-dev libjansson-dev libseccomp-dev libsrtp2-dev libssl-dev
	libsystemd-dev libxml2-dev meson ninja-build pkg-config
)

# The driver for a kernel interface, namespaces.
packages_run=(iproute2 iputils-ping '^librte-net-af-packet[0-9]+$')

# The demo: to speak, to hear and to compare.
packages_demo=(
	espeak-ng gir1.2-gstreamer-1.0 gstreamer1.0-plugins-bad gstreamer1.0-plugins-base gstreamer1.0-plugins-good
	gstreamer1.0-tools python3 python3-gi
)

# The tests: other drivers, peers, and what the end-to-end tests call.
packages_test=(
	libcmocka-dev
	'^librte-crypto-'{ipsec-mb,null,openssl}'[0-9]+$' '^librte-net-'{af-xdp,memif,null,pcap,ring,tap}'[0-9]+$'
	gstreamer1.0-plugins-bad gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-tools
	man-db openssl patch prometheus python3 python3-cryptography python3-jsonschema python3-prometheus-client python3-pytest
	strace systemd tshark util-linux
)

# The Debian package: clean roots for it.
packages_package=(debootstrap lintian systemd-container)

# Linters and fuzzers: of one version, which both Debian 12 and 13 have.
packages_lint=(clang-19 clang-format-19 clang-tidy-19 cppcheck libclang-rt-19-dev)
