// SPDX-License-Identifier: GPL-2.0-only
/*
 * The attributes of a device, in its folders "tern", "stats" and "inject". Of the first, two
 * can be written while it is closed, one while it migrates. The rest shows its state; a model
 * adds its own. What a tester asks for (lab/inject.c) can be written at any time. What is
 * refused changes nothing.
 */
#include <linux/device.h>
#include <linux/init.h>
#include <linux/sysfs.h>

#include "vfio/attributes.h"
#include "vfio/device.h"

#define WINDOW_KIB_MIN		128U
#define WINDOW_KIB_MAX		65536U

static_assert(WINDOW_KIB_MIN * 1024 >= TERN_CHUNK_MIN);
static_assert(WINDOW_KIB_MIN * 1024 >= TERN_SECTION_BYTES_MAX + TERN_RECORD_HEAD);

static struct tern_device *device_of(struct device *d)
{
	struct tern_function *fn = dev_get_drvdata(d);

	return fn->owner;
}

static ssize_t precopy_show(struct device *d, struct device_attribute *attr, char *buf)
{
	struct tern_device *dev = device_of(d);

	return sysfs_emit(buf, "%u\n", READ_ONCE(dev->migration.precopy));
}

static ssize_t precopy_store(struct device *d, struct device_attribute *attr, const char *buf,
			     size_t count)
{
	struct tern_device *dev = device_of(d);
	u32 precopy;
	int ret;

	ret = kstrtou32(buf, 0, &precopy);
	if (ret)
		return ret;
	if (precopy > 1)
		return -EINVAL;
	ret = tern_function_lock_closed(dev->fn);
	if (ret)
		return ret;
	WRITE_ONCE(dev->migration.precopy, precopy);
	mutex_unlock(&dev->migration.state_mutex);
	return count;
}
static DEVICE_ATTR_RW(precopy);

static ssize_t window_kib_show(struct device *d, struct device_attribute *attr, char *buf)
{
	struct tern_device *dev = device_of(d);

	return sysfs_emit(buf, "%u\n", READ_ONCE(dev->migration.window_kib));
}

static ssize_t window_kib_store(struct device *d, struct device_attribute *attr, const char *buf,
				size_t count)
{
	struct tern_device *dev = device_of(d);
	u32 kib;
	int ret;

	ret = kstrtou32(buf, 0, &kib);
	if (ret)
		return ret;
	if (kib < WINDOW_KIB_MIN || kib > WINDOW_KIB_MAX || kib % (PAGE_SIZE / 1024))
		return -EINVAL;
	ret = tern_function_lock_closed(dev->fn);
	if (ret)
		return ret;
	WRITE_ONCE(dev->migration.window_kib, kib);
	mutex_unlock(&dev->migration.state_mutex);
	return count;
}
static DEVICE_ATTR_RW(window_kib);

static ssize_t reinit_store(struct device *d, struct device_attribute *attr, const char *buf,
			    size_t count)
{
	u32 one;
	int ret;

	ret = kstrtou32(buf, 0, &one);
	if (ret)
		return ret;
	if (one != 1)
		return -EINVAL;
	ret = tern_migration_reinit(&device_of(d)->migration);
	return ret ?: count;
}
static DEVICE_ATTR_WO(reinit);

static ssize_t show_state(struct tern_device *dev, char *buf)
{
	const struct tern_machine *mc = &dev->migration.machine;

	return sysfs_emit(buf, "%s\n", tern_machine_failed(mc) ? "error" :
			  tern_phase_name(mc->phase));
}

static ssize_t show_pending_bytes(struct tern_device *dev, char *buf)
{
	struct tern_session *s = dev->migration.machine.session;

	return sysfs_emit(buf, "%llu\n", s ? tern_session_pending(s) : 0);
}

static ssize_t show_passes(struct tern_device *dev, char *buf)
{
	return sysfs_emit(buf, "%llu\n", dev->migration.machine.stats.passes);
}

/* The passes that are no longer kept one by one stand in the first line. */
static ssize_t show_pass_bytes(struct tern_device *dev, char *buf)
{
	const struct tern_session_stats *st = &dev->migration.machine.stats;
	u64 i = st->passes > TERN_PASSES_KEPT ? st->passes - TERN_PASSES_KEPT : 0;
	int len = 0;

	if (i)
		len = sysfs_emit(buf, "%llu\n", st->older_bytes);
	for (; i < st->passes; i++)
		len += sysfs_emit_at(buf, len, "%llu\n", st->pass_bytes[i % TERN_PASSES_KEPT]);
	return len;
}

static ssize_t show_stopped_bytes(struct tern_device *dev, char *buf)
{
	return sysfs_emit(buf, "%llu\n", dev->migration.machine.stats.stopped_bytes);
}

static ssize_t show_late_marks(struct tern_device *dev, char *buf)
{
	const struct tern_migration *mig = &dev->migration;

	return sysfs_emit(buf, "%lu\n", mig->is_open ? tern_dirty_late_marks(mig->machine.m->dirty) :
							mig->late_marks);
}

/* An attribute that is read under state_mutex, and does not acknowledge. */
#define WATCH(name)							\
static ssize_t name##_show(struct device *d, struct device_attribute *attr, char *buf) \
{									\
	struct tern_device *dev = device_of(d);			\
	ssize_t ret;							\
									\
	if (tern_migration_lock(&dev->migration))			\
		return -EINTR;						\
	ret = show_##name(dev, buf);					\
	mutex_unlock(&dev->migration.state_mutex);				\
	return ret;							\
}									\
static DEVICE_ATTR_RO(name)

WATCH(state);
WATCH(pending_bytes);
WATCH(passes);
WATCH(pass_bytes);
WATCH(stopped_bytes);
WATCH(late_marks);

/* The folder "stats": what has happened since the device was opened. */
static struct tern_totals totals_of(const struct tern_device *dev)
{
	const struct tern_migration *mig = &dev->migration;
	struct tern_totals t = mig->machine.totals;

	if (mig->is_open)
		tern_machine_totals(&mig->machine, &t);
	return t;
}

static ssize_t show_total_passes(struct tern_device *dev, char *buf)
{
	return sysfs_emit(buf, "%llu\n", totals_of(dev).passes);
}

static ssize_t show_total_bytes(struct tern_device *dev, char *buf)
{
	return sysfs_emit(buf, "%llu\n", totals_of(dev).bytes);
}

static ssize_t show_total_pages(struct tern_device *dev, char *buf)
{
	return sysfs_emit(buf, "%llu\n", totals_of(dev).pages);
}

static ssize_t show_harvest_ns(struct tern_device *dev, char *buf)
{
	return sysfs_emit(buf, "%llu\n", totals_of(dev).take_ns);
}

static ssize_t show_time_in_state(struct tern_device *dev, char *buf)
{
	struct tern_totals t = totals_of(dev);
	enum tern_phase phase;
	int len = 0;

	for (phase = 0; phase < TERN_PHASES; phase++)
		len += sysfs_emit_at(buf, len, "%s %llu\n", tern_phase_name(phase),
				     t.phase_ns[phase]);
	return len;
}

static ssize_t show_refused(struct tern_device *dev, char *buf)
{
	struct tern_totals t = totals_of(dev);
	unsigned int error;
	int len = 0;

	for (error = 0; error < TERN_ERRNOS; error++)
		if (t.refused[error])
			len += sysfs_emit_at(buf, len, "%u %u\n", error, t.refused[error]);
	return len;
}

WATCH(total_passes);
WATCH(total_bytes);
WATCH(total_pages);
WATCH(harvest_ns);
WATCH(time_in_state);
WATCH(refused);

/* The folder "inject": an attribute for each rule, and one that counts. */
static enum tern_rule rule_of(struct device_attribute *attr)
{
	return (unsigned long)container_of(attr, struct dev_ext_attribute, attr)->var;
}

static ssize_t rule_show(struct device *d, struct device_attribute *attr, char *buf)
{
	return tern_inject_show(&device_of(d)->migration.inject, rule_of(attr), buf);
}

static ssize_t rule_store(struct device *d, struct device_attribute *attr, const char *buf,
			  size_t count)
{
	int ret = tern_inject_set(&device_of(d)->migration.inject, rule_of(attr), buf);

	return ret ?: count;
}

static ssize_t hits_show(struct device *d, struct device_attribute *attr, char *buf)
{
	return tern_inject_show_hits(&device_of(d)->migration.inject, buf);
}
static DEVICE_ATTR_RO(hits);

static struct attribute *attributes[] = {
	&dev_attr_precopy.attr,
	&dev_attr_window_kib.attr,
	&dev_attr_reinit.attr,
	&dev_attr_state.attr,
	&dev_attr_pending_bytes.attr,
	&dev_attr_passes.attr,
	&dev_attr_pass_bytes.attr,
	&dev_attr_stopped_bytes.attr,
	&dev_attr_late_marks.attr,
	NULL
};

static const struct attribute_group group = {
	.name	= "tern",
	.attrs	= attributes,
};

static struct attribute *stats_attributes[] = {
	&dev_attr_total_passes.attr,
	&dev_attr_total_bytes.attr,
	&dev_attr_total_pages.attr,
	&dev_attr_harvest_ns.attr,
	&dev_attr_time_in_state.attr,
	&dev_attr_refused.attr,
	NULL
};

static const struct attribute_group stats_group = {
	.name	= "stats",
	.attrs	= stats_attributes,
};

static struct dev_ext_attribute rules[TERN_RULES];
static struct attribute *inject_attributes[TERN_RULES + 2];

static const struct attribute_group inject_group = {
	.name	= "inject",
	.attrs	= inject_attributes,
};

static const struct attribute_group *groups[] = {
	&group,
	&stats_group,
	&inject_group,
	NULL
};

/**
 * tern_attributes_init() - before the first tern_attributes_add()
 */
void __init tern_attributes_init(void)
{
	enum tern_rule rule;

	for (rule = 0; rule < TERN_RULES; rule++) {
		rules[rule].attr = (struct device_attribute){
			.attr = { .name = tern_rule_name(rule), .mode = 0644 },
			.show = rule_show,
			.store = rule_store,
		};
		rules[rule].var = (void *)(unsigned long)rule;
		inject_attributes[rule] = &rules[rule].attr.attr;
	}
	inject_attributes[rule] = &dev_attr_hits.attr;
}

/**
 * tern_attributes_add() - give a device its folders, and its model's
 * @parent: the device of the bus; its drvdata is the function
 * @fn: the function, whose model may have attributes and folders of its own
 *
 * Return: 0, or -errno with nothing done. Context: may sleep.
 */
int tern_attributes_add(struct device *parent, struct tern_function *fn)
{
	int ret = sysfs_create_groups(&parent->kobj, groups);

	if (ret)
		return ret;
	if (fn->ops->folders)
		ret = sysfs_create_groups(&parent->kobj, fn->ops->folders);
	if (ret)
		goto err_remove_groups;
	if (fn->ops->attributes)
		ret = sysfs_merge_group(&parent->kobj, fn->ops->attributes);
	if (ret)
		goto err_remove_folders;
	return 0;

err_remove_folders:
	if (fn->ops->folders)
		sysfs_remove_groups(&parent->kobj, fn->ops->folders);
err_remove_groups:
	sysfs_remove_groups(&parent->kobj, groups);
	return ret;
}

/**
 * tern_attributes_remove() - remove them; none is being read or written on return
 * @parent: the device of the bus
 * @fn: the function
 *
 * Context: may sleep.
 */
void tern_attributes_remove(struct device *parent, struct tern_function *fn)
{
	struct tern_device *dev = fn->owner;

	/* What waits by a rule may keep a reader of the rest waiting. */
	sysfs_remove_group(&parent->kobj, &inject_group);
	tern_inject_clear(&dev->migration.inject);
	if (fn->ops->attributes)
		sysfs_unmerge_group(&parent->kobj, fn->ops->attributes);
	if (fn->ops->folders)
		sysfs_remove_groups(&parent->kobj, fn->ops->folders);
	sysfs_remove_group(&parent->kobj, &stats_group);
	sysfs_remove_group(&parent->kobj, &group);
}
