/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TERN_VFIO_ATTRIBUTES_H
#define TERN_VFIO_ATTRIBUTES_H

struct device;
struct tern_function;

void tern_attributes_init(void);
int tern_attributes_add(struct device *parent, struct tern_function *fn);
void tern_attributes_remove(struct device *parent, struct tern_function *fn);

#endif /* TERN_VFIO_ATTRIBUTES_H */
