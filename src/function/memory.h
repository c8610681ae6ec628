/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TERN_FUNCTION_MEMORY_H
#define TERN_FUNCTION_MEMORY_H

#include <linux/types.h>

#include "core/dirty.h"

struct file;
struct page;
struct tern_quota;
struct vm_area_struct;

/**
 * struct tern_memory - the memory of a device
 * @file: the shmem file that holds it; the last reference to it frees this
 * @size: bytes; immutable
 * @quota: that it is held against; immutable
 * @dirty: its tracker; one bit per page
 */
struct tern_memory {
	struct file *file;
	u64 size;
	struct tern_quota *quota;
	struct tern_dirty dirty;
};

struct tern_memory *tern_memory_create(u64 size, struct tern_quota *quota);
void tern_memory_put(struct tern_memory *mem);
int tern_memory_mmap(struct tern_memory *mem, struct vm_area_struct *vma, unsigned long pgoff);
int tern_memory_read(struct tern_memory *mem, u64 offset, void *to, size_t len);
int tern_memory_write(struct tern_memory *mem, u64 offset, const void *from, size_t len);
int tern_memory_load(struct tern_memory *mem, u64 offset, const void *from, size_t len);
void tern_memory_clear(struct tern_memory *mem);

int tern_memory_page_get(struct tern_memory *mem, unsigned long index, struct page **page);
void tern_memory_page_unlock(struct page *page);
void tern_memory_page_rearm(struct tern_memory *mem, unsigned long first, unsigned long n);
bool tern_memory_page_pinned(struct page *page);
void tern_memory_page_copy(struct page *page, void *to);
void tern_memory_page_put(struct page *page);

#endif /* TERN_FUNCTION_MEMORY_H */
