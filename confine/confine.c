// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "confine/confine.h"

#include <dlfcn.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include "confine/privilege.h"
#include "confine/syscall_filter.h"

int confine(const char *const devices[], unsigned n, char *why, size_t why_size)
{
	// OpenSSL reads its configuration when it is first used, and may load modules that the
	// configuration names: no memory becomes executable later.
	OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG, NULL);
	// The C library loads it when a thread is cancelled, as the EAL does with its own at the end.
	if (!dlopen("libgcc_s.so.1", RTLD_NOW)) {
		snprintf(why, why_size, "libgcc_s.so.1 is missing: package libgcc-s1");
		return -ENOENT;
	}
	int rc = privilege_drop(why, why_size);
	// A change of user makes the process dumpable again where fs.suid_dumpable says so.
	if (rc == 0 && prctl(PR_SET_DUMPABLE, 0) != 0) {
		rc = -errno;
		snprintf(why, why_size, "core dumps are not off: %s", strerror(-rc));
	}
	return rc == 0 ? syscall_filter_install(devices, n, why, why_size) : rc;
}
