#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Copyright (c) 2026 The mcxrelay authors
#
# xmlsec1 1.2.41 (Debian 13): TS 33.180 D.3.4.2 has a KMS wrap the keys of a user by xmlenc#kw-aes256 in its responses.
# That is RFC 3394, which takes multiples of 8 octets only; a UserDecryptKey (RSK) has 257 and a UserPubTokenPVT 65, so
# xmlsec1 refuses both and takes only the UserSigningKeySSK, of 32. The padded wrap of RFC 5649 (kw-aes-256-pad of XML
# Encryption 1.1), which would take them, it does not have. So no KMS response that follows the table to the letter
# can be made or read with it.
#
# What happens here: values of the sizes of the three keys, and of the next multiples of 8, are wrapped.
#
# What follows: ask the KMS's vendor how long keys are wrapped: padded by RFC 5649, or filled with zeros to a multiple of
# 8; and expect to unwrap them with a cryptographic library instead (OpenSSL: EVP_aes_256_wrap_pad).

. "$(dirname "$(readlink -f "$0")")/root.sh"

finding_root trixie xmlsec1=1.2.41-1+b1

mkdir "$root/try"
printf '%s' '<EncryptedData xmlns="http://www.w3.org/2001/04/xmlenc#"><EncryptionMethod' \
	' Algorithm="http://www.w3.org/2001/04/xmlenc#kw-aes256"/><CipherData><CipherValue/></CipherData></EncryptedData>' \
	>"$root/try/template.xml"
head -c 32 /dev/urandom >"$root/try/key"
{
	for key in SSK:32 PVT:65 PVT:72 RSK:257 RSK:264; do
		head -c "${key#*:}" /dev/urandom >"$root/try/value"
		chroot "$root" xmlsec1 --encrypt --aeskey /try/key --binary-data /try/value /try/template.xml >"$root/try/out" 2>&1 &&
			echo "${key%:*} of ${key#*:} octets: wrapped" || echo "${key%:*} of ${key#*:} octets: refused"
	done
	chroot "$root" xmlsec1 --list-transforms | grep -o '"kw-[^"]*"' | xargs
} | finding_expect "SSK of 32 octets: wrapped
PVT of 65 octets: refused
PVT of 72 octets: wrapped
RSK of 257 octets: refused
RSK of 264 octets: wrapped
kw-aes128 kw-aes192 kw-aes256 kw-tripledes"
