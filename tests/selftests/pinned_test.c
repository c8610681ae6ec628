// SPDX-License-Identifier: GPL-2.0-only
/*
 * A physical device in the same container that has BAR2 pinned, and reaches it past the
 * page tables: QEMU's "edu", bound to vfio-pci, behind a virtual IOMMU.
 */
#include "fixture.h"
#include "kselftest_harness.h"

#include <dirent.h>

#define MEMORY		(8 * MIB)
#define IOVA		0x1000000ULL	/* where edu finds BAR2: it has 28 bits */
#define DRIVER		"/sys/bus/pci/drivers/vfio-pci"

/* edu's registers, and its buffer, as its own DMA addresses it. */
#define EDU_SOURCE	0x80
#define EDU_TARGET	0x88
#define EDU_COUNT	0x90
#define EDU_COMMAND	0x98
#define EDU_START	1U
#define EDU_TO_MEMORY	2U
#define EDU_BUFFER	0x40000ULL
#define EDU_BYTES	2048	/* all of it at once, QEMU takes for too much */

FIXTURE(pinned) {
	struct dev tern, edu;
	uint8_t *mem;
	volatile uint8_t *bar0;
	struct stream s;
};

/* The device that is bound to vfio-pci. */
static int find_edu(char *folder, size_t size)
{
	DIR *dir = opendir(DRIVER);
	struct dirent *e;
	int ret = -ENOENT;

	while (dir && ret && (e = readdir(dir)))
		if (!strncmp(e->d_name, "0000:", 5)) {
			snprintf(folder, size, "/sys/bus/pci/devices/%.20s", e->d_name);
			ret = 0;
		}
	if (dir)
		closedir(dir);
	return ret;
}

FIXTURE_SETUP(pinned)
{
	struct vfio_region_info bar0;
	char folder[128];

	NEEDS_TERN();
	if (find_edu(folder, sizeof(folder)))
		SKIP(return, "no device is bound to vfio-pci");
	ASSERT_EQ(mdev_create(UUID_A), 0);
	ASSERT_EQ(attr_set(UUID_A, "memory_mib", "8"), 0);
	ASSERT_EQ(vfio_open(&self->edu, folder), 0);
	/* Tern in the container that edu is in already. */
	ASSERT_EQ(dev_join(&self->tern, UUID_A, &self->edu), 0);
	ASSERT_EQ(dev_map_memory(&self->tern), 0);
	self->mem = self->tern.mem;
	ASSERT_EQ(region_info(&self->edu, VFIO_PCI_BAR0_REGION_INDEX, &bar0, sizeof(bar0)), 0);
	self->bar0 = dev_map(&self->edu, bar0.offset, bar0.size);
	ASSERT_NE(self->bar0, NULL);
	memset(self->mem, 0x11, MEMORY);
	/* Of all kinds of memory the kernel lets only some be pinned for good. */
	ASSERT_EQ(map_guest(&self->edu, self->mem, IOVA, MEMORY), 0);
}

FIXTURE_TEARDOWN(pinned)
{
	struct vfio_region_info bar0 = { .argsz = sizeof(bar0) };

	unmap_guest(&self->edu, IOVA, MEMORY);
	region_info(&self->edu, VFIO_PCI_BAR0_REGION_INDEX, &bar0, sizeof(bar0));
	munmap((void *)self->bar0, bar0.size);
	EXPECT_EQ(device_off(&self->tern), 0);
	dev_close(&self->edu);
	free(self->s.buf);
}

/* Config space of a physical device lies where its region is. */
static int enable(struct dev *edu)
{
	struct vfio_region_info config;
	uint16_t bits = 6;
	int ret = region_info(edu, VFIO_PCI_CONFIG_REGION_INDEX, &config, sizeof(config));

	return ret ?: dev_write(edu, config.offset + 4, &bits, 2) == 2 ? 0 : -EIO;
}

static void edu_dma(volatile uint8_t *bar0, uint64_t source, uint64_t target, uint32_t command)
{
	*(volatile uint64_t *)(bar0 + EDU_SOURCE) = source;
	*(volatile uint64_t *)(bar0 + EDU_TARGET) = target;
	*(volatile uint64_t *)(bar0 + EDU_COUNT) = EDU_BYTES;
	*(volatile uint64_t *)(bar0 + EDU_COMMAND) = EDU_START | command;
	while (*(volatile uint64_t *)(bar0 + EDU_COMMAND) & EDU_START)
		sched_yield();
}

/* What edu moves of a page. */
static bool page_is(const uint8_t *page, uint8_t value)
{
	unsigned int i;

	for (i = 0; i < EDU_BYTES && page[i] == value; i++)
		;
	return i == EDU_BYTES;
}

/*
 * P-14: after a reset, and after a load, what has BAR2 pinned still reads and writes the
 * device's own memory; and what it writes is sent.
 */
TEST_F(pinned, P14_same_memory_after_a_reset)
{
	const uint64_t page = 3, other = 70;
	unsigned int round;

	ASSERT_EQ(enable(&self->edu), 0);
	for (round = 0; round < 2; round++) {
		memset(self->mem + page * PAGE, 0x77, PAGE);
		edu_dma(self->bar0, IOVA + page * PAGE, EDU_BUFFER, 0);
		if (round) {
			/* A session begins in mid-load: the memory is wiped. */
			ASSERT_EQ(go_open(&self->tern, S_RESUMING, &(int){ -1 }), 0);
		}
		ASSERT_EQ(ioctl(self->tern.fd, VFIO_DEVICE_RESET), 0);
		EXPECT_TRUE(page_is(self->mem + page * PAGE, 0));
		EXPECT_TRUE(page_is(self->mem + other * PAGE, 0));
		/* What edu read before comes to another page, and what is there now to it. */
		edu_dma(self->bar0, EDU_BUFFER, IOVA + other * PAGE, EDU_TO_MEMORY);
		EXPECT_TRUE(page_is(self->mem + other * PAGE, 0x77));
		edu_dma(self->bar0, IOVA + page * PAGE, EDU_BUFFER, 0);
		edu_dma(self->bar0, EDU_BUFFER, IOVA + other * PAGE, EDU_TO_MEMORY);
		EXPECT_TRUE(page_is(self->mem + other * PAGE, 0));
	}
	/* A page that only edu has written since the reset is in the stream. */
	memset(self->mem + page * PAGE, 0x42, PAGE);
	edu_dma(self->bar0, IOVA + page * PAGE, EDU_BUFFER, 0);
	ASSERT_EQ(ioctl(self->tern.fd, VFIO_DEVICE_RESET), 0);
	edu_dma(self->bar0, EDU_BUFFER, IOVA + other * PAGE, EDU_TO_MEMORY);
	ASSERT_EQ(set_state(&self->tern, SAVING), 0);
	ASSERT_EQ(save_all(&self->tern, &self->s), 0);
	ASSERT_EQ(ioctl(self->tern.fd, VFIO_DEVICE_RESET), 0);
	self->tern.by = &v1_trapped;
	ASSERT_EQ(load_by(&self->tern, &self->s, MIB), 0);
	EXPECT_TRUE(page_is(self->mem + other * PAGE, 0x42));
	EXPECT_TRUE(page_is(self->mem + page * PAGE, 0));
}

TEST_HARNESS_MAIN
