// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "tests/unit/key_lab.h"

int key_lab_open(struct key_lab *keys, uint32_t n_keys)
{
	lab_open(&keys->lab, 1);
	retire_init(&keys->retire, keys->lab.relay.rcu);
	users_init(&keys->users);
	return keystore_init(
		&keys->store, &keys->lab.relay, &keys->retire, &keys->users, NULL, n_keys);
}

void key_lab_close(struct key_lab *keys)
{
	keystore_fini(&keys->store);
	retire_fini(&keys->retire);
	users_fini(&keys->users);
	lab_close(&keys->lab);
}
