// SPDX-License-Identifier: GPL-2.0-only
/*
 * The session: the data that a device sends, from the moment that logging is
 * enabled until it is stopped and everything has been read.
 *
 * It begins with a snapshot, continues with dirty iterations until the device
 * stops, and ends with the final sections, sent once. The snapshot is not a
 * special case: at the begin every touched page becomes dirty (core/dirty.c),
 * and the cursor walks. Where the walk ends, a pass ended; while the device
 * runs the next one begins, after the stop the sections follow.
 *
 *   running:  SESSION_BEGIN, then MEMORY for each dirty page, pass by pass
 *   stopped:  one last pass over the memory, the model's sections, END
 *
 * User space may stop the device anywhere in this. Nothing is kept per pass
 * but the cursor, so there is nothing to finish first.
 *
 * Memory that no record has is zero at the destination. So a page of zeroes that this
 * session has not sent yet needs no record. Still no batch of pages is without one: what
 * is pending must give bytes.
 *
 * A chunk is what the staging buffer holds: whole records. It lives as
 *
 *   NONE -prepare-> PREPARED -retire-> NONE
 *                       |  stop
 *                       v
 *                    OFFERED -prepare-> PREPARED
 *
 * A chunk that was prepared and not retired when the device stops may or may not have
 * reached the destination. It is offered again, byte for byte, from the buffer; the
 * reader knows a repeated record by its number. If the buffer belongs to user space,
 * records are put together and sealed in a bounce buffer, and copied there. The bounce
 * buffer is small enough to stay in a cache. After that only the chunk's length is
 * remembered, and its bytes are never looked at: a process that corrupts them fails its
 * own CRC. A buffer that user space cannot reach needs no such copy.
 *
 * There are two ways to read. By chunks: prepare, read unseen, retire. Or by
 * bytes: peek, and consume what was read. A byte that was consumed has arrived,
 * so a chunk of which one was is not offered again, but continues where it was.
 */
#include "core/session.h"
#include "core/model.h"

/* Records of half a MiB: a processor's own cache holds them and their pages. */
#define BOUNCE		(8 * TERN_CHUNK_MIN)

enum chunk_state {
	CHUNK_NONE,
	CHUNK_PREPARED,
	CHUNK_OFFERED,
};

/**
 * struct tern_session - one session
 * @lock: guards all below that is not immutable; under state_mutex, over the
 *	page lock
 * @m: whose state it is; immutable
 * @stats: where it counts [lock]
 * @config: immutable
 * @staged: bytes of the staging buffer that were ever used [lock]
 * @bounce: where records are put together; BOUNCE bytes, or NULL: in their place [lock]
 * @batch: the pages of one take() [lock]
 * @sent: one bit per page: the stream has a record of it [lock]
 * @writer: [lock]
 * @chunk: state of the chunk in the staging buffer [lock]
 * @chunk_bytes: its length [lock]
 * @consumed: bytes of it that were read for good [lock]
 * @snapshot: pages that were dirty at the begin, and that the first pass has not taken.
 *	1 if new pages were taken instead of the last ones; 0 after the pass [lock]
 * @first_pass: number of the last pass that carries the snapshot, from 1 [lock]
 * @initial: lowest initial_bytes reported so far [lock]
 * @reinits: how often new initial data was reported [lock]
 * @stopped: the device is stopped [lock]
 * @fresh: the pass has not given a byte yet [lock]
 * @walked: the pass has come to its end [lock]
 * @section: the section to be sent next; n_sections is END, one more is "all
 *	is sent" [lock]
 */
struct tern_session {
	struct mutex lock;
	struct tern_model *m;
	struct tern_session_stats *stats;
	struct tern_session_config config;
	size_t staged;
	void *bounce;
	struct tern_batch batch;
	unsigned long *sent;
	struct tern_writer writer;
	enum chunk_state chunk;
	size_t chunk_bytes;
	size_t consumed;
	unsigned long snapshot;
	u64 first_pass;
	u64 initial;
	u32 reinits;
	bool stopped;
	bool fresh;
	bool walked;
	unsigned int section;
};

static bool all_sent(const struct tern_session *s)
{
	return s->section > s->m->ops->n_sections;
}

static u64 staged_bytes(const struct tern_session *s)
{
	return s->chunk_bytes - s->consumed;
}

/* The pass has come to its end, or is given up for another one. */
static void end_pass(struct tern_session *s)
{
	lockdep_assert_held(&s->lock);
	/* It counts from its first chunk on, which may not be offered yet. */
	if (!s->walked && s->writer.seq)
		trace_tern_pass_end(s->m->name, s->stats->passes + (s->fresh && !s->stopped),
				    s->stopped);
	s->walked = true;
}

/**
 * tern_session_create() - begin a session: all that was ever touched is dirty
 * @m: the device; its memory stays while the session lives
 * @config: how to run it; copied
 * @stats: where to count; set to 0 first
 *
 * Return: the session, or NULL if there is no memory, with nothing changed.
 * Context: state_mutex; may sleep.
 */
struct tern_session *tern_session_create(struct tern_model *m,
					 const struct tern_session_config *config,
					 struct tern_session_stats *stats)
{
	struct tern_session *s;

	tern_assert_held(m->state_mutex);
	if (WARN_ON_ONCE(config->capacity < TERN_CHUNK_MIN))
		return NULL;
	s = kvzalloc(sizeof(*s), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!s)
		return NULL;
	if (!config->in_place) {
		s->bounce = kvmalloc(BOUNCE, GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
		if (!s->bounce)
			goto err_free;
	}
	s->sent = kvzalloc(BITS_TO_LONGS(m->dirty->pages) * sizeof(long),
			   GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!s->sent)
		goto err_free;
	mutex_init(&s->lock);
	s->m = m;
	s->config = *config;
	s->stats = stats;
	s->fresh = true;
	memset(stats, 0, sizeof(*stats));
	tern_writer_init(&s->writer);
	tern_dirty_begin(m->dirty, &s->lock);
	s->snapshot = tern_dirty_count(m->dirty);
	s->first_pass = 1;
	s->initial = ~0ULL;
	trace_tern_session_begin(m->name, s->snapshot);
	return s;

err_free:
	kvfree(s->bounce);
	kvfree(s);
	return NULL;
}

/**
 * tern_session_destroy() - the session is over; what was read of it is void,
 * unless it was read to the end
 * @s: the session
 *
 * Context: state_mutex; nothing else uses the session.
 */
void tern_session_destroy(struct tern_session *s)
{
	tern_assert_held(s->m->state_mutex);
	trace_tern_session_end(s->m->name, s->stats->passes, s->writer.seq, s->writer.bytes,
			       all_sent(s) && !staged_bytes(s));
	tern_dirty_thaw(s->m->dirty);
	/* Outside a session there is no old data, not even in the window. */
	memset(s->config.staging, 0, s->staged);
	mutex_destroy(&s->lock);
	kvfree(s->sent);
	kvfree(s->bounce);
	kvfree(s);
}

/**
 * tern_session_stop() - the device has stopped: what follows is the end
 * @s: the session
 *
 * Context: state_mutex.
 */
void tern_session_stop(struct tern_session *s)
{
	tern_assert_held(s->m->state_mutex);
	mutex_lock(&s->lock);
	if (!tern_dirty_ahead(s->m->dirty))
		end_pass(s);
	s->stopped = true;
	/* One pass is left. */
	s->walked = false;
	tern_dirty_freeze(s->m->dirty);
	if (s->chunk == CHUNK_PREPARED && !s->consumed)
		s->chunk = CHUNK_OFFERED;
	mutex_unlock(&s->lock);
}

static size_t begin_record(void)
{
	return TERN_RECORD_HEAD + sizeof(struct tern_session_begin);
}

static size_t memory_record(const struct tern_model *m)
{
	return TERN_RECORD_HEAD + sizeof(struct tern_memory_head) + m->page_size;
}

static bool is_present(const struct tern_model *m, const struct tern_section *sec)
{
	return !sec->present || sec->present(m);
}

/* The records of the model's sections from @section on, and END. */
static u64 final_records(const struct tern_model *m, unsigned int section)
{
	u64 bytes = 0;
	unsigned int i;

	for (i = section; i < m->ops->n_sections; i++)
		if (is_present(m, &m->ops->sections[i]))
			bytes += TERN_RECORD_HEAD + m->ops->sections[i].length;
	return bytes + TERN_RECORD_HEAD + sizeof(struct tern_end);
}

/*
 * Bytes that are still to be given, beyond those that are staged, if the device
 * is stopped or not.
 */
static u64 unstaged_if(const struct tern_session *s, bool stopped)
{
	const struct tern_dirty *d = s->m->dirty;
	u64 bytes = 0;

	if (!stopped && !s->config.precopy)
		return 0;
	if (stopped && !all_sent(s))
		bytes += final_records(s->m, s->section);
	/* The bitmap decides whether there is a page; the counter, how many. */
	if (tern_dirty_any(d))
		bytes += max(tern_dirty_count(d), 1UL) * memory_record(s->m);
	/* A snapshot in which there is no page has its head: none is empty. */
	if (!s->writer.seq && (bytes || !stopped))
		bytes += begin_record();
	return bytes;
}

/* Bytes that could be given now, beyond those that are staged. */
static u64 unstaged_bytes(const struct tern_session *s)
{
	return unstaged_if(s, s->stopped);
}

/**
 * tern_session_pending() - bytes that can be read now, at most
 * @s: the session
 *
 * A page counts as its record, here and below; one of zeroes may need none.
 * Not 0 if and only if tern_session_prepare() would give something. Exactly 0
 * after the stop once all is sent and retired.
 *
 * Context: takes the session lock.
 */
u64 tern_session_pending(struct tern_session *s)
{
	u64 bytes;

	mutex_lock(&s->lock);
	bytes = unstaged_bytes(s) + staged_bytes(s);
	mutex_unlock(&s->lock);
	return bytes;
}

/**
 * tern_session_initial() - how much of what is pending is the snapshot
 * @s: the session
 *
 * Never grows, except by tern_session_reinit(). A page that is written again before the
 * snapshot has reached it is of the snapshot; one that was not part of it is not. If the
 * first pass takes such along, less is reported than is left of the snapshot, but never 0.
 *
 * Return: bytes, no more than are pending; 0 without pre-copy, and once the first pass
 * was read.
 * Context: takes the session lock.
 */
u64 tern_session_initial(struct tern_session *s)
{
	u64 pending, bytes = 0;

	mutex_lock(&s->lock);
	pending = unstaged_bytes(s) + staged_bytes(s);
	/* A chunk does not span two passes. */
	if (s->stats->passes <= s->first_pass && s->chunk != CHUNK_NONE)
		bytes += staged_bytes(s);
	bytes += s->snapshot * memory_record(s->m);
	if (!s->writer.seq)
		bytes += begin_record();
	s->initial = min(s->initial, min(bytes, pending));
	bytes = s->initial;
	mutex_unlock(&s->lock);
	return bytes;
}

/**
 * tern_session_reinit() - there is new initial data: a snapshot of all memory again
 * @s: the session
 * @reported: the reader learns that; if not, the pages are dirty, and no more
 *
 * What a device does whose configuration changes during a migration. What is staged
 * counts as initial, too: nothing else is pending.
 *
 * Return: 0; -EINVAL after the stop, or without pre-copy. Context: takes the session
 * lock; may sleep.
 */
int tern_session_reinit(struct tern_session *s, bool reported)
{
	int ret = 0;

	mutex_lock(&s->lock);
	if (s->stopped || !s->config.precopy) {
		ret = -EINVAL;
	} else {
		tern_dirty_again(s->m->dirty);
		/* The next chunk begins a pass. */
		end_pass(s);
		if (reported) {
			s->snapshot = tern_dirty_count(s->m->dirty);
			s->first_pass = s->stats->passes + 1;
			s->initial = ~0ULL;
			s->reinits++;
		}
	}
	mutex_unlock(&s->lock);
	return ret;
}

/**
 * tern_session_reinits() - how often new initial data was reported
 * @s: the session
 *
 * Context: takes the session lock.
 */
u32 tern_session_reinits(struct tern_session *s)
{
	u32 reinits;

	mutex_lock(&s->lock);
	reinits = s->reinits;
	mutex_unlock(&s->lock);
	return reinits;
}

/**
 * tern_session_remaining() - what would be read if the device stopped now
 * @s: the session
 *
 * Return: bytes, all that are pending among them; 0 only after the stop, once
 * all is read. Context: takes the session lock.
 */
u64 tern_session_remaining(struct tern_session *s)
{
	u64 bytes;

	mutex_lock(&s->lock);
	bytes = unstaged_if(s, true) + staged_bytes(s);
	mutex_unlock(&s->lock);
	return bytes;
}

/**
 * tern_session_estimate() - what a session would give that began and stopped now
 * @m: the device
 *
 * Return: bytes, never 0. Context: state_mutex.
 */
u64 tern_session_estimate(const struct tern_model *m)
{
	tern_assert_held(m->state_mutex);
	return begin_record() + tern_dirty_touched_count(m->dirty) * memory_record(m) +
	       final_records(m, 0);
}

static size_t put_begin(struct tern_session *s, void *at)
{
	struct tern_session_begin *begin = tern_writer_payload(at);

	begin->magic = cpu_to_le64(TERN_STREAM_MAGIC);
	begin->version = cpu_to_le32(s->m->ops->version);
	begin->reader = cpu_to_le32(s->m->ops->reader);
	begin->model = cpu_to_le32(s->m->ops->id);
	begin->block = cpu_to_le32(TERN_STREAM_BLOCK);
	begin->memory_size = cpu_to_le64(s->m->memory_size);
	get_random_bytes(begin->id, sizeof(begin->id));
	return tern_writer_seal(&s->writer, at, TERN_RECORD_SESSION_BEGIN, 0, sizeof(*begin));
}

static size_t put_end(struct tern_session *s, void *at)
{
	struct tern_end *end = tern_writer_payload(at);

	end->records = cpu_to_le64(s->writer.seq);
	end->bytes = cpu_to_le64(s->writer.bytes);
	return tern_writer_seal(&s->writer, at, TERN_RECORD_END, 0, sizeof(*end));
}

/* The destination has these zeroes already. */
static bool is_known_zero(const struct tern_session *s, unsigned long page, const void *data)
{
	return !test_bit(page, s->sent) && !memchr_inv(data, 0, s->m->page_size);
}

/* The record of a page whose data lies in its payload already. */
static void seal_page(struct tern_session *s, void *at, unsigned long page)
{
	struct tern_memory_head *head = tern_writer_payload(at);

	__set_bit(page, s->sent);
	head->offset = cpu_to_le64((u64)page * s->m->page_size);
	tern_writer_seal(&s->writer, at, TERN_RECORD_MEMORY, 0, sizeof(*head) + s->m->page_size);
}

/* Make records of a batch that was taken, the data of each page in its place. Bytes put. */
static size_t seal_batch(struct tern_session *s, void *at)
{
	const size_t record = memory_record(s->m), data = record - s->m->page_size;
	struct tern_batch *b = &s->batch;
	void *to = at;
	unsigned int i;

	for (i = 0; i < b->n; i++, at += record) {
		if (is_known_zero(s, b->page[i], at + data))
			continue;
		/* Close the gap that pages without a record have left. */
		if (to != at)
			memcpy(to + data, at + data, s->m->page_size);
		seal_page(s, to, b->page[i]);
		to += record;
	}
	at -= b->n * record;
	if (to == at) {
		/* All are zero, and so is what lies there. */
		seal_page(s, to, b->page[0]);
		to += record;
	}
	return to - at;
}

/* One batch of MEMORY records. Bytes put; 0 at the end of a pass; -errno. */
static ssize_t put_pages(struct tern_session *s, void *at, size_t room)
{
	const size_t record = memory_record(s->m);
	void *data = tern_writer_payload(at) + sizeof(struct tern_memory_head);
	struct tern_batch *b = &s->batch;
	u64 began = ktime_get_ns(), ns;
	size_t bytes;
	int ret;

	if (!tern_dirty_next_window(s->m->dirty, b, room / record))
		return 0;
	/* Some of them may turn out to need no record. */
	if (!s->bounce)
		s->staged = max(s->staged, at - s->config.staging + b->n * record);
	ret = tern_dirty_take(s->m->dirty, s->m, b, data, record);
	if (ret)
		return ret;
	ns = ktime_get_ns() - began;
	s->stats->pages += b->n;
	s->stats->take_ns += ns;
	bytes = seal_batch(s, at);
	trace_tern_take(s->m->name, b->n, bytes, ns);
	/* New pages may have been among them: what is ahead may be the snapshot. */
	if (s->snapshot)
		s->snapshot = s->snapshot > b->n ? s->snapshot - b->n :
			      tern_dirty_ahead(s->m->dirty);
	return bytes;
}

/* The model's sections and END, as many as fit. */
static size_t put_final(struct tern_session *s, void *at, size_t room)
{
	const struct tern_model_ops *ops = s->m->ops;
	size_t used = 0;

	for (; s->section < ops->n_sections; s->section++) {
		const struct tern_section *sec = &ops->sections[s->section];

		if (!is_present(s->m, sec))
			continue;
		if (room - used < TERN_RECORD_HEAD + sec->length)
			return used;
		sec->save(s->m, tern_writer_payload(at + used));
		used += tern_writer_seal(&s->writer, at + used, sec->type,
					 sec->present ? TERN_RECORD_OPTIONAL : 0, sec->length);
	}
	if (!all_sent(s) && room - used >= TERN_RECORD_HEAD + sizeof(struct tern_end)) {
		used += put_end(s, at + used);
		s->section++;
	}
	return used;
}

/* Buffer in which the record for this offset is assembled. */
static void *workplace(struct tern_session *s, size_t at)
{
	return s->bounce ? s->bounce : s->config.staging + at;
}

/* Copy it from there to its place in the chunk. */
static size_t stage(struct tern_session *s, size_t at, size_t n)
{
	if (s->bounce)
		memcpy(s->config.staging + at, s->bounce, n);
	s->staged = max(s->staged, at + n);
	return n;
}

/*
 * Put together a chunk that does not reach beyond the end of a pass. An error
 * in mid-chunk is kept for the next one: what is there is good.
 */
static ssize_t fill(struct tern_session *s)
{
	const size_t capacity = s->config.capacity;
	size_t used = 0, room;
	ssize_t ret;

	if (!s->stopped && (s->walked || !tern_dirty_ahead(s->m->dirty))) {
		end_pass(s);
		tern_dirty_rewind(s->m->dirty);
		s->fresh = true;
		s->walked = false;
	}
	if (!s->writer.seq)
		used = stage(s, 0, put_begin(s, workplace(s, 0)));
	while (capacity - used >= memory_record(s->m)) {
		room = min_t(size_t, capacity - used, BOUNCE);
		/* A reset may wait for what is put together already, not for more. */
		if (tern_killed() || (used && atomic_long_read(&s->m->resets)))
			ret = -EINTR;
		else
			ret = put_pages(s, workplace(s, used), room);
		if (ret < 0)
			return used ? used : ret;
		if (!ret) {
			end_pass(s);
			s->snapshot = 0;
			if (s->stopped) {
				tern_dirty_finish(s->m->dirty);
				used += stage(s, used, put_final(s, workplace(s, used), room));
			}
			break;
		}
		used += stage(s, used, ret);
	}
	return used;
}

static void count_offer(struct tern_session *s)
{
	struct tern_session_stats *st = s->stats;
	u64 *slot;

	trace_tern_chunk(s->m->name, s->chunk_bytes);
	st->chunks++;
	if (s->stopped) {
		st->stopped_bytes += s->chunk_bytes;
		return;
	}
	if (s->fresh) {
		s->fresh = false;
		slot = &st->pass_bytes[st->passes++ % TERN_PASSES_KEPT];
		st->older_bytes += *slot;
		*slot = 0;
	}
	st->pass_bytes[(st->passes - 1) % TERN_PASSES_KEPT] += s->chunk_bytes;
}

static ssize_t prepare_locked(struct tern_session *s)
{
	ssize_t ret;

	lockdep_assert_held(&s->lock);
	if (s->chunk == CHUNK_NONE && unstaged_bytes(s)) {
		ret = fill(s);
		/* A reader takes an empty chunk for the end: rather no chunk at all. */
		if (WARN_ON_ONCE(!ret))
			ret = -EIO;
		if (ret < 0)
			return ret;
		s->chunk_bytes = ret;
		s->chunk = CHUNK_OFFERED;
	}
	if (s->chunk == CHUNK_OFFERED) {
		s->chunk = CHUNK_PREPARED;
		count_offer(s);
	}
	return s->chunk_bytes;
}

static void drop_chunk(struct tern_session *s)
{
	lockdep_assert_held(&s->lock);
	s->chunk = CHUNK_NONE;
	s->chunk_bytes = 0;
	s->consumed = 0;
}

/**
 * tern_session_prepare() - have a chunk in the staging buffer
 * @s: the session
 *
 * The chunk stays the same until tern_session_retire().
 *
 * Return: its bytes; 0 if there is nothing to give now; -ENOMEM or -EIO of the device's
 * memory; -EINTR if the caller was killed. After an error the next call tries the same
 * pages again.
 * Context: takes the session lock; may sleep.
 */
ssize_t tern_session_prepare(struct tern_session *s)
{
	ssize_t ret;

	mutex_lock(&s->lock);
	ret = prepare_locked(s);
	mutex_unlock(&s->lock);
	return ret;
}

/**
 * tern_session_retire() - the chunk that was prepared has been read
 * @s: the session
 *
 * Does nothing if no chunk is prepared: a chunk that was only offered again is
 * still owed.
 *
 * Return: whether there was one. Context: takes the session lock.
 */
bool tern_session_retire(struct tern_session *s)
{
	bool prepared;

	mutex_lock(&s->lock);
	prepared = s->chunk == CHUNK_PREPARED;
	if (prepared) {
		trace_tern_read(s->m->name, staged_bytes(s));
		drop_chunk(s);
	}
	mutex_unlock(&s->lock);
	return prepared;
}

/**
 * tern_session_peek() - what must be read next, byte by byte
 * @s: the session
 * @at: gets its place in the staging buffer
 *
 * Return: how many bytes lie there, up to the end of a chunk; 0 and -errno as
 * tern_session_prepare(). Context: takes the session lock; may sleep.
 */
ssize_t tern_session_peek(struct tern_session *s, size_t *at)
{
	ssize_t ret;

	mutex_lock(&s->lock);
	ret = prepare_locked(s);
	if (ret > 0)
		ret -= s->consumed;
	*at = s->consumed;
	mutex_unlock(&s->lock);
	return ret;
}

/**
 * tern_session_consume() - bytes were read for good
 * @s: the session
 * @bytes: how many of those that tern_session_peek() gave
 *
 * If the device was stopped between the two, they have still arrived.
 * Context: takes the session lock.
 */
void tern_session_consume(struct tern_session *s, size_t bytes)
{
	mutex_lock(&s->lock);
	if (bytes && !WARN_ON_ONCE(bytes > staged_bytes(s))) {
		trace_tern_read(s->m->name, bytes);
		s->chunk = CHUNK_PREPARED;
		s->consumed += bytes;
		if (s->consumed == s->chunk_bytes)
			drop_chunk(s);
	}
	mutex_unlock(&s->lock);
}
