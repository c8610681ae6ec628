// SPDX-License-Identifier: GPL-2.0-only
/*
 * PCI config space, 4096 bytes, as a table: for each field its value at
 * power-on and the bits that a guest can write. Everything else reads 0 and
 * ignores writes. The layout is the same on every host, byte by byte: a VMM
 * compares it when a guest arrives.
 */
#include <linux/kernel.h>
#include <linux/lockdep.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/string.h>
#include <asm/byteorder.h>

#include "function/config_space.h"

/* PCI_PM_CTRL_STATE_MASK: the values of the power state. */
#define PM_D0		0
#define PM_D3HOT	3

#define COMMAND_BITS	(PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_PARITY | \
			 PCI_COMMAND_SERR | PCI_COMMAND_INTX_DISABLE)
#define CAPABILITY(id, next)	((id) | (next) << 8)

/* A field: value and writable bits, little-endian, @size bytes wide. */
struct field {
	u16 offset;
	u8 size;
	u32 value;
	u32 writable;
};

/* What every function has. */
static const struct field fields[] = {
	{ PCI_COMMAND,			2, 0, COMMAND_BITS },
	{ PCI_STATUS,			2, PCI_STATUS_CAP_LIST, 0 },
	{ PCI_CACHE_LINE_SIZE,		1, 0, 0xff },
	{ PCI_CAPABILITY_LIST,		1, TERN_CAP_PM, 0 },
	{ PCI_INTERRUPT_LINE,		1, 0, 0xff },
	{ PCI_INTERRUPT_PIN,		1, 1, 0 },

	{ TERN_CAP_PM,			2, CAPABILITY(PCI_CAP_ID_PM, TERN_CAP_MSIX), 0 },
	{ TERN_CAP_PM + PCI_PM_PMC,		2, 3, 0 },
	{ TERN_CAP_PM + PCI_PM_CTRL,		2, PCI_PM_CTRL_NO_SOFT_RESET,
					   PCI_PM_CTRL_STATE_MASK },

	{ TERN_CAP_MSIX,			2, CAPABILITY(PCI_CAP_ID_MSIX, TERN_CAP_EXP), 0 },

	{ TERN_CAP_EXP,			2, CAPABILITY(PCI_CAP_ID_EXP, 0), 0 },
	{ TERN_CAP_EXP + PCI_EXP_FLAGS,	2, 2 | PCI_EXP_TYPE_ENDPOINT << 4, 0 },
	{ TERN_CAP_EXP + PCI_EXP_DEVCAP,	4, PCI_EXP_DEVCAP_RBER | PCI_EXP_DEVCAP_FLR, 0 },
	{ TERN_CAP_EXP + PCI_EXP_DEVCTL,	2, PCI_EXP_DEVCTL_RELAX_EN |
					   PCI_EXP_DEVCTL_READRQ_512B,
					   PCI_EXP_DEVCTL_CERE | PCI_EXP_DEVCTL_NFERE |
					   PCI_EXP_DEVCTL_FERE | PCI_EXP_DEVCTL_URRE |
					   PCI_EXP_DEVCTL_RELAX_EN | PCI_EXP_DEVCTL_PAYLOAD |
					   PCI_EXP_DEVCTL_READRQ },
	{ TERN_CAP_EXP + PCI_EXP_LNKCAP,	4, PCI_EXP_LNKCAP_SLS_2_5GB | 1 << 4, 0 },
	{ TERN_CAP_EXP + PCI_EXP_LNKCTL,	2, 0, PCI_EXP_LNKCTL_ASPMC | PCI_EXP_LNKCTL_CCC },
	{ TERN_CAP_EXP + PCI_EXP_LNKSTA,	2, PCI_EXP_LNKSTA_CLS_2_5GB | PCI_EXP_LNKSTA_NLW_X1, 0 },
};

static void put_field(struct tern_config_space *cfg, const struct field *f)
{
	__le32 value = cpu_to_le32(f->value), writable = cpu_to_le32(f->writable);

	memcpy(cfg->reset + f->offset, &value, f->size);
	memcpy(cfg->writable + f->offset, &writable, f->size);
}

static void put_identity(struct tern_config_space *cfg, const struct tern_identity *id)
{
	const struct field own[] = {
		{ PCI_VENDOR_ID,	   2, id->vendor, 0 },
		{ PCI_DEVICE_ID,	   2, id->device, 0 },
		{ PCI_CLASS_REVISION,	   4, id->class << 8 | id->revision, 0 },
		{ PCI_SUBSYSTEM_VENDOR_ID, 2, id->vendor, 0 },
		{ PCI_SUBSYSTEM_ID,	   2, id->device, 0 },
		{ TERN_CAP_MSIX + PCI_MSIX_FLAGS, 2, id->vectors - 1,
			PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL },
		{ TERN_CAP_MSIX + PCI_MSIX_TABLE, 4, id->msix_table | id->msix_bar, 0 },
		{ TERN_CAP_MSIX + PCI_MSIX_PBA,	  4, id->msix_pba | id->msix_bar, 0 },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(own); i++)
		put_field(cfg, &own[i]);
}

/* A guest sizes a BAR by the address bits that it can write. */
static void put_bar(struct tern_config_space *cfg, unsigned int i,
		    const struct tern_config_bar *bar)
{
	const u64 bits = ~(bar->size - 1);
	const struct field low = {
		PCI_BASE_ADDRESS_0 + 4 * i, 4, bar->flags, lower_32_bits(bits),
	};
	const struct field high = { low.offset + 4, 4, 0, upper_32_bits(bits) };

	if (!bar->size)
		return;
	put_field(cfg, &low);
	if (bar->flags & PCI_BASE_ADDRESS_MEM_TYPE_64)
		put_field(cfg, &high);
}

/**
 * tern_config_space_init() - config space in its reset state
 * @cfg: the config space
 * @id: the model's own values
 * @bars: the six BARs
 * @lock: the function's io lock, which guards it
 */
void tern_config_space_init(struct tern_config_space *cfg, const struct tern_identity *id,
			    const struct tern_config_bar *bars, struct mutex *lock)
{
	unsigned int i;

	memset(cfg, 0, sizeof(*cfg));
	cfg->lock = lock;
	for (i = 0; i < ARRAY_SIZE(fields); i++)
		put_field(cfg, &fields[i]);
	put_identity(cfg, id);
	for (i = 0; i < PCI_STD_NUM_BARS; i++)
		put_bar(cfg, i, &bars[i]);
	tern_config_space_clear(cfg);
}

/**
 * tern_config_space_clear() - as at power-on
 * @cfg: the config space
 */
void tern_config_space_clear(struct tern_config_space *cfg)
{
	memcpy(cfg->bytes, cfg->reset, sizeof(cfg->bytes));
}

/**
 * tern_config_space_read() - read it
 * @cfg: the config space
 * @offset: first byte; the range lies inside
 * @to: gets the bytes
 * @len: how many
 *
 * Context: the device's io lock.
 */
void tern_config_space_read(const struct tern_config_space *cfg, unsigned int offset, void *to,
			    size_t len)
{
	lockdep_assert_held(cfg->lock);
	memcpy(to, cfg->bytes + offset, len);
}

/* The states that PMC offers: D1 and D2 are not among them. */
static bool is_power_state(u8 pmcsr)
{
	u8 state = pmcsr & PCI_PM_CTRL_STATE_MASK;

	return state == PM_D0 || state == PM_D3HOT;
}

/**
 * tern_config_space_write() - write the bits that can be written
 * @cfg: the config space
 * @offset: first byte; the range lies inside
 * @from: the bytes
 * @len: how many
 *
 * A power state that the device does not have is discarded, as PCI-PM has it (PMCSR,
 * PowerState). The field keeps its value, and the rest is written.
 *
 * Context: the device's io lock.
 */
void tern_config_space_write(struct tern_config_space *cfg, unsigned int offset, const void *from,
			     size_t len)
{
	u8 *pmcsr = &cfg->bytes[TERN_CAP_PM + PCI_PM_CTRL];
	u8 state = *pmcsr & PCI_PM_CTRL_STATE_MASK;
	const u8 *byte = from;
	size_t i;

	lockdep_assert_held(cfg->lock);
	for (i = 0; i < len; i++) {
		u8 writable = cfg->writable[offset + i];
		u8 *at = &cfg->bytes[offset + i];

		*at = (*at & ~writable) | (byte[i] & writable);
	}
	if (!is_power_state(*pmcsr))
		*pmcsr = (*pmcsr & ~PCI_PM_CTRL_STATE_MASK) | state;
}

/**
 * tern_config_space_is_flr() - does this write ask for a function-level reset?
 * @offset: first byte
 * @from: the bytes
 * @len: how many
 *
 * The bit (Device Control, Initiate Function Level Reset) cannot be written and reads 0:
 * so no stream has it, and loading one resets nothing.
 */
bool tern_config_space_is_flr(unsigned int offset, const void *from, size_t len)
{
	const unsigned int at = TERN_CAP_EXP + PCI_EXP_DEVCTL + 1;
	const u8 *byte = from;

	return offset <= at && at - offset < len &&
	       byte[at - offset] & (PCI_EXP_DEVCTL_BCR_FLR >> 8);
}

/**
 * tern_config_space_in_d3hot() - has the guest put the device into D3hot?
 * @cfg: the config space
 *
 * Context: the device's io lock.
 */
bool tern_config_space_in_d3hot(const struct tern_config_space *cfg)
{
	lockdep_assert_held(cfg->lock);
	return (cfg->bytes[TERN_CAP_PM + PCI_PM_CTRL] & PCI_PM_CTRL_STATE_MASK) == PM_D3HOT;
}

/**
 * tern_config_space_load() - become what a stream says
 * @cfg: the config space
 * @from: a validated state
 *
 * What no guest can have written stays this device's own. So does D0 for a power state
 * that the device does not have: older devices let a guest write it.
 *
 * Context: the device's io lock.
 */
void tern_config_space_load(struct tern_config_space *cfg, const struct tern_config_state *from)
{
	lockdep_assert_held(cfg->lock);
	tern_config_space_clear(cfg);
	tern_config_space_write(cfg, 0, from->bytes, sizeof(from->bytes));
}

/* The bits of a byte that older devices of this model lacked. */
static u8 added_later(const struct tern_config_later *later, unsigned int n, size_t offset)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		if (later[i].offset == offset)
			return later[i].bits;
	return 0;
}

/**
 * tern_config_space_validate() - is this a config space of this function?
 * @cfg: the config space
 * @from: a state from a stream
 * @later: the bits that older devices of the model lacked
 * @n: how many bytes have such bits
 *
 * Return: 0, or -EDOM if a bit differs that no guest can have written, and that older
 * devices did not lack.
 */
int tern_config_space_validate(const struct tern_config_space *cfg,
			       const struct tern_config_state *from,
			       const struct tern_config_later *later, unsigned int n)
{
	size_t i;

	for (i = 0; i < TERN_CONFIG_SIZE; i++) {
		u8 differs = (from->bytes[i] ^ cfg->reset[i]) & ~cfg->writable[i];

		if (differs & ~(added_later(later, n, i) & ~from->bytes[i]))
			return -EDOM;
	}
	return 0;
}
