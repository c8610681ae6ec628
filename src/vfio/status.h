/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TERN_VFIO_STATUS_H
#define TERN_VFIO_STATUS_H

#include <linux/types.h>

struct tern_migration;

u64 tern_status_publish(struct tern_migration *mig);

#endif /* TERN_VFIO_STATUS_H */
