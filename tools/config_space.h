/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TERN_TOOLS_CONFIG_SPACE_H
#define TERN_TOOLS_CONFIG_SPACE_H

#include "env.h"
#include <linux/pci_regs.h>

u16 config_get16(const u8 *at);
u32 config_get32(const u8 *at);
const u8 *config_capability(const u8 *cfg, unsigned int n);

#endif /* TERN_TOOLS_CONFIG_SPACE_H */
