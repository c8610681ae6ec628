// SPDX-License-Identifier: GPL-2.0-only
/*
 * The attributes of a device: shown as JSON values, and set by words "attribute=value".
 *
 * The folders of a device are listed, not known, so an attribute that is new is shown. An
 * attribute is named with its folder. Without one it is of "tern", or else of "workload".
 */
#include <dirent.h>
#include <sys/stat.h>

#include "attributes.h"
#include "output.h"
#include "tern.h"

/* Attributes whose lines are "NAME NUMBER", and one of a list of numbers. */
static const char *const counters[] = { "stats/time_in_state", "stats/refused", "inject/hits" };
static const char *const lists[] = { "tern/pass_bytes" };

static bool is_among(const char *name, const char *const *names, size_t n)
{
	while (n--)
		if (!strcmp(name, names[n]))
			return true;
	return false;
}

/* A number if it is all digits, else the text. */
static struct json_object *number_or_text(const char *text)
{
	unsigned long long number;
	char *end;

	if (*text < '0' || *text > '9')
		return json_object_new_string(text);
	errno = 0;
	number = strtoull(text, &end, 10);
	if (*end || errno)
		return json_object_new_string(text);
	return json_object_new_uint64(number);
}

static struct json_object *parse_lines(char *value, bool is_list)
{
	struct json_object *to = is_list ? json_object_new_array() : json_object_new_object();
	char *line, *rest = value, *number;

	while ((line = strsep(&rest, "\n"))) {
		if (!*line)
			continue;
		number = is_list ? NULL : strrchr(line, ' ');
		if (is_list) {
			json_object_array_add(to, number_or_text(line));
		} else if (number) {
			*number = 0;
			output_add(to, line, number_or_text(number + 1));
		}
	}
	return to;
}

static struct json_object *parse_value(const char *attribute, char *value)
{
	if (is_among(attribute, counters, ARRAY_SIZE(counters)))
		return parse_lines(value, false);
	if (is_among(attribute, lists, ARRAY_SIZE(lists)))
		return parse_lines(value, true);
	/* A rule is a text, also "0". */
	return strncmp(attribute, "inject/", 7) ? number_or_text(value) :
						  json_object_new_string(value);
}

/**
 * attribute_value() - an attribute as a JSON value
 * @d: the device
 * @attribute: "folder/name"
 *
 * Return: a number, a text, a list or an object; NULL if it cannot be read.
 */
struct json_object *attribute_value(const struct device *d, const char *attribute)
{
	char value[DEVICE_VALUE_MAX];

	return device_read(d, attribute, value) ? NULL : parse_value(attribute, value);
}

/**
 * attribute_show() - an attribute as a member of an object
 * @d: the device
 * @attribute: "folder/name"
 * @key: of the member
 * @to: the object
 *
 * Return: 0, or -errno: it cannot be read.
 */
int attribute_show(const struct device *d, const char *attribute, const char *key,
		   struct json_object *to)
{
	char value[DEVICE_VALUE_MAX];
	int ret = device_read(d, attribute, value);

	if (!ret)
		output_add(to, key, parse_value(attribute, value));
	return ret;
}

/**
 * attribute_split() - take "attribute=value" apart
 * @word: the word
 * @name: gets the attribute; ATTRIBUTE_NAME_MAX bytes
 * @value: gets the value, which may be empty
 *
 * Return: 0, or -EINVAL after a complaint.
 */
int attribute_split(const char *word, char *name, const char **value)
{
	const char *equals = strchr(word, '=');

	if (!equals || equals == word || equals - word >= ATTRIBUTE_NAME_MAX) {
		complain("%s: not of the form attribute=value: see tern(8)", word);
		return -EINVAL;
	}
	memcpy(name, word, equals - word);
	name[equals - word] = 0;
	*value = equals + 1;
	return 0;
}

/* A folder of attributes, and none that every device of a bus has. No link is one. */
static bool is_own_folder(const struct device *d, const char *name)
{
	char path[DEVICE_PATH_MAX];
	struct stat st;

	device_file(d, name, path);
	return *name != '.' && strcmp(name, "power") && strcmp(name, "vfio-dev") &&
	       !lstat(path, &st) && S_ISDIR(st.st_mode);
}

/* With its folder: one of the device's own. */
static bool complete_name(const struct device *d, const char *given, char *name)
{
	const char *const folders[] = { "tern", "workload" };
	char *slash;
	size_t i;

	if (strchr(given, '/')) {
		snprintf(name, ATTRIBUTE_NAME_MAX, "%s", given);
		slash = strchr(name, '/');
		*slash = 0;
		if (!is_own_folder(d, name) || strchr(slash + 1, '/') || !slash[1] ||
		    slash[1] == '.')
			return false;
		*slash = '/';
		return device_has(d, name);
	}
	for (i = 0; i < ARRAY_SIZE(folders); i++) {
		snprintf(name, ATTRIBUTE_NAME_MAX, "%s/%.*s", folders[i], ATTRIBUTE_NAME_MAX - 16,
			 given);
		if (device_has(d, name))
			return true;
	}
	return false;
}

/**
 * attribute_write() - set an attribute, or complain
 * @d: the device
 * @attribute: "folder/name"
 * @value: what is written
 *
 * Return: 0, or -errno after a complaint.
 */
int attribute_write(const struct device *d, const char *attribute, const char *value)
{
	int ret = device_write(d, attribute, value);

	if (ret)
		complain("%s: %s=%s is refused, %s: %s", d->uuid, attribute, value, strerror(-ret),
			 device_advice(-ret));
	return ret;
}

/**
 * attribute_set() - do what a word says
 * @d: the device
 * @word: "attribute=value"
 *
 * Return: 0, or -errno after a complaint.
 */
int attribute_set(const struct device *d, const char *word)
{
	char given[ATTRIBUTE_NAME_MAX], name[ATTRIBUTE_NAME_MAX];
	const char *value;

	if (attribute_split(word, given, &value))
		return -EINVAL;
	if (!complete_name(d, given, name)) {
		complain("%s: no attribute %s: see 'tern show %s'", d->uuid, given, d->uuid);
		return -ENOENT;
	}
	return attribute_write(d, name, value);
}

/* To verify pauses the workload, which a look at the device must not. */
static bool is_shown(const struct device *d, const char *attribute)
{
	char path[DEVICE_PATH_MAX];
	struct stat st;

	device_file(d, attribute, path);
	return strcmp(attribute, "workload/verify") && !stat(path, &st) && S_ISREG(st.st_mode) &&
	       st.st_mode & 0444;
}

static int no_dots(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/* The names in a folder of a device, in order. How many, or -errno. */
static int names_in(const struct device *d, const char *folder, struct dirent ***entries)
{
	char path[DEVICE_PATH_MAX];
	int n;

	device_file(d, folder, path);
	n = scandir(path, entries, no_dots, alphasort);
	return n < 0 ? -errno : n;
}

static int show_folder(const struct device *d, const char *folder, struct json_object *to)
{
	char name[ATTRIBUTE_NAME_MAX];
	struct dirent **entries;
	int n, i, ret = 0;

	n = names_in(d, folder, &entries);
	for (i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "%.48s/%.64s", folder, entries[i]->d_name);
		if (!ret && is_shown(d, name))
			ret = attribute_show(d, name, entries[i]->d_name, to);
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
	return ret ?: min(n, 0);
}

static int show_all(const struct device *d, struct json_object *to)
{
	struct dirent **folders;
	int n, i, ret = 0;

	n = names_in(d, "", &folders);
	for (i = 0; i < n; i++) {
		const char *name = folders[i]->d_name;

		if (!ret && is_own_folder(d, name)) {
			struct json_object *folder = json_object_new_object();

			output_add(to, name, folder);
			ret = show_folder(d, name, folder);
		}
		free(folders[i]);
	}
	if (n >= 0)
		free(folders);
	return ret ?: min(n, 0);
}

/**
 * tern_show() - the command: all attributes of a device
 * @r: one word, the device
 *
 * Return: the exit status.
 */
int tern_show(const struct request *r)
{
	struct json_object *o;
	struct device d;
	int ret;

	if (device_find(r->sysfs, r->words[0], &d))
		return EXIT_FAILURE;
	device_find_holders(r->sysfs, &d, 1);
	o = json_object_new_object();
	output_add_text(o, "uuid", d.uuid);
	output_add_text(o, "type", d.type);
	output_add_text(o, "parent", d.parent);
	output_add_text(o, "open_by", *d.holder ? d.holder : NULL);
	ret = show_all(&d, o);
	if (ret) {
		json_object_put(o);
		return device_not_read(&d, ret);
	}
	output_result(r->json, o);
	return EXIT_SUCCESS;
}

/**
 * tern_set() - the command: set attributes of a device, in the order that was given
 * @r: the device, and a word per attribute
 *
 * What was set before one that is refused stays.
 *
 * Return: the exit status.
 */
int tern_set(const struct request *r)
{
	struct device d;
	int i;

	if (device_find(r->sysfs, r->words[0], &d))
		return EXIT_FAILURE;
	for (i = 1; i < r->n; i++)
		if (attribute_set(&d, r->words[i]))
			return EXIT_FAILURE;
	return EXIT_SUCCESS;
}
