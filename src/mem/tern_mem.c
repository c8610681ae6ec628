// SPDX-License-Identifier: GPL-2.0-only
/*
 * tern-mem, the first model: memory, registers and a DMA engine, put together as the
 * core (core/model.h), a bus and vfio (function/function.h) want them. Another model is
 * another folder like this one, and a line in src/models.c.
 */
#include <linux/err.h>
#include <linux/pci_regs.h>
#include <linux/slab.h>

#include "function/quota.h"
#include "mem/attributes.h"
#include "mem/tern_mem.h"
#include <uapi/tern/registers.h>

#define MEMORY_MIB_DEFAULT	64

static struct tern_mem *of_function(struct tern_function *fn)
{
	return container_of(fn, struct tern_mem, fn);
}

static struct tern_mem *to_mem(struct tern_model *m)
{
	return container_of(m, struct tern_mem, fn.model);
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
	return tern_memory_load(to_mem(m)->memory, offset, from, len);
}

/* A reset leaves nothing of this device, so it is a wipe, too. */
static void reset(struct tern_model *m)
{
	struct tern_mem *mem = to_mem(m);

	tern_memory_clear(mem->memory);
	mutex_lock(&mem->fn.io);
	tern_registers_clear(&mem->regs);
	tern_dma_clear(&mem->dma);
	tern_stamper_clear(&mem->stamper);
	tern_function_reset(&mem->fn);
	mutex_unlock(&mem->fn.io);
}

static void start(struct tern_model *m)
{
	tern_interrupts_start(&to_mem(m)->fn.irqs);
	tern_worker_thaw(&to_mem(m)->worker);
}

static void quiesce(struct tern_model *m)
{
	tern_worker_freeze(&to_mem(m)->worker);
	tern_interrupts_start(&to_mem(m)->fn.irqs);
}

static void stop(struct tern_model *m)
{
	struct tern_mem *mem = to_mem(m);

	/* First what raises interrupts by itself. */
	tern_worker_freeze(&mem->worker);
	/* A doorbell that is being rung is either delivered or pending. */
	mutex_lock(&mem->fn.io);
	tern_interrupts_stop(&mem->fn.irqs);
	mutex_unlock(&mem->fn.io);
}

static void save_registers(struct tern_model *m, void *to)
{
	struct tern_mem *mem = to_mem(m);

	mutex_lock(&mem->fn.io);
	tern_registers_save(&mem->regs, to);
	mutex_unlock(&mem->fn.io);
}

static int validate_registers(struct tern_model *m, const void *from)
{
	return tern_registers_validate(from);
}

static void load_registers(struct tern_model *m, const void *from)
{
	struct tern_mem *mem = to_mem(m);

	mutex_lock(&mem->fn.io);
	tern_registers_load(&mem->regs, from);
	mutex_unlock(&mem->fn.io);
}

static void save_config_space(struct tern_model *m, void *to)
{
	struct tern_mem *mem = to_mem(m);

	mutex_lock(&mem->fn.io);
	tern_config_space_read(&mem->fn.config, 0, to, TERN_CONFIG_SIZE);
	mutex_unlock(&mem->fn.io);
}

/* Before there was INTx, and before there was a function-level reset. */
static const struct tern_config_later config_later[] = {
	{ PCI_INTERRUPT_PIN, 1 },
	{ TERN_CAP_EXP + PCI_EXP_DEVCAP + 3, PCI_EXP_DEVCAP_FLR >> 24 },
};

static int validate_config_space(struct tern_model *m, const void *from)
{
	return tern_config_space_validate(&to_mem(m)->fn.config, from, config_later,
					  ARRAY_SIZE(config_later));
}

static void load_config_space(struct tern_model *m, const void *from)
{
	tern_function_load_config(&to_mem(m)->fn, from);
}

static void save_interrupts(struct tern_model *m, void *to)
{
	DECLARE_BITMAP(pending, TERN_VECTORS);
	struct tern_interrupts_state *state = to;

	tern_interrupts_save(&to_mem(m)->fn.irqs, pending, state->table);
	state->pending = cpu_to_le32(pending[0]);
	state->reserved = 0;
}

static int validate_interrupts(struct tern_model *m, const void *from)
{
	const struct tern_interrupts_state *state = from;

	if (le32_to_cpu(state->pending) >> TERN_VECTORS || state->reserved)
		return -EDOM;
	return tern_interrupts_validate(state->table, TERN_VECTORS);
}

static void load_interrupts(struct tern_model *m, const void *from)
{
	const struct tern_interrupts_state *state = from;
	DECLARE_BITMAP(pending, TERN_VECTORS) = { le32_to_cpu(state->pending) };

	tern_interrupts_load(&to_mem(m)->fn.irqs, pending, state->table);
}

static void save_dma(struct tern_model *m, void *to)
{
	struct tern_mem *mem = to_mem(m);

	mutex_lock(&mem->fn.io);
	tern_dma_save(&mem->dma, to);
	mutex_unlock(&mem->fn.io);
}

static int validate_dma(struct tern_model *m, const void *from)
{
	return tern_dma_validate(&to_mem(m)->dma, from);
}

static void load_dma(struct tern_model *m, const void *from)
{
	struct tern_mem *mem = to_mem(m);

	mutex_lock(&mem->fn.io);
	tern_dma_load(&mem->dma, from);
	mutex_unlock(&mem->fn.io);
}

static bool has_workload(const struct tern_model *m)
{
	return tern_stamper_present(&container_of(m, struct tern_mem, fn.model)->stamper);
}

static void save_workload(struct tern_model *m, void *to)
{
	struct tern_mem *mem = to_mem(m);

	mutex_lock(&mem->fn.io);
	tern_stamper_save(&mem->stamper, to);
	mutex_unlock(&mem->fn.io);
}

static int validate_workload(struct tern_model *m, const void *from)
{
	return tern_stamper_validate(&to_mem(m)->stamper, from);
}

static void load_workload(struct tern_model *m, const void *from)
{
	struct tern_mem *mem = to_mem(m);

	mutex_lock(&mem->fn.io);
	tern_stamper_load(&mem->stamper, from);
	mutex_unlock(&mem->fn.io);
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
	}, {
		.type		= TERN_RECORD_WORKLOAD,
		.since		= 3,
		.length		= sizeof(struct tern_workload_state),
		.present	= has_workload,
		.save		= save_workload,
		.validate	= validate_workload,
		.load		= load_workload,
	},
};

static_assert(ARRAY_SIZE(sections) <= TERN_SECTIONS_MAX);
static_assert(TERN_VECTORS <= BITS_PER_LONG);
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

static int dma_guest(struct tern_dma *dma, u64 address, void *buf, size_t len, bool write)
{
	return tern_function_guest(&container_of(dma, struct tern_mem, dma)->fn, address, buf, len,
				   write);
}

static void dma_interrupt(struct tern_dma *dma, unsigned int vector)
{
	tern_registers_interrupt(&container_of(dma, struct tern_mem, dma)->regs, vector);
}

static const struct tern_dma_ops dma_ops = {
	.guest		= dma_guest,
	.interrupt	= dma_interrupt,
};

static struct tern_mem *of_worker(struct tern_worker *w)
{
	return container_of(w, struct tern_mem, worker);
}

static bool has_work(const struct tern_worker *w)
{
	const struct tern_mem *mem = container_of(w, struct tern_mem, worker);

	return tern_dma_has_work(&mem->dma) || tern_stamper_has_work(&mem->stamper);
}

static long wait_for_stamper(const struct tern_worker *w)
{
	return tern_stamper_wait(&container_of(w, struct tern_mem, worker)->stamper);
}

/* DMA and the stamper take turns if both have something to do. */
static void begin_piece(struct tern_worker *w)
{
	struct tern_mem *mem = of_worker(w);
	bool dma = tern_dma_has_work(&mem->dma);

	mem->stamps = !dma || (!mem->stamps && tern_stamper_has_work(&mem->stamper));
	if (mem->stamps)
		tern_stamper_begin_piece(&mem->stamper);
	else
		tern_dma_begin_piece(&mem->dma);
}

static void do_piece(struct tern_worker *w, bool mm)
{
	struct tern_mem *mem = of_worker(w);

	if (mem->stamps)
		tern_stamper_do_piece(&mem->stamper, mm);
	else
		tern_dma_do_piece(&mem->dma, mm);
}

static void end_piece(struct tern_worker *w)
{
	struct tern_mem *mem = of_worker(w);

	if (mem->stamps)
		tern_stamper_end_piece(&mem->stamper);
	else
		tern_dma_end_piece(&mem->dma);
}

static const struct tern_worker_ops worker_ops = {
	.has_work	= has_work,
	.wait		= wait_for_stamper,
	.begin		= begin_piece,
	.piece		= do_piece,
	.end		= end_piece,
};

static int access_registers(struct tern_function *fn, u64 at, void *buf, size_t n, bool write)
{
	struct tern_mem *mem = of_function(fn);

	mutex_lock(&fn->io);
	if (write)
		tern_registers_write(&mem->regs, at, buf, n);
	else
		tern_registers_read(&mem->regs, at, buf, n);
	mutex_unlock(&fn->io);
	return 0;
}

static int access_memory(struct tern_function *fn, u64 at, void *buf, size_t n, bool write)
{
	if (write)
		return tern_memory_write(of_function(fn)->memory, at, buf, n);
	return tern_memory_read(of_function(fn)->memory, at, buf, n);
}

static int mmap_memory(struct tern_function *fn, struct vm_area_struct *vma, unsigned long pgoff)
{
	return tern_memory_mmap(of_function(fn)->memory, vma, pgoff);
}

static const struct tern_bar registers_bar = {
	.size	= TERN_BAR0_SIZE,
	.access	= access_registers,
};

static const struct tern_bar msix_bar = {
	.size	= TERN_BAR4_SIZE,
	.access	= tern_function_access_msix,
};

static const struct tern_bar no_bar;

static const struct tern_bar *find_bar(struct tern_function *fn, unsigned int index)
{
	switch (index) {
	case 0:
		return &registers_bar;
	case 2:
		return &of_function(fn)->memory_bar;
	case 4:
		return &msix_bar;
	default:
		return &no_bar;
	}
}

/**
 * tern_mem_resize() - another size of memory, from the next open on
 * @mem: the device, closed
 * @mib: MiB, a power of two
 */
void tern_mem_resize(struct tern_mem *mem, u32 mib)
{
	WRITE_ONCE(mem->memory_mib, mib);
	mem->memory_bar.size = (u64)mib << 20;
}

static struct tern_function *create(void)
{
	struct tern_mem *mem;
	int ret;

	mem = kzalloc(sizeof(*mem), GFP_KERNEL);
	if (!mem)
		return ERR_PTR(-ENOMEM);
	mem->quota = tern_quota_create(MEMORY_MIB_DEFAULT);
	if (IS_ERR(mem->quota)) {
		ret = PTR_ERR(mem->quota);
		goto err_free;
	}
	ret = tern_function_init(&mem->fn, &tern_mem_function);
	if (ret)
		goto err_destroy_quota;
	tern_worker_init(&mem->worker, &worker_ops, &mem->fn.io);
	tern_dma_init(&mem->dma, &dma_ops, &mem->fn.model, &mem->worker, &mem->fn.io);
	ret = tern_stamper_init(&mem->stamper, &mem->worker, &mem->fn.io, &mem->fn.model.resets);
	if (ret)
		goto err_uninit_function;
	mem->memory_bar = (struct tern_bar){
		.flags	= PCI_BASE_ADDRESS_MEM_TYPE_64 | PCI_BASE_ADDRESS_MEM_PREFETCH,
		.access	= access_memory,
		.mmap	= mmap_memory,
	};
	tern_mem_resize(mem, MEMORY_MIB_DEFAULT);
	return &mem->fn;

err_uninit_function:
	tern_function_uninit(&mem->fn);
err_destroy_quota:
	tern_quota_destroy(mem->quota);
err_free:
	kfree(mem);
	return ERR_PTR(ret);
}

static void destroy(struct tern_function *fn)
{
	struct tern_mem *mem = of_function(fn);

	tern_stamper_uninit(&mem->stamper);
	tern_function_uninit(fn);
	tern_quota_destroy(mem->quota);
	kfree(mem);
}

/* Fresh memory, and the device runs. */
static int open(struct tern_function *fn)
{
	struct tern_mem *mem = of_function(fn);
	u64 size = mem->memory_bar.size;
	struct tern_memory *memory;
	int ret;

	memory = tern_memory_create(size, mem->quota);
	if (IS_ERR(memory))
		return PTR_ERR(memory);
	ret = tern_dma_open(&mem->dma, memory);
	if (ret)
		goto err_put_memory;
	tern_stamper_open(&mem->stamper, memory);
	ret = tern_worker_open(&mem->worker, "tern-dma");
	if (ret)
		goto err_close_stamper;
	mem->memory = memory;
	fn->model.dirty = &memory->dirty;
	fn->model.memory_size = size;
	fn->model.page_size = PAGE_SIZE;
	tern_registers_init(&mem->regs, &fn->irqs, &mem->dma, size);
	tern_function_power_on(fn);
	return 0;

err_close_stamper:
	tern_stamper_close(&mem->stamper);
	tern_dma_close(&mem->dma);
err_put_memory:
	tern_memory_put(memory);
	return ret;
}

/* The memory stays while it is mapped. */
static void close(struct tern_function *fn)
{
	struct tern_mem *mem = of_function(fn);

	tern_worker_close(&mem->worker);
	tern_stamper_close(&mem->stamper);
	tern_dma_close(&mem->dma);
	tern_function_power_off(fn);
	tern_memory_put(mem->memory);
	mem->memory = NULL;
	fn->model.dirty = NULL;
}

static void set_d3hot(struct tern_function *fn, bool d3hot)
{
	tern_worker_pause(&of_function(fn)->worker, d3hot);
}

static void settle(struct tern_function *fn)
{
	tern_worker_settle(&of_function(fn)->worker);
}

static const struct tern_identity identity = {
	.vendor		= TERN_PCI_VENDOR,
	.device		= TERN_PCI_DEVICE,
	.class		= TERN_PCI_CLASS,
	.revision	= 1,
	.vectors	= TERN_VECTORS,
	.msix_bar	= 4,
	.msix_table	= TERN_MSIX_TABLE,
	.msix_pba	= TERN_MSIX_PBA,
};

const struct tern_function_ops tern_mem_function = {
	.model		= &tern_mem_ops,
	.type		= "mem",
	.name		= "Tern migratable memory",
	.description	= "memory that live-migrates",
	.identity	= &identity,
	.attributes	= &tern_mem_attributes,
	.folders	= tern_mem_folders,
	.create		= create,
	.destroy	= destroy,
	.open		= open,
	.close		= close,
	.bar		= find_bar,
	.set_d3hot	= set_d3hot,
	.settle		= settle,
};
