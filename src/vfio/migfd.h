/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TERN_VFIO_MIGFD_H
#define TERN_VFIO_MIGFD_H

#include <linux/vfio.h>

struct file;
struct tern_migration;

struct file *tern_migfd_set_state(struct tern_migration *mig, enum vfio_device_mig_state state);
int tern_migfd_get_state(struct tern_migration *mig, enum vfio_device_mig_state *state);
int tern_migfd_data_size(struct tern_migration *mig, unsigned long *bytes);
u64 tern_migfd_flags(const struct tern_migration *mig);
void tern_migfd_end(struct tern_migration *mig);

#endif /* TERN_VFIO_MIGFD_H */
