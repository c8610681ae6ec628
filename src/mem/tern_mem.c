// SPDX-License-Identifier: GPL-2.0-only
/*
 * tern-mem, the device model: memory, registers, config space, interrupts and
 * the DMA engine, put together as the core wants them (core/model.h). Another
 * model would be another file like this one.
 */
#include <linux/err.h>
#include <linux/pci_regs.h>

#include "mem/tern_mem.h"

static struct tern_mem *to_mem(struct tern_model *m)
{
	return container_of(m, struct tern_mem, model);
}

static int page_get(struct tern_model *m, unsigned long page, void **handle)
{
	return tern_memory_page_get(to_mem(m)->memory, page, (struct page **)handle);
}

static void page_unlock(struct tern_model *m, void *handle)
{
	tern_memory_page_unlock(handle);
}

static void page_rearm(struct tern_model *m, unsigned long first, unsigned long n)
{
	tern_memory_page_rearm(to_mem(m)->memory, first, n);
}

static bool page_pinned(struct tern_model *m, void *handle)
{
	return tern_memory_page_pinned(handle);
}

static int page_copy(struct tern_model *m, void *handle, void *to)
{
	tern_memory_page_copy(handle, to);
	return 0;
}

static void page_put(struct tern_model *m, void *handle)
{
	tern_memory_page_put(handle);
}

static int memory_load(struct tern_model *m, u64 offset, const void *from, size_t len)
{
	return tern_memory_write(to_mem(m)->memory, offset, from, len);
}

static u16 command(struct tern_mem *mem)
{
	__le16 word;

	lockdep_assert_held(&mem->io);
	tern_config_space_read(&mem->config, PCI_COMMAND, &word, sizeof(word));
	return le16_to_cpu(word);
}

/* Config space has changed: tell the parts that go by it. */
static void config_changed(struct tern_mem *mem)
{
	bool d3hot = tern_config_space_in_d3hot(&mem->config);

	lockdep_assert_held(&mem->io);
	WRITE_ONCE(mem->d3hot, d3hot);
	tern_dma_set_d3hot(&mem->dma, d3hot);
	tern_interrupts_configure(&mem->irqs, command(mem), d3hot);
}

/* A reset leaves nothing of this device, so it is a wipe, too. */
static void reset(struct tern_model *m)
{
	struct tern_mem *mem = to_mem(m);

	tern_memory_clear(mem->memory);
	mutex_lock(&mem->io);
	tern_registers_clear(&mem->regs);
	tern_config_space_clear(&mem->config);
	tern_interrupts_clear(&mem->irqs);
	tern_dma_clear(&mem->dma);
	config_changed(mem);
	mutex_unlock(&mem->io);
}

static void start(struct tern_model *m)
{
	tern_interrupts_start(&to_mem(m)->irqs);
	tern_dma_thaw(&to_mem(m)->dma);
}

static void quiesce(struct tern_model *m)
{
	tern_dma_freeze(&to_mem(m)->dma);
	tern_interrupts_start(&to_mem(m)->irqs);
}

static void stop(struct tern_model *m)
{
	struct tern_mem *mem = to_mem(m);

	/* First what raises interrupts by itself. */
	tern_dma_freeze(&mem->dma);
	/* A doorbell that is being rung is either delivered or pending. */
	mutex_lock(&mem->io);
	tern_interrupts_stop(&mem->irqs);
	mutex_unlock(&mem->io);
}

static void save_registers(struct tern_model *m, void *to)
{
	struct tern_mem *mem = to_mem(m);

	mutex_lock(&mem->io);
	tern_registers_save(&mem->regs, to);
	mutex_unlock(&mem->io);
}

static int validate_registers(struct tern_model *m, const void *from)
{
	return tern_registers_validate(from);
}

static void load_registers(struct tern_model *m, const void *from)
{
	struct tern_mem *mem = to_mem(m);

	mutex_lock(&mem->io);
	tern_registers_load(&mem->regs, from);
	mutex_unlock(&mem->io);
}

static void save_config_space(struct tern_model *m, void *to)
{
	struct tern_mem *mem = to_mem(m);

	mutex_lock(&mem->io);
	tern_config_space_read(&mem->config, 0, to, TERN_CONFIG_SIZE);
	mutex_unlock(&mem->io);
}

static int validate_config_space(struct tern_model *m, const void *from)
{
	return tern_config_space_validate(&to_mem(m)->config, from);
}

static void load_config_space(struct tern_model *m, const void *from)
{
	struct tern_mem *mem = to_mem(m);

	mutex_lock(&mem->io);
	tern_config_space_load(&mem->config, from);
	config_changed(mem);
	mutex_unlock(&mem->io);
}

static void save_interrupts(struct tern_model *m, void *to)
{
	tern_interrupts_save(&to_mem(m)->irqs, to);
}

static int validate_interrupts(struct tern_model *m, const void *from)
{
	return tern_interrupts_validate(from);
}

static void load_interrupts(struct tern_model *m, const void *from)
{
	tern_interrupts_load(&to_mem(m)->irqs, from);
}

static void save_dma(struct tern_model *m, void *to)
{
	struct tern_mem *mem = to_mem(m);

	mutex_lock(&mem->io);
	tern_dma_save(&mem->dma, to);
	mutex_unlock(&mem->io);
}

static int validate_dma(struct tern_model *m, const void *from)
{
	return tern_dma_validate(&to_mem(m)->dma, from);
}

static void load_dma(struct tern_model *m, const void *from)
{
	struct tern_mem *mem = to_mem(m);

	mutex_lock(&mem->io);
	tern_dma_load(&mem->dma, from);
	mutex_unlock(&mem->io);
}

static const struct tern_section sections[] = {
	{
		.type		= TERN_RECORD_REGISTERS,
		.since		= 1,
		.length		= sizeof(struct tern_registers_state),
		.save		= save_registers,
		.validate	= validate_registers,
		.load		= load_registers,
	}, {
		.type		= TERN_RECORD_CONFIG_SPACE,
		.since		= 1,
		.length		= sizeof(struct tern_config_state),
		.save		= save_config_space,
		.validate	= validate_config_space,
		.load		= load_config_space,
	}, {
		.type		= TERN_RECORD_INTERRUPTS,
		.since		= 1,
		.length		= sizeof(struct tern_interrupts_state),
		.save		= save_interrupts,
		.validate	= validate_interrupts,
		.load		= load_interrupts,
	}, {
		.type		= TERN_RECORD_DMA,
		.since		= 2,
		.length		= sizeof(struct tern_dma_state),
		.save		= save_dma,
		.validate	= validate_dma,
		.load		= load_dma,
	},
};

static_assert(ARRAY_SIZE(sections) <= TERN_SECTIONS_MAX);
static_assert(sizeof(struct tern_registers_state) == 72);
static_assert(sizeof(struct tern_config_state) == 4096);
static_assert(sizeof(struct tern_interrupts_state) == 264);
static_assert(sizeof(struct tern_dma_state) == 64);
static_assert(offsetof(struct tern_dma_state, entries) == 40);

static const struct tern_model_ops tern_mem_ops = {
	.id		= TERN_MODEL_MEM,
	.version	= TERN_STREAM_VERSION,
	.reader		= TERN_STREAM_READER,
	.sections	= sections,
	.n_sections	= ARRAY_SIZE(sections),
	.page_get	= page_get,
	.page_unlock	= page_unlock,
	.page_rearm	= page_rearm,
	.page_pinned	= page_pinned,
	.page_copy	= page_copy,
	.page_put	= page_put,
	.memory_load	= memory_load,
	.reset		= reset,
	.wipe		= reset,
	.start		= start,
	.quiesce	= quiesce,
	.stop		= stop,
};

/**
 * tern_mem_read_config() - read config space
 * @mem: an open device
 * @offset: first byte; the range lies inside
 * @to: gets the bytes
 * @len: how many
 *
 * The level of the interrupt line is in the status, as PCI 3.0 has it (6.2.3): it
 * is no state, and is not in a stream. Context: takes the io lock.
 */
void tern_mem_read_config(struct tern_mem *mem, unsigned int offset, void *to, size_t len)
{
	u8 *byte = to;

	mutex_lock(&mem->io);
	tern_config_space_read(&mem->config, offset, to, len);
	if (offset <= PCI_STATUS && PCI_STATUS - offset < len && tern_interrupts_line(&mem->irqs))
		byte[PCI_STATUS - offset] |= PCI_STATUS_INTERRUPT;
	mutex_unlock(&mem->io);
}

/**
 * tern_mem_in_d3hot() - has the guest put the device into D3hot?
 * @mem: an open device
 *
 * Then nothing answers but config space. Context: any.
 */
bool tern_mem_in_d3hot(const struct tern_mem *mem)
{
	return READ_ONCE(mem->d3hot);
}

/**
 * tern_mem_write_config() - write config space
 * @mem: an open device
 * @offset: first byte; the range lies inside
 * @from: the bytes
 * @len: how many
 *
 * On return from clearing bus mastering guest memory is not used any more, for a guest
 * gives it back then; and in D3hot device memory is not, either. Context: takes the io
 * lock; may wait for a piece of a transfer.
 */
void tern_mem_write_config(struct tern_mem *mem, unsigned int offset, const void *from,
			   size_t len)
{
	bool was_master, was_in_d0, ended;

	mutex_lock(&mem->io);
	was_master = command(mem) & PCI_COMMAND_MASTER;
	was_in_d0 = !mem->d3hot;
	tern_config_space_write(&mem->config, offset, from, len);
	config_changed(mem);
	ended = (was_master && !(command(mem) & PCI_COMMAND_MASTER)) ||
		(was_in_d0 && mem->d3hot);
	mutex_unlock(&mem->io);
	if (ended)
		tern_dma_settle(&mem->dma);
}

static bool is_bus_master(struct tern_mem *mem)
{
	u16 bits;

	mutex_lock(&mem->io);
	bits = command(mem);
	mutex_unlock(&mem->io);
	return bits & PCI_COMMAND_MASTER;
}

static int dma_guest(struct tern_dma *dma, u64 address, void *buf, size_t len, bool write)
{
	struct tern_mem *mem = container_of(dma, struct tern_mem, dma);

	return is_bus_master(mem) ? mem->guest(mem, address, buf, len, write) : -EACCES;
}

static void dma_interrupt(struct tern_dma *dma, unsigned int vector)
{
	tern_registers_interrupt(&container_of(dma, struct tern_mem, dma)->regs, vector);
}

static const struct tern_dma_ops dma_ops = {
	.guest		= dma_guest,
	.interrupt	= dma_interrupt,
};

/**
 * tern_mem_init() - a device that is not open
 * @mem: the device
 * @guest: how it reaches guest memory
 */
void tern_mem_init(struct tern_mem *mem, tern_guest_fn guest)
{
	mutex_init(&mem->io);
	mem->guest = guest;
	tern_interrupts_init(&mem->irqs);
	tern_dma_init(&mem->dma, &dma_ops, &mem->io);
	mem->model.ops = &tern_mem_ops;
}

/**
 * tern_mem_open() - power on: fresh memory, and the device runs
 * @mem: the device
 * @memory_size: bytes of memory, a power of two
 *
 * Return: 0, or -errno with nothing done. Context: state_mutex; may sleep.
 */
int tern_mem_open(struct tern_mem *mem, u64 memory_size)
{
	struct tern_memory *memory = tern_memory_create(memory_size);
	int ret;

	if (IS_ERR(memory))
		return PTR_ERR(memory);
	ret = tern_dma_open(&mem->dma, memory);
	if (ret) {
		tern_memory_put(memory);
		return ret;
	}
	mem->memory = memory;
	mem->model.dirty = &memory->dirty;
	mem->model.memory_size = memory_size;
	mem->model.page_size = PAGE_SIZE;
	tern_registers_init(&mem->regs, &mem->irqs, &mem->dma, memory_size);
	tern_config_space_init(&mem->config, memory_size);
	tern_interrupts_clear(&mem->irqs);
	mutex_lock(&mem->io);
	config_changed(mem);
	mutex_unlock(&mem->io);
	tern_interrupts_start(&mem->irqs);
	return 0;
}

/**
 * tern_mem_close() - power off
 * @mem: the device; its memory stays as long as somebody has it mapped
 *
 * Context: state_mutex; may sleep.
 */
void tern_mem_close(struct tern_mem *mem)
{
	unsigned int i;

	tern_dma_close(&mem->dma);
	tern_interrupts_stop(&mem->irqs);
	tern_interrupts_connect_line(&mem->irqs, NULL);
	for (i = 0; i < TERN_VECTORS; i++)
		tern_interrupts_connect(&mem->irqs, i, NULL);
	tern_memory_put(mem->memory);
	mem->memory = NULL;
	mem->model.dirty = NULL;
}
