// SPDX-License-Identifier: GPL-2.0-only
/*
 * tern-mem's own attributes: the size of its memory, which can be written while it is
 * closed, and the folder "workload". What is refused changes nothing.
 */
#include <linux/device.h>
#include <linux/log2.h>
#include <linux/sysfs.h>

#include "function/quota.h"
#include "mem/attributes.h"
#include "mem/tern_mem.h"

static struct tern_mem *mem_of(struct device *d)
{
	struct tern_function *fn = dev_get_drvdata(d);

	return container_of(fn, struct tern_mem, fn);
}

static ssize_t memory_mib_show(struct device *d, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%u\n", READ_ONCE(mem_of(d)->memory_mib));
}

static ssize_t memory_mib_store(struct device *d, struct device_attribute *attr, const char *buf,
				size_t count)
{
	struct tern_mem *mem = mem_of(d);
	u32 mib;
	int ret;

	ret = kstrtou32(buf, 0, &mib);
	if (ret)
		return ret;
	if (!is_power_of_2(mib) || mib > TERN_MEMORY_MIB_MAX)
		return -EINVAL;
	ret = tern_function_lock_closed(&mem->fn);
	if (ret)
		return ret;
	ret = tern_quota_change(mem->quota, mib);
	if (!ret)
		tern_mem_resize(mem, mib);
	mutex_unlock(mem->fn.state_mutex);
	return ret ? ret : count;
}
static DEVICE_ATTR_RW(memory_mib);

static struct attribute *own[] = {
	&dev_attr_memory_mib.attr,
	NULL
};

const struct attribute_group tern_mem_attributes = {
	.name	= "tern",
	.attrs	= own,
};

static const char *const patterns[TERN_PATTERNS] = {
	[TERN_PATTERN_SEQUENTIAL]	= "sequential",
	[TERN_PATTERN_PERMUTED]		= "permuted",
	[TERN_PATTERN_HOT]		= "hot",
};

static ssize_t mibs_show(struct device *d, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%u\n", READ_ONCE(mem_of(d)->stamper.workload.mibs));
}

static ssize_t set_mib_show(struct device *d, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%u\n", READ_ONCE(mem_of(d)->stamper.set_mib));
}

static ssize_t seed_show(struct device *d, struct device_attribute *attr, char *buf)
{
	struct tern_mem *mem = mem_of(d);
	u64 seed;

	mutex_lock(&mem->fn.io);
	seed = mem->stamper.workload.seed;
	mutex_unlock(&mem->fn.io);
	return sysfs_emit(buf, "%llu\n", seed);
}

static ssize_t pattern_show(struct device *d, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%s\n", patterns[READ_ONCE(mem_of(d)->stamper.workload.pattern)]);
}

/* Do something with the stamper while the device changes no state. */
static ssize_t locked(struct device *d, int (*set)(struct tern_stamper *s, u64 value), u64 value,
		      size_t count)
{
	struct tern_mem *mem = mem_of(d);
	int ret = tern_function_lock(&mem->fn);

	if (ret)
		return ret;
	ret = set(&mem->stamper, value);
	mutex_unlock(mem->fn.state_mutex);
	return ret ?: count;
}

static ssize_t pattern_store(struct device *d, struct device_attribute *attr, const char *buf,
			     size_t count)
{
	int pattern = sysfs_match_string(patterns, buf);

	return pattern < 0 ? pattern : locked(d, tern_stamper_set_pattern, pattern, count);
}
static DEVICE_ATTR_RW(pattern);

/* An attribute that is written as a number. */
#define NUMBER(name, set)						\
static ssize_t name##_store(struct device *d, struct device_attribute *attr, const char *buf, \
			    size_t count)				\
{									\
	u64 value;							\
	int ret = kstrtou64(buf, 0, &value);				\
									\
	return ret ?: locked(d, set, value, count);				\
}

NUMBER(mibs, tern_stamper_set_rate)
NUMBER(set_mib, tern_stamper_set_size)
NUMBER(seed, tern_stamper_set_seed)
NUMBER(spoil, tern_stamper_spoil)

static DEVICE_ATTR_RW(mibs);
static DEVICE_ATTR_RW(set_mib);
static DEVICE_ATTR_RW(seed);
static DEVICE_ATTR_WO(spoil);

static ssize_t writes_show(struct device *d, struct device_attribute *attr, char *buf)
{
	struct tern_mem *mem = mem_of(d);
	u64 writes;

	mutex_lock(&mem->fn.io);
	writes = mem->stamper.workload.writes;
	mutex_unlock(&mem->fn.io);
	return sysfs_emit(buf, "%llu\n", writes);
}
static DEVICE_ATTR_RO(writes);

static int show_first_bad(const struct tern_verdict *v, char *buf, int len)
{
	switch (v->damage) {
	case TERN_DAMAGE_LOST:
		return sysfs_emit_at(buf, len, "page %llu is zero, expected generation %llu\n",
				     v->page, v->expected);
	case TERN_DAMAGE_STALE:
	case TERN_DAMAGE_NEWER:
		return sysfs_emit_at(buf, len, "page %llu has generation %llu, expected %llu\n",
				     v->page, v->found, v->expected);
	case TERN_DAMAGE_MISPLACED:
		return sysfs_emit_at(buf, len, "page %llu holds page %llu\n", v->page, v->found);
	case TERN_DAMAGE_FOREIGN:
		return sysfs_emit_at(buf, len, "page %llu is of another workload\n", v->page);
	case TERN_DAMAGE_TORN:
		return sysfs_emit_at(buf, len, "page %llu has a wrong CRC\n", v->page);
	case TERN_DAMAGE_STRAY:
		return sysfs_emit_at(buf, len, "page %llu was never written and is not zero\n",
				     v->page);
	case TERN_DAMAGE_REST:
		return sysfs_emit_at(buf, len,
				     "pages from %llu on changed: %llu not zero, expected %llu\n",
				     v->page, v->found, v->expected);
	default:
		return 0;
	}
}

static ssize_t verify_show(struct device *d, struct device_attribute *attr, char *buf)
{
	struct tern_mem *mem = mem_of(d);
	struct tern_verdict v;
	u64 writes;
	int ret, len;

	ret = tern_function_lock(&mem->fn);
	if (ret)
		return ret;
	ret = tern_stamper_verify(&mem->stamper, &v, &writes);
	mutex_unlock(mem->fn.state_mutex);
	if (ret)
		return ret;
	len = sysfs_emit(buf, "pages %llu written %llu bad %llu\n", v.pages, writes, v.bad);
	return len + show_first_bad(&v, buf, len);
}
/* It reads all memory, and the device changes no state meanwhile: not for any user. */
static DEVICE_ATTR_ADMIN_RO(verify);

static struct attribute *workload[] = {
	&dev_attr_mibs.attr,
	&dev_attr_set_mib.attr,
	&dev_attr_pattern.attr,
	&dev_attr_seed.attr,
	&dev_attr_writes.attr,
	&dev_attr_verify.attr,
	&dev_attr_spoil.attr,
	NULL
};

static const struct attribute_group workload_group = {
	.name	= "workload",
	.attrs	= workload,
};

const struct attribute_group *tern_mem_folders[] = {
	&workload_group,
	NULL
};
