// SPDX-License-Identifier: GPL-2.0-only
/*
 * A live view of a device: what it is doing, and how a migration proceeds.
 *
 * It looks at the attributes again and again, which acknowledges nothing. On a terminal
 * the view is drawn in place. Elsewhere it is a log: one line for the first look, and one
 * for each look that found a change. It ends when the device is removed.
 *
 * The rates are of the time since the look before. What is dirtied is what was sent plus
 * what is pending more than before. A look waits while the device changes its state.
 *
 * The downtime is that of the last stop: the time in the two stopped states, beyond what it
 * was when the device ran last.
 */
#include <time.h>
#include <unistd.h>

#include "device.h"
#include "output.h"
#include "tern.h"

#define MIB	(1024.0 * 1024.0)
#define HOME_AND_CLEAR	"\033[H\033[J"

/**
 * struct look - what was seen at one time
 * @seconds: since the first look
 * @state: of the device
 * @passes: of this session or of the last one
 * @pending: bytes that can be read now
 * @sent: bytes of all sessions since the open
 * @late_marks: of the last session
 * @stopped_ms: time that the device was stopped, since the open
 * @downtime_ms: of it, since the device ran last
 */
struct look {
	double seconds;
	char state[32];
	u64 passes;
	u64 pending;
	u64 sent;
	u64 late_marks;
	double stopped_ms;
	double downtime_ms;
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static int read_number(const struct device *d, const char *attribute, u64 *number)
{
	char value[DEVICE_VALUE_MAX];
	int ret = device_read(d, attribute, value);

	*number = ret ? 0 : strtoull(value, NULL, 10);
	return ret;
}

/* A line per state: its name and its time in ns. */
static int read_stopped(const struct device *d, double *ms)
{
	char value[DEVICE_VALUE_MAX], *line, *rest = value;
	int ret = device_read(d, "stats/time_in_state", value);

	*ms = 0;
	while (!ret && (line = strsep(&rest, "\n"))) {
		const char *ns = strchr(line, ' ');

		if (ns && (!strncmp(line, "stopped ", 8) || !strncmp(line, "stopped-saving ", 15)))
			*ms += strtoull(ns, NULL, 10) / 1e6;
	}
	return ret;
}

/* The state comes last: what was read before is at least as old. */
static int look_at(const struct device *d, double began, struct look *l)
{
	char state[DEVICE_VALUE_MAX];
	int ret;

	memset(l, 0, sizeof(*l));
	ret = read_number(d, "tern/passes", &l->passes) ?:
	      read_number(d, "stats/total_bytes", &l->sent) ?:
	      read_number(d, "tern/pending_bytes", &l->pending) ?:
	      read_number(d, "tern/late_marks", &l->late_marks) ?:
	      read_stopped(d, &l->stopped_ms) ?:
	      device_read(d, "tern/state", state);
	snprintf(l->state, sizeof(l->state), "%.31s", ret ? "removed" : state);
	l->seconds = now() - began;
	return ret;
}

/* The time of this stop, or of the last one. @ran is how long it had been stopped before. */
static void find_downtime(struct look *l, const struct look *before, double *ran)
{
	if (!strncmp(before->state, "running", 7) && l->stopped_ms > before->stopped_ms)
		*ran = before->stopped_ms;
	l->downtime_ms = l->stopped_ms - *ran;
}

/* Of a device that was removed: what was seen last. */
static void keep(struct look *l, const struct look *last)
{
	double seconds = l->seconds;

	*l = *last;
	l->seconds = seconds;
	snprintf(l->state, sizeof(l->state), "removed");
}

/* The time in a state is no change: it passes by itself. */
static bool is_change(const struct look *a, const struct look *b)
{
	return strcmp(a->state, b->state) || a->passes != b->passes || a->pending != b->pending ||
	       a->sent != b->sent || a->late_marks != b->late_marks;
}

static double rate(const struct look *before, const struct look *l, double bytes)
{
	double seconds = l->seconds - before->seconds;

	return seconds > 0 && bytes > 0 ? bytes / MIB / seconds : 0;
}

static void add_rounded(struct json_object *to, const char *key, double value)
{
	char text[32];

	snprintf(text, sizeof(text), "%.1f", value);
	output_add(to, key, json_object_new_double_s(value, text));
}

static struct json_object *describe(const struct device *d, const struct look *before,
				    const struct look *l)
{
	struct json_object *o = json_object_new_object();
	double sent = l->sent >= before->sent ? l->sent - before->sent : 0;
	double more = (double)l->pending - (double)before->pending;
	bool is_same = !strcmp(l->state, before->state);

	add_rounded(o, "seconds", l->seconds);
	output_add_text(o, "uuid", d->uuid);
	output_add_text(o, "state", l->state);
	output_add_number(o, "pass", l->passes);
	output_add_number(o, "pending_bytes", l->pending);
	output_add_number(o, "sent_bytes", l->sent);
	add_rounded(o, "sent_mibs", rate(before, l, sent));
	/* The first look of a session finds all memory pending: nothing has dirtied it. */
	add_rounded(o, "dirtied_mibs", is_same ? rate(before, l, sent + more) : 0);
	output_add_number(o, "late_marks", l->late_marks);
	add_rounded(o, "downtime_ms", l->downtime_ms);
	return o;
}

static double number_of(struct json_object *o, const char *key)
{
	return json_object_get_double(json_object_object_get(o, key));
}

static void print_line(struct json_object *o)
{
	const char *state = json_object_get_string(json_object_object_get(o, "state"));

	printf("%8.1f s  %-15s  pass %3.0f  pending %8.1f MiB", number_of(o, "seconds"), state,
	       number_of(o, "pass"), number_of(o, "pending_bytes") / MIB);
	printf("  sent %6.1f MiB/s  dirtied %6.1f MiB/s  downtime %.0f ms\n",
	       number_of(o, "sent_mibs"), number_of(o, "dirtied_mibs"),
	       number_of(o, "downtime_ms"));
}

static void print(const struct request *r, struct json_object *o, bool is_terminal)
{
	if (r->json) {
		output_json(stdout, o);
	} else if (is_terminal) {
		fputs(HOME_AND_CLEAR, stdout);
		output_tree(stdout, o, 0);
	} else {
		print_line(o);
	}
	json_object_put(o);
}

static void wait_for(double seconds)
{
	struct timespec t = { seconds, (seconds - (time_t)seconds) * 1e9 };

	while (nanosleep(&t, &t) && errno == EINTR)
		;
}

/* Its attributes go a moment before it does. */
static bool is_removed(const struct device *d)
{
	unsigned int i;

	for (i = 0; i < 100 && device_exists(d); i++)
		wait_for(0.01);
	return i < 100;
}

/**
 * tern_watch() - the command: watch a device
 * @r: one word, the device
 *
 * Return: the exit status. That the device was removed is no failure.
 */
int tern_watch(const struct request *r)
{
	bool is_terminal = !r->json && isatty(STDOUT_FILENO);
	double began = now(), ran = 0;
	struct look before, l;
	unsigned long looks;
	struct device d;
	int ret;

	if (device_find(r->sysfs, r->words[0], &d))
		return EXIT_FAILURE;
	for (looks = 1;; looks++) {
		ret = look_at(&d, began, &l);
		if (ret && !is_removed(&d))
			return device_not_read(&d, ret);
		if (looks == 1) {
			before = l;
			ran = l.stopped_ms;
		}
		if (ret)
			keep(&l, &before);
		else
			find_downtime(&l, &before, &ran);
		if (looks == 1 || is_terminal || is_change(&before, &l))
			print(r, describe(&d, &before, &l), is_terminal);
		if (output_failed())
			return EXIT_FAILURE;
		if (ret || looks == r->count)
			return EXIT_SUCCESS;
		before = l;
		wait_for(r->interval);
	}
}
