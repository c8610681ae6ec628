/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TERN_VFIO_LIMITS_H
#define TERN_VFIO_LIMITS_H

#include <linux/types.h>

unsigned int tern_limits_devices(void);
int tern_limits_change(u32 old_mib, u32 new_mib);

#endif /* TERN_VFIO_LIMITS_H */
