/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TERN_FUNCTION_CONFIG_SPACE_H
#define TERN_FUNCTION_CONFIG_SPACE_H

#include <linux/types.h>

#include <uapi/tern/stream.h>

struct mutex;

/* Where the capabilities stand. */
#define TERN_CAP_PM	0x40
#define TERN_CAP_MSIX	0x48
#define TERN_CAP_EXP	0x60

/**
 * struct tern_identity - what makes the config space of a model its own
 * @vendor: vendor and subsystem vendor
 * @device: device and subsystem
 * @class: class code, 24 bits
 * @revision: revision
 * @vectors: MSI-X vectors
 * @msix_bar: the BAR of their table and pending bits
 * @msix_table: where in it the table begins
 * @msix_pba: where in it the pending bits begin
 */
struct tern_identity {
	u16 vendor;
	u16 device;
	u32 class;
	u8 revision;
	u16 vectors;
	u8 msix_bar;
	u32 msix_table;
	u32 msix_pba;
};

/**
 * struct tern_config_bar - a BAR, as config space sizes it
 * @size: a power of two, or 0
 * @flags: as struct tern_bar
 */
struct tern_config_bar {
	u64 size;
	u32 flags;
};

/**
 * struct tern_config_later - read-only bits that a model did not always have
 * @offset: the byte
 * @bits: in it: 0 in streams of older devices
 */
struct tern_config_later {
	u16 offset;
	u8 bits;
};

/**
 * struct tern_config_space - PCI config space
 * @lock: the function's io lock; immutable
 * @bytes: as the guest reads it
 * @writable: a bit for each bit of @bytes that the guest can write; immutable
 *	while the device is open
 * @reset: @bytes at power-on; immutable while the device is open
 *
 * Guarded by the device's io lock.
 */
struct tern_config_space {
	struct mutex *lock;
	u8 bytes[TERN_CONFIG_SIZE];
	u8 writable[TERN_CONFIG_SIZE];
	u8 reset[TERN_CONFIG_SIZE];
};

void tern_config_space_init(struct tern_config_space *cfg, const struct tern_identity *id,
			    const struct tern_config_bar *bars, struct mutex *lock);
void tern_config_space_clear(struct tern_config_space *cfg);
void tern_config_space_read(const struct tern_config_space *cfg, unsigned int offset, void *to,
			    size_t len);
void tern_config_space_write(struct tern_config_space *cfg, unsigned int offset, const void *from,
			     size_t len);
bool tern_config_space_is_flr(unsigned int offset, const void *from, size_t len);
bool tern_config_space_in_d3hot(const struct tern_config_space *cfg);
void tern_config_space_load(struct tern_config_space *cfg, const struct tern_config_state *from);
int tern_config_space_validate(const struct tern_config_space *cfg,
			       const struct tern_config_state *from,
			       const struct tern_config_later *later, unsigned int n);

#endif /* TERN_FUNCTION_CONFIG_SPACE_H */
