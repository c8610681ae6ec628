// SPDX-License-Identifier: GPL-2.0-only
/*
 * The loader: restores a device from a stream, or leaves it in its reset state.
 *
 * MEMORY goes straight to device memory. Each section is validated when it comes, and
 * staged. When END is consumed and everything is there, all are loaded in one go that
 * cannot fail. From then on the device is complete, and can run without the loader: a
 * VMM could not take the guest back any more.
 *
 * Whatever fails wipes the device, so no half state can run. The first error stays the
 * answer until a new loader is made. A SESSION_BEGIN of another session starts over,
 * before END or after it: the source gave up a session and began a new one.
 *
 * Errors of meaning (those of form are in core/stream.c):
 *
 *   not a stream of ours (magic, version 0)	-EINVAL
 *   another model				-EMEDIUMTYPE
 *   written for a newer reader of this model	-EPROTONOSUPPORT
 *   another memory size or block size		-ERANGE
 *   MEMORY not of whole blocks, or outside	-EOVERFLOW
 *   a section with a value the device can't have	-EDOM
 *   a section twice, or one that is newer than the stream;
 *   END that does not fit what came before;
 *   a record after END				-EPROTO
 *   device memory could not be allocated		-ENOMEM
 *   device memory could not be read from swap	-EIO
 *   a session begins, and the caller was killed
 *   or a reset waits				-EINTR
 */
#include "core/loader.h"
#include "core/model.h"
#include "core/stream.h"

/**
 * struct tern_loader - one load
 * @m: the device; immutable
 * @reader: takes the stream apart
 * @error: 0, or what the first failure was
 * @complete: END was consumed and the device is what the stream says
 * @version: that the stream says it is of
 * @bytes: of the distinct records so far
 * @staged: the sections that came, by their place in the model's table
 * @have: one bit per section
 *
 * All guarded by state_mutex.
 */
struct tern_loader {
	struct tern_model *m;
	struct tern_reader reader;
	int error;
	bool complete;
	u32 version;
	u64 bytes;
	void *staged[TERN_SECTIONS_MAX];
	unsigned long have;
};

/**
 * tern_loader_create() - make a loader that has seen nothing
 * @m: the device
 * @in_place: user space cannot reach what it is fed
 *
 * Does not touch the device.
 *
 * Return: the loader, or NULL if there is no memory. Context: may sleep.
 */
struct tern_loader *tern_loader_create(struct tern_model *m, bool in_place)
{
	struct tern_loader *l = kzalloc(sizeof(*l), GFP_KERNEL_ACCOUNT);
	unsigned int i;

	if (!l)
		return NULL;
	l->m = m;
	if (tern_reader_init(&l->reader, m->ops, in_place))
		goto err_destroy;
	/* All that a load can need is allocated now: a stream never allocates. */
	for (i = 0; i < m->ops->n_sections; i++) {
		l->staged[i] =
			kvmalloc(m->ops->sections[i].length, GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
		if (!l->staged[i])
			goto err_destroy;
	}
	return l;

err_destroy:
	tern_loader_destroy(l);
	return NULL;
}

/**
 * tern_loader_destroy() - free a loader; leaves the device as it is
 * @l: the loader
 */
void tern_loader_destroy(struct tern_loader *l)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(l->staged); i++)
		kvfree(l->staged[i]);
	tern_reader_uninit(&l->reader);
	kfree(l);
}

static int load_begin(struct tern_loader *l)
{
	const struct tern_session_begin *begin = l->reader.payload;

	if (le64_to_cpu(begin->magic) != TERN_STREAM_MAGIC || !begin->version)
		return -EINVAL;
	/* First the model: versions are its own. */
	if (le32_to_cpu(begin->model) != l->m->ops->id)
		return -EMEDIUMTYPE;
	if (le32_to_cpu(begin->reader) > l->m->ops->version)
		return -EPROTONOSUPPORT;
	if (le32_to_cpu(begin->block) != TERN_STREAM_BLOCK ||
	    le64_to_cpu(begin->memory_size) != l->m->memory_size)
		return -ERANGE;

	/* A stream may be made to wipe the memory again and again. */
	if (tern_killed() || atomic_long_read(&l->m->resets))
		return -EINTR;
	l->m->ops->wipe(l->m);
	l->version = le32_to_cpu(begin->version);
	l->have = 0;
	l->bytes = 0;
	l->complete = false;
	return 0;
}

static int load_memory(struct tern_loader *l)
{
	const struct tern_memory_head *head = l->reader.payload;
	u64 offset = le64_to_cpu(head->offset);
	u32 bytes = tern_reader_length(&l->reader) - sizeof(*head);

	if (offset % TERN_STREAM_BLOCK || bytes % TERN_STREAM_BLOCK || offset > l->m->memory_size ||
	    bytes > l->m->memory_size - offset)
		return -EOVERFLOW;
	return l->m->ops->memory_load(l->m, offset, head + 1, bytes);
}

static int stage_section(struct tern_loader *l, u32 type)
{
	const struct tern_model_ops *ops = l->m->ops;
	unsigned int i;
	int ret;

	for (i = 0; i < ops->n_sections; i++) {
		const struct tern_section *sec = &ops->sections[i];

		if (sec->type != type)
			continue;
		/* Of the right length: the reader saw to that. */
		if (sec->since > l->version || test_bit(i, &l->have))
			return -EPROTO;
		ret = sec->validate(l->m, l->reader.payload);
		if (ret)
			return ret;
		memcpy(l->staged[i], l->reader.payload, sec->length);
		__set_bit(i, &l->have);
		return 0;
	}
	/* Not one of this model's: the reader passes only optional ones on. */
	return 0;
}

/* Does the bitmap have every section that a stream of this version must have? */
static bool has_all_sections(const struct tern_loader *l)
{
	const struct tern_model_ops *ops = l->m->ops;
	unsigned int i;

	for (i = 0; i < ops->n_sections; i++) {
		const struct tern_section *sec = &ops->sections[i];

		if (!sec->present && sec->since <= l->version && !test_bit(i, &l->have))
			return false;
	}
	return true;
}

static int load_end(struct tern_loader *l)
{
	const struct tern_model_ops *ops = l->m->ops;
	const struct tern_end *end = l->reader.payload;
	unsigned int i;

	/* END's own number is the count of the records before it. */
	if (le64_to_cpu(end->records) != le64_to_cpu(l->reader.head.seq) ||
	    le64_to_cpu(end->bytes) != l->bytes || !has_all_sections(l))
		return -EPROTO;
	for (i = 0; i < ops->n_sections; i++)
		if (test_bit(i, &l->have) || ops->sections[i].present)
			ops->sections[i].load(l->m, test_bit(i, &l->have) ? l->staged[i] : NULL);
	l->complete = true;
	trace_tern_loaded(l->m->name, le64_to_cpu(end->records), le64_to_cpu(end->bytes));
	return 0;
}

static int load_record(struct tern_loader *l)
{
	u32 type = tern_reader_type(&l->reader);
	int ret;

	if (type == TERN_RECORD_SESSION_BEGIN)
		ret = load_begin(l);
	else if (l->complete)
		ret = -EPROTO;
	else if (type == TERN_RECORD_MEMORY)
		ret = load_memory(l);
	else if (type == TERN_RECORD_END)
		ret = load_end(l);
	else
		ret = stage_section(l, type);

	l->bytes += TERN_RECORD_HEAD + tern_reader_length(&l->reader);
	return ret;
}

/**
 * tern_loader_feed() - the next bytes of the stream, cut anywhere
 * @l: the loader
 * @from: the bytes; each is read once, so they may change meanwhile, unless the loader
 *	takes records in place
 * @len: how many; 0 is nothing
 *
 * Guarantees that on return all bytes are consumed, or that the device is as
 * at power-on and every further call gives the same error.
 *
 * Return: 0, or the errno of the check that failed (see the top of this file
 * and of core/stream.c). Context: state_mutex; may sleep.
 */
int tern_loader_feed(struct tern_loader *l, const void *from, size_t len)
{
	enum tern_reader_event event;
	int ret;

	tern_assert_held(l->m->state_mutex);
	if (l->error)
		return l->error;
	trace_tern_write(l->m->name, len);
	while (len) {
		ret = tern_reader_feed(&l->reader, &from, &len, &event);
		if (!ret && event == TERN_READER_RECORD)
			ret = load_record(l);
		if (ret) {
			trace_tern_refused(l->m->name, tern_reader_type(&l->reader),
					   le64_to_cpu(l->reader.head.seq), ret);
			l->m->ops->wipe(l->m);
			l->complete = false;
			l->error = ret;
			return ret;
		}
	}
	return 0;
}

/**
 * tern_loader_complete() - is the device restored from a whole stream?
 * @l: the loader
 *
 * Return: true if END was consumed, and nothing of another record after it. The
 * rest of that record may still come: it is either a repeat or an error.
 */
bool tern_loader_complete(const struct tern_loader *l)
{
	return l->complete && tern_reader_between(&l->reader);
}

/**
 * tern_loader_error() - what went wrong first
 * @l: the loader
 *
 * Return: 0, or -errno.
 */
int tern_loader_error(const struct tern_loader *l)
{
	return l->error;
}
