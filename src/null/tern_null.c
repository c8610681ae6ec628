// SPDX-License-Identifier: GPL-2.0-only
/*
 * tern-null, the smallest model there is: one register, no memory, no DMA, one section.
 *
 * Built with TEST_MODELS=1 only. It shows what a second model takes: this folder, and
 * its line in src/models.c. Its config space does not migrate; a VMM restores what it
 * needs of that itself.
 */
#include <linux/err.h>
#include <linux/slab.h>

#include "core/dirty.h"
#include "function/function.h"
#include "null/tern_null.h"

#define MODEL_ID	0xff00
#define RECORD_REGISTER	0x100

/**
 * struct tern_null - a tern-null device
 * @fn: the PCI function
 * @dirty: a tracker of no page
 * @value: the register [io]
 */
struct tern_null {
	struct tern_function fn;
	struct tern_dirty dirty;
	u64 value;
};

static struct tern_null *of_function(struct tern_function *fn)
{
	return container_of(fn, struct tern_null, fn);
}

static struct tern_null *of_model(struct tern_model *m)
{
	return container_of(m, struct tern_null, fn.model);
}

static void reset(struct tern_model *m)
{
	struct tern_null *null = of_model(m);

	mutex_lock(&null->fn.io);
	null->value = 0;
	tern_function_reset(&null->fn);
	mutex_unlock(&null->fn.io);
}

static void start(struct tern_model *m)
{
	tern_interrupts_start(&of_model(m)->fn.irqs);
}

static void stop(struct tern_model *m)
{
	tern_interrupts_stop(&of_model(m)->fn.irqs);
}

static void save_register(struct tern_model *m, void *to)
{
	struct tern_null *null = of_model(m);

	mutex_lock(&null->fn.io);
	*(__le64 *)to = cpu_to_le64(null->value);
	mutex_unlock(&null->fn.io);
}

static int validate_register(struct tern_model *m, const void *from)
{
	return 0;
}

static void load_register(struct tern_model *m, const void *from)
{
	struct tern_null *null = of_model(m);

	mutex_lock(&null->fn.io);
	null->value = le64_to_cpu(*(const __le64 *)from);
	mutex_unlock(&null->fn.io);
}

static const struct tern_section sections[] = {
	{
		.type		= RECORD_REGISTER,
		.since		= 1,
		.length		= sizeof(__le64),
		.save		= save_register,
		.validate	= validate_register,
		.load		= load_register,
	},
};

static const struct tern_model_ops model_ops = {
	.id		= MODEL_ID,
	.version	= 1,
	.reader		= 1,
	.sections	= sections,
	.n_sections	= ARRAY_SIZE(sections),
	.reset		= reset,
	.wipe		= reset,
	.start		= start,
	.quiesce	= start,
	.stop		= stop,
};

/* The register is 64 bits at offset 0, and accessed as a whole. */
static int access_register(struct tern_function *fn, u64 at, void *buf, size_t n, bool write)
{
	struct tern_null *null = of_function(fn);
	__le64 word;

	mutex_lock(&fn->io);
	if (write && !at && n == sizeof(word)) {
		memcpy(&word, buf, sizeof(word));
		null->value = le64_to_cpu(word);
	} else if (!write) {
		word = cpu_to_le64(null->value);
		memset(buf, 0, n);
		if (!at)
			memcpy(buf, &word, min(n, sizeof(word)));
	}
	mutex_unlock(&fn->io);
	return 0;
}

static const struct tern_bar bars[TERN_BARS] = {
	[0] = { .size = PAGE_SIZE, .access = access_register },
	[1] = { .size = PAGE_SIZE, .access = tern_function_access_msix },
};

static const struct tern_bar *find_bar(struct tern_function *fn, unsigned int index)
{
	return &bars[index];
}

static const struct tern_identity identity = {
	.vendor		= 0x1234,
	.device		= 0x7e1f,
	.class		= 0xff0000,
	.vectors	= 1,
	.msix_bar	= 1,
	.msix_pba	= 0x800,
};

static struct tern_function *create(void)
{
	struct tern_null *null = kzalloc(sizeof(*null), GFP_KERNEL);
	int ret;

	if (!null)
		return ERR_PTR(-ENOMEM);
	ret = tern_function_init(&null->fn, &tern_null_function);
	if (ret) {
		kfree(null);
		return ERR_PTR(ret);
	}
	null->fn.model.dirty = &null->dirty;
	null->fn.model.page_size = PAGE_SIZE;
	return &null->fn;
}

static void destroy(struct tern_function *fn)
{
	tern_function_uninit(fn);
	kfree(of_function(fn));
}

static int open(struct tern_function *fn)
{
	int ret = tern_dirty_init(&of_function(fn)->dirty, 0);

	if (ret)
		return ret;
	of_function(fn)->value = 0;
	tern_function_power_on(fn);
	return 0;
}

static void close(struct tern_function *fn)
{
	tern_function_power_off(fn);
	tern_dirty_uninit(&of_function(fn)->dirty);
}

const struct tern_function_ops tern_null_function = {
	.model		= &model_ops,
	.type		= "null",
	.name		= "Tern null",
	.description	= "a register that live-migrates",
	.identity	= &identity,
	.create		= create,
	.destroy	= destroy,
	.open		= open,
	.close		= close,
	.bar		= find_bar,
};
