// SPDX-License-Identifier: GPL-2.0-only
/*
 * The core with a model of another shape than tern-mem: no memory, eight sections, a
 * disk that a reset leaves alone, a part that it may not have, and streams of its own versions.
 */
#include "core/loader.h"
#include "core/machine.h"
#include "core/model.h"
#include "device.h"
#include "tap.h"

#define SECTIONS	TERN_SECTIONS_MAX
#define VERSION		5
#define READER		3
#define NEWEST		6	/* the section that came last, with version 4 */
#define EXTRA		7	/* one that the device has only if its first byte is not 0 */

static const u32 types[SECTIONS] = { 40, 41, 45, 100, 32, 33, 1000, 1001 };
static const u32 lengths[SECTIONS] = { 8, 16, TERN_SECTION_BYTES_MAX, 24, 104, 512, 40, 48 };

/**
 * struct disk - the device
 * @m: as the core sees it
 * @dirty: a tracker of no page
 * @section: its sections; the third is the disk
 * @refuse: what it says of a load
 * @loaded_without: one bit per section that a stream did not have
 */
struct disk {
	struct tern_model m;
	struct tern_dirty dirty;
	u8 section[SECTIONS][TERN_SECTION_BYTES_MAX];
	int refuse;
	unsigned int loaded_without;
	bool running;
};

#define DISK	2

static struct disk *to_disk(struct tern_model *m)
{
	return container_of(m, struct disk, m);
}

#define SECTION(n)							\
static void save_##n(struct tern_model *m, void *to)			\
{									\
	assert(!to_disk(m)->running);					\
	memcpy(to, to_disk(m)->section[n], lengths[n]);			\
}									\
static int validate_##n(struct tern_model *m, const void *from)		\
{									\
	return *(const u8 *)from == 0xff ? -EDOM : 0;			\
}									\
static void load_##n(struct tern_model *m, const void *from)		\
{									\
	if (from)							\
		memcpy(to_disk(m)->section[n], from, lengths[n]);	\
	else								\
		to_disk(m)->loaded_without |= 1 << n;			\
}
SECTION(0)
SECTION(1)
SECTION(2)
SECTION(3)
SECTION(4)
SECTION(5)
SECTION(6)
SECTION(7)

static bool has_extra(const struct tern_model *m)
{
	return container_of(m, struct disk, m)->section[EXTRA][0];
}

#define ROW(n, t, l, version) { .type = t, .length = l, .since = version,	\
	.save = save_##n, .validate = validate_##n, .load = load_##n }

static const struct tern_section sections[SECTIONS] = {
	ROW(0, 40, 8, 1), ROW(1, 41, 16, 1), ROW(2, 45, TERN_SECTION_BYTES_MAX, 1),
	ROW(3, 100, 24, 1), ROW(4, 32, 104, 1), ROW(5, 33, 512, 1), ROW(6, 1000, 40, 4),
	{
		.type = 1001, .length = 48, .since = 1, .present = has_extra,
		.save = save_7, .validate = validate_7, .load = load_7,
	},
};

static void reset(struct tern_model *m)
{
	unsigned int i;

	for (i = 0; i < SECTIONS; i++)
		if (i != DISK)
			memset(to_disk(m)->section[i], 0, lengths[i]);
}

static void wipe(struct tern_model *m)
{
	reset(m);
	memset(to_disk(m)->section[DISK], 0, lengths[DISK]);
}

static int may_load(struct tern_model *m)
{
	return to_disk(m)->refuse;
}

static void start(struct tern_model *m)
{
	to_disk(m)->running = true;
}

static void stop(struct tern_model *m)
{
	to_disk(m)->running = false;
}

static const struct tern_model_ops ops = {
	.id = 77,
	.version = VERSION,
	.reader = READER,
	.sections = sections,
	.n_sections = SECTIONS,
	.may_load = may_load,
	.reset = reset,
	.wipe = wipe,
	.start = start,
	.quiesce = start,
	.stop = stop,
};

/* A device, its machine, and what was read of it. */
struct lab {
	struct disk d;
	struct tern_machine mc;
	u8 staging[TERN_CHUNK_MIN];
	u8 stream[1 << 17];
	size_t len;
};

static struct lab *lab_create(u8 seed)
{
	struct lab *lab = calloc(1, sizeof(*lab));
	struct tern_session_config config = {
		.precopy = true, .staging = lab->staging, .capacity = sizeof(lab->staging),
	};
	unsigned int i;

	assert(!tern_dirty_init(&lab->d.dirty, 0));
	lab->d.m.ops = &ops;
	lab->d.m.dirty = &lab->d.dirty;
	lab->d.m.page_size = HOST_PAGE;
	lab->d.running = true;
	for (i = 0; i < SECTIONS; i++)
		memset(lab->d.section[i], seed ? seed + i : 0, lengths[i]);
	tern_machine_init(&lab->mc, &lab->d.m, &config, NULL);
	return lab;
}

static void lab_destroy(struct lab *lab)
{
	tern_machine_uninit(&lab->mc);
	tern_dirty_uninit(&lab->d.dirty);
	free(lab);
}

/* Read until nothing is pending. */
static void drain(struct lab *lab)
{
	ssize_t n;

	while (tern_session_pending(lab->mc.session)) {
		n = tern_session_prepare(lab->mc.session);
		assert(n > 0 && lab->len + n <= sizeof(lab->stream));
		memcpy(lab->stream + lab->len, lab->staging, n);
		lab->len += n;
		tern_session_retire(lab->mc.session);
	}
}

static void save(struct lab *lab)
{
	CHECK_EQ(tern_machine_go(&lab->mc, TERN_PHASE_STOPPED_SAVING), 0);
	drain(lab);
}

static int load(struct lab *lab, const void *stream, size_t len)
{
	CHECK_EQ(tern_machine_go(&lab->mc, TERN_PHASE_LOADING), 0);
	return tern_loader_feed(lab->mc.loader, stream, len);
}

static bool is(const struct lab *lab, unsigned int section, u8 value)
{
	unsigned int i;

	for (i = 0; i < lengths[section]; i++)
		if (lab->d.section[section][i] != value)
			return false;
	return true;
}

static bool same(const struct lab *a, const struct lab *b)
{
	unsigned int i;

	for (i = 0; i < SECTIONS; i++)
		if (memcmp(a->d.section[i], b->d.section[i], lengths[i]))
			return false;
	return true;
}

/* It has pre-copy, though it has no memory: a snapshot that is its head. */
static void test_moves(void)
{
	struct lab *a = lab_create(1), *b = lab_create(50);
	u64 finals = TERN_RECORD_HEAD + sizeof(struct tern_end);
	unsigned int i;

	for (i = 0; i < SECTIONS; i++)
		finals += TERN_RECORD_HEAD + lengths[i];
	CHECK_EQ(tern_session_estimate(&a->d.m), 72 + finals);
	CHECK_EQ(tern_machine_go(&a->mc, TERN_PHASE_RUNNING_SAVING), 0);
	drain(a);
	CHECK_EQ(a->len, 72);
	save(a);
	CHECK_EQ(a->len, 72 + finals);
	CHECK_EQ(tern_session_pending(a->mc.session), 0);
	CHECK_EQ(load(b, a->stream, a->len), 0);
	CHECK_EQ(tern_machine_go(&b->mc, TERN_PHASE_RUNNING), 0);
	CHECK(same(a, b));
	lab_destroy(a);
	lab_destroy(b);
}

/* What it writes of itself: its name, its versions, its records in its order. */
static void test_stream(void)
{
	struct lab *a = lab_create(1);
	const struct tern_session_begin *begin = (void *)(a->stream + TERN_RECORD_HEAD);
	size_t at = TERN_RECORD_HEAD + sizeof(*begin);
	unsigned int i;

	save(a);
	CHECK_EQ(le32_to_cpu(begin->model), 77);
	CHECK_EQ(le32_to_cpu(begin->version), VERSION);
	CHECK_EQ(le32_to_cpu(begin->reader), READER);
	CHECK_EQ(begin->memory_size, 0);
	for (i = 0; i < SECTIONS; i++) {
		const struct tern_record *r = (void *)(a->stream + at);

		CHECK_EQ(le32_to_cpu(r->type), types[i]);
		CHECK_EQ(le32_to_cpu(r->length), lengths[i]);
		at += TERN_RECORD_HEAD + lengths[i];
	}
	lab_destroy(a);
}

/* The record of a type, or NULL. */
static const struct tern_record *find(const struct lab *a, u32 type)
{
	const struct tern_record *r;
	size_t at;

	for (at = 0; at < a->len; at += TERN_RECORD_HEAD + le32_to_cpu(r->length)) {
		r = (void *)(a->stream + at);
		if (le32_to_cpu(r->type) == type)
			return r;
	}
	return NULL;
}

/* What a device does not have is not sent, and the destination has none afterwards. */
static void test_optional_section(void)
{
	struct lab *with = lab_create(1), *without = lab_create(1), *b;
	size_t bytes = TERN_RECORD_HEAD + lengths[EXTRA];

	without->d.section[EXTRA][0] = 0;
	CHECK_EQ(tern_session_estimate(&with->d.m) - tern_session_estimate(&without->d.m), bytes);
	save(with);
	save(without);
	CHECK_EQ(with->len - without->len, bytes);
	CHECK_EQ(le32_to_cpu(find(with, types[EXTRA])->flags), TERN_RECORD_OPTIONAL);
	CHECK_EQ(find(with, types[NEWEST])->flags, 0);
	CHECK(!find(without, types[EXTRA]));

	b = lab_create(50);
	CHECK_EQ(load(b, with->stream, with->len), 0);
	CHECK_EQ(tern_machine_go(&b->mc, TERN_PHASE_RUNNING), 0);
	CHECK(same(with, b) && !b->d.loaded_without);
	lab_destroy(b);

	b = lab_create(50);
	CHECK_EQ(load(b, without->stream, without->len), 0);
	CHECK_EQ(tern_machine_go(&b->mc, TERN_PHASE_RUNNING), 0);
	CHECK(is(b, 0, 1) && is(b, EXTRA, 0));
	CHECK_EQ(b->d.loaded_without, 1 << EXTRA);
	lab_destroy(b);
	lab_destroy(with);
	lab_destroy(without);
}

/* A model that has no such part yet skips it. */
static void test_older_reader(void)
{
	struct lab *a = lab_create(1), *b = lab_create(50);
	struct tern_model_ops older = ops;

	older.n_sections = EXTRA;
	b->d.m.ops = &older;
	save(a);
	CHECK_EQ(load(b, a->stream, a->len), 0);
	CHECK_EQ(tern_machine_go(&b->mc, TERN_PHASE_RUNNING), 0);
	CHECK(is(b, NEWEST, 1 + NEWEST) && is(b, EXTRA, 0));
	lab_destroy(a);
	lab_destroy(b);
}

/* Seal a stream again after a change of its SESSION_BEGIN; sections from @skip on shift. */
static void reseal(struct lab *a, u32 version, u32 reader, u32 model, int skip)
{
	struct tern_session_begin *begin = (void *)(a->stream + TERN_RECORD_HEAD);
	static u8 old[sizeof(a->stream)];
	struct tern_writer w;
	size_t at = 0, len = a->len;
	struct tern_end *end;

	memcpy(old, a->stream, len);
	begin = (void *)(old + TERN_RECORD_HEAD);
	begin->version = cpu_to_le32(version);
	begin->reader = cpu_to_le32(reader);
	begin->model = cpu_to_le32(model);
	tern_writer_init(&w);
	for (a->len = 0; at < len;) {
		const struct tern_record *r = (void *)(old + at);
		u32 type = le32_to_cpu(r->type), n = le32_to_cpu(r->length);
		void *to = a->stream + a->len;

		at += TERN_RECORD_HEAD + n;
		if (skip >= 0 && type == types[skip])
			continue;
		memcpy(tern_writer_payload(to), r + 1, n);
		if (type == TERN_RECORD_END) {
			end = tern_writer_payload(to);
			end->records = cpu_to_le64(w.seq);
			end->bytes = cpu_to_le64(w.bytes);
		}
		a->len += tern_writer_seal(&w, to, type, le32_to_cpu(r->flags), n);
	}
}

/* Its versions are its own: tern-mem's do not count. */
static void test_versions(void)
{
	static const struct {
		u32 version, reader, model;
		int skip, error;
	} rows[] = {
		{ VERSION, READER, 77, -1, 0 },
		{ VERSION + 3, VERSION, 77, -1, 0 },
		{ VERSION + 3, VERSION + 1, 77, -1, -EPROTONOSUPPORT },
		{ VERSION, READER, TERN_MODEL_MEM, -1, -EMEDIUMTYPE },
		/* Another model's versions say nothing here. */
		{ VERSION + 3, VERSION + 1, TERN_MODEL_MEM, -1, -EMEDIUMTYPE },
		/* Before version 4 there was no seventh section, and it must not be there. */
		{ 3, 3, 77, NEWEST, 0 },
		{ 3, 3, 77, -1, -EPROTO },
		{ 4, 3, 77, NEWEST, -EPROTO },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		struct lab *a = lab_create(1), *b = lab_create(60);

		save(a);
		reseal(a, rows[i].version, rows[i].reader, rows[i].model, rows[i].skip);
		CHECK(load(b, a->stream, a->len) == rows[i].error, "row %u", i);
		if (!rows[i].error) {
			CHECK_EQ(tern_machine_go(&b->mc, TERN_PHASE_RUNNING), 0);
			CHECK(is(b, 0, 1) && is(b, NEWEST, rows[i].skip < 0 ? 1 + NEWEST : 0));
		}
		lab_destroy(a);
		lab_destroy(b);
	}
}

/* tern-mem's records are strangers here, and memory lies outside. */
static void test_foreign_records(void)
{
	static const struct {
		u32 type, length;
		int error;
	} rows[] = {
		{ TERN_RECORD_REGISTERS, 72, -EOPNOTSUPP },
		{ TERN_RECORD_CONFIG_SPACE, 4096, -EOPNOTSUPP },
		{ TERN_RECORD_MEMORY, 8 + 4096, -EOVERFLOW },
		{ 45, TERN_SECTION_BYTES_MAX - 1, -EMSGSIZE },
		{ 45, TERN_SECTION_BYTES_MAX + 1, -EMSGSIZE },
	};
	static u8 bytes[1 << 14];
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		struct lab *a = lab_create(1);
		struct tern_writer w;
		size_t n;

		tern_writer_init(&w);
		save(a);
		memcpy(bytes, a->stream, 72);
		n = tern_writer_seal(&w, bytes, TERN_RECORD_SESSION_BEGIN, 0, 48);
		memset(bytes + n, 0, sizeof(bytes) - n);
		n += tern_writer_seal(&w, bytes + n, rows[i].type, 0, rows[i].length);
		CHECK_EQ(tern_machine_go(&a->mc, TERN_PHASE_RUNNING), 0);
		CHECK(load(a, bytes, n) == rows[i].error, "row %u", i);
		lab_destroy(a);
	}
}

/* P-14: a reset leaves the disk, whatever session lives; and nothing else. */
static void test_reset_keeps_the_disk(void)
{
	static const enum tern_phase from[] = {
		TERN_PHASE_RUNNING, TERN_PHASE_RUNNING_SAVING, TERN_PHASE_STOPPED_SAVING,
		TERN_PHASE_STOPPED,
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(from); i++) {
		struct lab *a = lab_create(1);

		CHECK_EQ(tern_machine_go(&a->mc, from[i]), 0);
		tern_machine_reset(&a->mc);
		CHECK(is(a, 0, 0) && is(a, DISK, 1 + DISK) && a->d.running);
		lab_destroy(a);
	}
}

enum way { FAILS, LEFT, RESET, CLOSED, WAYS };

/* As a load ends without running the device; FAILS has ended it before. */
static void end_load(struct lab *lab, enum way way)
{
	if (way == LEFT)
		CHECK_EQ(tern_machine_go(&lab->mc, TERN_PHASE_STOPPED), 0);
	if (way == RESET)
		tern_machine_reset(&lab->mc);
	if (way == CLOSED)
		tern_machine_uninit(&lab->mc);
}

/* P-10: a load begins with nothing, and leaves nothing if it fails or is given up. */
static void test_load_wipes_the_disk(void)
{
	enum way way;
	struct lab *a = lab_create(1);

	save(a);
	for (way = 0; way < WAYS; way++) {
		struct lab *b = lab_create(90);

		CHECK_EQ(load(b, a->stream, a->len - 1), 0);
		CHECK(is(b, 0, 0) && is(b, DISK, 0));
		/* Something was loaded that no section is. */
		memset(b->d.section[DISK], 9, lengths[DISK]);
		if (way == FAILS)
			CHECK_EQ(tern_loader_feed(b->mc.loader, "?", 1), -EBADMSG);
		end_load(b, way);
		CHECK(is(b, DISK, 0), "way %u", way);
		lab_destroy(b);
	}
	/* One that is whole survives all of that. */
	for (way = LEFT; way < WAYS; way++) {
		struct lab *b = lab_create(90);

		CHECK_EQ(load(b, a->stream, a->len), 0);
		end_load(b, way);
		CHECK(is(b, DISK, 1 + DISK), "way %u", way);
		lab_destroy(b);
	}
	lab_destroy(a);
}

/* P-18: a model that refuses a load is asked first: nothing has changed. */
static void test_refused_load(void)
{
	static const enum tern_phase from[] = { TERN_PHASE_RUNNING, TERN_PHASE_STOPPED };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(from); i++) {
		struct lab *a = lab_create(1);

		CHECK_EQ(tern_machine_go(&a->mc, from[i]), 0);
		a->d.refuse = -EROFS;
		CHECK_EQ(tern_machine_go(&a->mc, TERN_PHASE_LOADING), -EROFS);
		CHECK_EQ(a->mc.phase, from[i]);
		CHECK_EQ(a->d.running, from[i] == TERN_PHASE_RUNNING);
		CHECK(is(a, 0, 1) && is(a, DISK, 1 + DISK) && !a->mc.loader);
		a->d.refuse = 0;
		CHECK_EQ(tern_machine_go(&a->mc, TERN_PHASE_LOADING), 0);
		lab_destroy(a);
	}
}

static const struct tap_test tests[] = {
	{ "S-1 model: a device without memory is saved and loaded", test_moves },
	{ "S-5 model: its stream has its name, its versions and its sections", test_stream },
	{ "S-5 model: a part that the device does not have is not sent", test_optional_section },
	{ "P-11 model: an older reader skips an optional section", test_older_reader },
	{ "P-11 P-13 model: each model has its own versions", test_versions },
	{ "P-10 model: another model's records are refused", test_foreign_records },
	{ "P-14 model: a reset keeps persistent memory", test_reset_keeps_the_disk },
	{ "P-10 model: a load starts from power-on state, a failed one leaves that", test_load_wipes_the_disk },
	{ "P-18 model: a load that it refuses changes nothing", test_refused_load },
};

TAP_MAIN(tests)
