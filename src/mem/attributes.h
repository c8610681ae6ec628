/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TERN_MEM_ATTRIBUTES_H
#define TERN_MEM_ATTRIBUTES_H

struct attribute_group;

extern const struct attribute_group tern_mem_attributes;
extern const struct attribute_group *tern_mem_folders[];

#endif /* TERN_MEM_ATTRIBUTES_H */
