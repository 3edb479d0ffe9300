// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "tests/unit/rpc_lab.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/secmem.h"

char *rpc_lab_text(const char *method, json_t *params)
{
	json_t *request = json_pack(
		"{s:s,s:i,s:s,s:o}", "jsonrpc", "2.0", "id", 1, "method", method, "params", params);
	assert_non_null(request);
	char *text = json_dumps(request, JSON_COMPACT);
	json_decref(request);
	return text;
}

json_t *rpc_lab_read(char *answer, size_t len)
{
	assert_non_null(answer);
	json_t *read = json_loadb(answer, len, 0, NULL);
	assert_non_null(read);
	secmem_free(answer);
	return read;
}

struct rpc_work *rpc_lab_begin(const struct rpc *rpc, const char *method, json_t *params)
{
	char *text = rpc_lab_text(method, params);
	struct rpc_work *work = rpc_work_open(rpc, text, strlen(text));
	free(text);
	assert_non_null(work);
	rpc_work_step(work, 0);
	return work;
}

json_t *rpc_lab_end(struct rpc_work *work)
{
	size_t len;
	char *answer = rpc_work_close(work, &len);
	return rpc_lab_read(answer, len);
}
