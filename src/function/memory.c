// SPDX-License-Identifier: GPL-2.0-only
/*
 * Device memory: a shmem file, and the faults that report each first store.
 *
 * shmem makes it sparse, swappable and charged to the process that fills it. The file
 * is the object: it carries our own file_operations, so that
 *
 *   a mapping -> its file -> our tracker and our module
 *
 * and a mapping may outlive the device: it keeps the tracker alive and the module
 * loaded. It reaches nothing else, for each open gets a file of its own. There are no
 * vm_ops open/close to count by: to put the last module reference in one's own callback
 * is a race with unloading.
 *
 * A mapping of BAR2 has our page_mkwrite: the first store to a page faults. The fault
 * marks the page while it holds the folio's lock, under which the entry then becomes
 * writable. To re-arm is to unmap: after that every store, of the VMM or of a guest
 * whose second-level entries follow, faults again. Write-protecting the entries instead
 * would look cheaper and is not safe. Migration entries are passed over, and an entry
 * that is left dirty can become writable again without a fault.
 *
 * What the kernel itself stores (a trapped access, a load) goes through the
 * pages, never through kernel_write(): that would apply the caller's file size
 * limit. It marks after it stored.
 */
#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/pagemap.h>
#include <linux/shmem_fs.h>
#include <linux/workqueue.h>

#include "function/memory.h"
#include "function/quota.h"

/*
 * Both are shmem's with a few fields of ours. But shmem exports neither. So they are
 * copied from the first file and the first mapping, under the lock, and never change
 * after that.
 */
static DEFINE_MUTEX(ops_lock);
static struct file_operations memory_fops;
static struct vm_operations_struct memory_vm_ops;
static int (*shmem_mmap)(struct file *file, struct vm_area_struct *vma);

static int memory_release(struct inode *inode, struct file *file)
{
	struct tern_memory *mem = file->private_data;

	/* Its pages would go later, with the inode; what is not freed counts. */
	shmem_truncate_range(inode, 0, (loff_t)-1);
	tern_quota_release(mem->quota, mem->size);
	tern_dirty_uninit(&mem->dirty);
	kfree(mem);
	return 0;
}

/*
 * The entry becomes writable under the lock that we return with: take() holds
 * the same one while it clears the page's bit (core/dirty.c).
 */
static vm_fault_t memory_page_mkwrite(struct vm_fault *vmf)
{
	struct tern_memory *mem = vmf->vma->vm_file->private_data;
	struct folio *folio = page_folio(vmf->page);
	unsigned long first, n;

	folio_lock(folio);
	if (folio->mapping != mem->file->f_mapping) {
		folio_unlock(folio);
		return VM_FAULT_NOPAGE;
	}
	/* One fault may map the whole of a huge page. */
	first = folio->index;
	/* Root can make the file longer than the device is. */
	if (first >= mem->dirty.pages) {
		folio_unlock(folio);
		return VM_FAULT_SIGBUS;
	}
	n = min_t(unsigned long, folio_nr_pages(folio), mem->dirty.pages - first);
	tern_dirty_mark(&mem->dirty, first, n);
	return VM_FAULT_LOCKED;
}

/* Named fields only: newer kernels have some that would go round us. */
static const struct vm_operations_struct *our_vm_ops(const struct vm_operations_struct *shmem)
{
	mutex_lock(&ops_lock);
	if (!memory_vm_ops.page_mkwrite) {
		memory_vm_ops.fault = shmem->fault;
		memory_vm_ops.map_pages = shmem->map_pages;
		tern_compat_copy_numa_ops(&memory_vm_ops, shmem);
		memory_vm_ops.page_mkwrite = memory_page_mkwrite;
	}
	mutex_unlock(&ops_lock);
	return &memory_vm_ops;
}

/*
 * The first keeps out what would merge, collapse or hand over pages. A core dump
 * would read all of the memory, and so allocate it.
 */
#define MAPPING_FLAGS	(VM_DONTEXPAND | VM_DONTDUMP)

/*
 * All mappings are made here or, where shmem prepares a mapping before it is made, in
 * memory_mmap_prepare(). Not all come by the device: remap_file_pages() replaces one by
 * another of the same file. All are shared.
 */
static int memory_mmap(struct file *file, struct vm_area_struct *vma)
{
	int ret = shmem_mmap(file, vma);

	if (ret)
		return ret;
	vma->vm_ops = our_vm_ops(vma->vm_ops);
	vm_flags_set(vma, MAPPING_FLAGS);
	return 0;
}

TERN_COMPAT_MMAP_PREPARE(memory_mmap_prepare, our_vm_ops, VMA_DONTEXPAND_BIT, VMA_DONTDUMP_BIT)

static void build_fops(const struct file_operations *shmem)
{
	mutex_lock(&ops_lock);
	if (!memory_fops.owner) {
		memory_fops = *shmem;
		memory_fops.release = memory_release;
		shmem_mmap = shmem->mmap;
		if (shmem_mmap)
			memory_fops.mmap = memory_mmap;
		TERN_COMPAT_HOOK_MMAP_PREPARE(&memory_fops, memory_mmap_prepare);
		/* MADV_REMOVE would punch holes behind the tracker's back. */
		memory_fops.fallocate = NULL;
		/* shmem's insists on shmem's own operations. */
		memory_fops.get_unmapped_area = NULL;
		memory_fops.owner = THIS_MODULE;
	}
	mutex_unlock(&ops_lock);
}

/**
 * tern_memory_create() - memory that reads as zero
 * @size: bytes, a multiple of PAGE_SIZE
 * @quota: of the device; the memory is held against it until it is freed
 *
 * Return: the memory with one reference, or an ERR_PTR: -ENOMEM; -ENOSPC by the
 * quota; or what shmem has to say.
 * Context: may sleep.
 */
struct tern_memory *tern_memory_create(u64 size, struct tern_quota *quota)
{
	struct tern_memory *mem;
	struct file *file;
	int ret;

	mem = kzalloc(sizeof(*mem), GFP_KERNEL_ACCOUNT);
	if (!mem)
		return ERR_PTR(-ENOMEM);
	mem->size = size;
	mem->quota = quota;
	ret = tern_quota_hold(quota, size);
	if (ret)
		goto err_free;
	ret = tern_dirty_init(&mem->dirty, size >> PAGE_SHIFT);
	if (ret)
		goto err_release;
	file = tern_compat_shmem_file_setup("tern-memory", size);
	if (IS_ERR(file)) {
		ret = PTR_ERR(file);
		goto err_uninit_dirty;
	}
	build_fops(file->f_op);
	mem->file = file;
	file->private_data = mem;
	/* From here on the file owns the memory and a reference on us. */
	fops_put(file->f_op);
	__module_get(memory_fops.owner);
	file->f_op = &memory_fops;
	return mem;

err_uninit_dirty:
	tern_dirty_uninit(&mem->dirty);
err_release:
	tern_quota_release(quota, size);
err_free:
	kfree(mem);
	return ERR_PTR(ret);
}

/* The last put of a file, carried to a kernel thread. */
struct put_work {
	struct work_struct work;
	struct file *file;
};

static void put_now(struct work_struct *work)
{
	__fput_sync(container_of(work, struct put_work, work)->file);
}

/**
 * tern_memory_put() - the device is done with its memory
 * @mem: the memory; gone with its last mapping, or else on return
 *
 * fput() by a user's thread would leave the end to later, and with it the last
 * reference to the module. The module could not be unloaded right after the device was
 * removed. Only a kernel thread can put a file at once.
 *
 * Context: may sleep.
 */
void tern_memory_put(struct tern_memory *mem)
{
	struct put_work put = { .file = mem->file };

	INIT_WORK_ONSTACK(&put.work, put_now);
	/* Unbound: to free a large memory takes long, and would hold up a processor's others. */
	queue_work(tern_compat_unbound_wq, &put.work);
	flush_work(&put.work);
	destroy_work_on_stack(&put.work);
}

/**
 * tern_memory_mmap() - map the memory, so that stores are noticed
 * @mem: the memory
 * @vma: where to; must be shared
 * @pgoff: first page of the memory
 *
 * Return: 0; -EINVAL for a private mapping or one that reaches outside; -EOPNOTSUPP if
 * stores cannot be tracked on this kernel.
 * Context: mmap_lock of the caller; takes no lock of the device.
 */
int tern_memory_mmap(struct tern_memory *mem, struct vm_area_struct *vma, unsigned long pgoff)
{
	unsigned long pages = mem->size >> PAGE_SHIFT;
	int ret;

	if (!(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	if (pgoff >= pages || vma_pages(vma) > pages - pgoff)
		return -EINVAL;

	vma->vm_pgoff = pgoff;
	vma_set_file(vma, mem->file);
	ret = tern_compat_call_mmap(mem->file, vma);
	if (ret)
		return ret;
	/* A kernel whose shmem maps by another way would lose every store: refuse it. */
	return WARN_ON_ONCE(vma->vm_ops != &memory_vm_ops) ? -EOPNOTSUPP : 0;
}

/*
 * What a migration needs is refused where there is no memory, of the host or of the control
 * group: the guest continues at the source. What a guest stores cannot be refused so.
 */
#define MAY_FAIL	(__GFP_RETRY_MAYFAIL | __GFP_NOWARN)

static struct page *read_page(struct tern_memory *mem, unsigned long index, gfp_t more)
{
	struct address_space *mapping = mem->file->f_mapping;
	struct page *page;

	page = shmem_read_mapping_page_gfp(mapping, index, mapping_gfp_mask(mapping) | more);
	/* With memory that may not be overcommitted, shmem has a word of its own. */
	return page == ERR_PTR(-ENOSPC) ? ERR_PTR(-ENOMEM) : page;
}

/**
 * tern_memory_read() - a trapped read
 * @mem: the memory
 * @offset: first byte; the range lies inside
 * @to: kernel memory
 * @len: bytes
 *
 * A page that was never written reads as zero and is not allocated.
 *
 * Return: 0, or -ENOMEM or -EIO from shmem. Context: may sleep.
 */
int tern_memory_read(struct tern_memory *mem, u64 offset, void *to, size_t len)
{
	while (len) {
		unsigned long index = offset >> PAGE_SHIFT;
		size_t in = offset_in_page(offset);
		size_t n = min_t(size_t, len, PAGE_SIZE - in);

		if (tern_dirty_touched(&mem->dirty, index)) {
			struct page *page = read_page(mem, index, 0);

			if (IS_ERR(page))
				return PTR_ERR(page);
			memcpy_from_page(to, page, in, n);
			put_page(page);
		} else {
			memset(to, 0, n);
		}
		offset += n;
		to += n;
		len -= n;
	}
	return 0;
}

static int write_pages(struct tern_memory *mem, u64 offset, const void *from, size_t len,
		       gfp_t more)
{
	while (len) {
		unsigned long index = offset >> PAGE_SHIFT;
		size_t in = offset_in_page(offset);
		size_t n = min_t(size_t, len, PAGE_SIZE - in);
		struct page *page = read_page(mem, index, more);

		if (IS_ERR(page))
			return PTR_ERR(page);
		memcpy_to_page(page, in, from, n);
		folio_mark_dirty(page_folio(page));
		/* The store is out before the mark: see core/dirty.c. */
		smp_mb__before_atomic();
		tern_dirty_mark(&mem->dirty, index, 1);
		put_page(page);
		offset += n;
		from += n;
		len -= n;
	}
	return 0;
}

/**
 * tern_memory_write() - a trapped write, or what the device stores by itself
 * @mem: the memory
 * @offset: first byte; the range lies inside
 * @from: kernel memory
 * @len: bytes
 *
 * On return the pages are marked. Where there is no memory, the kernel may kill a process.
 *
 * Return: 0, or -ENOMEM or -EIO from shmem, with the pages before the failing
 * one written. Context: may sleep.
 */
int tern_memory_write(struct tern_memory *mem, u64 offset, const void *from, size_t len)
{
	return write_pages(mem, offset, from, len, 0);
}

/**
 * tern_memory_load() - data of a stream
 * @mem: the memory
 * @offset: first byte; the range lies inside
 * @from: kernel memory
 * @len: bytes
 *
 * As tern_memory_write(), but where there is no memory it fails, and no process is killed.
 *
 * Return: 0, or -ENOMEM or -EIO from shmem, with the pages before the failing
 * one written. Context: may sleep.
 */
int tern_memory_load(struct tern_memory *mem, u64 offset, const void *from, size_t len)
{
	return write_pages(mem, offset, from, len, MAY_FAIL);
}

static void drop_pages(struct tern_memory *mem, pgoff_t first, pgoff_t end)
{
	if (first < end)
		shmem_truncate_range(file_inode(mem->file), (loff_t)first << PAGE_SHIFT,
				     ((loff_t)end << PAGE_SHIFT) - 1);
}

/* Did the hardware report a page of it as broken? A pinned huge page is not split for that. */
static bool is_broken(struct folio *folio)
{
	return folio_test_hwpoison(folio) ||
	       (folio_test_large(folio) && folio_test_has_hwpoisoned(folio));
}

/*
 * Make a pinned folio zero where it is. False if it is not pinned. Marked, because
 * what has it pinned can store to it at any time, without a fault.
 */
static bool clear_in_place(struct tern_memory *mem, struct folio *folio)
{
	unsigned long n =
		min_t(unsigned long, folio_nr_pages(folio), mem->dirty.pages - folio->index);
	bool pinned;

	/* Few are: the others need no lock, and there may be very many. */
	if (!folio_maybe_dma_pinned(folio))
		return false;
	folio_lock(folio);
	/* Memory that the hardware reported as broken is dropped: to touch it is fatal. */
	pinned = folio->mapping == mem->file->f_mapping && folio_maybe_dma_pinned(folio) &&
		 !is_broken(folio);
	if (pinned) {
		folio_zero_range(folio, 0, folio_size(folio));
		folio_mark_dirty(folio);
		/* The zeroes are out before the mark: see core/dirty.c. */
		smp_mb__before_atomic();
		tern_dirty_mark(&mem->dirty, folio->index, n);
	}
	folio_unlock(folio);
	return pinned;
}

/**
 * tern_memory_clear() - all memory zero, and only pinned pages touched
 * @mem: the memory
 *
 * The bits go first: a store in between is dropped with its page, and leaves
 * at most a mark too many.
 *
 * Pages are dropped, except for those that a device or the kernel has pinned. On
 * hardware a BAR is the same memory across a reset: what has mapped it for DMA must go
 * on using this device's memory. A page that is pinned while this runs may still be
 * dropped.
 *
 * Context: no session lives; may sleep.
 */
void tern_memory_clear(struct tern_memory *mem)
{
	pgoff_t next = 0, first = 0, end = mem->size >> PAGE_SHIFT;
	struct folio_batch batch;
	unsigned int i;

	tern_dirty_clear(&mem->dirty);
	folio_batch_init(&batch);
	while (filemap_get_folios(mem->file->f_mapping, &next, end - 1, &batch)) {
		for (i = 0; i < folio_batch_count(&batch); i++) {
			struct folio *folio = batch.folios[i];

			if (!clear_in_place(mem, folio))
				continue;
			drop_pages(mem, first, folio->index);
			first = folio->index + folio_nr_pages(folio);
		}
		folio_batch_release(&batch);
		cond_resched();
	}
	/* To the very end: the last folio may be larger than the memory. */
	shmem_truncate_range(file_inode(mem->file), (loff_t)first << PAGE_SHIFT, (loff_t)-1);
}

/**
 * tern_memory_page_get() - a page, present and locked
 * @mem: the memory
 * @index: its number
 * @page: gets it
 *
 * Where there is no memory to swap it in, it fails as tern_memory_load() does.
 *
 * Return: 0, or -ENOMEM or -EIO from shmem. Context: may sleep and swap in.
 */
int tern_memory_page_get(struct tern_memory *mem, unsigned long index, struct page **page)
{
	for (;;) {
		struct folio *folio;

		*page = read_page(mem, index, MAY_FAIL);
		if (IS_ERR(*page))
			return PTR_ERR(*page);
		folio = page_folio(*page);
		folio_lock(folio);
		if (folio->mapping == mem->file->f_mapping)
			return 0;
		/* Swapped out or dropped before we had the lock. */
		folio_unlock(folio);
		folio_put(folio);
	}
}

/**
 * tern_memory_page_unlock() - end of the lock; the reference stays
 * @page: the page
 */
void tern_memory_page_unlock(struct page *page)
{
	folio_unlock(page_folio(page));
}

/**
 * tern_memory_page_rearm() - the next store to these pages faults
 * @mem: the memory
 * @first: first page
 * @n: how many
 *
 * Context: no page of them is locked; may sleep.
 */
void tern_memory_page_rearm(struct tern_memory *mem, unsigned long first, unsigned long n)
{
	unmap_mapping_pages(mem->file->f_mapping, first, n, false);
}

/**
 * tern_memory_page_pinned() - may a device or the kernel store to it past the
 * page tables?
 * @page: the page
 */
bool tern_memory_page_pinned(struct page *page)
{
	return folio_maybe_dma_pinned(page_folio(page));
}

/**
 * tern_memory_page_copy() - copy a page
 * @page: the page
 * @to: PAGE_SIZE bytes
 */
void tern_memory_page_copy(struct page *page, void *to)
{
	memcpy_from_page(to, page, 0, PAGE_SIZE);
}

/**
 * tern_memory_page_put() - end of the reference
 * @page: the page
 */
void tern_memory_page_put(struct page *page)
{
	put_page(page);
}
