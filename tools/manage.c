// SPDX-License-Identifier: GPL-2.0-only
/*
 * The life of a device: create, remove, list.
 *
 * A device that is created has all attributes that were asked for, or does not exist. Its
 * UUID is printed last, when nothing can fail any more.
 */
#include <ctype.h>
#include <sys/random.h>

#include "attributes.h"
#include "device.h"
#include "output.h"
#include "tern.h"

/* A UUID of version 4, which is random (RFC 4122). */
static int make_uuid(char *text, size_t size)
{
	u8 id[16];

	if (getrandom(id, sizeof(id), 0) != sizeof(id))
		return -errno;
	id[6] = (id[6] & 0x0f) | 0x40;
	id[8] = (id[8] & 0x3f) | 0x80;
	snprintf(text, size, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
		 id[0], id[1], id[2], id[3], id[4], id[5], id[6], id[7], id[8], id[9], id[10],
		 id[11], id[12], id[13], id[14], id[15]);
	return 0;
}

/* mdev takes more: what lies behind a UUID, too. And it shows it in lower case. */
static bool take_uuid(char *to, const char *from)
{
	static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
	size_t i;

	for (i = 0; i < sizeof(form); i++) {
		to[i] = tolower((u8)from[i]);
		if (form[i] == 'x' ? !isxdigit((u8)from[i]) : from[i] != form[i])
			return false;
	}
	return true;
}

/* The one word that sets no attribute. */
static const char *type_of(const struct request *r)
{
	int i = 0;

	while (strchr(r->words[i], '='))
		i++;
	return r->words[i];
}

static int set_all(const struct request *r, const struct device *d)
{
	int i, ret;

	for (i = 0; i < r->n; i++) {
		if (!strchr(r->words[i], '='))
			continue;
		ret = attribute_set(d, r->words[i]);
		if (ret)
			return ret;
	}
	return 0;
}

static void print_created(const struct request *r, const struct device *d)
{
	struct json_object *o;

	if (!r->json) {
		printf("%s\n", d->uuid);
		return;
	}
	o = json_object_new_object();
	output_add_text(o, "uuid", d->uuid);
	output_add_text(o, "type", d->type);
	output_add_text(o, "parent", d->parent);
	output_json(stdout, o);
	json_object_put(o);
}

/**
 * tern_create() - the command: create a device
 * @r: a type, and a word per attribute
 *
 * Return: the exit status.
 */
int tern_create(const struct request *r)
{
	char path[DEVICE_PATH_MAX], file[DEVICE_PATH_MAX + 16], uuid[64];
	const char *type = type_of(r);
	struct device d;
	int ret;

	if (device_type_path(r->sysfs, r->parent, type, path))
		return EXIT_FAILURE;
	if (r->uuid && !take_uuid(uuid, r->uuid))
		return complain("%s: not created: give a whole UUID", r->uuid);
	if (!r->uuid && make_uuid(uuid, sizeof(uuid)))
		return complain("create: %s: give a --uuid", strerror(errno));
	snprintf(file, sizeof(file), "%s/create", path);
	ret = device_write_path(file, uuid);
	if (ret)
		return complain("%s: not created, %s: %s", uuid, strerror(-ret),
				device_advice(-ret));
	device_at(&d, r->sysfs, path, uuid);
	if (set_all(r, &d)) {
		ret = device_write(&d, "remove", "1");
		if (ret)
			complain("%s: not removed, %s: %s", uuid, strerror(-ret),
				 device_advice(-ret));
		return EXIT_FAILURE;
	}
	print_created(r, &d);
	return EXIT_SUCCESS;
}

/**
 * tern_remove() - the command: remove a device, and wait until it is closed
 * @r: one word, the device
 *
 * Return: the exit status.
 */
int tern_remove(const struct request *r)
{
	struct device d;
	int ret;

	if (device_find(r->sysfs, r->words[0], &d))
		return EXIT_FAILURE;
	ret = device_write(&d, "remove", "1");
	if (ret)
		return complain("%s: not removed, %s: %s", d.uuid, strerror(-ret),
				device_advice(-ret));
	return EXIT_SUCCESS;
}

static struct json_object *describe(const struct device *d)
{
	struct json_object *o = json_object_new_object();

	output_add_text(o, "uuid", d->uuid);
	output_add_text(o, "type", d->type);
	output_add_text(o, "parent", d->parent);
	output_add(o, "state", attribute_value(d, "tern/state"));
	output_add(o, "memory_mib", attribute_value(d, "tern/memory_mib"));
	output_add_text(o, "open_by", *d->holder ? d->holder : NULL);
	return o;
}

static struct json_object *describe_type(const char *path)
{
	const char *type = strrchr(path, '/') + 1;
	struct json_object *o = json_object_new_object();
	char parent[DEVICE_PATH_MAX], *end;
	struct device as_device = { 0 };

	snprintf(parent, sizeof(parent), "%s", path);
	end = strstr(parent, "/mdev_supported_types/");
	*end = 0;
	/* Its files are read as a device's are. */
	snprintf(as_device.path, sizeof(as_device.path), "%s", path);
	output_add_text(o, "type", type);
	output_add_text(o, "parent", strrchr(parent, '/') + 1);
	output_add(o, "available", attribute_value(&as_device, "available_instances"));
	output_add(o, "name", attribute_value(&as_device, "name"));
	return o;
}

static void print_table(const struct request *r, struct json_object *rows,
			const struct output_column *columns, unsigned int n)
{
	if (r->json)
		output_json(stdout, rows);
	else
		output_table(stdout, rows, columns, n);
	json_object_put(rows);
}

static int list_types(const struct request *r)
{
	static const struct output_column columns[] = {
		{ "type" }, { "parent" }, { "available", true }, { "name" },
	};
	struct json_object *rows = json_object_new_array();
	glob_t g;
	size_t i;

	if (device_types(r->sysfs, &g)) {
		json_object_put(rows);
		return EXIT_FAILURE;
	}
	for (i = 0; i < g.gl_pathc; i++)
		json_object_array_add(rows, describe_type(g.gl_pathv[i]));
	globfree(&g);
	print_table(r, rows, columns, ARRAY_SIZE(columns));
	return EXIT_SUCCESS;
}

/**
 * tern_list() - the command: all devices of Tern, or all types that it offers
 * @r: no word
 *
 * Return: the exit status.
 */
int tern_list(const struct request *r)
{
	static const struct output_column columns[] = {
		{ "uuid" }, { "type" }, { "state" }, { "memory_mib", true }, { "open_by" },
	};
	struct json_object *rows;
	struct device *list;
	size_t n, i;

	if (r->types)
		return list_types(r);
	if (device_list(r->sysfs, &list, &n))
		return EXIT_FAILURE;
	device_find_holders(r->sysfs, list, n);
	rows = json_object_new_array();
	for (i = 0; i < n; i++)
		json_object_array_add(rows, describe(&list[i]));
	free(list);
	print_table(r, rows, columns, ARRAY_SIZE(columns));
	return EXIT_SUCCESS;
}
