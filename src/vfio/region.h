/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TERN_VFIO_REGION_H
#define TERN_VFIO_REGION_H

#include <linux/types.h>

struct tern_migration;
struct vfio_info_cap;
struct vm_area_struct;

int tern_region_open(struct tern_migration *mig);
void tern_region_close(struct tern_migration *mig);
u64 tern_region_size(const struct tern_migration *mig);
int tern_region_caps(struct tern_migration *mig, struct vfio_info_cap *caps);
int tern_region_mmap(struct tern_migration *mig, struct vm_area_struct *vma, unsigned long pgoff);
int tern_region_check(u64 at, size_t n, bool write);
int tern_region_access(struct tern_migration *mig, u64 at, void *buf, size_t n, bool write);
u32 tern_region_state(const struct tern_migration *mig);

#endif /* TERN_VFIO_REGION_H */
