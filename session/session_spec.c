// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "session/session_spec.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/secmem.h"

struct protection_spec protection_copy(const struct protection_spec *spec)
{
	struct protection_spec copy = *spec;
	copy.domain = spec->domain ? alloc_string(spec->domain) : NULL;
	copy.user = spec->user ? alloc_string(spec->user) : NULL;
	copy.accept = alloc_zero(spec->n_accept, sizeof(*copy.accept));
	for (uint32_t i = 0; i < spec->n_accept; i++)
		copy.accept[i] = spec->accept[i];
	return copy;
}

bool leg_spec_joins(const struct leg_spec *spec)
{
	return spec->receive && spec->remote.family != AF_UNSPEC &&
	       endpoint_is_multicast(&spec->remote);
}

void leg_spec_free(struct leg_spec *spec)
{
	free(spec->id);
	for (unsigned i = 0; i < SRTP_N_PROTOCOLS; i++) {
		free(spec->protection[i].domain);
		free(spec->protection[i].user);
		free(spec->protection[i].accept);
	}
	for (uint32_t i = 0; i < spec->n_to; i++)
		free(spec->to[i]);
	free(spec->to);
	*spec = (struct leg_spec){};
}

void session_spec_free(struct session_spec *spec)
{
	free(spec->id);
	free(spec->domain);
	free(spec->group);
	secmem_free(spec->keys);
	for (uint32_t i = 0; i < spec->n_legs; i++)
		leg_spec_free(&spec->legs[i]);
	free(spec->legs);
	*spec = (struct session_spec){};
}
