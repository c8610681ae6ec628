/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every difference between kernels. Included in front of every file; the rest
 * of the tree is written for the newest kernel. src/compat/Kbuild.include
 * finds out what there is.
 */
#ifndef TERN_COMPAT_H
#define TERN_COMPAT_H

#include <linux/device/class.h>
#include <linux/eventfd.h>
#include <linux/fs.h>
#include <linux/mm.h>
#include <linux/shmem_fs.h>
#include <linux/version.h>
/* struct folio_batch, which moved. */
#ifdef TERN_HAS_FOLIO_BATCH_H
#include <linux/folio_batch.h>
#else
#include <linux/pagevec.h>
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
#error "Tern needs Linux 6.1 or newer: older kernels have another mdev interface"
#endif
#if !IS_ENABLED(CONFIG_VFIO_MDEV)
#error "Tern needs a kernel with CONFIG_VFIO_MDEV"
#endif

#ifndef TERN_HAS_VM_FLAGS_SET
static inline void vm_flags_set(struct vm_area_struct *vma, vm_flags_t flags)
{
	vma->vm_flags |= flags;
}
#endif

#ifdef TERN_HAS_DFL_WQ
#define tern_compat_unbound_wq	system_dfl_wq
#else
#define tern_compat_unbound_wq	system_unbound_wq
#endif

#ifdef TERN_HAS_CLASS_CREATE_NAME
#define tern_compat_class_create(name)	class_create(name)
#else
#define tern_compat_class_create(name)	class_create(THIS_MODULE, name)
#endif

/* Where iommufd exports iova_bitmap, a module must import the namespace. */
#if defined(TERN_HAS_IOVA_BITMAP_STUBS) && IS_ENABLED(CONFIG_IOMMUFD_DRIVER)
#ifdef TERN_HAS_NAMESPACE_STRINGS
#define TERN_COMPAT_IMPORTS	MODULE_IMPORT_NS("IOMMUFD")
#else
#define TERN_COMPAT_IMPORTS	MODULE_IMPORT_NS(IOMMUFD)
#endif
#else
#define TERN_COMPAT_IMPORTS	static_assert(true)
#endif

static inline void tern_compat_eventfd_signal(struct eventfd_ctx *ctx)
{
#ifdef TERN_HAS_EVENTFD_SIGNAL_ONE
	eventfd_signal(ctx);
#else
	eventfd_signal(ctx, 1);
#endif
}

static inline struct file *tern_compat_shmem_file_setup(const char *name, loff_t size)
{
#ifdef TERN_HAS_VMA_FLAGS_T
	return shmem_file_setup(name, size, mk_vma_flags(VMA_NORESERVE_BIT));
#else
	return shmem_file_setup(name, size, VM_NORESERVE);
#endif
}

/* Where a mapping's pages are to lie, if there is a choice of nodes. */
static inline void tern_compat_copy_numa_ops(struct vm_operations_struct *to,
					     const struct vm_operations_struct *from)
{
#ifdef CONFIG_NUMA
	to->set_policy = from->set_policy;
	to->get_policy = from->get_policy;
#endif
}

static inline int tern_compat_call_mmap(struct file *file, struct vm_area_struct *vma)
{
#ifdef TERN_HAS_VFS_MMAP
	return vfs_mmap(file, vma);
#else
	return call_mmap(file, vma);
#endif
}

/*
 * Where a file describes a mapping before it is made, name() does so. It describes a
 * shared one, as the file's former operations have it, but with the vm_ops that ours()
 * makes of theirs, and some flags more. Elsewhere nothing of this exists.
 */
#ifdef TERN_HAS_VMA_DESC
#define TERN_COMPAT_MMAP_PREPARE(name, ours, ...)			\
static int (*name##_theirs)(struct vm_area_desc *desc);			\
									\
static int name(struct vm_area_desc *desc)				\
{									\
	int ret = name##_theirs(desc);					\
									\
	if (ret)							\
		return ret;						\
	desc->vm_ops = ours(desc->vm_ops);				\
	vma_desc_set_flags(desc, __VA_ARGS__);				\
	return 0;							\
}
#define TERN_COMPAT_HOOK_MMAP_PREPARE(fops, name)			\
do {									\
	name##_theirs = (fops)->mmap_prepare;				\
	if (name##_theirs)						\
		(fops)->mmap_prepare = name;				\
} while (0)
#else
#define TERN_COMPAT_MMAP_PREPARE(name, ours, ...)
#define TERN_COMPAT_HOOK_MMAP_PREPARE(fops, name)	do { } while (0)
#endif

#endif /* TERN_COMPAT_H */
