/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef TERN_FUNCTION_CONFIG_SPACE_H
#define TERN_FUNCTION_CONFIG_SPACE_H

#include <linux/types.h>

#include <uapi/tern/stream.h>

/**
 * struct tern_config_space - PCI config space
 * @bytes: as the guest reads it
 * @writable: a bit for each bit of @bytes that the guest can write; immutable
 *	while the device is open
 * @reset: @bytes at power-on; immutable while the device is open
 *
 * Guarded by the device's io lock.
 */
struct tern_config_space {
	u8 bytes[TERN_CONFIG_SIZE];
	u8 writable[TERN_CONFIG_SIZE];
	u8 reset[TERN_CONFIG_SIZE];
};

void tern_config_space_init(struct tern_config_space *cfg, u64 memory_size);
void tern_config_space_clear(struct tern_config_space *cfg);
void tern_config_space_read(const struct tern_config_space *cfg, unsigned int offset,
			    void *to, size_t len);
void tern_config_space_write(struct tern_config_space *cfg, unsigned int offset,
			     const void *from, size_t len);
bool tern_config_space_is_flr(unsigned int offset, const void *from, size_t len);
bool tern_config_space_in_d3hot(const struct tern_config_space *cfg);
void tern_config_space_load(struct tern_config_space *cfg, const struct tern_config_state *from);
int tern_config_space_validate(const struct tern_config_space *cfg,
			       const struct tern_config_state *from);

#endif /* TERN_FUNCTION_CONFIG_SPACE_H */
