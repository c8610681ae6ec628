// SPDX-License-Identifier: GPL-2.0-only
/*
 * The data file: protocol version 2, the one of Linux since 5.18 and of QEMU
 * since 8.0.
 *
 * A state is asked for by VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE. Between two states lie
 * arcs. The table below has for each pair the state that the next arc leads to. What an
 * arc does is the machine's affair (core/machine.c). An arc that begins a session or a
 * load makes a file; read() and write() of it carry the stream:
 *
 *   read     the next bytes of the session; what was copied has arrived
 *   write    the next bytes of a load, consumed and checked on return
 *   poll     readable if read() would give bytes, the end, or an error
 *   ioctl    VFIO_MIG_GET_PRECOPY_INFO
 *
 * The file lives until its last descriptor is closed, which can be longer than its
 * session, and longer than the device. So it holds a reference on the device's
 * structure. The device holds one on it while its session lives. It is the device's
 * current file, or its session is over and every use is -ENODEV. To close it changes
 * nothing: the session continues until a state is requested that ends it.
 *
 * User memory is copied from and to the file's own staging buffer, with nothing held
 * but the file's mutex. A buffer that user space serves itself may block the copy
 * indefinitely. Then it blocks only the users of the same file.
 */
#include <linux/anon_inodes.h>
#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kref.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/workqueue.h>

#include "compat/vfio.h"
#include "vfio/migfd.h"
#include "vfio/migration.h"
#include "vfio/status.h"

/* One read() or write() moves no more: as much as QEMU asks for at once. */
#define STAGING		0x100000UL

/* After this time pollers of a device without data look at it again. */
#define LOOK_EVERY	max(HZ / 50, 1)

static_assert(STAGING >= TERN_CHUNK_MIN);

/**
 * struct staging - the session's chunk, or a piece of a load
 * @kref: one reference of the file's while its session lives, and one of each copy
 *	from or to user memory that is under way
 * @bytes: STAGING of them
 *
 * Freed with the session, however long its file stays open. A process that keeps its
 * files must not keep a MiB of the kernel's memory for each session.
 */
struct staging {
	struct kref kref;
	u8 bytes[] __aligned(SMP_CACHE_BYTES);
};

/**
 * struct tern_migfd - a data file
 * @kref: one reference of the file's, one of the device's while it is current
 * @mig: of a device, on whose structure the file holds a reference
 * @io: one reader or writer at a time; held while user memory is copied; over
 *	state_mutex
 * @staging: NULL once its session is over [state_mutex]. From peek to consume its
 *	bytes belong to the holder of @io, else to the session
 * @told_end: read() has returned 0 [state_mutex]
 * @reinits: of the session, that its reader knows of; no lock
 * @wait: pollers
 * @look: wakes them after LOOK_EVERY: a store to device memory does not
 */
struct tern_migfd {
	struct kref kref;
	struct tern_migration *mig;
	struct mutex io;
	struct staging *staging;
	bool told_end;
	u32 reinits;
	wait_queue_head_t wait;
	struct delayed_work look;
};

/* vfio's state of each phase. Its ERROR is none of them: that is tern_machine_fail(). */
static const enum vfio_device_mig_state states[TERN_PHASES] = {
	[TERN_PHASE_RUNNING]		= VFIO_DEVICE_STATE_RUNNING,
	[TERN_PHASE_RUNNING_SAVING]	= VFIO_DEVICE_STATE_PRE_COPY,
	[TERN_PHASE_QUIESCED]		= VFIO_DEVICE_STATE_RUNNING_P2P,
	[TERN_PHASE_QUIESCED_SAVING]	= VFIO_DEVICE_STATE_PRE_COPY_P2P,
	[TERN_PHASE_STOPPED_SAVING]	= VFIO_DEVICE_STATE_STOP_COPY,
	[TERN_PHASE_STOPPED]		= VFIO_DEVICE_STATE_STOP,
	[TERN_PHASE_LOADING]		= VFIO_DEVICE_STATE_RESUMING,
};

#define REFUSED	TERN_PHASES

/*
 * The next phase on the way to another: the shortest way along the arcs of
 * uapi/linux/vfio.h (at enum vfio_device_mig_state) without a session in its middle.
 * The table of Linux 6.1 lacks half of it, so this is our own. Where the kernel's is
 * whole, the two are compared.
 */
static const u8 next_phase[TERN_PHASES][TERN_PHASES] = {
	[TERN_PHASE_RUNNING] = {
		[TERN_PHASE_RUNNING]		= TERN_PHASE_RUNNING,
		[TERN_PHASE_RUNNING_SAVING]	= TERN_PHASE_RUNNING_SAVING,
		[TERN_PHASE_QUIESCED]		= TERN_PHASE_QUIESCED,
		[TERN_PHASE_QUIESCED_SAVING]	= TERN_PHASE_QUIESCED,
		[TERN_PHASE_STOPPED_SAVING]	= TERN_PHASE_QUIESCED,
		[TERN_PHASE_STOPPED]		= TERN_PHASE_QUIESCED,
		[TERN_PHASE_LOADING]		= TERN_PHASE_QUIESCED,
	},
	[TERN_PHASE_RUNNING_SAVING] = {
		[TERN_PHASE_RUNNING]		= TERN_PHASE_RUNNING,
		[TERN_PHASE_RUNNING_SAVING]	= TERN_PHASE_RUNNING_SAVING,
		[TERN_PHASE_QUIESCED]		= TERN_PHASE_RUNNING,
		[TERN_PHASE_QUIESCED_SAVING]	= TERN_PHASE_QUIESCED_SAVING,
		[TERN_PHASE_STOPPED_SAVING]	= TERN_PHASE_QUIESCED_SAVING,
		[TERN_PHASE_STOPPED]		= TERN_PHASE_RUNNING,
		[TERN_PHASE_LOADING]		= TERN_PHASE_RUNNING,
	},
	[TERN_PHASE_QUIESCED] = {
		[TERN_PHASE_RUNNING]		= TERN_PHASE_RUNNING,
		[TERN_PHASE_RUNNING_SAVING]	= TERN_PHASE_RUNNING,
		[TERN_PHASE_QUIESCED]		= TERN_PHASE_QUIESCED,
		[TERN_PHASE_QUIESCED_SAVING]	= TERN_PHASE_QUIESCED_SAVING,
		[TERN_PHASE_STOPPED_SAVING]	= TERN_PHASE_STOPPED,
		[TERN_PHASE_STOPPED]		= TERN_PHASE_STOPPED,
		[TERN_PHASE_LOADING]		= TERN_PHASE_STOPPED,
	},
	[TERN_PHASE_QUIESCED_SAVING] = {
		[TERN_PHASE_RUNNING]		= TERN_PHASE_QUIESCED,
		[TERN_PHASE_RUNNING_SAVING]	= TERN_PHASE_RUNNING_SAVING,
		[TERN_PHASE_QUIESCED]		= TERN_PHASE_QUIESCED,
		[TERN_PHASE_QUIESCED_SAVING]	= TERN_PHASE_QUIESCED_SAVING,
		[TERN_PHASE_STOPPED_SAVING]	= TERN_PHASE_STOPPED_SAVING,
		[TERN_PHASE_STOPPED]		= TERN_PHASE_QUIESCED,
		[TERN_PHASE_LOADING]		= TERN_PHASE_QUIESCED,
	},
	[TERN_PHASE_STOPPED_SAVING] = {
		[TERN_PHASE_RUNNING]		= TERN_PHASE_STOPPED,
		[TERN_PHASE_RUNNING_SAVING]	= REFUSED,
		[TERN_PHASE_QUIESCED]		= TERN_PHASE_STOPPED,
		[TERN_PHASE_QUIESCED_SAVING]	= REFUSED,
		[TERN_PHASE_STOPPED_SAVING]	= TERN_PHASE_STOPPED_SAVING,
		[TERN_PHASE_STOPPED]		= TERN_PHASE_STOPPED,
		[TERN_PHASE_LOADING]		= TERN_PHASE_STOPPED,
	},
	[TERN_PHASE_STOPPED] = {
		[TERN_PHASE_RUNNING]		= TERN_PHASE_QUIESCED,
		[TERN_PHASE_RUNNING_SAVING]	= TERN_PHASE_QUIESCED,
		[TERN_PHASE_QUIESCED]		= TERN_PHASE_QUIESCED,
		[TERN_PHASE_QUIESCED_SAVING]	= TERN_PHASE_QUIESCED,
		[TERN_PHASE_STOPPED_SAVING]	= TERN_PHASE_STOPPED_SAVING,
		[TERN_PHASE_STOPPED]		= TERN_PHASE_STOPPED,
		[TERN_PHASE_LOADING]		= TERN_PHASE_LOADING,
	},
	[TERN_PHASE_LOADING] = {
		[TERN_PHASE_RUNNING]		= TERN_PHASE_STOPPED,
		[TERN_PHASE_RUNNING_SAVING]	= TERN_PHASE_STOPPED,
		[TERN_PHASE_QUIESCED]		= TERN_PHASE_STOPPED,
		[TERN_PHASE_QUIESCED_SAVING]	= TERN_PHASE_STOPPED,
		[TERN_PHASE_STOPPED_SAVING]	= TERN_PHASE_STOPPED,
		[TERN_PHASE_STOPPED]		= TERN_PHASE_STOPPED,
		[TERN_PHASE_LOADING]		= TERN_PHASE_LOADING,
	},
};

static void free_staging(struct kref *kref)
{
	kvfree(container_of(kref, struct staging, kref));
}

static void put_staging(struct staging *st)
{
	kref_put(&st->kref, free_staging);
}

static void free_migfd(struct kref *kref)
{
	struct tern_migfd *f = container_of(kref, struct tern_migfd, kref);

	mutex_destroy(&f->io);
	if (f->staging)
		put_staging(f->staging);
	put_device(&f->mig->vdev->device);
	kfree(f);
}

static void put_migfd(struct tern_migfd *f)
{
	kref_put(&f->kref, free_migfd);
}

/* Lock the device. -ENODEV if the file's session is over; -EINTR. */
static int lock_current(struct tern_migfd *f)
{
	int ret = tern_migration_lock(f->mig);

	if (ret)
		return ret;
	if (f->mig->migfd == f)
		return 0;
	mutex_unlock(&f->mig->state_mutex);
	return -ENODEV;
}

/* Is its session or load over? If that ends later, its end is seen: see end_data(). */
static bool is_stale(const struct tern_migfd *f)
{
	return READ_ONCE(f->mig->migfd) != f;
}

/* Have the pollers look again; when data may move, if that is later. */
static void look_later(struct tern_migfd *f, enum tern_way way)
{
	unsigned long left = nsecs_to_jiffies(tern_inject_left(&f->mig->inject, way)) + 1;

	schedule_delayed_work(&f->look, left > 1 ? min(left, LOOK_EVERY) : LOOK_EVERY);
}

/* Serialise users of the file; -EAGAIN for O_NONBLOCK. */
static int lock_io(struct tern_migfd *f, const struct file *file)
{
	if (!(file->f_flags & O_NONBLOCK))
		return mutex_lock_interruptible(&f->io);
	return mutex_trylock(&f->io) ? 0 : -EAGAIN;
}

/* For as long as a tester has asked. A poller is woken when the time has come. */
static int wait_to_move(struct tern_migfd *f, const struct file *file, enum tern_way way)
{
	struct tern_inject *in = &f->mig->inject;
	unsigned int epoch;
	int ret;

	do {
		epoch = tern_inject_epoch(in);
		/* A stale file says so at once. */
		if (is_stale(f))
			return 0;
		ret = tern_inject_wait(in, way, epoch, file->f_flags & O_NONBLOCK);
	} while (ret > 0);
	if (ret == -EAGAIN)
		look_later(f, way);
	return ret;
}

/* Lock the file once data may move: of several that have waited, one moves. */
static int lock_to_move(struct tern_migfd *f, const struct file *file, enum tern_way way)
{
	int ret;

	for (;;) {
		ret = wait_to_move(f, file, way) ?: lock_io(f, file);
		if (ret || is_stale(f) || !tern_inject_left(&f->mig->inject, way))
			return ret;
		mutex_unlock(&f->io);
	}
}

static bool is_stopped(const struct tern_migration *mig)
{
	return mig->machine.phase == TERN_PHASE_STOPPED_SAVING;
}

/*
 * What will be read next, and where it lies; 0 at the end; -ENOMSG if there is
 * nothing now. Above 0 a reference on the staging buffer is the caller's.
 *
 * -ENOMSG has the pollers woken a little later: an edge-triggered one polls no more
 * before it is, and a store to device memory wakes nothing.
 */
static ssize_t peek(struct tern_migfd *f, struct staging **st, size_t *at)
{
	ssize_t ret = lock_current(f);

	if (ret)
		return ret;
	ret = tern_session_peek(f->mig->machine.session, at);
	if (ret > 0) {
		*st = f->staging;
		kref_get(&f->staging->kref);
	} else if (!ret && is_stopped(f->mig)) {
		f->told_end = true;
	} else if (!ret) {
		look_later(f, TERN_WAY_READ);
		ret = -ENOMSG;
	}
	tern_migration_unlock(f->mig);
	return ret;
}

static int consume(struct tern_migfd *f, size_t n)
{
	int ret = lock_current(f);

	/* Its session ended while it was copied: the bytes are worthless. */
	if (ret)
		return ret;
	tern_session_consume(f->mig->machine.session, n);
	tern_inject_moved(&f->mig->inject, TERN_WAY_READ, n);
	tern_migration_unlock(f->mig);
	return 0;
}

/* The end of what is read, before its time. */
static int end_early(struct tern_migfd *f)
{
	int ret = lock_current(f);

	if (ret)
		return ret;
	if (is_stopped(f->mig))
		f->told_end = true;
	else
		ret = -ENOMSG;
	mutex_unlock(&f->mig->state_mutex);
	return ret;
}

/* Copy bytes out, one of them with a wrong bit if that was asked for. How many, or -errno. */
static ssize_t give(struct tern_migfd *f, char __user *buf, const u8 *bytes, size_t n)
{
	struct tern_inject *in = &f->mig->inject;
	size_t at;
	u8 bits;
	int ret;

	n = tern_inject_cut(in, n);
	if (!n)
		return end_early(f);
	n -= copy_to_user(buf, bytes, n);
	bits = tern_inject_flip(in, n, &at);
	if (bits && put_user(bytes[at] ^ bits, (u8 __user *)buf + at))
		n = at;
	if (!n)
		return -EFAULT;
	ret = consume(f, n);
	return ret ?: n;
}

static ssize_t save_read(struct file *file, char __user *buf, size_t len, loff_t *pos)
{
	struct tern_migfd *f = file->private_data;
	struct staging *st;
	ssize_t ret;
	size_t at;

	if (pos)
		return -ESPIPE;
	if (!len)
		return 0;
	ret = lock_to_move(f, file, TERN_WAY_READ);
	if (ret)
		return ret;
	ret = peek(f, &st, &at);
	if (ret > 0) {
		ret = tern_inject_room(&f->mig->inject, TERN_WAY_READ, min_t(size_t, ret, len));
		if (ret > 0)
			ret = give(f, buf, st->bytes + at, ret);
		put_staging(st);
	}
	mutex_unlock(&f->io);
	return ret;
}

static __poll_t save_poll(struct file *file, struct poll_table_struct *table)
{
	struct tern_migfd *f = file->private_data;
	bool readable;

	poll_wait(file, &f->wait, table);
	if (lock_current(f))
		return EPOLLIN | EPOLLRDNORM | EPOLLRDHUP;
	readable = is_stopped(f->mig) || (tern_session_pending(f->mig->machine.session) &&
					  !tern_inject_is_cut(&f->mig->inject));
	mutex_unlock(&f->mig->state_mutex);
	if (readable && !tern_inject_left(&f->mig->inject, TERN_WAY_READ))
		return EPOLLIN | EPOLLRDNORM;
	look_later(f, TERN_WAY_READ);
	return 0;
}

static void look(struct work_struct *work)
{
	wake_up_all(&container_of(work, struct tern_migfd, look.work)->wait);
}

/* @reinits gets what the reader knows of once it has the answer. */
static int fill_precopy_info(struct tern_migfd *f, struct vfio_precopy_info *info, u32 *reinits)
{
	struct tern_inject *in = &f->mig->inject;
	struct tern_session *s;
	int ret;

	ret = lock_current(f);
	if (ret)
		return ret;
	s = f->mig->machine.session;
	if (is_stopped(f->mig)) {
		ret = -EINVAL;
	} else {
		/* A store between the two may take a count back that it had raised. */
		u64 pending = tern_session_pending(s);

		u64 initial = min_t(u64, tern_session_initial(s), pending);

		info->initial_bytes = tern_inject_count(in, TERN_RULE_INITIAL, initial);
		info->dirty_bytes = tern_inject_count(in, TERN_RULE_PENDING, pending - initial);
		*reinits = tern_session_reinits(s);
		/* Before user space opted in, it may have anything in the flags. */
		if (tern_migration_has_precopy_flags(f->mig))
			info->flags = *reinits != READ_ONCE(f->reinits) ? VFIO_PRECOPY_INFO_REINIT : 0;
	}
	mutex_unlock(&f->mig->state_mutex);
	return ret;
}

static long save_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	const size_t minsz = offsetofend(struct vfio_precopy_info, dirty_bytes);
	void __user *uarg = (void __user *)arg;
	struct tern_migfd *f = file->private_data;
	struct vfio_precopy_info info;
	u32 reinits;
	int ret;

	if (cmd != VFIO_MIG_GET_PRECOPY_INFO)
		return -ENOTTY;
	if (copy_from_user(&info, uarg, minsz))
		return -EFAULT;
	if (info.argsz < minsz)
		return -EINVAL;
	ret = fill_precopy_info(f, &info, &reinits);
	if (ret)
		return ret;
	if (copy_to_user(uarg, &info, minsz))
		return -EFAULT;
	/* Only an answer that arrived counts. Two at once may report the same. */
	WRITE_ONCE(f->reinits, reinits);
	return 0;
}

/* The staging buffer, with a reference for the caller; or an ERR_PTR. */
static struct staging *get_staging(struct tern_migfd *f)
{
	struct staging *st;
	int ret = lock_current(f);

	if (ret)
		return ERR_PTR(ret);
	st = f->staging;
	kref_get(&st->kref);
	mutex_unlock(&f->mig->state_mutex);
	return st;
}

static int feed(struct tern_migfd *f, const struct staging *st, size_t n)
{
	int ret = lock_current(f);

	if (ret)
		return ret;
	ret = tern_loader_feed(f->mig->machine.loader, st->bytes, n);
	if (!ret)
		tern_inject_moved(&f->mig->inject, TERN_WAY_WRITE, n);
	tern_migration_unlock(f->mig);
	return ret;
}

/* Copy bytes in and load them. How many, or -errno. */
static ssize_t take(struct tern_migfd *f, struct staging *st, const char __user *buf, size_t n)
{
	int ret;

	if (copy_from_user(st->bytes, buf, n))
		return -EFAULT;
	ret = feed(f, st, n);
	return ret ?: n;
}

/* May accept less than all, but never nothing: a caller could retry indefinitely. */
static ssize_t load_write(struct file *file, const char __user *buf, size_t len, loff_t *pos)
{
	struct tern_migfd *f = file->private_data;
	size_t n = min(len, STAGING);
	struct staging *st;
	ssize_t ret;

	if (pos)
		return -ESPIPE;
	ret = lock_to_move(f, file, TERN_WAY_WRITE);
	if (ret)
		return ret;
	st = get_staging(f);
	if (IS_ERR(st)) {
		ret = PTR_ERR(st);
		goto out;
	}
	ret = n ? tern_inject_room(&f->mig->inject, TERN_WAY_WRITE, n) : 0;
	if (ret >= 0)
		ret = take(f, st, buf, ret);
	put_staging(st);
out:
	mutex_unlock(&f->io);
	return ret;
}

static __poll_t load_poll(struct file *file, struct poll_table_struct *table)
{
	struct tern_migfd *f = file->private_data;

	poll_wait(file, &f->wait, table);
	if (is_stale(f) || !tern_inject_left(&f->mig->inject, TERN_WAY_WRITE))
		return EPOLLOUT | EPOLLWRNORM;
	look_later(f, TERN_WAY_WRITE);
	return 0;
}

static int release(struct inode *inode, struct file *file)
{
	struct tern_migfd *f = file->private_data;

	cancel_delayed_work_sync(&f->look);
	put_migfd(f);
	return 0;
}

static const struct file_operations save_fops = {
	.owner		= THIS_MODULE,
	.read		= save_read,
	.poll		= save_poll,
	.unlocked_ioctl	= save_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
	.release	= release,
};

static const struct file_operations load_fops = {
	.owner		= THIS_MODULE,
	.write		= load_write,
	.poll		= load_poll,
	.release	= release,
};

static struct tern_migfd *create_migfd(struct tern_migration *mig)
{
	struct tern_migfd *f = kzalloc(sizeof(*f), GFP_KERNEL_ACCOUNT);

	if (!f)
		return NULL;
	f->staging = kvmalloc(struct_size(f->staging, bytes, STAGING),
			      GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!f->staging) {
		kfree(f);
		return NULL;
	}
	kref_init(&f->staging->kref);
	kref_init(&f->kref);
	mutex_init(&f->io);
	init_waitqueue_head(&f->wait);
	INIT_DELAYED_WORK(&f->look, look);
	get_device(&mig->vdev->device);
	f->mig = mig;
	return f;
}

static struct file *create_file(struct tern_migration *mig, bool saving)
{
	struct tern_migfd *f = create_migfd(mig);
	struct file *file;

	if (!f)
		return ERR_PTR(-ENOMEM);
	if (saving)
		file = anon_inode_getfile("tern-save", &save_fops, f, O_RDONLY);
	else
		file = anon_inode_getfile("tern-load", &load_fops, f, O_WRONLY);
	if (IS_ERR(file))
		put_migfd(f);
	else
		stream_open(file_inode(file), file);
	return file;
}

/**
 * tern_migfd_end() - the session or the load is over: its file is stale
 * @mig: the migration; may have none
 *
 * Frees the staging buffer, unless a copy to or from user memory is under way: then
 * its end does. Context: state_mutex; the machine uses the buffer no more.
 */
void tern_migfd_end(struct tern_migration *mig)
{
	struct tern_migfd *f = mig->migfd;

	lockdep_assert_held(&mig->state_mutex);
	if (!f)
		return;
	WRITE_ONCE(mig->migfd, NULL);
	put_staging(f->staging);
	f->staging = NULL;
	wake_up_all(&f->wait);
	put_migfd(f);
}

/*
 * The arc to a phase that begins a session or a load. All that can fail is done
 * before the device changes; of the machine's own steps only the first can.
 */
static struct file *take_first_arc(struct tern_migration *mig, enum tern_phase to)
{
	struct tern_migfd *f;
	struct file *file;
	int ret;

	if (tern_phase_saving(to) && mig->untracked)
		return ERR_PTR(-EOPNOTSUPP);
	file = create_file(mig, tern_phase_saving(to));
	if (IS_ERR(file))
		return file;
	f = file->private_data;
	tern_machine_stage(&mig->machine, f->staging->bytes, STAGING, true);
	ret = tern_migration_go(mig, to);
	if (ret) {
		fput(file);
		return ERR_PTR(ret);
	}
	kref_get(&f->kref);
	WRITE_ONCE(mig->migfd, f);
	return file;
}

/* Any other arc: of a session that continues or ends, or without one. */
static int take_arc(struct tern_migration *mig, enum tern_phase to)
{
	int ret = tern_migration_go(mig, to);

	if (!ret && tern_phase_saving(to))
		wake_up_all(&mig->migfd->wait);
	return ret;
}

static bool begins(enum tern_phase from, enum tern_phase to)
{
	return to == TERN_PHASE_LOADING || (tern_phase_saving(to) && !tern_phase_saving(from));
}

/* Is it a state of what this open offers? */
static bool is_offered(const struct tern_migration *mig, enum tern_phase phase)
{
	static const u64 needs[TERN_PHASES] = {
		[TERN_PHASE_RUNNING_SAVING]	= VFIO_MIGRATION_PRE_COPY,
		[TERN_PHASE_QUIESCED]		= VFIO_MIGRATION_P2P,
		[TERN_PHASE_QUIESCED_SAVING]	= VFIO_MIGRATION_PRE_COPY | VFIO_MIGRATION_P2P,
	};

	/* To the kernel, stop-and-copy is what all states need. */
	return !((needs[phase] | VFIO_MIGRATION_STOP_COPY) & ~tern_migfd_flags(mig));
}

/* The phase of a state that may be asked for; TERN_PHASES if it is none. */
static enum tern_phase find_phase(const struct tern_migration *mig,
				  enum vfio_device_mig_state state)
{
	enum tern_phase phase;

	for (phase = 0; phase < TERN_PHASES && states[phase] != state; phase++)
		;
	return phase < TERN_PHASES && !is_offered(mig, phase) ? TERN_PHASES : phase;
}

/* The next phase on the way; REFUSED if there is none. */
static enum tern_phase find_next(struct tern_migration *mig, enum tern_phase to)
{
	enum tern_phase from = mig->machine.phase, next = next_phase[from][to];
	enum vfio_device_mig_state state;

	while (next != REFUSED && next != to && !is_offered(mig, next))
		next = next_phase[next][to];
	state = next == REFUSED ? VFIO_DEVICE_STATE_ERROR : states[next];
	WARN_ON_ONCE(!tern_compat_is_next_state(mig->vdev, states[from], states[to], state));
	return next;
}

static struct file *go(struct tern_migration *mig, enum tern_phase to)
{
	struct file *file = NULL;
	int ret;

	/* Only a reset leads out of it. */
	if (mig->machine.error)
		return ERR_PTR(-EINVAL);
	while (mig->machine.phase != to) {
		enum tern_phase from = mig->machine.phase, next = find_next(mig, to);

		if (next == REFUSED)
			return ERR_PTR(-EINVAL);
		if (begins(from, next)) {
			file = take_first_arc(mig, next);
			if (IS_ERR(file))
				return file;
		} else {
			ret = take_arc(mig, next);
			if (ret)
				return ERR_PTR(ret);
		}
		tern_status_publish(mig);
	}
	return file;
}

/**
 * tern_migfd_set_state() - VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, SET
 * @mig: the migration of an open device
 * @state: the state that is asked for
 *
 * Return: the data file of a session or load that the way there has begun, or NULL; or
 * an ERR_PTR:
 *
 * - -EINVAL: there is no such state, or no way to it
 * - -EBUSY: the other protocol has the device
 * - -EINTR: the caller was killed
 * - the error of an arc that failed: the device stays in the state before that arc
 *
 * Context: takes state_mutex; may sleep.
 */
struct file *tern_migfd_set_state(struct tern_migration *mig, enum vfio_device_mig_state state)
{
	enum tern_phase to = find_phase(mig, state);
	struct file *file;
	int ret;

	if (to == TERN_PHASES)
		return ERR_PTR(-EINVAL);
	ret = tern_migration_lock(mig);
	if (ret)
		return ERR_PTR(ret);
	ret = tern_migration_claim(mig, TERN_FRONT_MIGFD);
	file = ret ? ERR_PTR(ret) : go(mig, to);
	/* Published already: monitors see each state on the way. */
	mutex_unlock(&mig->state_mutex);
	return file;
}

/**
 * tern_migfd_get_state() - VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE, GET
 * @mig: the migration of an open device
 * @state: gets it
 *
 * Return: 0, or -EINTR if the caller was killed. Context: takes state_mutex.
 */
int tern_migfd_get_state(struct tern_migration *mig, enum vfio_device_mig_state *state)
{
	int ret = tern_migration_lock(mig);

	if (ret)
		return ret;
	*state = mig->machine.error ? VFIO_DEVICE_STATE_ERROR : states[mig->machine.phase];
	mutex_unlock(&mig->state_mutex);
	return 0;
}

/**
 * tern_migfd_data_size() - VFIO_DEVICE_FEATURE_MIG_DATA_SIZE
 * @mig: the migration of an open device
 * @bytes: gets what would be read if the device stopped now
 *
 * Guarantees that the number is not 0 before read() has returned the end.
 *
 * Return: 0, or -EINTR if the caller was killed. Context: takes state_mutex.
 */
int tern_migfd_data_size(struct tern_migration *mig, unsigned long *bytes)
{
	struct tern_machine *mc = &mig->machine;
	int ret = tern_migration_lock(mig);

	if (ret)
		return ret;
	if (mc->session)
		*bytes = tern_session_remaining(mc->session);
	else
		*bytes = tern_session_estimate(mc->m);
	/* All is read, and the reader does not know. */
	if (!*bytes && mig->migfd && !mig->migfd->told_end)
		*bytes = 1;
	*bytes = tern_inject_count(&mig->inject, TERN_RULE_DATA_SIZE, *bytes);
	mutex_unlock(&mig->state_mutex);
	return 0;
}

/**
 * tern_migfd_flags() - VFIO_DEVICE_FEATURE_MIGRATION
 * @mig: the migration
 *
 * Return: VFIO_MIGRATION_* of what this open offers.
 */
u64 tern_migfd_flags(const struct tern_migration *mig)
{
	u64 offered = mig->offered;

	return (offered & TERN_OFFER_STOP_COPY ? VFIO_MIGRATION_STOP_COPY : 0) |
	       (offered & TERN_OFFER_P2P ? VFIO_MIGRATION_P2P : 0) |
	       (offered & TERN_OFFER_PRECOPY && mig->precopy ? VFIO_MIGRATION_PRE_COPY : 0);
}
