// SPDX-License-Identifier: GPL-2.0-only
/*
 * The migration region: protocol version 1, the one of QEMU 5.2 to 7.2.
 *
 *   0x0000  registers (struct vfio_device_migration_info): always trapped
 *   0x1000  status page: for monitors; the driver never reads it back
 *   0x2000  data window, up to the end of the region
 *
 * The registers translate, and decide nothing:
 *
 *   device_state write    go to the phase of those bits
 *   pending_bytes read    retire the chunk that was prepared; how much is left
 *   data_offset read      prepare a chunk; where the window is
 *   data_size read        prepare a chunk; its size
 *   data_size write       load so many bytes of the window
 *
 * A chunk is acknowledged by the next read of pending_bytes, never by a read of the
 * data. For a VMM that has mapped the window reads it unseen. The window is the
 * session's staging buffer itself, and belongs to user space as much as to us. It is
 * there from open to close, so that to map it needs nothing that could fail.
 */
#include <linux/gfp.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/vmalloc.h>

#include "vfio/migration.h"
#include "vfio/region.h"
#include <uapi/tern/region.h>

#define REG(name)	offsetof(struct vfio_device_migration_info, name)

/* What one allocation holds: the status page, then the window. */
#define SHARED_OFFSET	TERN_REGION_STATUS
#define WINDOW_IN_SHARED	(TERN_REGION_WINDOW - SHARED_OFFSET)

static_assert(PAGE_SIZE == WINDOW_IN_SHARED);

/*
 * That a device is quiesced these bits cannot say: they are those of running,
 * which write_state() finds first.
 */
static const u32 state_bits[TERN_PHASES] = {
	[TERN_PHASE_RUNNING]		= VFIO_DEVICE_STATE_V1_RUNNING,
	[TERN_PHASE_RUNNING_SAVING]	= VFIO_DEVICE_STATE_V1_RUNNING |
					  VFIO_DEVICE_STATE_V1_SAVING,
	[TERN_PHASE_QUIESCED]		= VFIO_DEVICE_STATE_V1_RUNNING,
	[TERN_PHASE_QUIESCED_SAVING]	= VFIO_DEVICE_STATE_V1_RUNNING |
					  VFIO_DEVICE_STATE_V1_SAVING,
	[TERN_PHASE_STOPPED_SAVING]	= VFIO_DEVICE_STATE_V1_SAVING,
	[TERN_PHASE_STOPPED]		= VFIO_DEVICE_STATE_V1_STOP,
	[TERN_PHASE_LOADING]		= VFIO_DEVICE_STATE_V1_RESUMING,
};

/* What no state has: only a reset leads out of it. */
#define ERROR_BITS	(VFIO_DEVICE_STATE_V1_SAVING | VFIO_DEVICE_STATE_V1_RESUMING)

static void *window_of(const struct tern_migration *mig)
{
	return mig->shared + WINDOW_IN_SHARED;
}

static u64 window_size(const struct tern_migration *mig)
{
	return (u64)mig->window_kib << 10;
}

/**
 * tern_region_state() - the device_state register
 * @mig: the migration of an open device
 *
 * Context: state_mutex.
 */
u32 tern_region_state(const struct tern_migration *mig)
{
	lockdep_assert_held(&mig->state_mutex);
	return mig->machine.error ? ERROR_BITS : state_bits[mig->machine.phase];
}

/*
 * Zeroed memory that can be mapped to user space. Not vmalloc_user(): that one
 * charges no process for a size that the user chose, and fills the log if there is
 * no memory for it.
 */
static void *alloc_shared(size_t size)
{
	const gfp_t gfp = GFP_KERNEL_ACCOUNT | __GFP_ZERO | __GFP_NOWARN;
	unsigned int n = size >> PAGE_SHIFT, i;
	struct page **pages;
	void *shared;

	pages = kvcalloc(n, sizeof(*pages), gfp);
	if (!pages)
		return NULL;
	for (i = 0; i < n; i++) {
		pages[i] = alloc_page(gfp);
		if (!pages[i])
			goto err_free;
	}
	/* vfree() puts the pages and frees the array. */
	shared = vmap(pages, n, VM_MAP | VM_USERMAP | VM_MAP_PUT_PAGES, PAGE_KERNEL);
	if (shared)
		return shared;

err_free:
	while (i--)
		__free_page(pages[i]);
	kvfree(pages);
	return NULL;
}

/**
 * tern_region_open() - allocate the window
 * @mig: the migration of a device that is being opened
 *
 * Return: 0 or -ENOMEM. Context: state_mutex; may sleep.
 */
int tern_region_open(struct tern_migration *mig)
{
	lockdep_assert_held(&mig->state_mutex);
	mig->shared = alloc_shared(WINDOW_IN_SHARED + window_size(mig));
	return mig->shared ? 0 : -ENOMEM;
}

/**
 * tern_region_close() - free the window
 * @mig: the migration of a device that is being closed: a mapping would keep it open
 *
 * Context: state_mutex.
 */
void tern_region_close(struct tern_migration *mig)
{
	lockdep_assert_held(&mig->state_mutex);
	vfree(mig->shared);
	mig->shared = NULL;
}

/**
 * tern_region_size() - bytes of the region
 * @mig: the migration of an open device
 */
u64 tern_region_size(const struct tern_migration *mig)
{
	return TERN_REGION_WINDOW + window_size(mig);
}

/**
 * tern_region_caps() - what makes it a migration region that can be mapped
 * @mig: the migration of an open device
 * @caps: gets the capabilities
 *
 * Return: 0 or -ENOMEM.
 */
int tern_region_caps(struct tern_migration *mig, struct vfio_info_cap *caps)
{
	struct vfio_region_info_cap_type type = {
		.header = { .id = VFIO_REGION_INFO_CAP_TYPE, .version = 1 },
		.type = VFIO_REGION_TYPE_MIGRATION_DEPRECATED,
		.subtype = VFIO_REGION_SUBTYPE_MIGRATION_DEPRECATED,
	};
	struct {
		struct vfio_region_info_cap_sparse_mmap cap;
		struct vfio_region_sparse_mmap_area areas[2];
	} sparse = {
		.cap.header = { .id = VFIO_REGION_INFO_CAP_SPARSE_MMAP, .version = 1 },
		.cap.nr_areas = 2,
		.areas = {
			{ .offset = TERN_REGION_STATUS, .size = WINDOW_IN_SHARED },
			{ .offset = TERN_REGION_WINDOW, .size = window_size(mig) },
		},
	};
	int ret;

	ret = vfio_info_add_capability(caps, &type.header, sizeof(type));
	if (ret)
		return ret;
	return vfio_info_add_capability(caps, &sparse.cap.header, sizeof(sparse));
}

/**
 * tern_region_mmap() - map the status page, the window, or both
 * @mig: the migration of an open device
 * @vma: where to; must be shared
 * @pgoff: first page of the region
 *
 * Return: 0; -EINVAL for a private mapping, for the registers, or for a range
 * that reaches outside. Context: takes no lock.
 */
int tern_region_mmap(struct tern_migration *mig, struct vm_area_struct *vma, unsigned long pgoff)
{
	const unsigned long first = SHARED_OFFSET >> PAGE_SHIFT;
	unsigned long pages = tern_region_size(mig) >> PAGE_SHIFT;

	if (!(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	if (pgoff < first || pgoff >= pages || vma_pages(vma) > pages - pgoff)
		return -EINVAL;
	return remap_vmalloc_range(vma, mig->shared, pgoff - first);
}

static bool natural(u64 at, size_t n)
{
	switch (n) {
	case 1:
	case 2:
	case 4:
	case 8:
		return at % n == 0;
	default:
		return n > 8;
	}
}

/**
 * tern_region_check() - may this access be done?
 * @at: offset in the region
 * @n: bytes; the range lies inside the region
 * @write: whether it is a write
 *
 * Return: 0, or -EINVAL:
 *
 * - for a register at another size than its own
 * - for a write to a register that cannot be written
 * - where there is nothing
 * - if the access reaches from one part into the next
 *
 */
int tern_region_check(u64 at, size_t n, bool write)
{
	if (at >= TERN_REGION_WINDOW)
		return natural(at, n) ? 0 : -EINVAL;
	if (at >= TERN_REGION_STATUS)
		return !write && at + n <= TERN_REGION_WINDOW ? 0 : -EINVAL;
	switch (at) {
	case REG(device_state):
	case REG(reserved):
		return n == sizeof(u32) ? 0 : -EINVAL;
	case REG(pending_bytes):
	case REG(data_offset):
		return n == sizeof(u64) && !write ? 0 : -EINVAL;
	case REG(data_size):
		return n == sizeof(u64) ? 0 : -EINVAL;
	default:
		return -EINVAL;
	}
}

static int write_state(struct tern_migration *mig, u32 bits)
{
	enum tern_phase to;

	tern_machine_stage(&mig->machine, window_of(mig), window_size(mig), false);
	for (to = 0; to < TERN_PHASES; to++)
		if (state_bits[to] == bits)
			return tern_migration_go(mig, to);
	return -EINVAL;
}

static int load_window(struct tern_migration *mig, u64 size)
{
	ssize_t ret;

	if (mig->machine.phase != TERN_PHASE_LOADING || size > window_size(mig))
		return -EINVAL;
	ret = tern_inject_room(&mig->inject, TERN_WAY_WRITE, 1);
	if (ret < 0)
		return ret;
	ret = tern_loader_feed(mig->machine.loader, window_of(mig), size);
	if (!ret)
		tern_inject_moved(&mig->inject, TERN_WAY_WRITE, size);
	return ret;
}

/* What a tester asks for applies to a chunk as a whole. Its bytes, or -errno. */
static ssize_t prepare_chunk(struct tern_migration *mig, struct tern_session *s)
{
	struct tern_inject *in = &mig->inject;
	u8 *window = window_of(mig), bits;
	ssize_t ret;
	size_t at;

	/* Once for each: a chunk that was prepared is given, and may be offered again. */
	if (!mig->chunk) {
		ret = tern_inject_room(in, TERN_WAY_READ, 1);
		if (ret < 0)
			return ret;
	}
	ret = tern_session_prepare(s);
	if (ret <= 0)
		return ret;
	if (!mig->chunk) {
		mig->chunk = ret;
		bits = tern_inject_flip(in, ret, &at);
		if (bits)
			window[at] ^= bits;
	}
	return tern_inject_cut(in, ret);
}

static void retire_chunk(struct tern_migration *mig, struct tern_session *s)
{
	if (!tern_session_retire(s))
		return;
	tern_inject_moved(&mig->inject, TERN_WAY_READ, mig->chunk);
	mig->chunk = 0;
}

static int write_register(struct tern_migration *mig, u64 at, const void *buf)
{
	int ret;

	ret = at == REG(reserved) ? 0 : tern_migration_claim(mig, TERN_FRONT_REGION);
	if (ret)
		return ret;
	switch (at) {
	case REG(device_state):
		return write_state(mig, *(const u32 *)buf);
	case REG(data_size):
		return load_window(mig, *(const u64 *)buf);
	default:
		return 0;
	}
}

/* The session, unless another protocol reads it: then there is none here. */
static struct tern_session *session_of_region(struct tern_migration *mig)
{
	return mig->front == TERN_FRONT_REGION ? mig->machine.session : NULL;
}

static int read_register(struct tern_migration *mig, u64 at, void *buf)
{
	struct tern_session *s = session_of_region(mig);
	ssize_t size = 0;

	if (s && (at == REG(data_offset) || at == REG(data_size))) {
		size = prepare_chunk(mig, s);
		if (size < 0)
			return size;
	}
	switch (at) {
	case REG(device_state):
		*(u32 *)buf = tern_region_state(mig);
		break;
	case REG(reserved):
		*(u32 *)buf = 0;
		break;
	case REG(pending_bytes):
		if (s)
			retire_chunk(mig, s);
		break;
	case REG(data_offset):
		*(u64 *)buf = TERN_REGION_WINDOW;
		break;
	case REG(data_size):
		*(u64 *)buf = size;
		break;
	}
	return 0;
}

/* For as long as a tester has asked, before data moves. */
static int wait_to_move(struct tern_migration *mig, u64 at, bool write)
{
	struct tern_inject *in = &mig->inject;
	unsigned int epoch;
	int ret;

	if (at != REG(data_size) && (write || at != REG(data_offset)))
		return 0;
	do {
		epoch = tern_inject_epoch(in);
		if (READ_ONCE(mig->front) != TERN_FRONT_REGION ||
		    (write ? !READ_ONCE(mig->machine.loader) : !READ_ONCE(mig->machine.session)))
			return 0;
		ret = tern_inject_wait(in, write ? TERN_WAY_WRITE : TERN_WAY_READ, epoch, false);
	} while (ret > 0);
	return ret;
}

/**
 * tern_region_access() - read or write the region
 * @mig: the migration of an open device
 * @at: offset, checked by tern_region_check()
 * @buf: kernel memory, 8-byte aligned
 * @n: bytes
 * @write: whether it is a write
 *
 * Return: 0, or one of:
 *
 * - -EINTR: the caller was killed
 * - -ERESTARTSYS: a signal came while it waited, as a tester had asked
 * - -EBUSY: the other protocol has the device
 * - -EINVAL: not in this state
 * - an error of tern_machine_go(), tern_session_prepare() or tern_loader_feed()
 *
 * Context: may sleep; takes state_mutex for the registers.
 */
int tern_region_access(struct tern_migration *mig, u64 at, void *buf, size_t n, bool write)
{
	void *shared = mig->shared + at - SHARED_OFFSET;
	u64 pending;
	bool saving;
	int ret;

	if (at >= SHARED_OFFSET) {
		if (write)
			memcpy(shared, buf, n);
		else
			memcpy(buf, shared, n);
		return 0;
	}
	ret = wait_to_move(mig, at, write);
	if (ret)
		return ret;
	ret = tern_migration_lock(mig);
	if (ret)
		return ret;
	if (write)
		ret = write_register(mig, at, buf);
	else
		ret = read_register(mig, at, buf);
	saving = session_of_region(mig);
	pending = tern_migration_unlock(mig);
	if (!write && at == REG(pending_bytes))
		*(u64 *)buf = saving ? tern_inject_count(&mig->inject, TERN_RULE_PENDING, pending) : 0;
	return ret;
}
