// SPDX-License-Identifier: GPL-2.0-only
/*
 * The module's limits: how many devices there may be, and how much memory they
 * may have together.
 *
 * Memory is counted twice against the same limit. It is promised when a device is
 * made, so that to open the device later does not fail for want of it. And it is
 * held by each memory object that is alive: one that is still mapped outlives its
 * device's close, and the next open makes another. Without such mappings no more is
 * held than is promised.
 */
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>

#include "function/limits.h"

static unsigned int max_devices = 64;
module_param(max_devices, uint, 0444);
MODULE_PARM_DESC(max_devices, "Devices that may exist at once (default 64)");

static unsigned int max_memory_mib = 65536;
module_param(max_memory_mib, uint, 0444);
MODULE_PARM_DESC(max_memory_mib, "Memory of all devices together, in MiB (default 65536)");

static DEFINE_MUTEX(lock);
static u64 promised_mib;	/* [lock] */
static u64 held;		/* bytes [lock] */

/**
 * tern_limits_devices() - how many devices there may be
 */
unsigned int tern_limits_devices(void)
{
	return max_devices;
}

/**
 * tern_limits_change() - promise another amount of memory
 * @old_mib: what the device had; 0 for a new one
 * @new_mib: what it is to have; 0 when it goes
 *
 * Return: 0; -ENOSPC if the limit does not allow it, and the old promise
 * stands. Less than before is always allowed.
 */
int tern_limits_change(u32 old_mib, u32 new_mib)
{
	int ret = 0;

	mutex_lock(&lock);
	if (new_mib > old_mib && promised_mib - old_mib + new_mib > max_memory_mib)
		ret = -ENOSPC;
	else
		promised_mib = promised_mib - old_mib + new_mib;
	mutex_unlock(&lock);
	return ret;
}

/**
 * tern_limits_hold() - a memory object comes into being
 * @bytes: its size
 *
 * Return: 0; -ENOSPC if those that are alive leave no room for it.
 */
int tern_limits_hold(u64 bytes)
{
	int ret = 0;

	mutex_lock(&lock);
	if (held + bytes > (u64)max_memory_mib << 20)
		ret = -ENOSPC;
	else
		held += bytes;
	mutex_unlock(&lock);
	return ret;
}

/**
 * tern_limits_release() - a memory object was freed
 * @bytes: its size
 */
void tern_limits_release(u64 bytes)
{
	mutex_lock(&lock);
	held -= bytes;
	mutex_unlock(&lock);
}
