// SPDX-License-Identifier: GPL-2.0-only
#include "device.h"
#include "core/loader.h"

static struct host_device *to_dev(struct tern_model *m)
{
	return container_of(m, struct host_device, m);
}

static int page_get(struct tern_model *m, unsigned long page, void **handle)
{
	struct host_device *dev = to_dev(m);

	assert(dev->locked == -1);
	if (dev->fail_get && !--dev->fail_get)
		return -ENOMEM;
	dev->locked = page;
	dev->gets++;
	*handle = dev->mem + page * HOST_PAGE;
	return 0;
}

static unsigned long page_of(struct host_device *dev, void *handle)
{
	return ((u8 *)handle - dev->mem) / HOST_PAGE;
}

static void page_unlock(struct tern_model *m, void *handle)
{
	struct host_device *dev = to_dev(m);

	assert(dev->locked == (long)page_of(dev, handle));
	dev->locked = -1;
	if (dev->late.waits) {
		dev->late.waits = false;
		host_store(dev, dev->late.page, dev->late.value);
	}
}

static void page_rearm(struct tern_model *m, unsigned long first, unsigned long n)
{
	struct host_device *dev = to_dev(m);

	assert(dev->locked == -1 && first + n <= dev->dirty.pages);
	dev->rearms++;
	memset(dev->writable + first, 0, n);
}

static bool page_pinned(struct tern_model *m, void *handle)
{
	struct host_device *dev = to_dev(m);

	return dev->pinned[page_of(dev, handle)];
}

static int page_copy(struct tern_model *m, void *handle, void *to)
{
	struct host_device *dev = to_dev(m);

	if (dev->fail_copy && !--dev->fail_copy)
		return -EIO;
	memcpy(to, handle, m->page_size);
	to_dev(m)->copied_to = to;
	return 0;
}

static void page_put(struct tern_model *m, void *handle)
{
	to_dev(m)->puts++;
}

static int memory_load(struct tern_model *m, u64 offset, const void *from, size_t len)
{
	struct host_device *dev = to_dev(m);

	memcpy(dev->mem + offset, from, len);
	dev->loaded_from = from;
	tern_dirty_mark(&dev->dirty, offset / HOST_PAGE, len / HOST_PAGE);
	return 0;
}

static void wipe(struct tern_model *m)
{
	struct host_device *dev = to_dev(m);

	tern_dirty_clear(&dev->dirty);
	memset(dev->mem, 0, dev->dirty.pages * HOST_PAGE);
	memset(dev->writable, 0, dev->dirty.pages);
	memset(&dev->registers, 0, sizeof(dev->registers));
	memset(&dev->config, 0, sizeof(dev->config));
	memset(&dev->interrupts, 0, sizeof(dev->interrupts));
	memset(&dev->dma, 0, sizeof(dev->dma));
	dev->wipes++;
}

static void start(struct tern_model *m)
{
	to_dev(m)->running = true;
	to_dev(m)->quiesced = false;
	to_dev(m)->starts++;
}

static void quiesce(struct tern_model *m)
{
	to_dev(m)->running = true;
	to_dev(m)->quiesced = true;
}

static void stop(struct tern_model *m)
{
	to_dev(m)->running = false;
	to_dev(m)->quiesced = false;
}

#define SECTION(name, invalid)						\
static void save_##name(struct tern_model *m, void *to)			\
{									\
	assert(!to_dev(m)->running);	/* S-5: after the stop only */	\
	memcpy(to, &to_dev(m)->name, sizeof(to_dev(m)->name));		\
}									\
static int validate_##name(struct tern_model *m, const void *from)	\
{									\
	return *(const u8 *)from == (invalid) ? -EDOM : 0;		\
}									\
static void load_##name(struct tern_model *m, const void *from)		\
{									\
	memcpy(&to_dev(m)->name, from, sizeof(to_dev(m)->name));	\
}

SECTION(registers, 0xff)
SECTION(config, 0xff)
SECTION(interrupts, 0xff)
SECTION(dma, 0xff)

#define ROW(number, version, name) {					\
	.type = (number), .since = (version), .length = sizeof(((struct host_device *)0)->name), \
	.save = save_##name, .validate = validate_##name, .load = load_##name }

static const struct tern_section sections[] = {
	ROW(TERN_RECORD_REGISTERS, 1, registers),
	ROW(TERN_RECORD_CONFIG_SPACE, 1, config),
	ROW(TERN_RECORD_INTERRUPTS, 1, interrupts),
	ROW(TERN_RECORD_DMA, 2, dma),
};

static const struct tern_model_ops ops = {
	.id = HOST_MODEL,
	.version = TERN_STREAM_VERSION,
	.reader = TERN_STREAM_READER,
	.sections = sections,
	.n_sections = ARRAY_SIZE(sections),
	.page_get = page_get,
	.page_unlock = page_unlock,
	.page_rearm = page_rearm,
	.page_pinned = page_pinned,
	.page_copy = page_copy,
	.page_put = page_put,
	.memory_load = memory_load,
	.reset = wipe,
	.wipe = wipe,
	.start = start,
	.quiesce = quiesce,
	.stop = stop,
};

const struct tern_model_ops *host_device_ops(void)
{
	return &ops;
}

struct host_device *host_device_create(unsigned long pages)
{
	struct host_device *dev = calloc(1, sizeof(*dev));

	dev->mem = calloc(pages, HOST_PAGE);
	dev->writable = calloc(pages, 1);
	dev->pinned = calloc(pages, 1);
	dev->locked = -1;
	dev->running = true;
	assert(!tern_dirty_init(&dev->dirty, pages));
	dev->m.ops = &ops;
	dev->m.dirty = &dev->dirty;
	dev->m.memory_size = pages * HOST_PAGE;
	dev->m.page_size = HOST_PAGE;
	return dev;
}

void host_device_destroy(struct host_device *dev)
{
	assert(dev->gets == dev->puts);
	tern_dirty_uninit(&dev->dirty);
	free(dev->mem);
	free(dev->writable);
	free(dev->pinned);
	free(dev);
}

void host_store(struct host_device *dev, unsigned long page, u8 value)
{
	if (!dev->writable[page] && !dev->pinned[page]) {
		if (dev->locked == (long)page) {
			dev->late.waits = true;
			dev->late.page = page;
			dev->late.value = value;
			return;
		}
		dev->faults++;
		tern_dirty_mark(&dev->dirty, page, 1);
		dev->writable[page] = true;
	}
	memset(dev->mem + page * HOST_PAGE, value, HOST_PAGE);
}

void host_store_unmarked(struct host_device *dev, unsigned long page, u8 value)
{
	memset(dev->mem + page * HOST_PAGE, value, HOST_PAGE);
}

void host_mark(struct host_device *dev, unsigned long page)
{
	tern_dirty_mark(&dev->dirty, page, 1);
}

bool host_device_equal(const struct host_device *a, const struct host_device *b)
{
	return a->dirty.pages == b->dirty.pages &&
	       !memcmp(a->mem, b->mem, a->dirty.pages * HOST_PAGE) &&
	       !memcmp(&a->registers, &b->registers, sizeof(a->registers)) &&
	       !memcmp(&a->config, &b->config, sizeof(a->config)) &&
	       !memcmp(&a->interrupts, &b->interrupts, sizeof(a->interrupts)) &&
	       !memcmp(&a->dma, &b->dma, sizeof(a->dma));
}

bool host_device_blank(const struct host_device *dev)
{
	struct host_device *blank = host_device_create(dev->dirty.pages);
	bool ret = host_device_equal(dev, blank);

	host_device_destroy(blank);
	return ret;
}

void host_device_dress(struct host_device *dev, u32 seed)
{
	memset(&dev->registers, seed & 0x7f, sizeof(dev->registers));
	memset(&dev->config, (seed + 1) & 0x7f, sizeof(dev->config));
	memset(&dev->interrupts, (seed + 2) & 0x7f, sizeof(dev->interrupts));
	memset(&dev->dma, (seed + 3) & 0x7f, sizeof(dev->dma));
}

void feeder_init(struct feeder *f, unsigned long pages, bool precopy)
{
	feeder_init_with(f, pages, precopy, FEEDER_CAPACITY);
}

void feeder_init_with(struct feeder *f, unsigned long pages, bool precopy, size_t capacity)
{
	struct tern_session_config config = { .precopy = precopy, .capacity = capacity };

	memset(f, 0, sizeof(*f));
	f->dev = host_device_create(pages);
	f->staging = malloc(capacity);
	config.staging = f->staging;
	/* One thread has it from the beginning to the end. */
	mutex_init(&f->state_mutex);
	mutex_lock(&f->state_mutex);
	tern_machine_init(&f->mc, &f->dev->m, &config, &f->state_mutex);
}

void feeder_uninit(struct feeder *f)
{
	tern_machine_uninit(&f->mc);
	host_device_destroy(f->dev);
	free(f->staging);
	free(f->stream);
}

void feeder_append(struct feeder *f, const void *p, size_t n)
{
	if (f->len + n > f->room) {
		f->room = 2 * (f->len + n);
		f->stream = realloc(f->stream, f->room);
	}
	memcpy(f->stream + f->len, p, n);
	f->len += n;
}

ssize_t feeder_chunk(struct feeder *f)
{
	ssize_t n = tern_session_prepare(f->mc.session);

	if (n <= 0)
		return n;
	feeder_append(f, f->staging, n);
	tern_session_retire(f->mc.session);
	return n;
}

void feeder_drain(struct feeder *f)
{
	while (tern_session_pending(f->mc.session))
		assert(feeder_chunk(f) > 0);
}

void feeder_save(struct feeder *f)
{
	assert(!tern_machine_go(&f->mc, TERN_PHASE_STOPPED_SAVING));
	feeder_drain(f);
}

int feeder_load(struct feeder *f, const void *stream, size_t len, size_t cut)
{
	size_t done, n;
	int ret = 0;

	if (f->mc.phase != TERN_PHASE_LOADING)
		assert(!tern_machine_go(&f->mc, TERN_PHASE_LOADING));
	for (done = 0; done < len && !ret; done += n) {
		/* A buffer of its own: a read beyond it is seen. */
		void *piece;

		n = cut ? min(cut, len - done) : len - done;
		piece = malloc(n);
		memcpy(piece, (const u8 *)stream + done, n);
		ret = tern_loader_feed(f->mc.loader, piece, n);
		free(piece);
	}
	return ret;
}
