// SPDX-License-Identifier: GPL-2.0-only
/*
 * tern-mem, the device model: memory, registers, config space and interrupts,
 * put together as the core wants them (core/model.h). Another model would be
 * another file like this one.
 */
#include <linux/err.h>

#include "device/tern_mem.h"

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

static void clear(struct tern_model *m)
{
	struct tern_mem *mem = to_mem(m);

	tern_memory_clear(mem->memory);
	mutex_lock(&mem->io);
	tern_registers_clear(&mem->regs);
	tern_config_space_clear(&mem->config);
	tern_interrupts_clear(&mem->irqs);
	mutex_unlock(&mem->io);
}

static void start(struct tern_model *m)
{
	tern_interrupts_start(&to_mem(m)->irqs);
}

static void stop(struct tern_model *m)
{
	struct tern_mem *mem = to_mem(m);

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
	tern_config_space_write(&mem->config, 0, from, TERN_CONFIG_SIZE);
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

static const struct tern_section sections[] = {
	{
		.type		= TERN_RECORD_REGISTERS,
		.length		= sizeof(struct tern_registers_state),
		.save		= save_registers,
		.validate	= validate_registers,
		.load		= load_registers,
	}, {
		.type		= TERN_RECORD_CONFIG_SPACE,
		.length		= sizeof(struct tern_config_state),
		.save		= save_config_space,
		.validate	= validate_config_space,
		.load		= load_config_space,
	}, {
		.type		= TERN_RECORD_INTERRUPTS,
		.length		= sizeof(struct tern_interrupts_state),
		.save		= save_interrupts,
		.validate	= validate_interrupts,
		.load		= load_interrupts,
	},
};

static_assert(ARRAY_SIZE(sections) <= TERN_SECTIONS_MAX);

static const struct tern_model_ops tern_mem_ops = {
	.id		= TERN_MODEL_MEM,
	.sections	= sections,
	.n_sections	= ARRAY_SIZE(sections),
	.page_get	= page_get,
	.page_unlock	= page_unlock,
	.page_rearm	= page_rearm,
	.page_pinned	= page_pinned,
	.page_copy	= page_copy,
	.page_put	= page_put,
	.memory_load	= memory_load,
	.clear		= clear,
	.start		= start,
	.stop		= stop,
};

/**
 * tern_mem_init() - a device that is not open
 * @mem: the device
 */
void tern_mem_init(struct tern_mem *mem)
{
	mutex_init(&mem->io);
	tern_interrupts_init(&mem->irqs);
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

	if (IS_ERR(memory))
		return PTR_ERR(memory);
	mem->memory = memory;
	mem->model.dirty = &memory->dirty;
	mem->model.memory_size = memory_size;
	mem->model.page_size = PAGE_SIZE;
	tern_registers_init(&mem->regs, &mem->irqs, memory_size);
	tern_config_space_init(&mem->config, memory_size);
	tern_interrupts_clear(&mem->irqs);
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

	tern_interrupts_stop(&mem->irqs);
	for (i = 0; i < TERN_VECTORS; i++)
		tern_interrupts_connect(&mem->irqs, i, NULL);
	tern_memory_put(mem->memory);
	mem->memory = NULL;
	mem->model.dirty = NULL;
}
