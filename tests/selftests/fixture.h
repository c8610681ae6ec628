/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the selftests set up: devices that are made, configured, opened and mapped; and
 * one table of the front ends by which a VMM saves a device and loads it.
 *
 * A test that holds for either protocol is written once, by the functions save_*() and
 * load_*(), and its fixture has a variant for each front end.
 */
#ifndef TERN_FIXTURE_H
#define TERN_FIXTURE_H

#include "migfd.h"
#include "reader.h"

/* In a FIXTURE_SETUP or a TEST. */
#define NEEDS_TERN() do {						\
	if (!have_tern())						\
		SKIP(return, "module tern is not loaded");		\
} while (0)

/* How a test has a device. What is not named is as the driver has it by default. */
struct setting {
	const char *type;		/* another mdev type */
	unsigned int memory_mib, window_kib;
	bool map_memory;		/* BAR2; of two devices, that of the first one */
	bool map_window;
	const struct front_end *by;	/* maps the window if it uses it so */
};

/*
 * The protocols as a VMM uses them. All return 0 or -errno.
 *
 * Saving: begin() enters pre-copy, quiesce() stops DMA where the protocol has such a
 * state, stop() stops the device from any state, drain() reads all that there is now, and
 * end() ends the session: the device is stopped, or runs.
 *
 * Loading: resume() enters RESUMING, feed() writes in pieces, commit() has the device run,
 * and abort() gives the load up.
 */
struct front_end {
	const char *name;
	bool map_window;
	int (*begin)(struct dev *d);
	int (*quiesce)(struct dev *d);
	int (*stop)(struct dev *d);
	int (*drain)(struct dev *d, struct stream *s, size_t piece);
	ssize_t (*read)(struct dev *d, struct stream *s, size_t most);
	uint64_t (*pending)(struct dev *d);
	int (*end)(struct dev *d, bool run);
	int (*resume)(struct dev *d);
	int (*feed)(struct dev *d, const struct stream *s, size_t piece);
	int (*commit)(struct dev *d);
	int (*abort)(struct dev *d);
	uint32_t (*state)(struct dev *d);	/* as v1's bits */
};

/* v1: by the registers of its region. The window decides how much is read at a time. */
static inline int region_begin(struct dev *d)
{
	return set_state(d, RUNNING | SAVING);
}

static inline int region_quiesce(struct dev *d)
{
	return 0;
}

static inline int region_stop(struct dev *d)
{
	return set_state(d, SAVING);
}

static inline int region_drain(struct dev *d, struct stream *s, size_t piece)
{
	return save_all(d, s);
}

static inline ssize_t region_read(struct dev *d, struct stream *s, size_t most)
{
	ssize_t n = save_chunk(d, s);

	/* A chunk that was acknowledged is not offered again. */
	pending(d);
	return n;
}

static inline int region_end(struct dev *d, bool run)
{
	return set_state(d, run ? RUNNING : STOP);
}

static inline int region_resume(struct dev *d)
{
	return set_state(d, RESUMING);
}

static inline int region_commit(struct dev *d)
{
	return set_state(d, RUNNING);
}

static inline int region_abort(struct dev *d)
{
	return set_state(d, STOP);
}

static inline uint32_t region_state(struct dev *d)
{
	return get_state(d);
}

#define BY_REGION							\
	.begin = region_begin, .quiesce = region_quiesce,		\
	.stop = region_stop, .drain = region_drain,			\
	.read = region_read, .pending = pending, .end = region_end,	\
	.resume = region_resume, .feed = load_all,			\
	.commit = region_commit, .abort = region_abort, .state = region_state

/* v2: by a data file. */
static inline int file_begin(struct dev *d)
{
	return go_open(d, S_PRE_COPY, &d->data_fd);
}

static inline int file_quiesce(struct dev *d)
{
	return go(d, S_PRE_COPY_P2P);
}

static inline int file_stop(struct dev *d)
{
	return d->data_fd < 0 ? go_open(d, S_STOP_COPY, &d->data_fd) : go(d, S_STOP_COPY);
}

/* Only after the stop is 0 the answer at the end. */
static inline int file_drain(struct dev *d, struct stream *s, size_t piece)
{
	int ret = read_all(d->data_fd, s, piece);

	if (ret == (where(d) == S_STOP_COPY ? 0 : -ENOMSG))
		return 0;
	return ret ?: -EPROTO;
}

static inline ssize_t file_read(struct dev *d, struct stream *s, size_t most)
{
	return read_some(d->data_fd, s, most);
}

static inline uint64_t file_pending(struct dev *d)
{
	uint64_t initial = 0, dirty = 0;

	if (d->data_fd < 0)
		return 0;
	return precopy_info(d->data_fd, &initial, &dirty) ? stop_copy_length(d) : initial + dirty;
}

/* A file that is still open must be stale now; where it is closed, QEMU did so first. */
static inline int file_over(struct dev *d, uint32_t state)
{
	bool over = d->data_fd < 0 || is_stale(d->data_fd, state);

	if (d->data_fd >= 0)
		close(d->data_fd);
	d->data_fd = -1;
	return over ? 0 : -ESTALE;
}

static inline int file_end(struct dev *d, bool run)
{
	return go(d, run ? S_RUNNING : S_STOP) ?: file_over(d, S_STOP_COPY);
}

static inline int file_resume(struct dev *d)
{
	return go_open(d, S_RESUMING, &d->data_fd);
}

static inline int file_feed(struct dev *d, const struct stream *s, size_t piece)
{
	return write_all(d->data_fd, s, piece);
}

static inline int file_commit(struct dev *d)
{
	return go(d, S_RUNNING) ?: file_over(d, S_RESUMING);
}

static inline int file_abort(struct dev *d)
{
	return reset_by(d, false) ?: file_over(d, S_RESUMING);
}

/* v1's bits of a v2 state. */
static inline uint32_t bits_of(uint32_t state)
{
	static const uint32_t bits[STATES] = {
		[S_STOP] = STOP, [S_RUNNING] = RUNNING, [S_RUNNING_P2P] = RUNNING,
		[S_PRE_COPY] = RUNNING | SAVING, [S_PRE_COPY_P2P] = RUNNING | SAVING,
		[S_STOP_COPY] = SAVING, [S_RESUMING] = RESUMING, [S_ERROR] = SAVING | RESUMING,
	};

	return bits[state];
}

static inline uint32_t file_state(struct dev *d)
{
	return bits_of(where(d));
}

static const struct front_end v1_mapped = { .name = "v1, mapped", .map_window = true, BY_REGION };
static const struct front_end v1_trapped = { .name = "v1, trapped", BY_REGION };
static const struct front_end v2_file = {
	.name = "v2", .begin = file_begin, .quiesce = file_quiesce, .stop = file_stop,
	.drain = file_drain, .read = file_read, .pending = file_pending, .end = file_end,
	.resume = file_resume, .feed = file_feed, .commit = file_commit, .abort = file_abort,
	.state = file_state,
};

/* From any state all that is left, and the device is stopped. */
static inline int save_by(struct dev *d, struct stream *s, size_t piece)
{
	return d->by->stop(d) ?: d->by->drain(d, s, piece) ?: d->by->end(d, false);
}

/* A whole stream, and the device runs. */
static inline int load_by(struct dev *d, const struct stream *s, size_t piece)
{
	return d->by->resume(d) ?: d->by->feed(d, s, piece) ?: d->by->commit(d);
}

/* Log a step of the set-up that fails, for the assertion has only its errno. */
static inline int step(const char *uuid, const char *what, int ret)
{
	if (ret)
		printf("# %s: %s: %s\n", uuid, what, strerror(-ret));
	return ret;
}

/* Open and map a device that was made. 0 or -errno. */
static inline int device_open(struct dev *d, const char *uuid, const struct setting *given)
{
	int ret;

	d->by = given->by;
	ret = step(uuid, "open", dev_open(d, uuid));
	if (!ret && (given->map_window || (given->by && given->by->map_window)))
		ret = step(uuid, "map the window", dev_map_window(d));
	if (!ret && given->map_memory)
		ret = step(uuid, "map BAR2", dev_map_memory(d));
	return ret;
}

/* Set the attributes of a device that is not open. 0 or -errno. */
static inline int device_configure(const char *uuid, const struct setting *given)
{
	char text[16];
	int ret = 0;

	snprintf(text, sizeof(text), "%u", given->memory_mib);
	if (given->memory_mib)
		ret = step(uuid, "memory_mib", attr_set(uuid, "memory_mib", text));
	snprintf(text, sizeof(text), "%u", given->window_kib);
	if (!ret && given->window_kib)
		ret = step(uuid, "window_kib", attr_set(uuid, "window_kib", text));
	return ret;
}

/* Close a device, and open it again with another setting. */
static inline int device_again(struct dev *d, struct setting given)
{
	const char *uuid = d->uuid;

	given.by = given.by ?: d->by;
	dev_close(d);
	return device_configure(uuid, &given) ?: device_open(d, uuid, &given);
}

/* Make, configure, open and map a device. 0 or -errno. */
static inline int device_on(struct dev *d, const char *uuid, struct setting given)
{
	char path[PATH_MAX];
	int ret;

	snprintf(path, sizeof(path), "%s/create", given.type ?: MDEV_TYPE);
	ret = step(uuid, "create", write_file(path, uuid));
	ret = ret ?: device_configure(uuid, &given);
	return ret ?: device_open(d, uuid, &given);
}

static inline int device_off(struct dev *d)
{
	dev_close(d);
	return step(d->uuid, "remove", mdev_remove(d->uuid));
}

/* A source and a destination. */
static inline int pair_on(struct dev *a, struct dev *b, struct setting given)
{
	int ret = device_on(a, UUID_A, given);

	given.map_memory = false;
	return ret ?: device_on(b, UUID_B, given);
}

/* Store to a page, at a place that differs from page to page. */
static inline void touch(uint32_t *mem, unsigned long page, uint32_t value)
{
	mem[page * (PAGE / 4) + page % 1024] = value;
}

/* The same, and of the first @pages pages of the source each @nth is written. */
static inline int pair_filled(struct dev *a, struct dev *b, struct setting given,
			      unsigned long pages, unsigned int nth)
{
	unsigned long page;
	int ret;

	given.map_memory = true;
	ret = pair_on(a, b, given);
	for (page = 0; !ret && page < pages; page += nth)
		touch(a->mem, page, page + 1);
	return ret;
}

static inline int pair_off(struct dev *a, struct dev *b, struct stream *s)
{
	int ret = device_off(a), other = device_off(b);

	free(s->buf);
	return ret ?: other;
}

/* Have both the same memory? By the trapped path: faults, one a page, take longer. */
static inline bool same_memory(struct dev *a, struct dev *b)
{
	static uint8_t one[64 * 1024], other[64 * 1024];
	uint64_t at;

	for (at = 0; at < a->bar2.size; at += sizeof(one))
		if (dev_read(a, a->bar2.offset + at, one, sizeof(one)) != sizeof(one) ||
		    dev_read(b, b->bar2.offset + at, other, sizeof(other)) != sizeof(other) ||
		    memcmp(one, other, sizeof(one)))
			return false;
	return true;
}

/* The first record of a type; NULL if there is none. */
static inline struct tern_record *find_record(struct stream *s, uint32_t type)
{
	struct tern_record *head;
	size_t at;

	for (at = 0; at < s->len; at += sizeof(*head) + head->length) {
		head = (void *)(s->buf + at);
		if (head->type == type)
			return head;
	}
	return NULL;
}

/* Have the CRC of a record right, whose payload was changed. */
static inline void seal_record(const struct stream *s, struct tern_record *head)
{
	head->crc32c = reader_crc(reader_crc(record_at(s, 0)->crc32c, (void *)head, 20),
				  (void *)(head + 1), head->length);
}

#endif /* TERN_FIXTURE_H */
