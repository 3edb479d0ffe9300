// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "dataplane/drop.h"

const char *drop_label(enum drop_reason reason)
{
	static const char *const labels[DROP_N_REASONS] = {[DROP_NONE] = "",
#define _(name, label, text) [DROP_##name] = label,
		DROP_REASONS(_)
#undef _
	};
	return labels[reason];
}

const char *drop_text(enum drop_reason reason)
{
	static const char *const texts[DROP_N_REASONS] = {[DROP_NONE] = "",
#define _(name, label, text) [DROP_##name] = text,
		DROP_REASONS(_)
#undef _
	};
	return texts[reason];
}
