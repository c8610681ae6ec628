/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TERN_TOOLS_ATTRIBUTES_H
#define TERN_TOOLS_ATTRIBUTES_H

#include "device.h"
#include <json-c/json.h>

/* The longest name of an attribute, with its folder. */
#define ATTRIBUTE_NAME_MAX	128

int attribute_split(const char *word, char *name, const char **value);
int attribute_set(const struct device *d, const char *word);
int attribute_write(const struct device *d, const char *attribute, const char *value);
int attribute_show(const struct device *d, const char *attribute, const char *key,
		   struct json_object *to);
struct json_object *attribute_value(const struct device *d, const char *attribute);

#endif /* TERN_TOOLS_ATTRIBUTES_H */
