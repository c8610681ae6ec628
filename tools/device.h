/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TERN_TOOLS_DEVICE_H
#define TERN_TOOLS_DEVICE_H

#include <glob.h>

#include "env.h"

/* What sysfs shows of an attribute, at most, and its end. */
#define DEVICE_VALUE_MAX	4097

#define DEVICE_PATH_MAX		PATH_MAX

/**
 * struct device - a device of Tern, in sysfs
 * @uuid: its name
 * @type: "tern-MODEL"
 * @parent: of its type
 * @path: its folder
 * @holder: the process that has it open, as "PID NAME"; empty: none is known
 */
struct device {
	char uuid[64];
	char type[64];
	char parent[64];
	char path[DEVICE_PATH_MAX];
	char holder[48];
};

int device_types(const char *sysfs, glob_t *g);
int device_type_path(const char *sysfs, const char *parent, const char *type, char *path);
void device_at(struct device *d, const char *sysfs, const char *type, const char *uuid);
int device_list(const char *sysfs, struct device **list, size_t *n);
int device_find(const char *sysfs, const char *name, struct device *d);
void device_find_holders(const char *sysfs, struct device *list, size_t n);

int device_read(const struct device *d, const char *attribute, char *value);
int device_write(const struct device *d, const char *attribute, const char *value);
void device_file(const struct device *d, const char *attribute, char *path);
int device_not_read(const struct device *d, int error);
bool device_exists(const struct device *d);
bool device_has(const struct device *d, const char *attribute);

int device_write_path(const char *path, const char *value);
const char *device_advice(int error);

#endif /* TERN_TOOLS_DEVICE_H */
