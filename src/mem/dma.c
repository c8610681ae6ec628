// SPDX-License-Identifier: GPL-2.0-only
/*
 * The DMA engine: moves bytes between guest memory and device memory, fills
 * device memory, and sums it up, on the device's worker.
 *
 * A transfer is a few registers and how far it has come. It proceeds in pieces of a
 * worker (function/worker.h). A piece works on a copy of the transfer, which becomes
 * the registers at its end. So between two pieces the registers are the whole truth.
 * What is left of a transfer when the device stops migrates with them, and resumes
 * where the device runs next, once.
 *
 * To aim the engine at the device's own memory, mapped as guest memory, is allowed. The
 * stores fault and are marked as a guest's would be, for the thread holds none of our
 * locks.
 */
#include <linux/crc32c.h>
#include <linux/minmax.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "core/model.h"
#include "function/memory.h"
#include "function/worker.h"
#include "mem/dma.h"
#include <uapi/tern/registers.h>

/* What moves at once, and what a freeze may have to wait for. */
#define PIECE	65536UL

#define VECTOR_OF(command)	((command) >> 8 & 0xff)
#define COMMAND_BITS		(TERN_DMA_OP | TERN_DMA_LIST | TERN_DMA_INTERRUPT | 0xff00)
#define FAILED(error)		(TERN_DMA_FAILED | (error) << 8)

static_assert(sizeof(struct tern_dma_state) == 64);
static_assert(sizeof(struct tern_dma_entry) == 16);
static_assert(TERN_VECTORS <= 0x100);

static bool is_busy(const struct tern_transfer *t)
{
	return (t->status & TERN_DMA_STATE) == TERN_DMA_BUSY;
}

static bool uses_guest(const struct tern_transfer *t)
{
	u32 op = t->command & TERN_DMA_OP;

	return op == TERN_DMA_OP_TO_DEVICE || op == TERN_DMA_OP_FROM_DEVICE;
}

/* What is wrong with a transfer before its first byte: 0 or TERN_DMA_ERROR_*. */
static u32 check_transfer(const struct tern_dma *dma, const struct tern_transfer *t)
{
	u32 op = t->command & TERN_DMA_OP;

	if (op < TERN_DMA_OP_TO_DEVICE || op > TERN_DMA_OP_CRC || t->command & ~COMMAND_BITS ||
	    VECTOR_OF(t->command) >= TERN_VECTORS || (t->command & TERN_DMA_LIST && !uses_guest(t)))
		return TERN_DMA_ERROR_COMMAND;
	if (!t->length)
		return TERN_DMA_ERROR_LENGTH;
	if (t->offset > dma->memory->size || t->length > dma->memory->size - t->offset)
		return TERN_DMA_ERROR_RANGE;
	if (!uses_guest(t))
		return 0;
	if (t->command & TERN_DMA_LIST) {
		if (!t->entries)
			return TERN_DMA_ERROR_LIST;
		if (t->address > U64_MAX - (u64)t->entries * sizeof(struct tern_dma_entry))
			return TERN_DMA_ERROR_ADDRESS;
	} else if (t->address > U64_MAX - t->length) {
		return TERN_DMA_ERROR_ADDRESS;
	}
	return 0;
}

static u32 guest_error(int ret)
{
	return ret == -EACCES ? TERN_DMA_ERROR_MASTER : TERN_DMA_ERROR_ADDRESS;
}

/* Where in guest memory a transfer continues, and how much of it lies there. */
static u32 find_place(struct tern_dma *dma, const struct tern_transfer *t, u64 *address, u64 *room)
{
	struct tern_dma_entry entry;
	u32 length;
	int ret;

	if (!(t->command & TERN_DMA_LIST)) {
		*address = t->address + t->done;
		*room = t->length - t->done;
		return 0;
	}
	if (t->entry >= t->entries)
		return TERN_DMA_ERROR_LIST;
	ret = dma->ops->guest(dma, t->address + (u64)t->entry * sizeof(entry), &entry,
			      sizeof(entry), false);
	if (ret)
		return guest_error(ret);
	/* The list is the guest's, and may be another one at each look. */
	length = le32_to_cpu(entry.length);
	if (length <= t->entry_done || entry.reserved)
		return TERN_DMA_ERROR_LIST;
	if (le64_to_cpu(entry.address) > U64_MAX - length)
		return TERN_DMA_ERROR_ADDRESS;
	*address = le64_to_cpu(entry.address) + t->entry_done;
	*room = length - t->entry_done;
	return 0;
}

static void advance(struct tern_transfer *t, size_t n, u64 room)
{
	t->done += n;
	if (!(t->command & TERN_DMA_LIST))
		return;
	t->entry_done += n;
	if (n == room) {
		t->entry++;
		t->entry_done = 0;
	}
}

static u32 move_guest_piece(struct tern_dma *dma, struct tern_transfer *t, void *buf)
{
	bool from_device = (t->command & TERN_DMA_OP) == TERN_DMA_OP_FROM_DEVICE;
	u64 at = t->offset + t->done, address, room;
	size_t n;
	u32 error;
	int ret;

	error = find_place(dma, t, &address, &room);
	if (error)
		return error;
	n = min3((u64)PIECE, t->length - t->done, room);
	if (from_device && tern_memory_read(dma->memory, at, buf, n))
		return TERN_DMA_ERROR_MEMORY;
	ret = dma->ops->guest(dma, address, buf, n, from_device);
	if (ret)
		return guest_error(ret);
	if (!from_device && tern_memory_write(dma->memory, at, buf, n))
		return TERN_DMA_ERROR_MEMORY;
	advance(t, n, room);
	return 0;
}

static u32 fill_piece(struct tern_dma *dma, struct tern_transfer *t, void *buf)
{
	size_t n = min((u64)PIECE, t->length - t->done);
	__le32 word = cpu_to_le32(t->pattern);

	/* A piece begins at a whole word of the pattern. */
	memset32(buf, (__force u32)word, DIV_ROUND_UP(n, sizeof(word)));
	if (tern_memory_write(dma->memory, t->offset + t->done, buf, n))
		return TERN_DMA_ERROR_MEMORY;
	t->done += n;
	return 0;
}

static u32 sum_piece(struct tern_dma *dma, struct tern_transfer *t, void *buf)
{
	size_t n = min((u64)PIECE, t->length - t->done);

	if (tern_memory_read(dma->memory, t->offset + t->done, buf, n))
		return TERN_DMA_ERROR_MEMORY;
	t->crc = crc32c(t->crc, buf, n);
	t->done += n;
	return 0;
}

/**
 * tern_dma_do_piece() - do what tern_dma_begin_piece() has taken
 * @dma: the engine
 * @mm: the thread uses the opener's address space
 *
 * Context: the worker, no lock; may sleep.
 */
void tern_dma_do_piece(struct tern_dma *dma, bool mm)
{
	struct tern_transfer *t = &dma->piece;

	/* Without the opener's address space there is no guest memory. */
	if (!mm) {
		dma->error = TERN_DMA_ERROR_ADDRESS;
		return;
	}
	switch (t->command & TERN_DMA_OP) {
	case TERN_DMA_OP_FILL:
		dma->error = fill_piece(dma, t, dma->bounce);
		break;
	case TERN_DMA_OP_CRC:
		dma->error = sum_piece(dma, t, dma->bounce);
		break;
	default:
		dma->error = move_guest_piece(dma, t, dma->bounce);
		break;
	}
}

static void end_transfer(struct tern_dma *dma, struct tern_transfer *t, u32 status)
{
	lockdep_assert_held(dma->lock);
	WRITE_ONCE(t->status, status);
	trace_tern_dma_end(dma->model->name, t->command, t->done, t->length, status);
	if (t->command & TERN_DMA_INTERRUPT && VECTOR_OF(t->command) < TERN_VECTORS)
		dma->ops->interrupt(dma, VECTOR_OF(t->command));
}

/**
 * tern_dma_has_work() - is a transfer under way?
 * @dma: the engine
 *
 * Context: any. No more than a hint if the registers can change meanwhile.
 */
bool tern_dma_has_work(const struct tern_dma *dma)
{
	return (READ_ONCE(dma->transfer.status) & TERN_DMA_STATE) == TERN_DMA_BUSY;
}

/**
 * tern_dma_begin_piece() - take the next piece of the transfer
 * @dma: the engine
 *
 * Context: the worker, with the io lock.
 */
void tern_dma_begin_piece(struct tern_dma *dma)
{
	lockdep_assert_held(dma->lock);
	dma->piece = dma->transfer;
}

/**
 * tern_dma_end_piece() - the piece becomes the registers
 * @dma: the engine
 *
 * Context: the worker, with the io lock.
 */
void tern_dma_end_piece(struct tern_dma *dma)
{
	lockdep_assert_held(dma->lock);
	dma->transfer = dma->piece;
	trace_tern_dma_piece(dma->model->name, dma->piece.command, dma->piece.done,
			     dma->piece.length, dma->piece.status);
	if (dma->error)
		end_transfer(dma, &dma->transfer, FAILED(dma->error));
	else if (dma->transfer.done == dma->transfer.length)
		end_transfer(dma, &dma->transfer, TERN_DMA_DONE);
}

/**
 * tern_dma_init() - an engine of a device that is not open
 * @dma: the engine
 * @ops: immutable
 * @model: of the device
 * @worker: of the device; calls what follows
 * @lock: the device's io lock, which guards the registers
 */
void tern_dma_init(struct tern_dma *dma, const struct tern_dma_ops *ops,
		   const struct tern_model *model, struct tern_worker *worker, struct mutex *lock)
{
	memset(dma, 0, sizeof(*dma));
	dma->ops = ops;
	dma->model = model;
	dma->worker = worker;
	dma->lock = lock;
}

/**
 * tern_dma_open() - power on: no transfer
 * @dma: the engine
 * @memory: device memory
 *
 * Return: 0; -ENOMEM with nothing done. Context: before the worker starts; may sleep.
 */
int tern_dma_open(struct tern_dma *dma, struct tern_memory *memory)
{
	dma->bounce = kvmalloc(PIECE, GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!dma->bounce)
		return -ENOMEM;
	dma->memory = memory;
	/* No one else knows the engine yet; what clears it otherwise has the lock. */
	mutex_lock(dma->lock);
	tern_dma_clear(dma);
	mutex_unlock(dma->lock);
	return 0;
}

/**
 * tern_dma_close() - power off
 * @dma: the engine
 *
 * Context: the worker has exited.
 */
void tern_dma_close(struct tern_dma *dma)
{
	kvfree(dma->bounce);
	dma->bounce = NULL;
	dma->memory = NULL;
}

/**
 * tern_dma_clear() - as at power-on
 * @dma: the engine, frozen
 *
 * Context: the io lock.
 */
void tern_dma_clear(struct tern_dma *dma)
{
	lockdep_assert_held(dma->lock);
	memset(&dma->transfer, 0, sizeof(dma->transfer));
	dma->transfer.crc = ~0U;
}

static void start_transfer(struct tern_dma *dma, u32 command)
{
	struct tern_transfer *t = &dma->transfer;
	u32 error;

	t->command = command;
	t->done = 0;
	t->crc = ~0U;
	t->entry = 0;
	t->entry_done = 0;
	error = check_transfer(dma, t);
	if (error) {
		end_transfer(dma, t, FAILED(error));
		return;
	}
	WRITE_ONCE(t->status, TERN_DMA_BUSY);
	tern_worker_kick(dma->worker);
}

/**
 * tern_dma_read_register() - a register's value
 * @dma: the engine
 * @offset: in BAR0
 *
 * Return: the value; 0 where there is no register. Context: the io lock.
 */
u32 tern_dma_read_register(const struct tern_dma *dma, unsigned int offset)
{
	const struct tern_transfer *t = &dma->transfer;

	lockdep_assert_held(dma->lock);
	switch (offset) {
	case TERN_DMA_COMMAND:
		return t->command;
	case TERN_DMA_STATUS:
		return t->status;
	case TERN_DMA_ADDRESS_LOW:
		return lower_32_bits(t->address);
	case TERN_DMA_ADDRESS_HIGH:
		return upper_32_bits(t->address);
	case TERN_DMA_OFFSET_LOW:
		return lower_32_bits(t->offset);
	case TERN_DMA_OFFSET_HIGH:
		return upper_32_bits(t->offset);
	case TERN_DMA_LENGTH_LOW:
		return lower_32_bits(t->length);
	case TERN_DMA_LENGTH_HIGH:
		return upper_32_bits(t->length);
	case TERN_DMA_ENTRIES:
		return t->entries;
	case TERN_DMA_PATTERN:
		return t->pattern;
	case TERN_DMA_DONE_LOW:
		return lower_32_bits(t->done);
	case TERN_DMA_DONE_HIGH:
		return upper_32_bits(t->done);
	case TERN_DMA_CRC:
		return ~t->crc;
	default:
		return 0;
	}
}

static void set_low(u64 *reg, u32 value)
{
	*reg = (*reg & ~(u64)U32_MAX) | value;
}

static void set_high(u64 *reg, u32 value)
{
	*reg = (*reg & U32_MAX) | (u64)value << 32;
}

/**
 * tern_dma_write_register() - write a register
 * @dma: the engine
 * @offset: in BAR0
 * @value: the command starts a transfer; all writes are ignored while one is
 *	under way
 *
 * Context: the io lock.
 */
void tern_dma_write_register(struct tern_dma *dma, unsigned int offset, u32 value)
{
	struct tern_transfer *t = &dma->transfer;

	lockdep_assert_held(dma->lock);
	if (is_busy(t))
		return;
	switch (offset) {
	case TERN_DMA_COMMAND:
		start_transfer(dma, value);
		break;
	case TERN_DMA_ADDRESS_LOW:
		set_low(&t->address, value);
		break;
	case TERN_DMA_ADDRESS_HIGH:
		set_high(&t->address, value);
		break;
	case TERN_DMA_OFFSET_LOW:
		set_low(&t->offset, value);
		break;
	case TERN_DMA_OFFSET_HIGH:
		set_high(&t->offset, value);
		break;
	case TERN_DMA_LENGTH_LOW:
		set_low(&t->length, value);
		break;
	case TERN_DMA_LENGTH_HIGH:
		set_high(&t->length, value);
		break;
	case TERN_DMA_ENTRIES:
		t->entries = value;
		break;
	case TERN_DMA_PATTERN:
		t->pattern = value;
		break;
	}
}

/**
 * tern_dma_save() - the state, for a stream
 * @dma: the engine, frozen
 * @to: gets it
 *
 * Context: the io lock.
 */
void tern_dma_save(const struct tern_dma *dma, struct tern_dma_state *to)
{
	const struct tern_transfer *t = &dma->transfer;

	lockdep_assert_held(dma->lock);
	to->command = cpu_to_le32(t->command);
	to->status = cpu_to_le32(t->status);
	to->address = cpu_to_le64(t->address);
	to->offset = cpu_to_le64(t->offset);
	to->length = cpu_to_le64(t->length);
	to->done = cpu_to_le64(t->done);
	to->entries = cpu_to_le32(t->entries);
	to->pattern = cpu_to_le32(t->pattern);
	to->crc = cpu_to_le32(t->crc);
	to->entry = cpu_to_le32(t->entry);
	to->entry_done = cpu_to_le32(t->entry_done);
	to->reserved = 0;
}

static void parse(struct tern_transfer *t, const struct tern_dma_state *from)
{
	t->command = le32_to_cpu(from->command);
	t->status = le32_to_cpu(from->status);
	t->address = le64_to_cpu(from->address);
	t->offset = le64_to_cpu(from->offset);
	t->length = le64_to_cpu(from->length);
	t->done = le64_to_cpu(from->done);
	t->entries = le32_to_cpu(from->entries);
	t->pattern = le32_to_cpu(from->pattern);
	t->crc = le32_to_cpu(from->crc);
	t->entry = le32_to_cpu(from->entry);
	t->entry_done = le32_to_cpu(from->entry_done);
}

/**
 * tern_dma_validate() - can the engine be so?
 * @dma: the engine
 * @from: a state from a stream
 *
 * A transfer in progress must obey the same rules as one that is started. The other
 * registers can have any value.
 *
 * Return: 0, or -EDOM.
 */
int tern_dma_validate(const struct tern_dma *dma, const struct tern_dma_state *from)
{
	struct tern_transfer t;
	u32 error;

	parse(&t, from);
	error = TERN_DMA_ERROR(t.status);
	if (from->reserved || t.status & ~(TERN_DMA_STATE | 0xf00) ||
	    error > TERN_DMA_ERROR_MEMORY ||
	    ((t.status & TERN_DMA_STATE) == TERN_DMA_FAILED) != !!error)
		return -EDOM;
	if (is_busy(&t) && (check_transfer(dma, &t) || t.done >= t.length))
		return -EDOM;
	return 0;
}

/**
 * tern_dma_load() - restore from a validated section
 * @dma: the engine, frozen
 * @from: a validated state
 *
 * Context: the io lock.
 */
void tern_dma_load(struct tern_dma *dma, const struct tern_dma_state *from)
{
	lockdep_assert_held(dma->lock);
	parse(&dma->transfer, from);
}
