/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TERN_VFIO_PARENT_H
#define TERN_VFIO_PARENT_H

int tern_parent_register(void);
void tern_parent_unregister(void);

#endif /* TERN_VFIO_PARENT_H */
