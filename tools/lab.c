// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a tester asks of a device: rules of injection, a workload, and its verdict.
 *
 * A rule can have several lines. They are given as several words of the same rule, and
 * written at once, because each write replaces the rule.
 */
#include "attributes.h"
#include "device.h"
#include "output.h"
#include "tern.h"

static int each_rule(const struct device *d,
		     int (*act)(const struct device *d, const char *rule, struct json_object *count,
				void *arg),
		     void *arg)
{
	struct json_object *hits = attribute_value(d, "inject/hits");
	int ret = 0;

	if (!hits)
		return complain("%s: no rules can be read: see 'tern show %s'", d->uuid, d->uuid);
	json_object_object_foreach(hits, rule, count) {
		ret = ret ?: act(d, rule, count, arg);
	}
	json_object_put(hits);
	return ret;
}

static int clear_rule(const struct device *d, const char *rule, struct json_object *count,
		      void *arg)
{
	char name[ATTRIBUTE_NAME_MAX];

	snprintf(name, sizeof(name), "inject/%s", rule);
	return attribute_write(d, name, "0");
}

static int describe_rule(const struct device *d, const char *rule, struct json_object *count,
			 void *rows)
{
	struct json_object *o = json_object_new_object();
	char name[ATTRIBUTE_NAME_MAX], value[DEVICE_VALUE_MAX];
	int ret;

	snprintf(name, sizeof(name), "inject/%s", rule);
	ret = device_read(d, name, value);
	if (ret)
		device_not_read(d, ret);
	output_add_text(o, "rule", rule);
	output_add(o, "hits", json_object_get(count));
	output_add_text(o, "value", value);
	json_object_array_add(rows, o);
	return ret;
}

static int show_rules(const struct request *r, const struct device *d)
{
	struct json_object *rows = json_object_new_array();
	size_t i;
	int ret;

	ret = each_rule(d, describe_rule, rows);
	if (!ret && r->json) {
		output_json(stdout, rows);
	} else if (!ret) {
		printf("%-16s %6s  %s\n", "rule", "hits", "value");
		for (i = 0; i < json_object_array_length(rows); i++) {
			struct json_object *o = json_object_array_get_idx(rows, i);
			const char *value =
				json_object_get_string(json_object_object_get(o, "value"));
			const char *hits =
				json_object_get_string(json_object_object_get(o, "hits"));
			const char *rule =
				json_object_get_string(json_object_object_get(o, "rule"));

			/* Each line of a rule in one of its own. */
			printf("%-16s %6s  ", rule, hits);
			for (; *value; value++)
				if (*value == '\n')
					printf("\n%25s", "");
				else
					putchar(*value);
			putchar('\n');
		}
	}
	json_object_put(rows);
	return ret ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* All lines that the words from @first on have for a rule; how long they are. */
static size_t gather_lines(const struct request *r, int first, const char *rule, char *value,
			   size_t size)
{
	size_t len = 0, n = strlen(rule);
	int i;

	*value = 0;
	for (i = first; i < r->n; i++)
		if (!strncmp(r->words[i], rule, n) && r->words[i][n] == '=')
			len += snprintf(value + min(len, size), size - min(len, size), "%s%s",
					len ? "\n" : "", r->words[i] + n + 1);
	return len;
}

static bool came_before(const struct request *r, int i, const char *rule)
{
	size_t n = strlen(rule);

	while (--i > 0)
		if (!strncmp(r->words[i], rule, n) && r->words[i][n] == '=')
			return true;
	return false;
}

/* Check what a word says, or do it. */
static int set_rule(const struct request *r, const struct device *d, int i, bool check_only)
{
	char rule[ATTRIBUTE_NAME_MAX], name[ATTRIBUTE_NAME_MAX + 8], value[DEVICE_VALUE_MAX];
	const char *first;

	if (attribute_split(r->words[i], rule, &first))
		return -EINVAL;
	if (came_before(r, i, rule))
		return 0;
	snprintf(name, sizeof(name), "inject/%s", rule);
	if (strchr(rule, '/') || !device_has(d, name)) {
		complain("%s: no rule %s: see 'tern inject %s'", d->uuid, rule, d->uuid);
		return -ENOENT;
	}
	if (gather_lines(r, i, rule, value, sizeof(value)) >= sizeof(value)) {
		complain("%s: the lines of %s are longer than sysfs takes: give fewer", d->uuid,
			 rule);
		return -E2BIG;
	}
	return check_only ? 0 : attribute_write(d, name, value);
}

/**
 * tern_inject() - the command: show the rules of a device, or set some
 * @r: the device, and a word per rule
 *
 * Return: the exit status.
 */
int tern_inject(const struct request *r)
{
	struct device d;
	int i;

	if (device_find(r->sysfs, r->words[0], &d))
		return EXIT_FAILURE;
	for (i = 1; i < r->n; i++)
		if (set_rule(r, &d, i, true))
			return EXIT_FAILURE;
	if (r->clear && each_rule(&d, clear_rule, NULL))
		return EXIT_FAILURE;
	for (i = 1; i < r->n; i++)
		if (set_rule(r, &d, i, false))
			return EXIT_FAILURE;
	return r->clear || r->n > 1 ? EXIT_SUCCESS : show_rules(r, &d);
}

static int show_workload(const struct request *r, const struct device *d)
{
	static const char *const names[] = { "mibs", "set_mib", "pattern", "seed", "writes" };
	struct json_object *o = json_object_new_object();
	char name[ATTRIBUTE_NAME_MAX];
	int ret = 0;
	size_t i;

	for (i = 0; !ret && i < ARRAY_SIZE(names); i++) {
		snprintf(name, sizeof(name), "workload/%s", names[i]);
		ret = attribute_show(d, name, names[i], o);
	}
	if (ret) {
		json_object_put(o);
		return device_not_read(d, ret);
	}
	output_result(r->json, o);
	return EXIT_SUCCESS;
}

static int set_workload(const struct device *d, const char *word)
{
	char given[ATTRIBUTE_NAME_MAX], name[ATTRIBUTE_NAME_MAX + 16];
	const char *value;

	if (attribute_split(word, given, &value))
		return -EINVAL;
	snprintf(name, sizeof(name), "workload/%s", given);
	if (strchr(given, '/') || !device_has(d, name)) {
		complain("%s: a workload has no %s: see 'tern workload %s'", d->uuid, given,
			 d->uuid);
		return -ENOENT;
	}
	return attribute_write(d, name, value);
}

/* When a word is written: 0, a pause comes first; 2, what begins the workload, last. */
static int turn_of(const char *word)
{
	if (strncmp(word, "mibs=", 5))
		return 1;
	return strtoul(word + 5, NULL, 0) ? 2 : 0;
}

/**
 * tern_workload() - the command: show the workload of a device, or set it
 * @r: the device, and a word per attribute, in any order
 *
 * The set cannot be changed while a workload runs, so the rate comes last, and 0 first.
 *
 * Return: the exit status.
 */
int tern_workload(const struct request *r)
{
	struct device d;
	int i, turn;

	if (device_find(r->sysfs, r->words[0], &d))
		return EXIT_FAILURE;
	if (!device_has(&d, "workload/mibs"))
		return complain("%s: a device of type %s has no workload: choose another", d.uuid,
				d.type);
	for (turn = 0; turn <= 2; turn++)
		for (i = 1; i < r->n; i++)
			if (turn_of(r->words[i]) == turn && set_workload(&d, r->words[i]))
				return EXIT_FAILURE;
	return r->n > 1 ? EXIT_SUCCESS : show_workload(r, &d);
}

/**
 * tern_verify() - the command: have a device verify what its workload has written
 * @r: one word, the device
 *
 * Return: the exit status: a failure if a page is bad.
 */
int tern_verify(const struct request *r)
{
	unsigned long long pages, written, bad;
	char verdict[DEVICE_VALUE_MAX], *second;
	struct json_object *o;
	struct device d;
	int ret;

	if (device_find(r->sysfs, r->words[0], &d))
		return EXIT_FAILURE;
	ret = device_read(&d, "workload/verify", verdict);
	if (ret)
		return complain("%s: not verified, %s: %s", d.uuid, strerror(-ret),
				device_advice(-ret));
	if (sscanf(verdict, "pages %llu written %llu bad %llu", &pages, &written, &bad) != 3)
		return complain("%s: an unknown verdict, %s: use the tool of this module", d.uuid,
				verdict);
	if (r->json) {
		second = strchr(verdict, '\n');
		o = json_object_new_object();
		output_add_number(o, "pages", pages);
		output_add_number(o, "written", written);
		output_add_number(o, "bad", bad);
		output_add_text(o, "first_bad", second ? second + 1 : NULL);
		output_json(stdout, o);
		json_object_put(o);
	} else {
		printf("%s\n", verdict);
	}
	return bad ? EXIT_FAILURE : EXIT_SUCCESS;
}
