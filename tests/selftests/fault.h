/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Faults: make an allocation or a copy from or to user space fail. And what the driver
 * holds of the kernel, so that a call that leaks is named.
 *
 * Needs a kernel with fail-nth, which the User Mode Linux of the checks is.
 */
#ifndef TERN_FAULT_H
#define TERN_FAULT_H

#include "tern.h"
#include <dirent.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#define FAIL_NTH	"/proc/thread-self/fail-nth"
#define MAKE_IT_FAIL	"/proc/thread-self/make-it-fail"
#define DEBUG		"/sys/kernel/debug/"

/* More than any of the calls needs; the kernel's open() of a group is long. */
#define NTH_MAX		2000

enum { SLAB = 1, PAGES = 2, USERCOPY = 4 };

/* The last one is iommufd's own; it comes with iova_bitmap. */
static const char *const injectors[] = {
	"failslab", "fail_page_alloc", "fail_usercopy", "fail_iommufd",
};

/* In a FIXTURE_SETUP. */
#define NEEDS_FAULTS() do {						\
	if (!have_tern())						\
		SKIP(return, "module tern is not loaded");		\
	if (!have_faults())						\
		SKIP(return, "the kernel has no fail-nth");		\
	ASSERT_EQ(enter_cgroup(), 0);					\
	ASSERT_EQ(prepare_faults(), 0);					\
} while (0)

static inline bool have_faults(void)
{
	return !access(FAIL_NTH, W_OK) && !access(DEBUG "failslab", F_OK);
}

/* Write a knob of each injector of a mask. 0 or -errno. */
static inline int set_knob(unsigned int mask, const char *knob, const char *value)
{
	char path[128];
	unsigned int i;
	int ret = 0;

	for (i = 0; i < 4; i++) {
		if (!(mask & 1U << i))
			continue;
		snprintf(path, sizeof(path), DEBUG "%s/%s", injectors[i], knob);
		if (i < 3 || !access(path, W_OK))
			ret = ret ?: write_file(path, value);
	}
	return ret;
}

#define ALL_INJECTORS	0xf

/*
 * Allocations that may sleep fail, too, those of one page, and those of pages for user
 * space, as device memory is; no line in the log.
 */
static inline int prepare_faults(void)
{
	return set_knob(ALL_INJECTORS, "verbose", "0") ?:
	       set_knob(SLAB | PAGES, "ignore-gfp-wait", "N") ?:
	       set_knob(PAGES, "ignore-gfp-highmem", "N") ?:
	       set_knob(PAGES, "min-order", "0");
}

/* Where code lies: of a function of the kernel, or of all functions of a module. */
struct code {
	unsigned long start, end;
};

static inline struct code find_code(const char *function, const char *module)
{
	FILE *f = fopen("/proc/kallsyms", "r");
	struct code code = { 0 };
	unsigned long at;
	char line[512], name[256], in[64], type;

	while (f && fgets(line, sizeof(line), f)) {
		in[0] = 0;
		if (sscanf(line, "%lx %c %255s [%63[^]]", &at, &type, name, in) < 3)
			continue;
		if (module && !strcmp(in, module) && strchr("tT", type)) {
			if (!code.start || at < code.start)
				code.start = at;
			if (at >= code.end)
				code.end = at + 1;
		} else if (!module && !strcmp(name, function)) {
			code.start = at;
		}
	}
	/* A function ends where the next one begins. */
	if (f)
		rewind(f);
	while (f && !module && code.start && fgets(line, sizeof(line), f))
		if (sscanf(line, "%lx %c", &at, &type) == 2 && strchr("tT", type) &&
		    at > code.start && (!code.end || at < code.end))
			code.end = at;
	if (f)
		fclose(f);
	return code;
}

/*
 * From now on only what has this code on its stack fails ("require"), or what has not
 * ("reject"). 0, or -errno: the kernel has no such filter.
 */
static inline int filter_faults(const char *how, struct code code)
{
	char knob[64], text[32];
	int ret;

	snprintf(knob, sizeof(knob), "%s-start", how);
	snprintf(text, sizeof(text), "%#lx", code.start);
	ret = set_knob(ALL_INJECTORS, knob, text);
	snprintf(knob, sizeof(knob), "%s-end", how);
	snprintf(text, sizeof(text), "%#lx", code.end);
	return ret ?: set_knob(ALL_INJECTORS, knob, text);
}

static inline void filter_no_faults(void)
{
	filter_faults("require", (struct code){ 0, ~0UL });
	filter_faults("reject", (struct code){ 0, 0 });
}

/* Make the n-th chance of a thread to fail one that fails. */
static inline void arm(int fd, int nth)
{
	char text[16];
	int n = snprintf(text, sizeof(text), "%d", nth);

	/* The write itself may be the chance; it is not a second time. */
	if (pwrite(fd, text, n, 0) != n && pwrite(fd, text, n, 0) != n)
		abort();
}

/* What is left of it: 0 if it failed. The question may be what failed, too. */
static inline int disarm(int fd)
{
	char text[16] = "";
	int left = pread(fd, text, sizeof(text) - 1, 0) > 0 ? atoi(text) : 1;

	arm(fd, 0);
	return left;
}

/*
 * What the driver holds. kmemleak reports the slab objects that are left at the end of
 * the run, by the name of the thread that allocated them: see name_thread().
 */
struct held {
	long references;	/* to the module */
	long files;		/* open, in the whole system */
	long shmem;		/* pages of device memory */
	long pages;		/* that are charged to the test, and are no slab */
	long workers;		/* threads of devices */
	long devices;		/* that may still be created */
	long groups;		/* IOMMU groups */
};

static inline long read_number(const char *path, const char *word)
{
	char text[16384], *at = text;

	if (read_file(path, text, sizeof(text)) < 0)
		return -1;
	if (word)
		at = strstr(text, word);
	return at ? atol(at + (word ? strlen(word) : 0)) : -1;
}

static inline long count_entries(const char *path)
{
	DIR *dir = opendir(path);
	long n = 0;

	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return n;
}

/* The thread of a device that was opened first; how many there are comes to *n. */
static inline pid_t find_worker(long *n)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	char path[300], text[64];
	pid_t first = 0;

	*n = 0;
	while (dir && (entry = readdir(dir))) {
		snprintf(path, sizeof(path), "/proc/%s/comm", entry->d_name);
		if (atoi(entry->d_name) <= 0 || read_file(path, text, sizeof(text)) < 0 ||
		    strcmp(text, "tern-dma\n"))
			continue;
		++*n;
		if (!first || atoi(entry->d_name) < first)
			first = atoi(entry->d_name);
	}
	if (dir)
		closedir(dir);
	return first;
}

#define CGROUPS		"/tmp/tern-fault-cgroups"
#define CGROUP		CGROUPS "/fault"
#define CHARGE(what)	read_number(CGROUP "/memory.stat", "\n" what " ")

static inline struct held look_what_is_held(void)
{
	struct held h = {
		.references = read_number("/sys/module/tern/refcnt", NULL),
		.files = read_number("/proc/sys/fs/file-nr", NULL),
		.shmem = read_number("/proc/vmstat", "\nnr_shmem "),
		.devices = read_number(MDEV_TYPE "/available_instances", NULL),
		.groups = count_entries("/sys/kernel/iommu_groups"),
	};

	h.pages = (CHARGE("kernel") - CHARGE("slab") - CHARGE("kernel_stack") -
		   CHARGE("pagetables") - CHARGE("percpu") - CHARGE("vmalloc")) /
		  (long)PAGE;
	find_worker(&h.workers);
	return h;
}

/* A counter of a control group may lag behind by as many pages. */
#define CHARGE_LAG	64

/* The first thing that there is more of than before; or NULL. */
static inline const char *more_held(const struct held *before, const struct held *after)
{
	static char text[128];

#define COMPARE(what, slack)						\
do {									\
	if (after->what > before->what + (slack)) {			\
		snprintf(text, sizeof(text), #what ": %ld, before %ld",	\
			 after->what, before->what);			\
		return text;						\
	}								\
} while (0)
	COMPARE(references, 0);
	COMPARE(files, 0);
	COMPARE(shmem, 0);
	COMPARE(workers, 0);
	COMPARE(groups, 0);
	COMPARE(pages, CHARGE_LAG);
#undef COMPARE
	if (after->devices != before->devices) {
		snprintf(text, sizeof(text), "devices: room for %ld, before %ld", after->devices,
			 before->devices);
		return text;
	}
	return NULL;
}

/* A control group of the test's own: what it has allocated is charged to it. */
static inline int enter_cgroup(void)
{
	mkdir(CGROUPS, 0700);
	if (mount("none", CGROUPS, "cgroup2", 0, NULL))
		return -errno;
	mkdir(CGROUP, 0700);
	write_file(CGROUPS "/cgroup.subtree_control", "+memory");
	return write_file(CGROUP "/cgroup.procs", "0");
}

static inline void leave_cgroup(void)
{
	write_file(CGROUPS "/cgroup.procs", "0");
	rmdir(CGROUP);
	umount(CGROUPS);
	rmdir(CGROUPS);
}

/* kmemleak prints this name with each object that the thread allocates and leaks. */
static inline void name_thread(const char *call)
{
	prctl(PR_SET_NAME, call);
}

#endif /* TERN_FAULT_H */
