// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "crypto/cipher.h"

int cipher_thread_init(const struct cipher *cipher)
{
	int ret = cipher->thread_init();
	if (ret == 0) {
		ret = cipher_aes_cm.thread_init();
		if (ret < 0)
			cipher->thread_fini();
	}
	return ret;
}

void cipher_thread_fini(const struct cipher *cipher)
{
	cipher_aes_cm.thread_fini();
	cipher->thread_fini();
}
