/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * All that the core takes from its surroundings, in one place. A build in user
 * space puts a header with the same guard in front of this one
 * (tests/host/env.h) and compiles the same .c files.
 */
#ifndef TERN_CORE_ENV_H
#define TERN_CORE_ENV_H

#include <linux/atomic.h>
#include <linux/bitmap.h>
#include <linux/bitops.h>
#include <linux/build_bug.h>
#include <linux/crc32c.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/ktime.h>
#include <linux/limits.h>
#include <linux/lockdep.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/mutex.h>
#include <linux/random.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/types.h>
#include <asm/byteorder.h>

#include "lab/trace.h"

/**
 * tern_killed() - has the caller been killed?
 *
 * Then no process waits for the result, and long work must end early.
 */
static inline bool tern_killed(void)
{
	return fatal_signal_pending(current);
}

/**
 * tern_assert_held() - the caller holds this lock
 * @lock: a lock that the owner of a structure handed to it; NULL: it handed none
 */
static inline void tern_assert_held(const struct mutex *lock)
{
	if (lock)
		lockdep_assert_held(lock);
}

/**
 * tern_step_point() - a named point between two steps whose order matters
 * @name: of the step that was just taken
 * @page: of it
 *
 * A test hangs a store on it; here it is nothing.
 */
static inline void tern_step_point(const char *name, unsigned long page)
{
}

#endif /* TERN_CORE_ENV_H */
