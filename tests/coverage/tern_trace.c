// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which basic blocks of tern.ko have run, kept in a module of its own: so the blocks of
 * its init and exit are kept, too, and those of an init that fails.
 *
 * The parameter "coverage" gives the blocks that have run and were not given yet, as
 * offsets from __sanitizer_cov_trace_pc(), one line each; nothing when all are given. A
 * write forgets them all: from then on it is what has run since.
 */
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/string.h>
#include <linux/sysfs.h>

#include "trace.h"

u8 tern_trace[TERN_TRACE_MAX];
EXPORT_SYMBOL_GPL(tern_trace);

static int get(char *buf, const struct kernel_param *param)
{
	int len = 0;
	long at;

	for (at = 0; at < TERN_TRACE_MAX && len < PAGE_SIZE - 16; at++)
		if (tern_trace[at] == TERN_TRACE_RUN) {
			tern_trace[at] = TERN_TRACE_GIVEN;
			len += sysfs_emit_at(buf, len, "%ld\n", at - TERN_TRACE_MAX / 2);
		}
	return len;
}

static int set(const char *val, const struct kernel_param *param)
{
	memset(tern_trace, TERN_TRACE_NOT_RUN, sizeof(tern_trace));
	return 0;
}

static const struct kernel_param_ops ops = { .get = get, .set = set };

module_param_cb(coverage, &ops, NULL, 0600);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Which blocks of tern.ko have run");
