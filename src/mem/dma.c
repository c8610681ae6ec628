// SPDX-License-Identifier: GPL-2.0-only
/*
 * The DMA engine: moves bytes between guest memory and device memory, fills
 * device memory, and sums it up, on a thread of its own.
 *
 * A transfer is a few registers and how far it has come, and goes on in pieces:
 *
 *   lock; copy the transfer, say that a piece is moving; unlock
 *   move the piece: no lock is held, for guest memory can make us wait
 *   lock; the transfer is so much further; interrupt at its end; unlock
 *
 * So between two pieces the registers are the whole truth, and that is when a
 * device stops: to freeze is to let no further piece begin and to wait for the
 * one that moves. On return no byte of guest memory or of device memory changes
 * and no interrupt is on its way. What is left migrates with the registers, and
 * goes on where the device runs next, once: a piece is either done or not begun.
 *
 * The thread works in the opener's address space, and in its control groups. There
 * guest memory is found, and to them the processor's time and the memory are charged
 * that a transfer makes the device use. The opener is a process: its life decides,
 * not that of the thread that opened the device, nor of its main thread. Once it has
 * ended, or has given up its address space by execve(), there is no guest memory any
 * more, and every transfer fails; what a forked child does with the device goes to
 * the memory of the opener.
 *
 * A fault may wait for the process that serves that memory, so whatever must not wait
 * indefinitely (close, or a freeze whose caller was killed) kills the piece: SIGKILL
 * ends the fault, and the transfer fails. A watchdog does so for an opener that was
 * killed: the piece may hold what it needs to come to its end, and so to close. Some
 * faults cannot be killed, such as one that waits for a FUSE daemon that has taken the
 * request: then close sleeps until the daemon answers or its connection is aborted.
 *
 * To aim the engine at the device's own memory, mapped as guest memory, is
 * allowed: the stores fault and are marked as a guest's would be, for the thread
 * holds none of our locks while it moves.
 */
#include <linux/cgroup.h>
#include <linux/crc32c.h>
#include <linux/err.h>
#include <linux/kthread.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "mem/dma.h"
#include "function/memory.h"
#include <uapi/tern/registers.h>

/* What moves at once, and what a freeze may have to wait for. */
#define PIECE	65536UL

/* How often the watchdog looks. */
#define WATCH_EVERY	(HZ / 2)

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
	    VECTOR_OF(t->command) >= TERN_VECTORS ||
	    (t->command & TERN_DMA_LIST && !uses_guest(t)))
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

/* Where in guest memory a transfer goes on, and how much of it lies there. */
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
	ret = dma->ops->guest(dma, t->address + (u64)t->entry * sizeof(entry),
			      &entry, sizeof(entry), false);
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

/* Of the whole process: its main thread may have ended long before. */
static bool opener_dies(const struct tern_dma *dma)
{
	const struct signal_struct *process = dma->opener->signal;

	return READ_ONCE(process->flags) & SIGNAL_GROUP_EXIT || !atomic_read(&process->live);
}

static u32 move_piece(struct tern_dma *dma, struct tern_transfer *t)
{
	u32 error;

	/* The opener is gone: so is guest memory. */
	if (opener_dies(dma) || !mmget_not_zero(dma->mm))
		return TERN_DMA_ERROR_ADDRESS;
	kthread_use_mm(dma->mm);
	switch (t->command & TERN_DMA_OP) {
	case TERN_DMA_OP_FILL:
		error = fill_piece(dma, t, dma->bounce);
		break;
	case TERN_DMA_OP_CRC:
		error = sum_piece(dma, t, dma->bounce);
		break;
	default:
		error = move_guest_piece(dma, t, dma->bounce);
		break;
	}
	kthread_unuse_mm(dma->mm);
	mmput(dma->mm);
	return error;
}

static void end_transfer(struct tern_dma *dma, struct tern_transfer *t, u32 status)
{
	lockdep_assert_held(dma->lock);
	WRITE_ONCE(t->status, status);
	if (t->command & TERN_DMA_INTERRUPT && VECTOR_OF(t->command) < TERN_VECTORS)
		dma->ops->interrupt(dma, VECTOR_OF(t->command));
}

static bool has_work(const struct tern_dma *dma)
{
	return !READ_ONCE(dma->frozen) && !READ_ONCE(dma->d3hot) &&
	       (READ_ONCE(dma->transfer.status) & TERN_DMA_STATE) == TERN_DMA_BUSY;
}

static void do_piece(struct tern_dma *dma)
{
	struct tern_transfer t;
	u32 error;

	mutex_lock(dma->lock);
	if (!has_work(dma)) {
		mutex_unlock(dma->lock);
		return;
	}
	t = dma->transfer;
	/* A kill that came too late for the last piece is not meant for this one. */
	flush_signals(current);
	dma->moving = true;
	mutex_unlock(dma->lock);

	error = move_piece(dma, &t);

	mutex_lock(dma->lock);
	dma->transfer = t;
	if (error)
		end_transfer(dma, &dma->transfer, FAILED(error));
	else if (t.done == t.length)
		end_transfer(dma, &dma->transfer, TERN_DMA_DONE);
	WRITE_ONCE(dma->pieces, dma->pieces + 1);
	/* Pairs with the load in is_idle(): who stops the device sees the piece. */
	smp_store_release(&dma->moving, false);
	mutex_unlock(dma->lock);
	wake_up(&dma->idle);
}

static int run(void *data)
{
	struct tern_dma *dma = data;

	/* Root may kill a piece, too. */
	allow_signal(SIGKILL);
	while (!kthread_should_stop()) {
		wait_event_idle(dma->wake, has_work(dma) || kthread_should_stop());
		do_piece(dma);
		cond_resched();
	}
	return 0;
}

static void watch_opener(struct work_struct *work)
{
	struct tern_dma *dma = container_of(work, struct tern_dma, watchdog.work);

	if (READ_ONCE(dma->moving) && opener_dies(dma))
		send_sig(SIGKILL, dma->thread, 1);
	schedule_delayed_work(&dma->watchdog, WATCH_EVERY);
}

/**
 * tern_dma_init() - an engine of a device that is not open
 * @dma: the engine
 * @ops: immutable
 * @lock: the device's io lock, which guards the registers
 */
void tern_dma_init(struct tern_dma *dma, const struct tern_dma_ops *ops, struct mutex *lock)
{
	memset(dma, 0, sizeof(*dma));
	dma->ops = ops;
	dma->lock = lock;
	init_waitqueue_head(&dma->wake);
	init_waitqueue_head(&dma->idle);
	INIT_DELAYED_WORK(&dma->watchdog, watch_opener);
}

/*
 * The thread, in the control groups of the opener. It is not awake before it is there.
 */
static struct task_struct *create_thread(struct tern_dma *dma)
{
	struct task_struct *thread = kthread_create(run, dma, "tern-dma");
	int ret;

	/* A fork that was interrupted by a kill has no better word. */
	if (IS_ERR(thread))
		return ERR_PTR(-ENOMEM);
	ret = cgroup_attach_task_all(current, thread);
	if (ret) {
		kthread_stop(thread);
		return ERR_PTR(ret);
	}
	wake_up_process(thread);
	return thread;
}

/**
 * tern_dma_open() - power on: no transfer, and the thread waits for one
 * @dma: the engine
 * @memory: device memory
 *
 * Return: 0; -ENOMEM, or why the thread may not join the caller's control groups,
 * with nothing done. Context: the opener's; may sleep.
 */
int tern_dma_open(struct tern_dma *dma, struct tern_memory *memory)
{
	struct task_struct *thread;

	dma->bounce = kvmalloc(PIECE, GFP_KERNEL_ACCOUNT);
	if (!dma->bounce)
		return -ENOMEM;
	dma->memory = memory;
	dma->moving = false;
	dma->frozen = false;
	dma->mm = current->mm;
	dma->opener = current->group_leader;
	tern_dma_clear(dma);
	thread = create_thread(dma);
	if (IS_ERR(thread)) {
		kvfree(dma->bounce);
		return PTR_ERR(thread);
	}
	mmgrab(dma->mm);
	get_task_struct(dma->opener);
	dma->thread = thread;
	schedule_delayed_work(&dma->watchdog, WATCH_EVERY);
	return 0;
}

static bool is_idle(struct tern_dma *dma)
{
	/* Pairs with the release in do_piece(). */
	return !smp_load_acquire(&dma->moving);
}

static bool has_ended(struct tern_dma *dma, unsigned long piece)
{
	return is_idle(dma) || READ_ONCE(dma->pieces) != piece;
}

/*
 * Kill a piece, and wait for its end. Once: the signal stays pending until the next
 * piece begins. If the fault that it waits in cannot be killed, so does the caller
 * wait, without a report of a hung task: it is the memory's server that hangs.
 */
static void kill_piece(struct tern_dma *dma, unsigned long piece)
{
	mutex_lock(dma->lock);
	if (!has_ended(dma, piece))
		send_sig(SIGKILL, dma->thread, 1);
	mutex_unlock(dma->lock);
	wait_event_idle(dma->idle, has_ended(dma, piece));
}

static void set_frozen(struct tern_dma *dma, bool frozen)
{
	mutex_lock(dma->lock);
	WRITE_ONCE(dma->frozen, frozen);
	mutex_unlock(dma->lock);
}

/**
 * tern_dma_close() - power off: the thread is gone on return
 * @dma: the engine
 *
 * A piece that is under way is killed. Context: may sleep, for as long as a fault of
 * that piece can neither go on nor be killed.
 */
void tern_dma_close(struct tern_dma *dma)
{
	set_frozen(dma, true);
	kill_piece(dma, READ_ONCE(dma->pieces));
	cancel_delayed_work_sync(&dma->watchdog);
	kthread_stop(dma->thread);
	dma->thread = NULL;
	put_task_struct(dma->opener);
	dma->opener = NULL;
	mmdrop(dma->mm);
	dma->mm = NULL;
	kvfree(dma->bounce);
	dma->bounce = NULL;
	dma->memory = NULL;
}

/**
 * tern_dma_clear() - as at power-on
 * @dma: the engine, frozen or not yet open
 *
 * Context: the io lock, if the device is open.
 */
void tern_dma_clear(struct tern_dma *dma)
{
	memset(&dma->transfer, 0, sizeof(dma->transfer));
	dma->transfer.crc = ~0U;
}

/**
 * tern_dma_freeze() - on return the engine changes nothing any more
 * @dma: the engine
 *
 * Waits for the piece that is under way; if the caller is killed meanwhile, kills
 * it. Registers can still be written; a transfer begins when the engine thaws.
 *
 * Context: no io lock; may sleep.
 */
void tern_dma_freeze(struct tern_dma *dma)
{
	set_frozen(dma, true);
	if (wait_event_killable(dma->idle, is_idle(dma)))
		kill_piece(dma, READ_ONCE(dma->pieces));
}

/**
 * tern_dma_thaw() - go on where it was frozen
 * @dma: the engine
 *
 * Context: no io lock.
 */
void tern_dma_thaw(struct tern_dma *dma)
{
	set_frozen(dma, false);
	wake_up(&dma->wake);
}

/**
 * tern_dma_set_d3hot() - the power state was written
 * @dma: the engine
 * @d3hot: whether it is D3hot, in which no piece begins
 *
 * What is left of a transfer waits. A piece that is under way ends by itself:
 * tern_dma_settle() waits for it.
 *
 * Context: the io lock.
 */
void tern_dma_set_d3hot(struct tern_dma *dma, bool d3hot)
{
	WRITE_ONCE(dma->d3hot, d3hot);
	wake_up(&dma->wake);
}

/**
 * tern_dma_settle() - on return the piece that was under way has ended
 * @dma: the engine
 *
 * For who has changed what a piece may do: what follows goes by that. If the caller
 * is killed meanwhile, the piece is.
 *
 * Context: no io lock; may sleep.
 */
void tern_dma_settle(struct tern_dma *dma)
{
	unsigned long piece = READ_ONCE(dma->pieces);

	if (wait_event_killable(dma->idle, has_ended(dma, piece)))
		kill_piece(dma, piece);
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
	wake_up(&dma->wake);
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
 * What a transfer that goes on says is held against the same rules as one that
 * is begun; the other registers can have any value.
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
 * tern_dma_load() - become what a stream says
 * @dma: the engine, frozen
 * @from: a validated state
 *
 * Context: the io lock.
 */
void tern_dma_load(struct tern_dma *dma, const struct tern_dma_state *from)
{
	parse(&dma->transfer, from);
}
