/* SPDX-License-Identifier: GPL-2.0-only */
/* Guest memory and transfers, for the programs that look at the DMA engine. */
#ifndef TERN_DMA_H
#define TERN_DMA_H

#include "fixture.h"
#include <sys/syscall.h>
#include <linux/userfaultfd.h>

/* Of the device, and of the guest. A program may have defined less. */
#ifndef MEMORY
#define MEMORY		(8 * MIB)
#define RAM		(4 * MIB)
#define SPAN		(2 * MIB)
#endif
#define ADDRESS		0x40000000ULL	/* where the device finds the RAM */
#define VECTOR		5
#define PIECE		65536		/* as the engine has it */

#define DONE		TERN_DMA_DONE
#define ERROR(name)	(TERN_DMA_FAILED | TERN_DMA_ERROR_##name << 8)

static inline uint8_t *anonymous(size_t size)
{
	return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

/* Bytes that tell where they are. */
static inline void paint(void *p, size_t n, uint32_t seed)
{
	uint32_t *word = p;
	size_t i;

	populate(p, n);
	for (i = 0; i < n / 4; i++)
		word[i] = (i + seed) * 2654435761U;
}

static inline bool all_are(const uint8_t *p, size_t n, uint8_t value)
{
	while (n && *p == value)
		p++, n--;
	return !n;
}

/*
 * A transfer of all device memory that takes its time: many short entries, over
 * the same SPAN of RAM again and again. The list lies before that.
 */
#define ENTRY	1024
#define LIST	(MEMORY / ENTRY * sizeof(struct tern_dma_entry))

static inline void start_long(struct dev *d, uint8_t *ram, uint32_t command)
{
	struct tern_dma_entry *list = (void *)ram;
	unsigned int i;

	for (i = 0; i < MEMORY / ENTRY; i++)
		list[i] = (struct tern_dma_entry){
			.address = ADDRESS + LIST + i * ENTRY % SPAN, .length = ENTRY
		};
	bar0_write(d, TERN_DMA_ENTRIES, MEMORY / ENTRY);
	bar0_write(d, TERN_DMA_PATTERN, 0x5a5a5a5a);
	dma_start(d, command, ADDRESS, 0, MEMORY);
	while (!bar0_read64(d, TERN_DMA_DONE_LOW))
		sched_yield();
}

#define LONG	(TERN_DMA_INTERRUPT | TERN_DMA_VECTOR(VECTOR))

/*
 * Whether a transfer is caught in progress depends on the scheduler: a test
 * continues until it has caught as many as it wants. Each try must hold, caught or not; only
 * a device that is never caught in progress comes to the end of the tries.
 */
static inline bool again(unsigned int tried, unsigned int least, unsigned int met,
			 unsigned int wanted)
{
	return tried < least || (met < wanted && tried < 200);
}

/* Whatever would still move has had its time: each round lets the engine's thread run. */
static inline void let_it_run(void)
{
	unsigned int i;

	for (i = 0; i < 1000; i++)
		sched_yield();
}

#define RAM_PAGES	(RAM / PAGE)

static inline bool is_dirty(const uint64_t *bitmap, unsigned long page)
{
	return bitmap[page / 64] >> page % 64 & 1;
}

#define START	(VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_DMA_LOGGING_START)
#define STOP_LOG (VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_DMA_LOGGING_STOP)
#define REPORT	(VFIO_DEVICE_FEATURE_GET | VFIO_DEVICE_FEATURE_DMA_LOGGING_REPORT)

static inline int log_start(struct dev *d,
			    const struct vfio_device_feature_dma_logging_range *ranges,
			    unsigned int n, uint64_t *page_size)
{
	struct vfio_device_feature_dma_logging_control control = {
		.page_size = *page_size, .num_ranges = n, .ranges = (uintptr_t)ranges,
	};
	int ret = feature(d, START, &control, sizeof(control));

	*page_size = control.page_size;
	return ret;
}

static inline int log_ram(struct dev *d)
{
	struct vfio_device_feature_dma_logging_range range = { .iova = ADDRESS, .length = RAM };
	uint64_t page_size = PAGE;

	return log_start(d, &range, 1, &page_size);
}

static inline int log_stop(struct dev *d)
{
	return feature(d, STOP_LOG, "", 0);
}

/* What the device wrote since it was asked last; the bitmap's other bits stay. */
static inline int log_report(struct dev *d, uint64_t iova, uint64_t length, uint64_t page_size,
			     uint64_t *bitmap)
{
	struct vfio_device_feature_dma_logging_report report = {
		.iova = iova, .length = length, .page_size = page_size,
		.bitmap = (uintptr_t)bitmap,
	};

	return feature(d, REPORT, &report, sizeof(report));
}

static inline int get_log(struct dev *d, uint64_t *bitmap)
{
	memset(bitmap, 0, RAM_PAGES / 8);
	return log_report(d, ADDRESS, RAM, PAGE, bitmap);
}

static inline bool has_log(struct dev *d)
{
	return !probe_feature(d, START);
}

/* Does it wait for something that only a kill can end? */
static inline bool in_the_kernel(pid_t pid)
{
	return is_in_state(pid, ") D ");
}

/* Memory whose faults are caught by a userfaultfd, and not served before it is let go. */
struct caught {
	uint8_t *p;
	size_t size;
	struct pollfd fault;
};

static inline int catch_faults(struct caught *c, size_t size)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };

	c->p = anonymous(size);
	c->size = size;
	c->fault.events = POLLIN;
	/* O_NONBLOCK, or poll() returns POLLERR. */
	c->fault.fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	reg.range = (struct uffdio_range){ .start = (uintptr_t)c->p, .len = size };
	if (c->fault.fd < 0 || ioctl(c->fault.fd, UFFDIO_API, &api) ||
	    ioctl(c->fault.fd, UFFDIO_REGISTER, &reg))
		return -errno;
	return 0;
}

/* Wait for the first fault. */
static inline int wait_for_fault(struct caught *c)
{
	return poll(&c->fault, 1, 10000) == 1 ? 0 : -ETIMEDOUT;
}

/* From now on the kernel serves them with zeroes. */
static inline int let_go(struct caught *c)
{
	struct uffdio_range all = { .start = (uintptr_t)c->p, .len = c->size };

	return ioctl(c->fault.fd, UFFDIO_UNREGISTER, &all) ? -errno : 0;
}

static inline void end_caught(struct caught *c)
{
	close(c->fault.fd);
	munmap(c->p, c->size);
}

/* Where the device finds such memory. */
#define CAUGHT	0x200000000ULL

#endif /* TERN_DMA_H */
