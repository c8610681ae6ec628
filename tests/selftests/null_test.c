// SPDX-License-Identifier: GPL-2.0-only
/*
 * tern-null, a second model: one register and no memory, by both protocols. Nothing of
 * core, function, vfio or bus knows it.
 */
#include "fixture.h"
#include "kselftest_harness.h"

#define NULL_TYPE	"/sys/class/mdev_bus/tern/mdev_supported_types/tern-null"
#define BAR0		region_base(VFIO_PCI_BAR0_REGION_INDEX)
#define VALUE		0x0123456789abcdefULL

FIXTURE(null) {
	struct dev a, b;
	struct stream s;
};

FIXTURE_VARIANT(null) {
	const struct front_end *by;
};

FIXTURE_VARIANT_ADD(null, v1) { .by = &v1_trapped };
FIXTURE_VARIANT_ADD(null, v2) { .by = &v2_file };

FIXTURE_SETUP(null)
{
	if (access(NULL_TYPE "/create", W_OK))
		SKIP(return, "module tern was built without TEST_MODELS=1");
	ASSERT_EQ(pair_on(&self->a, &self->b,
			  (struct setting){ .type = NULL_TYPE, .by = variant->by }), 0);
}

FIXTURE_TEARDOWN(null)
{
	EXPECT_EQ(pair_off(&self->a, &self->b, &self->s), 0);
}

static uint64_t value_of(struct dev *d)
{
	uint64_t v = ~0ULL;

	dev_read(d, BAR0, &v, sizeof(v));
	return v;
}

static int set_value(struct dev *d, uint64_t v)
{
	return dev_write(d, BAR0, &v, sizeof(v)) == sizeof(v) ? 0 : -EIO;
}

TEST_F(null, has_one_vector_and_no_memory)
{
	struct vfio_irq_info irqs = { .argsz = sizeof(irqs), .index = VFIO_PCI_MSIX_IRQ_INDEX };
	int fd = eventfd(0, EFD_NONBLOCK);
	uint32_t ids = 0;
	char text[64];

	/* It has no memory, and so neither a BAR for it nor an attribute. */
	EXPECT_EQ(self->a.bar2.size, 0);
	EXPECT_EQ(self->a.bar2.flags, 0);
	EXPECT_EQ(attr_text(UUID_A, "memory_mib", text, sizeof(text)), -ENOENT);
	EXPECT_TRUE(attr_is(UUID_A, "state", "running"));
	EXPECT_EQ(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, self->a.fd, BAR0), MAP_FAILED);
	EXPECT_EQ(errno, EINVAL);
	ASSERT_EQ(dev_read(&self->a, region_base(VFIO_PCI_CONFIG_REGION_INDEX), &ids, 4), 4);
	EXPECT_EQ(ids, 0x7e1f1234);
	/* The table of MSI-X is where the capability says: in BAR1. */
	ASSERT_EQ(dev_read(&self->a, region_base(VFIO_PCI_CONFIG_REGION_INDEX) + 0x4c, &ids, 4), 4);
	EXPECT_EQ(ids, 1);
	ASSERT_EQ(ioctl(self->a.fd, VFIO_DEVICE_GET_IRQ_INFO, &irqs), 0);
	EXPECT_EQ(irqs.count, 1);
	/* The close disconnects it: else its eventfd leaks. */
	ASSERT_GE(fd, 0);
	EXPECT_EQ(set_trigger(&self->a, VFIO_PCI_MSIX_IRQ_INDEX, 0, fd), 0);
	close(fd);
}

TEST_F(null, S1_value_migrates)
{
	ASSERT_EQ(set_value(&self->a, VALUE), 0);
	ASSERT_EQ(variant->by->begin(&self->a), 0);
	ASSERT_EQ(variant->by->drain(&self->a, &self->s, 10), 0);
	ASSERT_EQ(save_by(&self->a, &self->s, 10), 0);
	ASSERT_EQ(load_by(&self->b, &self->s, 10), 0);
	EXPECT_EQ(value_of(&self->b), VALUE);
}

TEST_F(null, P14_P15_reset_and_open_clear_the_register)
{
	ASSERT_EQ(set_value(&self->a, VALUE), 0);
	ASSERT_EQ(ioctl(self->a.fd, VFIO_DEVICE_RESET), 0);
	EXPECT_EQ(value_of(&self->a), 0);
	ASSERT_EQ(set_value(&self->a, VALUE), 0);
	dev_close(&self->a);
	ASSERT_EQ(dev_open(&self->a, UUID_A), 0);
	EXPECT_EQ(value_of(&self->a), 0);
}

/* P-13: neither model takes the other's stream. */
TEST_F(null, P13_stream_of_another_model_is_refused)
{
	ASSERT_EQ(save_by(&self->a, &self->s, MIB), 0);
	ASSERT_EQ(device_off(&self->b), 0);
	ASSERT_EQ(device_on(&self->b, UUID_B, (struct setting){ .by = variant->by }), 0);
	EXPECT_EQ(load_by(&self->b, &self->s, MIB), -EMEDIUMTYPE);
}

TEST_HARNESS_MAIN
