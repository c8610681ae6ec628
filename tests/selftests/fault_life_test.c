// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every allocation and every copy fails once in the life of a device and of the module.
 * That is: create, remove, each attribute, and the load of the module. fault_test.c has the
 * calls on an open device.
 */
#include "fault.h"
#include "kselftest_harness.h"

#include <sys/syscall.h>

#define TYPES		"/sys/class/mdev_bus/tern/mdev_supported_types"
#define NULL_TYPE	TYPES "/tern-null"

FIXTURE(life) {
	int fd;			/* fail-nth */
};

FIXTURE_SETUP(life)
{
	NEEDS_FAULTS();
	self->fd = open(FAIL_NTH, O_RDWR);
	ASSERT_GE(self->fd, 0);
}

FIXTURE_TEARDOWN(life)
{
	filter_no_faults();
	close(self->fd);
	leave_cgroup();
}

static bool exists(const char *uuid)
{
	char path[128];

	snprintf(path, sizeof(path), MDEV_DEVICES "/%s", uuid);
	return !access(path, F_OK);
}

/* One write() to a file that is open. 0 or -errno. */
static int write_once(int fd, const char *text)
{
	return pwrite(fd, text, strlen(text), 0) < 0 ? -errno : 0;
}

static bool is_word(int ret)
{
	return ret == -ENOMEM || ret == -EFAULT;
}

/* How many attributes a device has, in all of its folders. */
static int count_attributes(const char *uuid)
{
	static const char *const folders[] = { "tern", "inject", "stats", "workload" };
	char path[128];
	unsigned int i;
	int n = 0;

	for (i = 0; i < ARRAY_SIZE(folders); i++) {
		struct dirent *entry;
		DIR *dir;

		snprintf(path, sizeof(path), MDEV_DEVICES "/%s/%s", uuid, folders[i]);
		dir = opendir(path);
		if (!dir)
			continue;
		while ((entry = readdir(dir)))
			n += entry->d_name[0] != '.';
		closedir(dir);
	}
	return n;
}

/* How many faults there were until one call had none. A device has so many attributes. */
static int sweep_create(struct __test_metadata *_metadata, int fail_nth, const char *type,
			int attributes)
{
	char path[128];
	int create, nth, ret, left = 0;

	snprintf(path, sizeof(path), "%s/create", type);
	create = open(path, O_WRONLY);
	ASSERT_GE(create, 0);
	for (nth = 1; nth < NTH_MAX && !left; nth++) {
		arm(fail_nth, nth);
		ret = write_once(create, UUID_A);
		left = disarm(fail_nth);
		if (left)
			EXPECT_EQ(ret, 0);
		EXPECT_EQ(exists(UUID_A), !ret) TH_LOG("%s, chance %d: %d", type, nth, ret);
		if (ret) {
			EXPECT_TRUE(is_word(ret)) TH_LOG("%s, chance %d: %d", type, nth, ret);
			EXPECT_EQ(write_once(create, UUID_A), 0)
				TH_LOG("%s, chance %d: refused, and then again", type, nth);
		}
		/* All of it is there: what could be missing is a folder, or what is in it. */
		EXPECT_TRUE(attr_is(UUID_A, "state", "running"));
		EXPECT_EQ(count_attributes(UUID_A), attributes)
			TH_LOG("%s, chance %d", type, nth);
		EXPECT_EQ(mdev_remove(UUID_A), 0);
	}
	close(create);
	return nth - 2;
}

/*
 * Create, of either model. Only what the driver allocates fails, itself and through
 * the functions that it calls. What makes the device's group is left out: Linux 6.12 warns
 * if that lacks memory (vfio_group_release()).
 */
TEST_F_TIMEOUT(life, create_that_fails_leaves_nothing, 100)
{
	const char *const types[] = { MDEV_TYPE, NULL_TYPE };
	struct code group = find_code("vfio_device_set_group", NULL);
	struct held before, after;
	const char *more;
	char path[128];
	unsigned int i;

	ASSERT_NE(group.start, 0);
	if (filter_faults("require", find_code(NULL, "tern")) || filter_faults("reject", group))
		SKIP(return, "the kernel has no filter of faults by their stack");
	for (i = 0; i < ARRAY_SIZE(types); i++) {
		int n, attributes;

		if (access(types[i], F_OK))
			continue;
		/* What the kernel allocates once, it has then. */
		snprintf(path, sizeof(path), "%s/create", types[i]);
		ASSERT_EQ(write_file(path, UUID_A), 0);
		attributes = count_attributes(UUID_A);
		ASSERT_GT(attributes, 20);
		ASSERT_EQ(mdev_remove(UUID_A), 0);
		before = look_what_is_held();
		name_thread(i ? "create null" : "create mem");
		n = sweep_create(_metadata, self->fd, types[i], attributes);
		name_thread("life");
		EXPECT_GT(n, 8);
		after = look_what_is_held();
		more = more_held(&before, &after);
		EXPECT_EQ(more, NULL) TH_LOG("%s leaks: %s", types[i], more);
		TH_LOG("%s: %d faults", types[i], n);
	}
}

/* Remove, with every chance of the kernel to fail. It is done or not begun. */
TEST_F_TIMEOUT(life, remove_is_done_or_not_begun, 100)
{
	struct held before, after;
	const char *more;
	int nth, left = 0;
	char path[128];

	ASSERT_EQ(mdev_create(UUID_A), 0);
	ASSERT_EQ(mdev_remove(UUID_A), 0);
	before = look_what_is_held();
	name_thread("remove");
	snprintf(path, sizeof(path), MDEV_DEVICES "/%s/remove", UUID_A);
	for (nth = 1; nth < NTH_MAX && !left; nth++) {
		int fd, ret;

		ASSERT_EQ(mdev_create(UUID_A), 0);
		fd = open(path, O_WRONLY);
		ASSERT_GE(fd, 0);
		arm(self->fd, nth);
		ret = write_once(fd, "1");
		left = disarm(self->fd);
		close(fd);
		EXPECT_TRUE(!ret || is_word(ret)) TH_LOG("chance %d: %d", nth, ret);
		EXPECT_EQ(exists(UUID_A), !!ret) TH_LOG("chance %d: %d", nth, ret);
		if (exists(UUID_A))
			EXPECT_EQ(mdev_remove(UUID_A), 0);
	}
	name_thread("life");
	EXPECT_LT(nth, NTH_MAX);
	after = look_what_is_held();
	more = more_held(&before, &after);
	EXPECT_EQ(more, NULL) TH_LOG("remove leaks: %s", more);
	TH_LOG("%d faults", nth - 2);
}

/* An attribute, what is written to it, and what it reads as then. */
struct attribute {
	const char *path;
	const char *text;
	int ret;
};

#define OF_A	MDEV_DEVICES "/" UUID_A "/tern/"
#define RULE_OF_A	MDEV_DEVICES "/" UUID_A "/inject/"
#define MIB_64	"64"

static const struct attribute attributes[] = {
	{ TYPES "/tern-mem/name", NULL, 0 }, { TYPES "/tern-mem/description", NULL, 0 },
	{ TYPES "/tern-mem/device_api", NULL, 0 },
	{ TYPES "/tern-mem/available_instances", NULL, 0 },
	{ "/sys/module/tern/parameters/max_devices", NULL, 0 },
	{ "/sys/module/tern/parameters/max_memory_mib", NULL, 0 },
	{ OF_A "state", NULL, 0 }, { OF_A "pending_bytes", NULL, 0 }, { OF_A "passes", NULL, 0 },
	{ OF_A "pass_bytes", NULL, 0 }, { OF_A "stopped_bytes", NULL, 0 },
	{ OF_A "late_marks", NULL, 0 }, { OF_A "precopy", NULL, 0 },
	{ OF_A "window_kib", NULL, 0 }, { OF_A "memory_mib", NULL, 0 },
	{ OF_A "precopy", "0", 0 }, { OF_A "precopy", "2", -EINVAL },
	{ OF_A "precopy", "yes", -EINVAL },
	{ OF_A "window_kib", "256", 0 }, { OF_A "window_kib", "129", -EINVAL },
	{ OF_A "window_kib", "-1", -EINVAL },
	{ OF_A "memory_mib", "128", 0 }, { OF_A "memory_mib", "3", -EINVAL },
	{ OF_A "memory_mib", "0x", -EINVAL },
	{ RULE_OF_A "hits", NULL, 0 }, { RULE_OF_A "state", NULL, 0 },
	{ RULE_OF_A "features", NULL, 0 }, { RULE_OF_A "read_max", "4096", 0 },
	{ RULE_OF_A "state", "error 5", 0 }, { RULE_OF_A "state", "error", -EINVAL },
	/* One MiB is promised to each device at least: all of it for one is too much for two. */
	{ OF_A "memory_mib", "65536", -ENOSPC },
};

static int access_attribute(const struct attribute *a, char *buf, size_t n)
{
	return a->text ? write_file(a->path, a->text) : read_file(a->path, buf, n);
}

/* Each attribute: what is read is right, and what is refused changes nothing. */
TEST_F_TIMEOUT(life, refused_attribute_changes_nothing, 100)
{
	char expected[4096], kept[4096], buf[4096];
	struct held before, after;
	unsigned int i, faults = 0;
	const char *more;

	ASSERT_EQ(mdev_create(UUID_A), 0);
	ASSERT_EQ(mdev_create(UUID_B), 0);
	before = look_what_is_held();
	for (i = 0; i < ARRAY_SIZE(attributes); i++) {
		const struct attribute *a = &attributes[i];
		int ret, nth, left = 0;

		name_thread(strrchr(a->path, '/') + 1);
		ASSERT_GE(read_file(a->path, kept, sizeof(kept)), 0);
		ret = access_attribute(a, expected, sizeof(expected));
		EXPECT_TRUE(a->ret ? ret == a->ret : ret >= 0)
			TH_LOG("%s, '%s': expected %d, found %d", a->path, a->text, a->ret, ret);
		if (a->text && !ret)
			EXPECT_EQ(write_file(a->path, kept), 0);
		for (nth = 1; nth < NTH_MAX && !left; nth++) {
			arm(self->fd, nth);
			ret = access_attribute(a, buf, sizeof(buf));
			left = disarm(self->fd);
			EXPECT_TRUE(a->ret ? ret == a->ret || (!left && is_word(ret)) :
				    ret >= 0 || (!left && is_word(ret)))
				TH_LOG("%s, '%s', chance %d: %d", a->path, a->text, nth, ret);
			if (!a->text && ret >= 0)
				EXPECT_EQ(strcmp(buf, expected), 0);
			ASSERT_GE(read_file(a->path, buf, sizeof(buf)), 0);
			if (a->text && ret)
				EXPECT_EQ(strcmp(buf, kept), 0)
					TH_LOG("%s, '%s', chance %d: reads %s", a->path, a->text,
					       nth, buf);
			if (a->text && !ret)
				EXPECT_EQ(atoi(buf), atoi(a->text));
			if (a->text)
				EXPECT_EQ(write_file(a->path, kept), 0);
		}
		EXPECT_LT(nth, NTH_MAX);
		faults += nth - 2;
	}
	name_thread("life");
	after = look_what_is_held();
	more = more_held(&before, &after);
	EXPECT_EQ(more, NULL) TH_LOG("an attribute leaks: %s", more);
	TH_LOG("%u faults", faults);
	EXPECT_EQ(mdev_remove(UUID_A), 0);
	EXPECT_EQ(mdev_remove(UUID_B), 0);
}

static int load_module(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), ret;

	if (fd < 0)
		return -errno;
	ret = syscall(SYS_finit_module, fd, "", 0) ? -errno : 0;
	close(fd);
	return ret;
}

static bool is_loaded(void)
{
	return !access("/sys/module/tern/refcnt", F_OK) ||
	       !access("/sys/class/mdev_bus/tern", F_OK) || !access("/sys/class/tern", F_OK) ||
	       !access("/sys/bus/mdev/drivers/tern", F_OK);
}

/*
 * The module's init fails at each of its allocations, and of those that the kernel makes
 * for it. What failed leaves nothing, and the next load works.
 */
TEST_F_TIMEOUT(life, load_that_fails_leaves_nothing, 200)
{
	const char *module = "./tern.ko";
	struct code init = find_code("do_init_module", NULL);
	int nth, ret, left = 0, failed = 0;

	if (access(module, R_OK))
		SKIP(return, "no tern.ko in this folder");
	ASSERT_NE(init.start, 0);
	if (filter_faults("require", init))
		SKIP(return, "the kernel has no filter of faults by their stack");
	name_thread("load");
	ASSERT_EQ(syscall(SYS_delete_module, "tern", O_NONBLOCK), 0);
	EXPECT_FALSE(is_loaded());
	for (nth = 1; nth < NTH_MAX && !left; nth++) {
		/* It takes minutes, and a run of mutants ends after one minute of silence. */
		if (nth % 50 == 0)
			TH_LOG("chance %d", nth);
		arm(self->fd, nth);
		ret = load_module(module);
		left = disarm(self->fd);
		/* The driver core's word for no folder "drivers" of a module is another. */
		EXPECT_TRUE(!ret || (!left && (is_word(ret) || ret == -EINVAL)))
			TH_LOG("chance %d: %d", nth, ret);
		EXPECT_EQ(is_loaded(), !ret) TH_LOG("chance %d: %d", nth, ret);
		if (ret) {
			failed++;
			ret = load_module(module);
			EXPECT_EQ(ret, 0) TH_LOG("chance %d: then again: %d", nth, ret);
			EXPECT_TRUE(have_tern());
		}
		/* The link in /sys/class/mdev_bus may be missing: the kernel only warns. */
		EXPECT_EQ(access("/sys/devices/virtual/tern/tern/mdev_supported_types", F_OK), 0);
		ASSERT_EQ(syscall(SYS_delete_module, "tern", O_NONBLOCK), 0);
	}
	name_thread("life");
	EXPECT_LT(nth, NTH_MAX);
	/* The two arrays of types are the least. */
	EXPECT_GT(failed, 2);
	ASSERT_EQ(load_module(module), 0);
	TH_LOG("%d faults, %d loads failed", nth - 2, failed);
}

TEST_HARNESS_MAIN
