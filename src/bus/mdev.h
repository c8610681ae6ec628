/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TERN_BUS_MDEV_H
#define TERN_BUS_MDEV_H

int tern_mdev_register(void);
void tern_mdev_unregister(void);

#endif /* TERN_BUS_MDEV_H */
