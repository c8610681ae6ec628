// SPDX-License-Identifier: GPL-2.0-only
/*
 * The quota of a device: how much memory it may have.
 *
 * A device is promised its memory when it is made, so that to open it later does not
 * fail for want of it. It may have more: memory that is still mapped outlives the
 * device's close, and the next open makes another. So a quota is charged for what was
 * promised or for what is alive, whichever is more, and all charges together are
 * at most max_memory_mib. What one device leaves mapped is charged to its own quota: no
 * other device's open fails for it. A quota lives until its device is removed and its
 * last memory is freed.
 */
#include <linux/err.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include "function/quota.h"

static unsigned int max_memory_mib = 65536;
module_param(max_memory_mib, uint, 0444);
MODULE_PARM_DESC(max_memory_mib, "Memory of all devices together, in MiB (default 65536)");

static DEFINE_MUTEX(lock);
static u64 charged;		/* bytes, of all quotas [lock] */

/**
 * struct tern_quota - one device's
 * @promised: bytes; 0 once the device is removed [lock]
 * @alive: bytes of its memory objects that are not freed [lock]
 * @abandoned: the device is removed [lock]
 */
struct tern_quota {
	u64 promised;
	u64 alive;
	bool abandoned;
};

/* Less than before is always allowed. 0 or -ENOSPC, and nothing changed. */
static int charge(struct tern_quota *quota, u64 promised, u64 alive)
{
	u64 before = max(quota->promised, quota->alive), after = max(promised, alive);

	lockdep_assert_held(&lock);
	if (after > before && charged - before + after > (u64)max_memory_mib * SZ_1M)
		return -ENOSPC;
	charged += after - before;
	quota->promised = promised;
	quota->alive = alive;
	return 0;
}

/**
 * tern_quota_create() - the quota of a new device
 * @mib: memory that the device is promised
 *
 * Return: the quota, or an ERR_PTR: -ENOSPC if max_memory_mib does not allow it,
 * -ENOMEM. Context: may sleep.
 */
struct tern_quota *tern_quota_create(u32 mib)
{
	struct tern_quota *quota = kzalloc(sizeof(*quota), GFP_KERNEL_ACCOUNT);
	int ret;

	if (!quota)
		return ERR_PTR(-ENOMEM);
	ret = tern_quota_change(quota, mib);
	if (ret) {
		kfree(quota);
		return ERR_PTR(ret);
	}
	return quota;
}

/**
 * tern_quota_destroy() - the device is removed
 * @quota: its quota; freed at once, or with the last memory that is still mapped
 *
 * Context: may sleep.
 */
void tern_quota_destroy(struct tern_quota *quota)
{
	bool last;

	mutex_lock(&lock);
	charge(quota, 0, quota->alive);
	quota->abandoned = true;
	last = !quota->alive;
	mutex_unlock(&lock);
	if (last)
		kfree(quota);
}

/**
 * tern_quota_change() - promise another amount of memory
 * @quota: the quota
 * @mib: what the device is to have
 *
 * Return: 0; -ENOSPC if max_memory_mib does not allow it, and the old promise stands.
 * Less than before is always allowed. Context: may sleep.
 */
int tern_quota_change(struct tern_quota *quota, u32 mib)
{
	int ret;

	mutex_lock(&lock);
	ret = charge(quota, (u64)mib * SZ_1M, quota->alive);
	mutex_unlock(&lock);
	return ret;
}

/**
 * tern_quota_hold() - a memory object comes into being
 * @quota: of the device that it is for
 * @bytes: its size, above 0
 *
 * Return: 0, as long as the device has no more alive than it was promised; above that,
 * -ENOSPC if max_memory_mib does not allow it. Context: may sleep.
 */
int tern_quota_hold(struct tern_quota *quota, u64 bytes)
{
	int ret;

	mutex_lock(&lock);
	ret = charge(quota, quota->promised, quota->alive + bytes);
	mutex_unlock(&lock);
	return ret;
}

/**
 * tern_quota_release() - a memory object was freed
 * @quota: of the device that it was for, which may be removed
 * @bytes: its size
 *
 * Context: may sleep.
 */
void tern_quota_release(struct tern_quota *quota, u64 bytes)
{
	bool last;

	mutex_lock(&lock);
	charge(quota, quota->promised, quota->alive - bytes);
	last = quota->abandoned && !quota->alive;
	mutex_unlock(&lock);
	if (last)
		kfree(quota);
}
