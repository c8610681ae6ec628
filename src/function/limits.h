/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TERN_FUNCTION_LIMITS_H
#define TERN_FUNCTION_LIMITS_H

#include <linux/types.h>

unsigned int tern_limits_devices(void);
int tern_limits_change(u32 old_mib, u32 new_mib);
int tern_limits_hold(u64 bytes);
void tern_limits_release(u64 bytes);

#endif /* TERN_FUNCTION_LIMITS_H */
