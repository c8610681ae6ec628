// SPDX-License-Identifier: GPL-2.0-only
/*
 * Config space as a stream has it: its numbers and its list of capabilities.
 *
 * The stream may be of anyone: a list that was damaged may be a circle, or lead to bytes that
 * are no capability's.
 */
#include "config_space.h"

/* Room that a capability may need from its first byte on. */
#define CAPABILITY_ROOM	16
/* As many as there is room for. */
#define CAPABILITIES_MAX	48

/**
 * config_get16() - a number of 16 bits, little-endian
 * @at: its first byte
 */
u16 config_get16(const u8 *at)
{
	return at[0] | at[1] << 8;
}

/**
 * config_get32() - a number of 32 bits, little-endian
 * @at: its first byte
 */
u32 config_get32(const u8 *at)
{
	return config_get16(at) | (u32)config_get16(at + 2) << 16;
}

/**
 * config_capability() - a capability by its place in the list
 * @cfg: config space
 * @n: from 0 on
 *
 * Return: its first byte; NULL: the list has no more, or is damaged there.
 */
const u8 *config_capability(const u8 *cfg, unsigned int n)
{
	unsigned int at = cfg[PCI_CAPABILITY_LIST];

	if (n >= CAPABILITIES_MAX)
		return NULL;
	while (at >= PCI_STD_HEADER_SIZEOF && at + CAPABILITY_ROOM <= PCI_CFG_SPACE_SIZE) {
		if (!n--)
			return cfg + at;
		at = cfg[at + 1];
	}
	return NULL;
}
