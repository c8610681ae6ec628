/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TERN_VFIO_ATTRIBUTES_H
#define TERN_VFIO_ATTRIBUTES_H

struct attribute_group;

extern const struct attribute_group *tern_attribute_groups[];

#endif /* TERN_VFIO_ATTRIBUTES_H */
