// SPDX-License-Identifier: GPL-2.0-only
/* The interrupt line and the vectors, masked and not, here and moved. */
#include "fixture.h"
#include "kselftest_harness.h"
#include <poll.h>

#define LINE		VFIO_PCI_INTX_IRQ_INDEX
#define VECTORS		VFIO_PCI_MSIX_IRQ_INDEX
#define NONE		VFIO_IRQ_SET_DATA_NONE
#define BOOL		VFIO_IRQ_SET_DATA_BOOL
#define EVENTFD		VFIO_IRQ_SET_DATA_EVENTFD
#define TRIGGER		VFIO_IRQ_SET_ACTION_TRIGGER
#define MASK		VFIO_IRQ_SET_ACTION_MASK
#define UNMASK		VFIO_IRQ_SET_ACTION_UNMASK

FIXTURE(irq) {
	struct dev a, b;
	struct stream s;
	int line_a, line_b;
};

FIXTURE_VARIANT(irq) {
	const struct front_end *by;
};

FIXTURE_VARIANT_ADD(irq, v1) { .by = &v1_trapped };
FIXTURE_VARIANT_ADD(irq, v2) { .by = &v2_file };

FIXTURE_SETUP(irq)
{
	NEEDS_TERN();
	ASSERT_EQ(pair_on(&self->a, &self->b, (struct setting){ .memory_mib = 1, .by = variant->by }), 0);
	self->line_a = eventfd(0, EFD_NONBLOCK);
	self->line_b = eventfd(0, EFD_NONBLOCK);
	ASSERT_EQ(set_trigger(&self->a, LINE, 0, self->line_a), 0);
	ASSERT_EQ(set_trigger(&self->b, LINE, 0, self->line_b), 0);
	/* For the vectors; the line needs no command. */
	ASSERT_EQ(set_command(&self->a, MASTER), 0);
	ASSERT_EQ(set_command(&self->b, MASTER), 0);
}

FIXTURE_TEARDOWN(irq)
{
	EXPECT_EQ(pair_off(&self->a, &self->b, &self->s), 0);
}

static void ring(struct dev *d, unsigned int n)
{
	bar0_write(d, TERN_REG_DOORBELL, n);
}

static void acknowledge(struct dev *d, uint32_t bits)
{
	bar0_write(d, TERN_REG_IRQ_STATUS, bits);
}

static uint32_t pending_bits(struct dev *d)
{
	uint32_t bits = ~0U;

	dev_read(d, region_base(VFIO_PCI_BAR4_REGION_INDEX) + TERN_MSIX_PBA, &bits, 4);
	return bits;
}

static bool status_bit(struct dev *d)
{
	uint16_t status = 0;

	dev_read(d, region_base(VFIO_PCI_CONFIG_REGION_INDEX) + 6, &status, 2);
	return status & 8;
}

TEST_F(irq, INT_1_intx_is_maskable)
{
	struct vfio_irq_info info = { .argsz = sizeof(info), .index = LINE };
	uint8_t pin = 0;

	ASSERT_EQ(ioctl(self->a.fd, VFIO_DEVICE_GET_IRQ_INFO, &info), 0);
	EXPECT_EQ(info.count, 1);
	EXPECT_EQ(info.flags,
		  VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_MASKABLE | VFIO_IRQ_INFO_AUTOMASKED);
	dev_read(&self->a, region_base(VFIO_PCI_CONFIG_REGION_INDEX) + 0x3d, &pin, 1);
	EXPECT_EQ(pin, 1);
}

/* Signalled once, then masked; signalled again as long as the level is there. */
TEST_F(irq, INT_2_asserted_level_is_signalled_after_unmask)
{
	EXPECT_FALSE(status_bit(&self->a));
	ring(&self->a, 2);
	EXPECT_EQ(signals(self->line_a), 1);
	EXPECT_TRUE(status_bit(&self->a));
	ring(&self->a, 3);
	EXPECT_EQ(signals(self->line_a), 0);
	acknowledge(&self->a, 1 << 2);
	EXPECT_TRUE(status_bit(&self->a));
	EXPECT_EQ(set_irqs(&self->a, NONE | UNMASK, LINE, 0, 1, 0), 0);
	EXPECT_EQ(signals(self->line_a), 1);
	acknowledge(&self->a, 1 << 3);
	EXPECT_FALSE(status_bit(&self->a));
	EXPECT_EQ(set_irqs(&self->a, NONE | UNMASK, LINE, 0, 1, 0), 0);
	EXPECT_EQ(signals(self->line_a), 0);
	ring(&self->a, 3);
	EXPECT_EQ(signals(self->line_a), 1);
	/* The device's own mask takes the level away, and gives it back. */
	bar0_write(&self->a, TERN_REG_IRQ_MASK, 1 << 3);
	EXPECT_FALSE(status_bit(&self->a));
	EXPECT_EQ(set_irqs(&self->a, NONE | UNMASK, LINE, 0, 1, 0), 0);
	EXPECT_EQ(signals(self->line_a), 0);
	bar0_write(&self->a, TERN_REG_IRQ_MASK, 0);
	EXPECT_EQ(signals(self->line_a), 1);
}

TEST_F(irq, INT_3_mask_and_unmask_by_call)
{
	EXPECT_EQ(set_irqs(&self->a, NONE | MASK, LINE, 0, 1, 0), 0);
	ring(&self->a, 0);
	EXPECT_EQ(signals(self->line_a), 0);
	EXPECT_TRUE(status_bit(&self->a));
	EXPECT_EQ(set_irqs(&self->a, BOOL | UNMASK, LINE, 0, 1, 0), 0);
	EXPECT_EQ(signals(self->line_a), 0);
	EXPECT_EQ(set_irqs(&self->a, BOOL | UNMASK, LINE, 0, 1, 1), 0);
	EXPECT_EQ(signals(self->line_a), 1);
	acknowledge(&self->a, ~0U);
	EXPECT_EQ(set_irqs(&self->a, NONE | UNMASK, LINE, 0, 1, 0), 0);
	EXPECT_EQ(set_irqs(&self->a, BOOL | MASK, LINE, 0, 1, 0), 0);
	ring(&self->a, 0);
	EXPECT_EQ(signals(self->line_a), 1);
	/* To connect it again unmasks it; the level is there. */
	EXPECT_EQ(set_irqs(&self->a, NONE | TRIGGER, LINE, 0, 0, 0), 0);
	EXPECT_EQ(set_trigger(&self->a, LINE, 0, self->line_a), 0);
	EXPECT_EQ(signals(self->line_a), 1);
	/* A test signal needs no level and leaves the mask alone. */
	EXPECT_EQ(set_irqs(&self->a, NONE | TRIGGER, LINE, 0, 1, 0), 0);
	EXPECT_EQ(signals(self->line_a), 1);
}

TEST_F(irq, INT_3_mask_and_unmask_by_eventfd)
{
	struct pollfd wait = { .fd = self->line_a, .events = POLLIN };
	int mask = eventfd(0, EFD_NONBLOCK), unmask = eventfd(0, EFD_NONBLOCK);
	uint64_t one = 1;
	unsigned int i;

	ASSERT_EQ(set_irqs(&self->a, EVENTFD | UNMASK, LINE, 0, 1, unmask), 0);
	ring(&self->a, 7);
	EXPECT_EQ(signals(self->line_a), 1);
	for (i = 0; i < 100; i++) {
		ASSERT_EQ(write(unmask, &one, 8), 8);
		ASSERT_EQ(poll(&wait, 1, -1), 1);
		EXPECT_EQ(signals(self->line_a), 1);
		/* It was consumed. */
		EXPECT_EQ(signals(unmask), 0);
	}
	acknowledge(&self->a, ~0U);
	ASSERT_EQ(write(unmask, &one, 8), 8);
	/* What was signalled before the watch ends has its effect. */
	ASSERT_EQ(set_irqs(&self->a, EVENTFD | UNMASK, LINE, 0, 1, -1), 0);
	EXPECT_EQ(signals(self->line_a), 0);
	ASSERT_EQ(set_irqs(&self->a, EVENTFD | MASK, LINE, 0, 1, mask), 0);
	ASSERT_EQ(write(mask, &one, 8), 8);
	ASSERT_EQ(set_irqs(&self->a, EVENTFD | MASK, LINE, 0, 1, -1), 0);
	ring(&self->a, 7);
	EXPECT_EQ(signals(self->line_a), 0);
	/* An eventfd that is not watched any more has no effect. */
	ASSERT_EQ(write(unmask, &one, 8), 8);
	EXPECT_EQ(signals(unmask), 1);
	/* Signalled before it is watched: it counts. */
	ASSERT_EQ(write(unmask, &one, 8), 8);
	ASSERT_EQ(set_irqs(&self->a, EVENTFD | UNMASK, LINE, 0, 1, unmask), 0);
	ASSERT_EQ(poll(&wait, 1, -1), 1);
	/* Closed while it is watched, and then the device. */
	close(unmask);
	close(mask);
}

/*
 * What was signalled before a watch ends has its effect when the call returns. On the same
 * processor the kernel thread that acts on it runs only if the call waits for it.
 */
TEST_F(irq, INT_3_end_of_a_watch_waits)
{
	const struct sched_param first = { .sched_priority = 1 };
	int unmask = eventfd(0, EFD_NONBLOCK);
	uint64_t one = 1;
	unsigned int i;

	ASSERT_EQ(sched_setscheduler(0, SCHED_FIFO, &first), 0);
	for (i = 0; i < 100; i++) {
		ASSERT_EQ(set_irqs(&self->a, EVENTFD | UNMASK, LINE, 0, 1, unmask), 0);
		ring(&self->a, 1);
		ASSERT_EQ(signals(self->line_a), 1);
		ASSERT_EQ(write(unmask, &one, 8), 8);
		ASSERT_EQ(set_irqs(&self->a, EVENTFD | UNMASK, LINE, 0, 1, -1), 0);
		ASSERT_EQ(signals(self->line_a), 1);
		acknowledge(&self->a, 1 << 1);
		ASSERT_EQ(set_irqs(&self->a, NONE | UNMASK, LINE, 0, 1, 0), 0);
	}
	close(unmask);
}

/* Descriptor 0 is one like any other. */
TEST_F(irq, INT_3_descriptor_0_is_accepted)
{
	uint64_t one = 1;
	int unmask = eventfd(0, EFD_NONBLOCK);

	ASSERT_EQ(dup2(unmask, 0), 0);
	ASSERT_EQ(set_irqs(&self->a, EVENTFD | UNMASK, LINE, 0, 1, 0), 0);
	ASSERT_EQ(write(unmask, &one, 8), 8);
	EXPECT_EQ(signals(unmask), 0);
	EXPECT_EQ(set_irqs(&self->a, EVENTFD | UNMASK, LINE, 0, 1, -2), -EINVAL);
	close(unmask);
}

/* The eventfds that mask INTx and unmask it end with the eventfd that it signals. */
TEST_F(irq, INT_3_watches_end_with_the_trigger)
{
	int mask = eventfd(0, EFD_NONBLOCK), unmask = eventfd(0, EFD_NONBLOCK);
	uint64_t one = 1;

	ASSERT_EQ(set_irqs(&self->a, EVENTFD | MASK, LINE, 0, 1, mask), 0);
	ASSERT_EQ(set_irqs(&self->a, EVENTFD | UNMASK, LINE, 0, 1, unmask), 0);
	ASSERT_EQ(set_irqs(&self->a, NONE | TRIGGER, LINE, 0, 0, 0), 0);
	/* What the device watches, it consumes: before the line is connected again, and after. */
	ASSERT_EQ(write(mask, &one, 8), 8);
	EXPECT_EQ(signals(mask), 1);
	ASSERT_EQ(set_trigger(&self->a, LINE, 0, self->line_a), 0);
	ASSERT_EQ(write(mask, &one, 8), 8);
	EXPECT_EQ(signals(mask), 1);
	ASSERT_EQ(write(unmask, &one, 8), 8);
	EXPECT_EQ(signals(unmask), 1);
	close(unmask);
	close(mask);
}

/* While the line is connected it is the way, and no vector waits for its turn. */
TEST_F(irq, INT_4_intx_leaves_no_vector_pending)
{
	int vector = eventfd(0, EFD_NONBLOCK);

	ring(&self->a, 4);
	EXPECT_EQ(signals(self->line_a), 1);
	EXPECT_EQ(pending_bits(&self->a), 0);
	EXPECT_EQ(set_irqs(&self->a, NONE | TRIGGER, LINE, 0, 0, 0), 0);
	ASSERT_EQ(set_trigger(&self->a, VECTORS, 4, vector), 0);
	EXPECT_EQ(signals(vector), 0);
	ring(&self->a, 4);
	EXPECT_EQ(signals(vector), 1);
	EXPECT_EQ(signals(self->line_a), 0);
	/* And back: what waits is in the level. */
	ASSERT_EQ(set_trigger(&self->a, VECTORS, 4, -1), 0);
	ring(&self->a, 4);
	EXPECT_EQ(pending_bits(&self->a), 1 << 4);
	ASSERT_EQ(set_irqs(&self->a, NONE | TRIGGER, VECTORS, 0, 0, 0), 0);
	ASSERT_EQ(set_trigger(&self->a, LINE, 0, self->line_a), 0);
	EXPECT_EQ(signals(self->line_a), 1);
	EXPECT_EQ(pending_bits(&self->a), 0);
	close(vector);
}

/* PCI_COMMAND_INTX_DISABLE: the status still shows it. */
TEST_F(irq, INT_5_guest_disables_intx)
{
	ASSERT_EQ(set_command(&self->a, 0x0400), 0);
	ring(&self->a, 0);
	EXPECT_EQ(signals(self->line_a), 0);
	EXPECT_TRUE(status_bit(&self->a));
	ASSERT_EQ(set_command(&self->a, 0), 0);
	EXPECT_EQ(signals(self->line_a), 1);
	/* Reset: nothing to tell, and enabled. */
	ASSERT_EQ(set_command(&self->a, 0x0400), 0);
	ASSERT_EQ(ioctl(self->a.fd, VFIO_DEVICE_RESET), 0);
	EXPECT_FALSE(status_bit(&self->a));
	EXPECT_EQ(set_irqs(&self->a, NONE | UNMASK, LINE, 0, 1, 0), 0);
	ring(&self->a, 0);
	EXPECT_EQ(signals(self->line_a), 1);
}

TEST_F(irq, INT_1_wrong_mask_calls_are_refused)
{
	EXPECT_EQ(set_irqs(&self->a, NONE | MASK, LINE, 0, 0, 0), -EINVAL);
	EXPECT_EQ(set_irqs(&self->a, NONE | MASK, LINE, 1, 1, 0), -EINVAL);
	EXPECT_EQ(set_irqs(&self->a, NONE | UNMASK, LINE, 0, 2, 0), -EINVAL);
	/* An action that the index does not have, or none, or two. */
	EXPECT_EQ(set_irqs(&self->a, NONE | MASK, VECTORS, 0, 1, 0), -ENOTTY);
	EXPECT_EQ(set_irqs(&self->a, NONE | UNMASK, VECTORS, 0, 1, 0), -ENOTTY);
	EXPECT_EQ(set_irqs(&self->a, NONE | UNMASK, VFIO_PCI_REQ_IRQ_INDEX, 0, 1, 0), -ENOTTY);
	EXPECT_EQ(set_irqs(&self->a, NONE | MASK | UNMASK, LINE, 0, 1, 0), -ENOTTY);
	EXPECT_EQ(set_irqs(&self->a, NONE | MASK | TRIGGER, LINE, 0, 1, 0), -ENOTTY);
	EXPECT_EQ(set_irqs(&self->a, NONE, VECTORS, 0, 1, 0), -ENOTTY);
	EXPECT_EQ(set_irqs(&self->a, NONE | MASK, VFIO_PCI_NUM_IRQS, 0, 1, 0), -EINVAL);
	EXPECT_EQ(set_irqs(&self->a, NONE | MASK, ~0U, 0, 1, 0), -EINVAL);
	EXPECT_EQ(set_irqs(&self->a, EVENTFD | UNMASK, LINE, 0, 1, 999), -EBADF);
	EXPECT_EQ(set_irqs(&self->a, EVENTFD | UNMASK, LINE, 0, 1, -2), -EINVAL);
	EXPECT_EQ(set_irqs(&self->a, EVENTFD | UNMASK, LINE, 0, 1, self->a.fd), -EINVAL);
	ring(&self->a, 0);
	EXPECT_EQ(signals(self->line_a), 1);
	/* Enabled without an eventfd it can be masked; disabled there is nothing to mask. */
	ASSERT_EQ(set_trigger(&self->a, LINE, 0, -1), 0);
	EXPECT_EQ(set_irqs(&self->a, NONE | MASK, LINE, 0, 1, 0), 0);
	EXPECT_EQ(set_irqs(&self->a, EVENTFD | UNMASK, LINE, 0, 1, -1), 0);
	EXPECT_EQ(set_irqs(&self->a, NONE | TRIGGER, LINE, 0, 0, 0), 0);
	EXPECT_EQ(set_irqs(&self->a, NONE | MASK, LINE, 0, 1, 0), -EINVAL);
	EXPECT_EQ(set_irqs(&self->a, NONE | UNMASK, LINE, 0, 1, 0), -EINVAL);
	EXPECT_EQ(set_irqs(&self->a, BOOL | UNMASK, LINE, 0, 1, 0), -EINVAL);
	EXPECT_EQ(set_irqs(&self->a, NONE | TRIGGER, LINE, 0, 1, 0), -EINVAL);
	EXPECT_EQ(set_irqs(&self->a, EVENTFD | UNMASK, LINE, 0, 1, self->line_b), -EINVAL);
	EXPECT_EQ(set_irqs(&self->a, EVENTFD | UNMASK, LINE, 0, 1, -1), -EINVAL);
}

/* As on vfio-pci, which has one kind of interrupt at a time. */
TEST_F(irq, V1_21_intx_and_vectors_exclude_each_other)
{
	int vector = eventfd(0, EFD_NONBLOCK);

	EXPECT_EQ(set_trigger(&self->a, VECTORS, 1, vector), -EINVAL);
	EXPECT_EQ(set_trigger(&self->a, VECTORS, 1, -1), -EINVAL);
	ring(&self->a, 1);
	EXPECT_EQ(signals(vector), 0);
	EXPECT_EQ(signals(self->line_a), 1);
	ASSERT_EQ(set_irqs(&self->a, NONE | TRIGGER, LINE, 0, 0, 0), 0);
	ASSERT_EQ(set_trigger(&self->a, VECTORS, 1, vector), 0);
	EXPECT_EQ(set_trigger(&self->a, LINE, 0, self->line_a), -EINVAL);
	EXPECT_EQ(signals(self->line_a), 0);
	/* The request interrupt is beside both. */
	EXPECT_EQ(set_trigger(&self->a, VFIO_PCI_REQ_IRQ_INDEX, 0, vector), 0);
	ASSERT_EQ(set_irqs(&self->a, NONE | TRIGGER, VECTORS, 0, 0, 0), 0);
	EXPECT_EQ(set_trigger(&self->a, LINE, 0, self->line_a), 0);
	close(vector);
}

/*
 * V1-21: an index is enabled by its first eventfds, be they -1, until all of it is
 * disabled. Only then can it be tested or disabled. The errnos are vfio-pci's.
 */
TEST_F(irq, V1_21_disabled_index_refuses_triggers)
{
	const uint32_t request = VFIO_PCI_REQ_IRQ_INDEX;
	int vector = eventfd(0, EFD_NONBLOCK);
	unsigned int i;

	EXPECT_EQ(set_irqs(&self->a, NONE | TRIGGER, LINE, 0, 0, 0), 0);
	for (i = 0; i < 2; i++) {
		EXPECT_EQ(set_irqs(&self->a, NONE | TRIGGER, LINE, 0, 1, 0), -EINVAL);
		EXPECT_EQ(set_irqs(&self->a, BOOL | TRIGGER, LINE, 0, 1, 1), -EINVAL);
		EXPECT_EQ(set_irqs(&self->a, BOOL | TRIGGER, LINE, 0, 1, 0), -EINVAL);
		EXPECT_EQ(set_irqs(&self->a, NONE | TRIGGER, LINE, 0, 0, 0), -EINVAL);
		EXPECT_EQ(set_irqs(&self->a, NONE | TRIGGER, VECTORS, 2, 1, 0), -EINVAL);
		EXPECT_EQ(set_irqs(&self->a, BOOL | TRIGGER, VECTORS, 2, 1, 1), -EINVAL);
		EXPECT_EQ(set_irqs(&self->a, BOOL | TRIGGER, VECTORS, 2, 1, 0), -EINVAL);
		EXPECT_EQ(set_irqs(&self->a, NONE | TRIGGER, VECTORS, 0, 0, 0), -EINVAL);
		EXPECT_EQ(set_irqs(&self->a, NONE | TRIGGER, request, 0, 1, 0), -EINVAL);
		EXPECT_EQ(set_irqs(&self->a, NONE | TRIGGER, request, 0, 0, 0), -EINVAL);
		EXPECT_EQ(set_irqs(&self->a, BOOL | TRIGGER, request, 0, 1, 1), 0);
		EXPECT_EQ(pending_bits(&self->a), 0);

		/* A descriptor that is refused enables nothing. */
		EXPECT_EQ(set_irqs(&self->a, EVENTFD | TRIGGER, VECTORS, 0, 1, 999), -EBADF);
		EXPECT_EQ(set_irqs(&self->a, NONE | TRIGGER, VECTORS, 0, 1, 0), -EINVAL);
		ASSERT_EQ(set_trigger(&self->a, LINE, 0, -1), 0);
		EXPECT_EQ(set_irqs(&self->a, NONE | TRIGGER, LINE, 0, 1, 0), 0);
		ASSERT_EQ(set_trigger(&self->a, LINE, 0, self->line_a), 0);
		EXPECT_EQ(set_irqs(&self->a, NONE | TRIGGER, LINE, 0, 1, 0), 0);
		EXPECT_EQ(signals(self->line_a), 1);
		EXPECT_EQ(set_irqs(&self->a, NONE | TRIGGER, LINE, 0, 0, 0), 0);
		/* A vector without an eventfd is passed over, and is not pending for it. */
		ASSERT_EQ(set_trigger(&self->a, VECTORS, 3, vector), 0);
		EXPECT_EQ(set_irqs(&self->a, NONE | TRIGGER, VECTORS, 2, 2, 0), 0);
		EXPECT_EQ(signals(vector), 1);
		EXPECT_EQ(set_irqs(&self->a, BOOL | TRIGGER, VECTORS, 3, 1, 1), 0);
		EXPECT_EQ(signals(vector), 1);
		EXPECT_EQ(set_irqs(&self->a, BOOL | TRIGGER, VECTORS, 3, 1, 0), 0);
		EXPECT_EQ(signals(vector), 0);
		EXPECT_EQ(pending_bits(&self->a), 0);
		ASSERT_EQ(set_trigger(&self->a, VECTORS, 3, -1), 0);
		EXPECT_EQ(set_irqs(&self->a, NONE | TRIGGER, VECTORS, 3, 1, 0), 0);
		EXPECT_EQ(set_irqs(&self->a, NONE | TRIGGER, VECTORS, 0, 0, 0), 0);
		ASSERT_EQ(set_trigger(&self->a, request, 0, vector), 0);
		EXPECT_EQ(set_irqs(&self->a, NONE | TRIGGER, request, 0, 1, 0), 0);
		EXPECT_EQ(signals(vector), 1);
		EXPECT_EQ(set_irqs(&self->a, BOOL | TRIGGER, request, 0, 0, 0), -EINVAL);
		EXPECT_EQ(set_irqs(&self->a, EVENTFD | TRIGGER, request, 0, 0, 0), -EINVAL);
		EXPECT_EQ(set_irqs(&self->a, NONE | TRIGGER, request, 0, 0, 0), 0);
		/* The wiring is not the device's: a reset leaves each index as it is. */
		ASSERT_EQ(ioctl(self->a.fd, VFIO_DEVICE_RESET), 0);
	}
	/* And the next owner finds none of it. */
	ASSERT_EQ(set_trigger(&self->a, VECTORS, 3, vector), 0);
	dev_close(&self->a);
	ASSERT_EQ(dev_open(&self->a, UUID_A), 0);
	EXPECT_EQ(set_irqs(&self->a, NONE | TRIGGER, VECTORS, 3, 1, 0), -EINVAL);
	close(vector);
}

/* An eventfd that is trigger and unmask at once is signalled once each time. */
TEST_F(irq, INT_3_trigger_that_unmasks_itself_comes_to_rest)
{
	unsigned int i;

	ASSERT_EQ(set_irqs(&self->a, EVENTFD | UNMASK, LINE, 0, 1, self->line_a), 0);
	for (i = 0; i < 100; i++) {
		ring(&self->a, 1);
		acknowledge(&self->a, ~0U);
	}
	/* To end the watch waits for its work: it comes to an end. */
	ring(&self->a, 1);
	ASSERT_EQ(set_irqs(&self->a, EVENTFD | UNMASK, LINE, 0, 1, -1), 0);
}

/* The count of an eventfd that no process reads. */
static uint64_t count_of(int fd)
{
	char path[64], text[512], *at;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	if (read_file(path, text, sizeof(text)) < 0)
		return ~0ULL;
	at = strstr(text, "eventfd-count:");
	return at ? strtoull(at + strlen("eventfd-count:"), NULL, 16) : ~0ULL;
}

/*
 * Two devices, and what one signals unmasks the other: a signal of user space is acted
 * upon, and what the kernel signals while it does so goes no further.
 *
 * Of a semaphore each watch takes one at a signal. Two watches leave one less each time,
 * and so the signals of a ring that goes round in the kernel can be counted.
 */
TEST_F(irq, crossed_eventfds_come_to_rest)
{
	const unsigned int many = 1 << 30;
	int x = eventfd(many, EFD_NONBLOCK | EFD_SEMAPHORE), y = eventfd(0, EFD_NONBLOCK);
	uint64_t one = 1, before;
	unsigned int i;

	ASSERT_EQ(set_trigger(&self->a, LINE, 0, x), 0);
	ASSERT_EQ(set_trigger(&self->b, LINE, 0, y), 0);
	ASSERT_EQ(set_irqs(&self->a, EVENTFD | MASK, LINE, 0, 1, x), 0);
	ASSERT_EQ(set_irqs(&self->b, EVENTFD | UNMASK, LINE, 0, 1, x), 0);
	ASSERT_EQ(set_irqs(&self->a, EVENTFD | UNMASK, LINE, 0, 1, y), 0);
	ring(&self->a, 1);
	ring(&self->b, 1);
	before = count_of(x);
	ASSERT_LE(before, many);
	/* Each unmasking of user space's signals the interrupt again: none of them is lost. */
	for (i = 0; i < 100; i++) {
		before = count_of(x);
		ASSERT_EQ(write(y, &one, 8), 8);
		while (count_of(x) == before)
			sched_yield();
	}
	/* The last signal, and one more that was still under way. A ring continues meanwhile. */
	for (i = 0; i < 1000; i++)
		sched_yield();
	EXPECT_LE(before - count_of(x), 2)
		TH_LOG("found %lu signals", (unsigned long)(before - count_of(x)));
	acknowledge(&self->a, ~0U);
	acknowledge(&self->b, ~0U);
	close(x);
	close(y);
}

static void move(struct __test_metadata *_metadata, FIXTURE_DATA(irq) *self)
{
	self->s.len = 0;
	ASSERT_EQ(save_by(&self->a, &self->s, MIB), 0);
	ASSERT_EQ(self->b.by->resume(&self->b), 0);
	ASSERT_EQ(self->b.by->feed(&self->b, &self->s, MIB), 0);
	EXPECT_EQ(signals(self->line_b), 0);
	ASSERT_EQ(self->b.by->commit(&self->b), 0);
}

/* V1-24 P-28: raised while it is stopped, it is signalled once, where it runs. */
TEST_F(irq, INT_6_V1_24_P28_signalled_once_on_the_destination)
{
	ASSERT_EQ(variant->by->end(&self->a, false), 0);
	ring(&self->a, 1);
	EXPECT_EQ(signals(self->line_a), 0);
	move(_metadata, self);
	EXPECT_EQ(signals(self->line_b), 1);
	EXPECT_TRUE(status_bit(&self->b));
	EXPECT_EQ(set_irqs(&self->b, NONE | UNMASK, LINE, 0, 1, 0), 0);
	EXPECT_EQ(signals(self->line_b), 1);
	acknowledge(&self->b, ~0U);
	EXPECT_EQ(set_irqs(&self->b, NONE | UNMASK, LINE, 0, 1, 0), 0);
	EXPECT_EQ(signals(self->line_b), 0);
	EXPECT_EQ(signals(self->line_a), 0);
}

/* Signalled and not handled yet: the level migrates, and so does its end. */
TEST_F(irq, INT_6_level_migrates)
{
	ring(&self->a, 1);
	EXPECT_EQ(signals(self->line_a), 1);
	move(_metadata, self);
	EXPECT_EQ(signals(self->line_b), 1);
	acknowledge(&self->b, ~0U);
	ASSERT_EQ(ioctl(self->a.fd, VFIO_DEVICE_RESET), 0);
	ASSERT_EQ(variant->by->end(&self->b, false), 0);
	ring(&self->a, 1);
	acknowledge(&self->a, ~0U);
	move(_metadata, self);
	EXPECT_EQ(signals(self->line_b), 0);
	EXPECT_FALSE(status_bit(&self->b));
}

/* The vectors: what is masked in the table and what is pending go along. */
TEST_F(irq, INT_6_vectors_migrate)
{
	const uint64_t table = region_base(VFIO_PCI_BAR4_REGION_INDEX) + TERN_MSIX_TABLE;
	uint32_t entry[4] = { 0xfee00000, 1, 0x4041, 0 }, got[4];
	int vector = eventfd(0, EFD_NONBLOCK);

	EXPECT_EQ(set_irqs(&self->a, NONE | TRIGGER, LINE, 0, 0, 0), 0);
	EXPECT_EQ(set_irqs(&self->b, NONE | TRIGGER, LINE, 0, 0, 0), 0);
	ASSERT_EQ(set_trigger(&self->b, VECTORS, 6, vector), 0);
	ASSERT_EQ(dev_write(&self->a, table + 6 * 16, entry, 16), 16);
	ring(&self->a, 6);
	ring(&self->a, 7);
	EXPECT_EQ(pending_bits(&self->a), 3 << 6);
	move(_metadata, self);
	EXPECT_EQ(signals(vector), 1);
	EXPECT_EQ(pending_bits(&self->b), 1 << 7);
	ASSERT_EQ(dev_read(&self->b, table + 6 * 16, got, 16), 16);
	EXPECT_EQ(memcmp(got, entry, 16), 0);
	ASSERT_EQ(dev_read(&self->b, table + 7 * 16, got, 16), 16);
	EXPECT_EQ(got[3], 1);
	close(vector);
}

/*
 * V1-24 P-28: a vector is a write to memory. Without bus mastering it stays pending, and
 * is delivered once when the guest enables it; the line is not concerned.
 */
TEST_F(irq, V1_24_P28_vector_waits_for_bus_mastering)
{
	int vector = eventfd(0, EFD_NONBLOCK);

	EXPECT_EQ(set_irqs(&self->a, NONE | TRIGGER, LINE, 0, 0, 0), 0);
	ASSERT_EQ(set_trigger(&self->a, VECTORS, 6, vector), 0);
	ASSERT_EQ(set_command(&self->a, MASTER & ~4), 0);
	ring(&self->a, 6);
	ring(&self->a, 6);
	EXPECT_EQ(signals(vector), 0);
	EXPECT_EQ(pending_bits(&self->a), 1 << 6);
	/* Neither a new eventfd nor a start delivers it. */
	ASSERT_EQ(set_trigger(&self->a, VECTORS, 6, vector), 0);
	ASSERT_EQ(set_state(&self->a, STOP), 0);
	ASSERT_EQ(set_state(&self->a, RUNNING), 0);
	EXPECT_EQ(signals(vector), 0);
	ASSERT_EQ(set_command(&self->a, MASTER), 0);
	EXPECT_EQ(signals(vector), 1);
	EXPECT_EQ(pending_bits(&self->a), 0);
	ASSERT_EQ(set_command(&self->a, MASTER), 0);
	EXPECT_EQ(signals(vector), 0);
	/* Enabled while the device is stopped: when it runs. */
	ASSERT_EQ(set_command(&self->a, 0), 0);
	ring(&self->a, 6);
	ASSERT_EQ(set_state(&self->a, STOP), 0);
	ASSERT_EQ(set_command(&self->a, MASTER), 0);
	EXPECT_EQ(signals(vector), 0);
	ASSERT_EQ(set_state(&self->a, RUNNING), 0);
	EXPECT_EQ(signals(vector), 1);
	/* A transfer's end is no other interrupt. */
	ASSERT_EQ(set_command(&self->a, 0), 0);
	EXPECT_EQ(dma_do(&self->a, TERN_DMA_OP_FILL | TERN_DMA_INTERRUPT | TERN_DMA_VECTOR(6), 0, 0,
			 PAGE),
		  TERN_DMA_DONE);
	EXPECT_EQ(signals(vector), 0);
	ASSERT_EQ(set_command(&self->a, MASTER), 0);
	EXPECT_EQ(signals(vector), 1);
	/* A reset disables it, and takes what was pending. */
	ASSERT_EQ(set_command(&self->a, 0), 0);
	ring(&self->a, 6);
	ASSERT_EQ(ioctl(self->a.fd, VFIO_DEVICE_RESET), 0);
	ring(&self->a, 5);
	EXPECT_EQ(pending_bits(&self->a), 1 << 5);
	ASSERT_EQ(set_command(&self->a, MASTER), 0);
	EXPECT_EQ(signals(vector), 0);
	/* The line: at once. */
	ASSERT_EQ(set_command(&self->b, 0), 0);
	ring(&self->b, 1);
	EXPECT_EQ(signals(self->line_b), 1);
	close(vector);
}

/* V1-21 V1-24: what waits for bus mastering migrates, and is delivered where that is enabled. */
TEST_F(irq, V1_24_P28_pending_vector_migrates)
{
	int vector = eventfd(0, EFD_NONBLOCK);

	EXPECT_EQ(set_irqs(&self->a, NONE | TRIGGER, LINE, 0, 0, 0), 0);
	EXPECT_EQ(set_irqs(&self->b, NONE | TRIGGER, LINE, 0, 0, 0), 0);
	ASSERT_EQ(set_trigger(&self->b, VECTORS, 6, vector), 0);
	ASSERT_EQ(set_command(&self->a, 0), 0);
	ring(&self->a, 6);
	/* The destination had it enabled: the stream says otherwise. */
	move(_metadata, self);
	EXPECT_EQ(signals(vector), 0);
	EXPECT_EQ(pending_bits(&self->b), 1 << 6);
	ASSERT_EQ(set_command(&self->b, MASTER), 0);
	EXPECT_EQ(signals(vector), 1);
	EXPECT_EQ(pending_bits(&self->b), 0);
	close(vector);
}

/* P-28: nothing is signalled in D3hot, whatever happens to the device; in D0 it is, once. */
TEST_F(irq, P28_d3hot_holds_interrupts)
{
	int vector = eventfd(0, EFD_NONBLOCK);

	/* INTx: unmasked, enabled and connected again, and each time it is silent. */
	ring(&self->a, 1);
	EXPECT_EQ(signals(self->line_a), 1);
	EXPECT_TRUE(status_bit(&self->a));
	ASSERT_EQ(set_power(&self->a, D3HOT), 0);
	EXPECT_FALSE(status_bit(&self->a));
	EXPECT_EQ(set_irqs(&self->a, NONE | UNMASK, LINE, 0, 1, 0), 0);
	ASSERT_EQ(set_command(&self->a, 0x0400), 0);
	ASSERT_EQ(set_command(&self->a, MASTER), 0);
	ASSERT_EQ(set_trigger(&self->a, LINE, 0, self->line_a), 0);
	ASSERT_EQ(set_state(&self->a, STOP), 0);
	ASSERT_EQ(set_state(&self->a, RUNNING), 0);
	EXPECT_EQ(signals(self->line_a), 0);
	ASSERT_EQ(set_power(&self->a, D0), 0);
	EXPECT_EQ(signals(self->line_a), 1);
	EXPECT_TRUE(status_bit(&self->a));
	acknowledge(&self->a, ~0U);

	/* A vector that waits for bus mastering waits for D0, too. */
	EXPECT_EQ(set_irqs(&self->a, NONE | TRIGGER, LINE, 0, 0, 0), 0);
	ASSERT_EQ(set_trigger(&self->a, VECTORS, 6, vector), 0);
	ASSERT_EQ(set_command(&self->a, 0), 0);
	ring(&self->a, 6);
	ASSERT_EQ(set_power(&self->a, D3HOT), 0);
	ASSERT_EQ(set_command(&self->a, MASTER), 0);
	ASSERT_EQ(set_trigger(&self->a, VECTORS, 6, vector), 0);
	ASSERT_EQ(set_state(&self->a, STOP), 0);
	ASSERT_EQ(set_state(&self->a, RUNNING), 0);
	EXPECT_EQ(signals(vector), 0);
	ASSERT_EQ(set_power(&self->a, D0), 0);
	EXPECT_EQ(signals(vector), 1);
	ASSERT_EQ(set_power(&self->a, D3HOT), 0);
	ASSERT_EQ(set_power(&self->a, D0), 0);
	EXPECT_EQ(signals(vector), 0);
	close(vector);
}

/* P-28 V1-24: a device that is in D3hot migrates; its interrupts come once, in D0. */
TEST_F(irq, P28_d3hot_device_migrates)
{
	int vector = eventfd(0, EFD_NONBLOCK);

	EXPECT_EQ(set_irqs(&self->a, NONE | TRIGGER, LINE, 0, 0, 0), 0);
	ASSERT_EQ(set_command(&self->a, 0), 0);
	ring(&self->a, 6);
	ASSERT_EQ(set_power(&self->a, D3HOT), 0);
	ASSERT_EQ(set_command(&self->a, MASTER), 0);
	move(_metadata, self);
	EXPECT_EQ(bar0_read(&self->b, TERN_REG_ID), ~0U);
	/* The line's level, which follows from the registers. */
	EXPECT_EQ(signals(self->line_b), 0);
	EXPECT_FALSE(status_bit(&self->b));
	ASSERT_EQ(set_power(&self->b, D0), 0);
	EXPECT_EQ(signals(self->line_b), 1);
	EXPECT_EQ(bar0_read(&self->b, TERN_REG_IRQ_STATUS), 1 << 6);

	/* The same stream where MSI-X is connected. */
	ASSERT_EQ(ioctl(self->b.fd, VFIO_DEVICE_RESET), 0);
	EXPECT_EQ(set_irqs(&self->b, NONE | TRIGGER, LINE, 0, 0, 0), 0);
	ASSERT_EQ(set_trigger(&self->b, VECTORS, 6, vector), 0);
	ASSERT_EQ(load_by(&self->b, &self->s, MIB), 0);
	EXPECT_EQ(signals(vector), 0);
	EXPECT_EQ(pending_bits(&self->b), ~0U);
	ASSERT_EQ(set_power(&self->b, D0), 0);
	EXPECT_EQ(signals(vector), 1);
	EXPECT_EQ(pending_bits(&self->b), 0);
	close(vector);
}

TEST_HARNESS_MAIN
