// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which basic blocks of the module have run: the compiler calls
 * __sanitizer_cov_trace_pc() at the head of each. For a test build only (COVERAGE=1);
 * tern_trace.ko keeps them, and scripts/coverage.py compares them with the blocks that
 * there are.
 */
#include "trace.h"

void __sanitizer_cov_trace_pc(void)
{
	long at = (char *)__builtin_return_address(0) - (char *)__sanitizer_cov_trace_pc +
		  TERN_TRACE_MAX / 2;

	if (at >= 0 && at < TERN_TRACE_MAX && tern_trace[at] == TERN_TRACE_NOT_RUN)
		tern_trace[at] = TERN_TRACE_RUN;
}
