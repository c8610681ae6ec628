// SPDX-License-Identifier: GPL-2.0-only
/* The device as a VMM finds it: info, config space, registers, interrupts. */
#include "fixture.h"
#include "kselftest_harness.h"
#include <poll.h>

FIXTURE(device) {
	struct dev d;
};

FIXTURE_SETUP(device)
{
	NEEDS_TERN();
	ASSERT_EQ(device_on(&self->d, UUID_A, (struct setting){ 0 }), 0);
}

FIXTURE_TEARDOWN(device)
{
	EXPECT_EQ(device_off(&self->d), 0);
}

#define CONFIG(d, reg, v)	dev_read(d, region_base(VFIO_PCI_CONFIG_REGION_INDEX) + (reg), &(v), sizeof(v))
#define SET_CONFIG(d, reg, v)	dev_write(d, region_base(VFIO_PCI_CONFIG_REGION_INDEX) + (reg), &(v), sizeof(v))

/* P-30 V1-13 V1-14: what QEMU 7.2 asks of any vfio-pci device. */
TEST_F(device, P30_V1_13_info_of_a_pci_device)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };
	struct vfio_region_info r;
	struct vfio_irq_info irq = { .argsz = sizeof(irq) };
	unsigned int i;

	ASSERT_EQ(ioctl(self->d.fd, VFIO_DEVICE_GET_INFO, &info), 0);
	EXPECT_EQ(info.flags, VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET);
	EXPECT_EQ(info.num_regions, VFIO_PCI_NUM_REGIONS + 1);
	EXPECT_EQ(info.num_irqs, VFIO_PCI_NUM_IRQS);
	for (i = 0; i < info.num_regions; i++) {
		ASSERT_EQ(region_info(&self->d, i, &r, sizeof(r)), 0);
		EXPECT_EQ(r.offset % 8, 0);
	}
	EXPECT_EQ(region_info(&self->d, i, &r, sizeof(r)), -EINVAL);
	ASSERT_EQ(region_info(&self->d, VFIO_PCI_CONFIG_REGION_INDEX, &r, sizeof(r)), 0);
	EXPECT_EQ(r.size, 4096);
	EXPECT_EQ(self->d.bar2.size, 64 * MIB);
	EXPECT_TRUE(self->d.bar2.flags & VFIO_REGION_INFO_FLAG_MMAP);
	irq.index = VFIO_PCI_MSIX_IRQ_INDEX;
	ASSERT_EQ(ioctl(self->d.fd, VFIO_DEVICE_GET_IRQ_INFO, &irq), 0);
	EXPECT_EQ(irq.count, TERN_VECTORS);
	irq.index = VFIO_PCI_REQ_IRQ_INDEX;
	ASSERT_EQ(ioctl(self->d.fd, VFIO_DEVICE_GET_IRQ_INFO, &irq), 0);
	EXPECT_EQ(irq.count, 1);
	irq.index = VFIO_PCI_NUM_IRQS;
	EXPECT_EQ(ioctl(self->d.fd, VFIO_DEVICE_GET_IRQ_INFO, &irq), -1);
	EXPECT_EQ(errno, EINVAL);
	info.argsz = 4;
	EXPECT_EQ(ioctl(self->d.fd, VFIO_DEVICE_GET_INFO, &info), -1);
	EXPECT_EQ(errno, EINVAL);
	EXPECT_EQ(ioctl(self->d.fd, _IO(VFIO_TYPE, VFIO_BASE + 99)), -1);
	EXPECT_EQ(errno, ENOTTY);
}

/* V1-13: a caller whose structure ends with the last required field is served. */
TEST_F(device, V1_13_smallest_argsz_is_accepted)
{
	struct vfio_device_info info = { .argsz = offsetof(struct vfio_device_info, cap_offset) };
	struct vfio_irq_info irq = { .argsz = sizeof(irq), .index = VFIO_PCI_MSIX_IRQ_INDEX };

	EXPECT_EQ(ioctl(self->d.fd, VFIO_DEVICE_GET_INFO, &info), 0);
	info.argsz--;
	EXPECT_EQ(ioctl(self->d.fd, VFIO_DEVICE_GET_INFO, &info), -1);
	EXPECT_EQ(errno, EINVAL);
	EXPECT_EQ(ioctl(self->d.fd, VFIO_DEVICE_GET_IRQ_INFO, &irq), 0);
	irq.argsz--;
	EXPECT_EQ(ioctl(self->d.fd, VFIO_DEVICE_GET_IRQ_INFO, &irq), -1);
	EXPECT_EQ(errno, EINVAL);
}

/* V1-22: identity, and a list of capabilities that comes to its end. */
TEST_F(device, V1_22_ids_and_finite_capability_list)
{
	/* The IDs, the class and the subsystem. */
	static const uint8_t fixed[] = { 0x00, 0x02, 0x08, 0x0a, 0x2c, 0x2e };
	uint16_t vendor, dev, msix, command;
	uint8_t next, seen = 0;
	unsigned int i;
	uint32_t class;

	ASSERT_EQ(CONFIG(&self->d, 0, vendor), 2);
	ASSERT_EQ(CONFIG(&self->d, 2, dev), 2);
	ASSERT_EQ(CONFIG(&self->d, 8, class), 4);
	EXPECT_EQ(vendor, 0x1234);
	EXPECT_EQ(dev, 0x7e10);
	EXPECT_EQ(class >> 8, 0xff0000);
	ASSERT_EQ(CONFIG(&self->d, 0x34, next), 1);
	while (next && seen++ < 10) {
		uint8_t id;

		CONFIG(&self->d, next, id);
		if (id == 0x11) {
			CONFIG(&self->d, next + 2, msix);
			EXPECT_EQ((msix & 0x7ff) + 1, TERN_VECTORS);
		}
		CONFIG(&self->d, next + 1, next);
	}
	EXPECT_EQ(seen, 3);
	/* What cannot be written is not written, and that is no error. */
	for (i = 0; i < ARRAY_SIZE(fixed); i++) {
		uint16_t before, v;

		CONFIG(&self->d, fixed[i], before);
		v = ~before;
		EXPECT_EQ(SET_CONFIG(&self->d, fixed[i], v), 2);
		CONFIG(&self->d, fixed[i], v);
		EXPECT_EQ(v, before) TH_LOG("register 0x%x", fixed[i]);
	}
	command = 0xffff;
	EXPECT_EQ(SET_CONFIG(&self->d, 4, command), 2);
	CONFIG(&self->d, 4, command);
	EXPECT_EQ(command, 0x0546);
}

#define PMCSR	0x44

/* PCI-PM: a power state that the device does not offer is discarded, and no more of the write. */
TEST_F(device, unoffered_power_states_are_discarded)
{
	static const struct {
		uint16_t write, read;
	} states[] = {
		{ 1, 0 }, { 2, 0 }, { 3, 3 }, { 1, 3 }, { 2, 3 }, { 0xfffe, 3 }, { 0, 0 },
		{ 0xfffd, 0 }, { 3, 3 }, { 0, 0 },
	};
	uint8_t byte, wide[8];
	unsigned int i;
	uint16_t v;

	CONFIG(&self->d, PMCSR - 2, v);
	EXPECT_EQ(v & 0x0600, 0);
	for (i = 0; i < ARRAY_SIZE(states); i++) {
		v = states[i].write;
		EXPECT_EQ(SET_CONFIG(&self->d, PMCSR, v), 2);
		CONFIG(&self->d, PMCSR, v);
		EXPECT_EQ(v & 3, states[i].read)
			TH_LOG("write number %u", i);
		/* No_Soft_Reset stays. */
		EXPECT_EQ(v & ~3, 8);
	}
	/* By the byte; and as part of a wider write, whose other half has its effect. */
	byte = 2;
	EXPECT_EQ(SET_CONFIG(&self->d, PMCSR, byte), 1);
	CONFIG(&self->d, PMCSR, byte);
	EXPECT_EQ(byte & 3, 0);
	memset(wide, 0, sizeof(wide));
	wide[0] = 1;
	wide[7] = 0xc0;
	EXPECT_EQ(SET_CONFIG(&self->d, PMCSR, wide), 8);
	CONFIG(&self->d, PMCSR, wide);
	EXPECT_EQ(wide[0] & 3, 0);
	EXPECT_EQ(wide[7], 0xc0);
}

/* PCI-PM: a BAR reads all ones in D3hot, what is written to it is lost, and D0 finds all as it was. */
TEST_F(device, d3hot_only_config_space_answers)
{
	const uint64_t bar2 = self->d.bar2.offset, bar4 = region_base(VFIO_PCI_BAR4_REGION_INDEX);
	uint8_t page[2 * PAGE];
	uint32_t v, *mapped;
	unsigned int i;

	mapped = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, self->d.fd, bar2);
	ASSERT_NE(mapped, MAP_FAILED);
	mapped[1] = 0x11111111;
	v = 0xfee00000;
	ASSERT_EQ(dev_write(&self->d, bar4, &v, 4), 4);
	ASSERT_EQ(bar0_write(&self->d, TERN_REG_SCRATCH(1), 0x22222222), 0);

	ASSERT_EQ(set_power(&self->d, D3HOT), 0);
	EXPECT_EQ(bar0_read(&self->d, TERN_REG_ID), ~0U);
	EXPECT_EQ(bar0_read(&self->d, TERN_REG_SCRATCH(1)), ~0U);
	EXPECT_EQ(dev_read(&self->d, bar4, &v, 4), 4);
	EXPECT_EQ(v, ~0U);
	memset(page, 0, sizeof(page));
	EXPECT_EQ(dev_read(&self->d, bar2, page, sizeof(page)), sizeof(page));
	for (i = 0; i < sizeof(page) && page[i] == 0xff; i++)
		;
	EXPECT_EQ(i, sizeof(page));
	v = 0;
	EXPECT_EQ(bar0_write(&self->d, TERN_REG_SCRATCH(1), v), 0);
	EXPECT_EQ(bar0_write(&self->d, TERN_REG_DOORBELL, 3), 0);
	EXPECT_EQ(dev_write(&self->d, bar4, &v, 4), 4);
	EXPECT_EQ(dev_write(&self->d, bar2 + 4, &v, 4), 4);
	CONFIG(&self->d, 0, v);
	EXPECT_EQ(v, 0x7e101234);
	/* A mapping cannot be trapped: Documentation/limits.rst. */
	EXPECT_EQ(mapped[1], 0x11111111);
	/* Outside of a BAR is outside, in any power state. */
	EXPECT_EQ(dev_read(&self->d, bar4 + TERN_BAR4_SIZE, &v, 4), -EINVAL);

	/* No_Soft_Reset: all is as it was, and nothing of what was written. */
	ASSERT_EQ(set_power(&self->d, D0), 0);
	EXPECT_EQ(bar0_read(&self->d, TERN_REG_ID), 0x4e524554);
	EXPECT_EQ(bar0_read(&self->d, TERN_REG_SCRATCH(1)), 0x22222222);
	EXPECT_EQ(bar0_read(&self->d, TERN_REG_IRQ_STATUS), 0);
	EXPECT_EQ(dev_read(&self->d, bar4, &v, 4), 4);
	EXPECT_EQ(v, 0xfee00000);
	EXPECT_EQ(dev_read(&self->d, bar2 + 4, &v, 4), 4);
	EXPECT_EQ(v, 0x11111111);
	munmap(mapped, PAGE);
	/* A reset ends it, and so does the next open. */
	ASSERT_EQ(set_power(&self->d, D3HOT), 0);
	ASSERT_EQ(ioctl(self->d.fd, VFIO_DEVICE_RESET), 0);
	EXPECT_EQ(bar0_read(&self->d, TERN_REG_ID), 0x4e524554);
	ASSERT_EQ(set_power(&self->d, D3HOT), 0);
	dev_close(&self->d);
	ASSERT_EQ(dev_open(&self->d, UUID_A), 0);
	EXPECT_EQ(bar0_read(&self->d, TERN_REG_ID), 0x4e524554);
	EXPECT_EQ(dma_do(&self->d, TERN_DMA_OP_FILL, 0, 0, 1), TERN_DMA_DONE);
}

/* Device Control as PCIe has it at reset: 128 bytes of payload, read requests of 512. */
TEST_F(device, device_control_has_reset_values)
{
	uint16_t v;

	dev_read(&self->d, DEVCTL, &v, 2);
	EXPECT_EQ(v, 0x2010);
	v = 0x5000;
	EXPECT_EQ(dev_write(&self->d, DEVCTL, &v, 2), 2);
	dev_read(&self->d, DEVCTL, &v, 2);
	EXPECT_EQ(v, 0x5000);
	ASSERT_EQ(ioctl(self->d.fd, VFIO_DEVICE_RESET), 0);
	dev_read(&self->d, DEVCTL, &v, 2);
	EXPECT_EQ(v, 0x2010);
}

/* BARs are sized as PCI says: write ones, read back the mask. Until then they are at 0. */
TEST_F(device, bars_report_their_size)
{
	static const struct {
		unsigned int reg;
		uint32_t expect, before;
	} bars[] = {
		{ 0x10, 0xfffff000, 0 }, { 0x14, 0, 0 }, { 0x18, 0xfc00000c, 0xc },
		{ 0x1c, 0xffffffff, 0 }, { 0x20, 0xfffff000, 0 }, { 0x24, 0, 0 }, { 0x30, 0, 0 },
	};
	uint32_t v;
	int i;

	for (i = 0; i < 7; i++) {
		CONFIG(&self->d, bars[i].reg, v);
		EXPECT_EQ(v, bars[i].before);
		v = ~0U;
		EXPECT_EQ(SET_CONFIG(&self->d, bars[i].reg, v), 4);
		CONFIG(&self->d, bars[i].reg, v);
		EXPECT_EQ(v, bars[i].expect);
	}
}

TEST_F(device, registers_keep_only_writable_bits)
{
	const uint64_t bar0 = region_base(VFIO_PCI_BAR0_REGION_INDEX);
	const uint8_t parts[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
	uint64_t both;
	uint8_t byte = 0xaa;
	int i;

	EXPECT_EQ(bar0_read(&self->d, TERN_REG_ID), 0x4e524554);
	EXPECT_EQ(bar0_read(&self->d, TERN_REG_VERSION), 1);
	EXPECT_EQ(bar0_read(&self->d, TERN_REG_VECTORS), 16);
	EXPECT_EQ(dev_read(&self->d, bar0 + TERN_REG_MEMORY_LOW, &both, 8), 8);
	EXPECT_EQ(both, 64 * MIB);
	for (i = 0; i < 16; i++)
		EXPECT_EQ(bar0_write(&self->d, TERN_REG_SCRATCH(i), 0x1000 + i), 0);
	for (i = 0; i < 16; i++)
		EXPECT_EQ(bar0_read(&self->d, TERN_REG_SCRATCH(i)), 0x1000 + i);
	/* What is not whole registers reaches none. A byte reads as part of one. */
	EXPECT_EQ(dev_write(&self->d, bar0 + TERN_REG_SCRATCH(0), &byte, 1), 1);
	EXPECT_EQ(dev_write(&self->d, bar0 + TERN_REG_SCRATCH(0), parts, 6), 6);
	EXPECT_EQ(dev_write(&self->d, bar0 + TERN_REG_SCRATCH(0) + 2, parts, 4), 4);
	EXPECT_EQ(bar0_read(&self->d, TERN_REG_SCRATCH(0)), 0x1000);
	EXPECT_EQ(bar0_read(&self->d, TERN_REG_SCRATCH(1)), 0x1001);
	EXPECT_EQ(dev_read(&self->d, bar0 + TERN_REG_SCRATCH(0) + 1, &byte, 1), 1);
	EXPECT_EQ(byte, 0x10);
	/* What is not there ignores, and reads 0. */
	EXPECT_EQ(bar0_write(&self->d, TERN_REG_ID, 7), 0);
	EXPECT_EQ(bar0_read(&self->d, TERN_REG_ID), 0x4e524554);
	EXPECT_EQ(bar0_write(&self->d, 0x800, 7), 0);
	EXPECT_EQ(bar0_read(&self->d, 0x800), 0);
	/* Beyond the end is nothing, not even in part. */
	EXPECT_EQ(dev_read(&self->d, bar0 + 4094, &both, 4), -EINVAL);
	EXPECT_EQ(dev_read(&self->d, bar0 + 4096, &both, 4), -EINVAL);
	EXPECT_EQ(dev_read(&self->d, region_base(1), &both, 4), -EINVAL);
	EXPECT_EQ(dev_read(&self->d, region_base(10), &both, 4), -EINVAL);
	EXPECT_EQ(dev_read(&self->d, region_base(900000), &both, 4), -EINVAL);
}

/* Memory that is not there is -EFAULT, and no register changes. */
TEST_F(device, unreadable_buffer_changes_nothing)
{
	const uint64_t scratch = region_base(VFIO_PCI_BAR0_REGION_INDEX) + TERN_REG_SCRATCH(0);
	void *nowhere = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(nowhere, MAP_FAILED);
	EXPECT_EQ(bar0_write(&self->d, TERN_REG_SCRATCH(0), 0x1000), 0);
	EXPECT_EQ(dev_write(&self->d, scratch, nowhere, 4), -EFAULT);
	EXPECT_EQ(bar0_read(&self->d, TERN_REG_SCRATCH(0)), 0x1000);
	EXPECT_EQ(dev_read(&self->d, scratch, nowhere, 4), -EFAULT);
	EXPECT_EQ(ioctl(self->d.fd, VFIO_DEVICE_GET_INFO, nowhere) ? errno : 0, EFAULT);
	EXPECT_EQ(ioctl(self->d.fd, VFIO_DEVICE_GET_IRQ_INFO, nowhere) ? errno : 0, EFAULT);
	EXPECT_EQ(ioctl(self->d.fd, VFIO_DEVICE_SET_IRQS, nowhere) ? errno : 0, EFAULT);
	EXPECT_EQ(ioctl(self->d.fd, VFIO_DEVICE_GET_REGION_INFO, nowhere) ? errno : 0, EFAULT);
	munmap(nowhere, PAGE);
}

TEST_F(device, doorbell_signals_its_vector)
{
	int fds[TERN_VECTORS], i;
	uint8_t bar4[4096];

	ASSERT_EQ(set_command(&self->d, MASTER), 0);
	for (i = 0; i < TERN_VECTORS; i++) {
		fds[i] = eventfd(0, EFD_NONBLOCK);
		ASSERT_EQ(set_trigger(&self->d, VFIO_PCI_MSIX_IRQ_INDEX, i, fds[i]), 0);
	}
	for (i = 0; i < TERN_VECTORS; i++) {
		EXPECT_EQ(bar0_write(&self->d, TERN_REG_DOORBELL, i), 0);
		EXPECT_EQ(signals(fds[i]), 1);
	}
	EXPECT_EQ(bar0_read(&self->d, TERN_REG_IRQ_STATUS), 0xffff);
	bar0_write(&self->d, TERN_REG_IRQ_STATUS, 0x0f0f);
	EXPECT_EQ(bar0_read(&self->d, TERN_REG_IRQ_STATUS), 0xf0f0);
	/* There is no vector 16. */
	bar0_write(&self->d, TERN_REG_DOORBELL, TERN_VECTORS);
	EXPECT_EQ(bar0_read(&self->d, TERN_REG_IRQ_STATUS), 0xf0f0);
	/* Masked it waits, and comes once when unmasked. */
	bar0_write(&self->d, TERN_REG_IRQ_STATUS, ~0U);
	bar0_write(&self->d, TERN_REG_IRQ_MASK, 1 << 3);
	bar0_write(&self->d, TERN_REG_DOORBELL, 3);
	EXPECT_EQ(signals(fds[3]), 0);
	bar0_write(&self->d, TERN_REG_IRQ_MASK, 0);
	EXPECT_EQ(signals(fds[3]), 1);
	/* There is no eventfd: it waits in the pending bits of BAR4. */
	ASSERT_EQ(set_trigger(&self->d, VFIO_PCI_MSIX_IRQ_INDEX, 5, -1), 0);
	bar0_write(&self->d, TERN_REG_DOORBELL, 5);
	bar0_write(&self->d, TERN_REG_DOORBELL, 5);
	EXPECT_EQ(dev_read(&self->d, region_base(4) + TERN_MSIX_PBA, &i, 4), 4);
	EXPECT_EQ(i, 1 << 5);
	/* Behind the table and around the pending bits there is nothing. */
	ASSERT_EQ(dev_read(&self->d, region_base(4), bar4, sizeof(bar4)), sizeof(bar4));
	for (i = 16 * TERN_VECTORS; i < sizeof(bar4); i++)
		EXPECT_EQ(bar4[i], i == TERN_MSIX_PBA ? 1 << 5 : 0)
			TH_LOG("BAR4 at %#x", i);
	ASSERT_EQ(set_trigger(&self->d, VFIO_PCI_MSIX_IRQ_INDEX, 5, fds[5]), 0);
	EXPECT_EQ(signals(fds[5]), 1);
}

/* A wrong SET_IRQS has one errno and changes nothing. */
TEST_F(device, refused_set_irqs_changes_nothing)
{
	const uint32_t fds = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER;
	const uint32_t none = VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER;
	int fd = eventfd(0, EFD_NONBLOCK);

	ASSERT_EQ(set_command(&self->d, MASTER), 0);
	ASSERT_EQ(set_trigger(&self->d, VFIO_PCI_MSIX_IRQ_INDEX, 0, fd), 0);
	EXPECT_EQ(set_irqs(&self->d, fds, VFIO_PCI_MSIX_IRQ_INDEX, 0, 17, fd), -EINVAL);
	EXPECT_EQ(set_irqs(&self->d, fds, VFIO_PCI_MSIX_IRQ_INDEX, 16, 1, fd), -EINVAL);
	EXPECT_EQ(set_irqs(&self->d, fds, VFIO_PCI_NUM_IRQS, 0, 1, fd), -EINVAL);
	EXPECT_EQ(set_irqs(&self->d, fds, VFIO_PCI_MSI_IRQ_INDEX, 0, 1, fd), -EINVAL);
	EXPECT_EQ(set_irqs(&self->d, fds, VFIO_PCI_MSIX_IRQ_INDEX, 0, 4, 999), -EBADF);
	EXPECT_EQ(set_irqs(&self->d, fds, VFIO_PCI_MSIX_IRQ_INDEX, 0, 4, -2), -EINVAL);
	EXPECT_EQ(set_irqs(&self->d, fds, VFIO_PCI_MSIX_IRQ_INDEX, 0, 4, 0), -EINVAL);
	EXPECT_EQ(set_irqs(&self->d, VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_MASK,
			   VFIO_PCI_MSIX_IRQ_INDEX, 0, 1, fd),
		  -ENOTTY);
	bar0_write(&self->d, TERN_REG_DOORBELL, 0);
	EXPECT_EQ(signals(fd), 1);
	/* Loopback, and the end of them all. */
	EXPECT_EQ(set_irqs(&self->d, none, VFIO_PCI_MSIX_IRQ_INDEX, 0, 1, 0), 0);
	EXPECT_EQ(signals(fd), 1);
	EXPECT_EQ(set_irqs(&self->d, none, VFIO_PCI_MSIX_IRQ_INDEX, 0, 0, 0), 0);
	bar0_write(&self->d, TERN_REG_DOORBELL, 0);
	EXPECT_EQ(signals(fd), 0);
}

/* SET_IRQS with a byte per vector signals those whose byte is not 0, and no others. */
TEST_F(device, set_irqs_bool_signals_selected_vectors)
{
	struct {
		struct vfio_irq_set hdr;
		uint8_t set[4];
	} irqs = {
		.hdr = {
			.argsz = sizeof(irqs), .index = VFIO_PCI_MSIX_IRQ_INDEX,
			.flags = VFIO_IRQ_SET_DATA_BOOL | VFIO_IRQ_SET_ACTION_TRIGGER,
			.start = 5, .count = 4,
		},
		.set = { 1, 0, 1, 0 },
	};
	int fds[TERN_VECTORS], i;

	for (i = 0; i < TERN_VECTORS; i++) {
		fds[i] = eventfd(0, EFD_NONBLOCK);
		ASSERT_EQ(set_trigger(&self->d, VFIO_PCI_MSIX_IRQ_INDEX, i, fds[i]), 0);
	}
	EXPECT_EQ(ioctl(self->d.fd, VFIO_DEVICE_SET_IRQS, &irqs), 0);
	for (i = 0; i < TERN_VECTORS; i++)
		EXPECT_EQ(signals(fds[i]), i == 5 || i == 7)
			TH_LOG("vector %d", i);
}

/* P-36: the removal of an open device is signalled to its VMM. */
static void *remover(void *arg)
{
	return (void *)(long)mdev_remove(UUID_A);
}

TEST_F(device, P36_removal_is_signalled_to_the_opener)
{
	int fd = eventfd(0, 0);
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	pthread_t thread;
	void *ret;

	ASSERT_EQ(set_trigger(&self->d, VFIO_PCI_REQ_IRQ_INDEX, 0, fd), 0);
	ASSERT_EQ(pthread_create(&thread, NULL, remover, NULL), 0);
	/* Without the signal the removal would wait indefinitely: close it anyway. */
	EXPECT_EQ(poll(&wait, 1, 10000), 1);
	dev_close(&self->d);
	pthread_join(thread, &ret);
	EXPECT_EQ((long)ret, 0);
	EXPECT_EQ(mdev_create(UUID_A), 0);
}

TEST_F(device, reset_clears_all_but_the_eventfds)
{
	uint32_t v = 0x12345678;
	uint16_t command = 6;
	int fd = eventfd(0, EFD_NONBLOCK);

	SET_CONFIG(&self->d, 4, command);
	bar0_write(&self->d, TERN_REG_SCRATCH(3), v);
	ASSERT_EQ(dev_write(&self->d, self->d.bar2.offset + MIB, &v, 4), 4);
	ASSERT_EQ(ioctl(self->d.fd, VFIO_DEVICE_RESET), 0);
	EXPECT_EQ(bar0_read(&self->d, TERN_REG_SCRATCH(3)), 0);
	CONFIG(&self->d, 4, command);
	EXPECT_EQ(command, 0);
	ASSERT_EQ(dev_read(&self->d, self->d.bar2.offset + MIB, &v, 4), 4);
	EXPECT_EQ(v, 0);
	/* The host's wiring is not the device's state. */
	ASSERT_EQ(set_trigger(&self->d, VFIO_PCI_MSIX_IRQ_INDEX, 0, fd), 0);
	ASSERT_EQ(ioctl(self->d.fd, VFIO_DEVICE_RESET), 0);
	ASSERT_EQ(set_command(&self->d, MASTER), 0);
	bar0_write(&self->d, TERN_REG_DOORBELL, 0);
	EXPECT_EQ(signals(fd), 1);
}

/* P-30: the guest's own reset, by Device Control; written as a byte, a word or more. */
TEST_F(device, P30_function_level_reset)
{
	static const struct {
		unsigned int at, n;
		uint64_t value;
	} writes[] = {
		{ 0, 2, 0x8000 }, { 1, 1, 0x80 }, { 0, 2, 0xd01f }, { 0, 4, 0x8000 },
		{ 0, 8, 0x8000 }, { 0, 1, 0x80 }, { 2, 2, 0x8000 }, { 0, 2, 0x7000 },
	};
	int fd = eventfd(0, EFD_NONBLOCK);
	uint16_t command, control;
	uint32_t cap, v;
	unsigned int i;

	dev_read(&self->d, DEVCTL - 4, &cap, 4);
	EXPECT_TRUE(cap & 1 << 28);
	ASSERT_EQ(set_trigger(&self->d, VFIO_PCI_MSIX_IRQ_INDEX, 0, fd), 0);
	for (i = 0; i < ARRAY_SIZE(writes); i++) {
		/* The last three do not ask for it. */
		bool flr = i < 5;

		ASSERT_EQ(set_command(&self->d, MASTER), 0);
		ASSERT_EQ(set_power(&self->d, D0), 0);
		v = 0x12345678;
		bar0_write(&self->d, TERN_REG_SCRATCH(3), v);
		ASSERT_EQ(dev_write(&self->d, self->d.bar2.offset + MIB, &v, 4), 4);
		/* It is config space that asks: it does so in D3hot, and ends that. */
		if (i == 1)
			ASSERT_EQ(set_power(&self->d, D3HOT), 0);
		ASSERT_EQ(dev_write(&self->d, DEVCTL + writes[i].at, &writes[i].value, writes[i].n),
			  writes[i].n);
		EXPECT_EQ(bar0_read(&self->d, TERN_REG_SCRATCH(3)), flr ? 0 : 0x12345678)
			TH_LOG("write number %u", i);
		dev_read(&self->d, self->d.bar2.offset + MIB, &v, 4);
		EXPECT_EQ(v, flr ? 0 : 0x12345678);
		dev_read(&self->d, DEVCTL, &control, 2);
		EXPECT_FALSE(control & 0x8000);
		CONFIG(&self->d, 4, command);
		EXPECT_EQ(command, flr ? 0 : MASTER);
		if (flr)
			EXPECT_EQ(control, 0x2010);
		/* The host's wiring is not the device's state. */
		ASSERT_EQ(set_command(&self->d, MASTER), 0);
		bar0_write(&self->d, TERN_REG_DOORBELL, 0);
		EXPECT_EQ(signals(fd), 1);
	}
	close(fd);
}

/* P-14: each vector is masked in the table when the device is opened, and after a reset. */
TEST_F(device, P14_reset_masks_the_vectors)
{
	const uint64_t table = region_base(VFIO_PCI_BAR4_REGION_INDEX) + TERN_MSIX_TABLE;
	uint32_t control, unmasked = 0;
	int i;

	for (i = 0; i < TERN_VECTORS; i++) {
		ASSERT_EQ(dev_read(&self->d, table + 16 * i + 12, &control, 4), 4);
		EXPECT_EQ(control, 1)
			TH_LOG("vector %d when opened", i);
		ASSERT_EQ(dev_write(&self->d, table + 16 * i + 12, &unmasked, 4), 4);
		ASSERT_EQ(dev_read(&self->d, table + 16 * i + 12, &control, 4), 4);
		EXPECT_EQ(control, 0);
	}
	ASSERT_EQ(ioctl(self->d.fd, VFIO_DEVICE_RESET), 0);
	for (i = 0; i < TERN_VECTORS; i++) {
		ASSERT_EQ(dev_read(&self->d, table + 16 * i + 12, &control, 4), 4);
		EXPECT_EQ(control, 1)
			TH_LOG("vector %d after a reset", i);
	}
}

/* And what a guest has written stays there when the VMM takes the eventfds away. */
TEST_F(device, msix_table_takes_whole_words_only)
{
	const uint64_t table = region_base(VFIO_PCI_BAR4_REGION_INDEX) + TERN_MSIX_TABLE;
	const uint32_t words[2] = { 0x12345678, 0x9abcdef0 };
	const uint32_t ones[4] = { ~0U, ~0U, ~0U, ~0U };
	uint32_t entry[4];
	unsigned int i;
	int fd = eventfd(0, EFD_NONBLOCK);
	uint32_t found[2] = { 1, 1 };

	EXPECT_EQ(dev_write(&self->d, table + 1, words, 4), 4);
	EXPECT_EQ(dev_write(&self->d, table, words, 6), 6);
	ASSERT_EQ(dev_read(&self->d, table, found, 8), 8);
	EXPECT_EQ(found[0], 0);
	EXPECT_EQ(found[1], 0);
	/* Of each vector's control only the mask is kept. */
	for (i = 0; i < TERN_VECTORS; i++) {
		ASSERT_EQ(dev_write(&self->d, table + 16 * i, ones, 16), 16);
		ASSERT_EQ(dev_read(&self->d, table + 16 * i, entry, 16), 16);
		EXPECT_EQ(entry[3], 1);
		EXPECT_EQ(memcmp(entry, ones, 12), 0)
			TH_LOG("vector %u", i);
	}
	EXPECT_EQ(dev_write(&self->d, table, words, 8), 8);
	/* To disable MSI-X takes the eventfds away, and it must be enabled for that. */
	ASSERT_EQ(set_trigger(&self->d, VFIO_PCI_MSIX_IRQ_INDEX, 0, fd), 0);
	EXPECT_EQ(set_irqs(&self->d, VFIO_IRQ_SET_DATA_NONE | VFIO_IRQ_SET_ACTION_TRIGGER,
			   VFIO_PCI_MSIX_IRQ_INDEX, 0, 0, 0),
		  0);
	ASSERT_EQ(dev_read(&self->d, table, found, 8), 8);
	EXPECT_EQ(memcmp(found, words, 8), 0);
	close(fd);
}

TEST_F(device, attributes_are_checked_and_fixed_while_open)
{
	char buf[128];

	ASSERT_GT(read_file(MDEV_TYPE "/description", buf, sizeof(buf)), 0);
	EXPECT_NE(strstr(buf, ": protocols v1 and v2\n"), NULL);
	ASSERT_GT(attr_text(UUID_A, "state", buf, sizeof(buf)), 0);
	EXPECT_STREQ(buf, "running\n");
	EXPECT_TRUE(attr_is(UUID_A, "pending_bytes", "0"));
	EXPECT_EQ(attr_set(UUID_A, "memory_mib", "128"), -EBUSY);
	EXPECT_EQ(attr_set(UUID_A, "precopy", "0"), -EBUSY);
	EXPECT_EQ(attr_set(UUID_A, "window_kib", "256"), -EBUSY);
	EXPECT_EQ(attr_set(UUID_A, "state", "running"), -EACCES);
	dev_close(&self->d);
	EXPECT_EQ(attr_set(UUID_A, "memory_mib", "0"), -EINVAL);
	EXPECT_EQ(attr_set(UUID_A, "memory_mib", "96"), -EINVAL);
	EXPECT_EQ(attr_set(UUID_A, "memory_mib", "131072"), -EINVAL);
	EXPECT_EQ(attr_set(UUID_A, "memory_mib", "-1"), -EINVAL);
	EXPECT_EQ(attr_set(UUID_A, "memory_mib", "4294967296"), -ERANGE);
	EXPECT_EQ(attr_set(UUID_A, "memory_mib", "large"), -EINVAL);
	EXPECT_EQ(attr_set(UUID_A, "precopy", "2"), -EINVAL);
	EXPECT_EQ(attr_set(UUID_A, "window_kib", "4294967296"), -ERANGE);
	EXPECT_EQ(attr_set(UUID_A, "window_kib", "64"), -EINVAL);
	EXPECT_EQ(attr_set(UUID_A, "window_kib", "130"), -EINVAL);
	EXPECT_EQ(attr_set(UUID_A, "window_kib", "65540"), -EINVAL);
	EXPECT_TRUE(attr_is(UUID_A, "memory_mib", "64"));
	EXPECT_TRUE(attr_is(UUID_A, "precopy", "1"));
	EXPECT_TRUE(attr_is(UUID_A, "window_kib", "4096"));
	EXPECT_TRUE(attr_is(UUID_A, "state", "running"));
	EXPECT_EQ(attr_text(UUID_A, "pass_bytes", buf, sizeof(buf)), 0);
	EXPECT_EQ(attr_set(UUID_A, "memory_mib", "1"), 0);
	EXPECT_EQ(attr_set(UUID_A, "precopy", "0"), 0);
	EXPECT_EQ(attr_set(UUID_A, "window_kib", "128"), 0);
	ASSERT_EQ(dev_open(&self->d, UUID_A), 0);
	EXPECT_EQ(self->d.bar2.size, MIB);
	EXPECT_EQ(self->d.mig.size, TERN_REGION_WINDOW + 128 * 1024);
	dev_close(&self->d);
	/* 64 GiB is promised, not used. */
	EXPECT_EQ(attr_set(UUID_A, "memory_mib", "65536"), 0);
	ASSERT_EQ(dev_open(&self->d, UUID_A), 0);
	EXPECT_EQ(self->d.bar2.size, 65536 * MIB);
	/* All of the limit is promised now: no other device, and no bigger one. */
	EXPECT_EQ(mdev_create(UUID_B), -ENOSPC);
	EXPECT_NE(access(MDEV_DEVICES "/" UUID_B, F_OK), 0);
}

TEST_HARNESS_MAIN
