// SPDX-License-Identifier: GPL-2.0-only
/*
 * A device of Tern in sysfs: found by its UUID or by the beginning of it, read and
 * written by its attributes.
 *
 * Every type whose name begins with "tern-" is Tern's, whatever its parent. So a model or
 * a parent that is new needs no change here. A write is one call of write(): the kernel
 * takes it whole or refuses it.
 */
#include <fcntl.h>
#include <glob.h>
#include <libgen.h>
#include <sys/stat.h>
#include <unistd.h>

#include "device.h"
#include "output.h"

#define TYPES	"%s/class/mdev_bus/%s/mdev_supported_types/%s"
#define DEVICES	"%s/devices/%s"

static const char *name_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* Paths that match; none is no error. */
static int find_paths(glob_t *g, const char *format, const char *a, const char *b, const char *c)
{
	char pattern[DEVICE_PATH_MAX];
	int ret;

	snprintf(pattern, sizeof(pattern), format, a, b, c);
	memset(g, 0, sizeof(*g));
	ret = glob(pattern, 0, NULL, g);
	if (!ret || ret == GLOB_NOMATCH)
		return 0;
	globfree(g);
	return -ENOMEM;
}

/**
 * device_types() - the folders of all types that Tern offers
 * @sysfs: where sysfs is mounted
 * @g: gets their paths; the caller frees it
 *
 * Return: 0, or -errno after a complaint: without a type the module is not loaded.
 */
int device_types(const char *sysfs, glob_t *g)
{
	int ret = find_paths(g, TYPES, sysfs, "*", "tern-*");

	if (!ret && !g->gl_pathc)
		ret = -ENOENT;
	if (ret == -ENOENT)
		complain("the module is not loaded: run 'modprobe tern'");
	else if (ret)
		complain("%s: free memory", strerror(-ret));
	return ret;
}

/**
 * device_advice() - what to do about an error of sysfs
 * @error: an errno
 */
const char *device_advice(int error)
{
	switch (error) {
	case EACCES:
	case EPERM:
		return geteuid() ? "run it as root" : "even root cannot do that to it";
	case EBUSY:
		return "close the device, or pause its workload";
	case EINVAL:
	case ERANGE:
	case E2BIG:
		return "tern(8) says where its values are described";
	case ENOENT:
	case ENODEV:
		return "see 'tern list', and 'tern show' for its attributes";
	case ENOSPC:
		return "remove a device, or load the module with a larger max_memory_mib";
	case EUSERS:
		return "remove a device, or load the module with a larger max_devices";
	case EEXIST:
		return "choose another UUID";
	case ENODATA:
		return "open the device, and begin a workload";
	default:
		return "the kernel's log may say more";
	}
}

/**
 * device_type_path() - the folder of a type
 * @sysfs: where sysfs is mounted
 * @parent: of the type
 * @type: its name, with or without "tern-"
 * @path: gets the folder; DEVICE_PATH_MAX bytes
 *
 * Return: 0, or -ENOENT after a complaint.
 */
int device_type_path(const char *sysfs, const char *parent, const char *type, char *path)
{
	const char *prefix = strncmp(type, "tern-", 5) ? "tern-" : "";
	glob_t g;
	size_t n;

	n = snprintf(path, DEVICE_PATH_MAX, TYPES "%s", sysfs, parent, prefix, type);
	if (n < DEVICE_PATH_MAX && !strchr(type, '/') && !access(path, F_OK))
		return 0;
	if (device_types(sysfs, &g))
		return -ENOENT;
	globfree(&g);
	complain("%s: no such type of parent %s: see 'tern list --types'", type, parent);
	return -ENOENT;
}

/* A device from its path among those of its type: .../PARENT/mdev_supported_types/TYPE/... */
static void fill(struct device *d, const char *sysfs, const char *path)
{
	char copy[DEVICE_PATH_MAX], *at;

	memset(d, 0, sizeof(*d));
	snprintf(copy, sizeof(copy), "%s", path);
	snprintf(d->uuid, sizeof(d->uuid), "%.63s", name_of(copy));
	snprintf(d->path, sizeof(d->path), "%s/bus/mdev/devices/%s", sysfs, d->uuid);
	at = dirname(dirname(copy));
	snprintf(d->type, sizeof(d->type), "%.63s", name_of(at));
	at = dirname(dirname(at));
	snprintf(d->parent, sizeof(d->parent), "%.63s", name_of(at));
}

/**
 * device_at() - a device that was created
 * @d: gets it
 * @sysfs: where sysfs is mounted
 * @type: the folder of its type
 * @uuid: in lower case
 */
void device_at(struct device *d, const char *sysfs, const char *type, const char *uuid)
{
	char path[DEVICE_PATH_MAX + 64];

	snprintf(path, sizeof(path), DEVICES, type, uuid);
	fill(d, sysfs, path);
}

/**
 * device_list() - all devices of Tern
 * @sysfs: where sysfs is mounted
 * @list: gets them; the caller frees it
 * @n: how many
 *
 * Return: 0, or -errno after a complaint: without the module, too.
 */
int device_list(const char *sysfs, struct device **list, size_t *n)
{
	glob_t g = { 0 };
	size_t i;
	int ret;

	*list = NULL;
	*n = 0;
	if (device_types(sysfs, &g))
		return -ENOENT;
	globfree(&g);
	ret = find_paths(&g, TYPES "/devices/[0-9a-f]*", sysfs, "*", "tern-*");
	if (!ret)
		*list = calloc(g.gl_pathc + 1, sizeof(**list));
	for (i = 0; *list && i < g.gl_pathc; i++)
		fill(&(*list)[(*n)++], sysfs, g.gl_pathv[i]);
	globfree(&g);
	if (*list)
		return 0;
	complain("%s: free memory", strerror(ENOMEM));
	return -ENOMEM;
}

/**
 * device_find() - a device by its UUID, or by the beginning of it
 * @sysfs: where sysfs is mounted
 * @name: the UUID, or so much of it that no other device of Tern begins with it
 * @d: gets the device
 *
 * Return: 0, or -errno after a complaint.
 */
int device_find(const char *sysfs, const char *name, struct device *d)
{
	size_t n, i, found = 0;
	struct device *list;
	int ret;

	ret = device_list(sysfs, &list, &n);
	if (ret)
		return ret;
	for (i = 0; i < n; i++) {
		if (!*name || strncasecmp(list[i].uuid, name, strlen(name)))
			continue;
		*d = list[i];
		found++;
	}
	free(list);
	if (found == 1)
		return 0;
	if (found)
		complain("%s: %zu devices begin so: give more of the UUID", name, found);
	else
		complain("%s: Tern has no such device: see 'tern list'", name);
	return -ENODEV;
}

/* The name of a link's target, or of the first entry of a folder. */
static bool linked_name(char *to, size_t size, const char *format, const char *path)
{
	char link[DEVICE_PATH_MAX], target[DEVICE_PATH_MAX];
	bool found = false;
	ssize_t n;
	glob_t g;

	if (find_paths(&g, format, path, "", ""))
		return false;
	if (g.gl_pathc) {
		snprintf(link, sizeof(link), "%s", g.gl_pathv[0]);
		n = readlink(link, target, sizeof(target) - 1);
		target[max(n, 0)] = 0;
		snprintf(to, size, "%.63s", name_of(n > 0 ? target : link));
		found = true;
		globfree(&g);
	}
	return found;
}

/* The files of /dev/vfio by which a device can be opened. */
static void files_of(const struct device *d, char *group, char *cdev, size_t size)
{
	char name[64];

	*group = *cdev = 0;
	if (linked_name(name, sizeof(name), "%s/iommu_group", d->path))
		snprintf(group, size, "/dev/vfio/%s", name);
	if (linked_name(name, sizeof(name), "%s/vfio-dev/vfio*", d->path))
		snprintf(cdev, size, "/dev/vfio/devices/%s", name);
}

static void set_holder(struct device *d, const char *fd)
{
	char path[DEVICE_PATH_MAX], name[32] = "?";
	int pid = atoi(fd + strlen("/proc/"));
	FILE *comm;

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	comm = fopen(path, "re");
	if (comm) {
		if (fgets(name, sizeof(name), comm))
			name[strcspn(name, "\n")] = 0;
		fclose(comm);
	}
	snprintf(d->holder, sizeof(d->holder), "%d %s", pid, name);
}

/**
 * device_find_holders() - which process has a device open
 * @sysfs: where sysfs is mounted; if it is another's, so are the processes
 * @list: the devices
 * @n: how many
 *
 * sysfs does not have it. What has the device's file of /dev/vfio open has the device,
 * and /proc shows that, to root for all processes. The device's own file has no name there.
 */
void device_find_holders(const char *sysfs, struct device *list, size_t n)
{
	char target[DEVICE_PATH_MAX], group[96], cdev[96];
	ssize_t len;
	size_t i, k;
	glob_t g;

	if (!n || strcmp(sysfs, "/sys") || find_paths(&g, "%s/[0-9]*/fd/[0-9]*", "/proc", "", ""))
		return;
	for (i = 0; i < g.gl_pathc; i++) {
		len = readlink(g.gl_pathv[i], target, sizeof(target) - 1);
		if (len <= 0)
			continue;
		target[len] = 0;
		if (strncmp(target, "/dev/vfio/", strlen("/dev/vfio/")))
			continue;
		for (k = 0; k < n; k++) {
			files_of(&list[k], group, cdev, sizeof(group));
			if (!strcmp(target, group) || !strcmp(target, cdev))
				set_holder(&list[k], g.gl_pathv[i]);
		}
	}
	globfree(&g);
}

/**
 * device_file() - the path of an attribute, or of a folder of them
 * @d: the device
 * @attribute: "folder/name", or "folder"
 * @path: gets it; DEVICE_PATH_MAX bytes
 */
void device_file(const struct device *d, const char *attribute, char *path)
{
	snprintf(path, DEVICE_PATH_MAX, "%.*s/%s", DEVICE_PATH_MAX / 2, d->path, attribute);
}

/**
 * device_not_read() - complain about an error of reading
 * @d: the device
 * @error: -errno
 *
 * Return: EXIT_FAILURE.
 */
int device_not_read(const struct device *d, int error)
{
	return complain("%s: not read, %s: %s", d->uuid, strerror(-error), device_advice(-error));
}

/**
 * device_exists() - was a device removed meanwhile?
 * @d: the device
 */
bool device_exists(const struct device *d)
{
	return !access(d->path, F_OK);
}

/**
 * device_has() - does a device have such an attribute?
 * @d: the device
 * @attribute: "folder/name"
 */
bool device_has(const struct device *d, const char *attribute)
{
	char path[DEVICE_PATH_MAX];

	device_file(d, attribute, path);
	return !access(path, F_OK);
}

/**
 * device_read() - what an attribute shows
 * @d: the device
 * @attribute: "folder/name"
 * @value: gets it, without the end of its last line; DEVICE_VALUE_MAX bytes
 *
 * Return: 0, or -errno.
 */
int device_read(const struct device *d, const char *attribute, char *value)
{
	char path[DEVICE_PATH_MAX];
	size_t len = 0;
	ssize_t n = -1;
	int fd;

	*value = 0;
	device_file(d, attribute, path);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	while (len + 1 < DEVICE_VALUE_MAX) {
		n = read(fd, value + len, DEVICE_VALUE_MAX - 1 - len);
		if (n <= 0)
			break;
		len += n;
	}
	n = n < 0 ? -errno : 0;
	close(fd);
	while (len && value[len - 1] == '\n')
		len--;
	value[len] = 0;
	return n;
}

/**
 * device_write_path() - write a file of sysfs
 * @path: of the file
 * @value: what is written
 *
 * Return: 0, or -errno: what the kernel refused it with.
 */
int device_write_path(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int ret = 0;
	ssize_t n;

	if (fd < 0)
		return -errno;
	/* An empty value would be no write at all. */
	if (!*value)
		value = "\n";
	n = write(fd, value, strlen(value));
	if (n < 0)
		ret = -errno;
	else if ((size_t)n != strlen(value))
		ret = -EIO;
	close(fd);
	return ret;
}

/**
 * device_write() - set an attribute
 * @d: the device
 * @attribute: "folder/name", or "remove"
 * @value: what is written
 *
 * Return: 0, or -errno: what the kernel refused it with.
 */
int device_write(const struct device *d, const char *attribute, const char *value)
{
	char path[DEVICE_PATH_MAX];

	device_file(d, attribute, path);
	return device_write_path(path, value);
}
