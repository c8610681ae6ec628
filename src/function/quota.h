/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TERN_FUNCTION_QUOTA_H
#define TERN_FUNCTION_QUOTA_H

#include <linux/types.h>

struct tern_quota;

struct tern_quota *tern_quota_create(u32 mib);
void tern_quota_destroy(struct tern_quota *quota);
int tern_quota_change(struct tern_quota *quota, u32 mib);
int tern_quota_hold(struct tern_quota *quota, u64 bytes);
void tern_quota_release(struct tern_quota *quota, u64 bytes);

#endif /* TERN_FUNCTION_QUOTA_H */
