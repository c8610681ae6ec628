// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which basic blocks of the module have run: the compiler calls
 * __sanitizer_cov_trace_pc() at the head of each. For a test build only (COVERAGE=1);
 * scripts/coverage.py compares them with the blocks that there are.
 *
 * The parameter "coverage" gives the blocks that have run and were not given yet, as
 * offsets from that function, a line each; nothing when all are given.
 */
#include <linux/kernel.h>
#include <linux/moduleparam.h>
#include <linux/sysfs.h>

/* Bytes of the module's text that can be told apart, half of them before the function. */
#define TEXT_MAX	(1L << 20)

enum { NOT_RUN, RUN, GIVEN };

static u8 state[TEXT_MAX];

void __sanitizer_cov_trace_pc(void)
{
	long at = (char *)__builtin_return_address(0) - (char *)__sanitizer_cov_trace_pc +
		  TEXT_MAX / 2;

	if (at >= 0 && at < TEXT_MAX && state[at] == NOT_RUN)
		state[at] = RUN;
}

static int get(char *buf, const struct kernel_param *param)
{
	int len = 0;
	long at;

	for (at = 0; at < TEXT_MAX && len < PAGE_SIZE - 16; at++)
		if (state[at] == RUN) {
			state[at] = GIVEN;
			len += sysfs_emit_at(buf, len, "%ld\n", at - TEXT_MAX / 2);
		}
	return len;
}

static const struct kernel_param_ops ops = { .get = get };

module_param_cb(coverage, &ops, NULL, 0400);
