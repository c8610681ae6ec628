// SPDX-License-Identifier: GPL-2.0-only
/*
 * tern-null, a second model: one register and no memory, by both protocols. Nothing of
 * core, function, vfio or bus knows it.
 */
#include "migfd.h"
#include "kselftest_harness.h"

#define NULL_TYPE	"/sys/class/mdev_bus/tern/mdev_supported_types/tern-null"
#define BAR0		region_base(VFIO_PCI_BAR0_REGION_INDEX)
#define VALUE		0x0123456789abcdefULL

FIXTURE(null) {
	struct dev a, b;
	struct stream s;
};

FIXTURE_SETUP(null)
{
	if (access(NULL_TYPE "/create", W_OK))
		SKIP(return, "module tern was built without TEST_MODELS=1");
	ASSERT_EQ(write_file(NULL_TYPE "/create", UUID_A), 0);
	ASSERT_EQ(write_file(NULL_TYPE "/create", UUID_B), 0);
	ASSERT_EQ(dev_open(&self->a, UUID_A), 0);
	ASSERT_EQ(dev_open(&self->b, UUID_B), 0);
}

FIXTURE_TEARDOWN(null)
{
	dev_close(&self->a);
	dev_close(&self->b);
	EXPECT_EQ(mdev_remove(UUID_A), 0);
	EXPECT_EQ(mdev_remove(UUID_B), 0);
	free(self->s.buf);
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

TEST_F(null, what_it_is)
{
	struct vfio_irq_info irqs = { .argsz = sizeof(irqs), .index = VFIO_PCI_MSIX_IRQ_INDEX };
	uint32_t ids = 0;
	char text[64];

	/* It has no memory, and so neither a BAR for it nor an attribute. */
	EXPECT_EQ(self->a.bar2.size, 0);
	EXPECT_EQ(self->a.bar2.flags, 0);
	EXPECT_EQ(attr_text(UUID_A, "memory_mib", text, sizeof(text)), -ENOENT);
	EXPECT_TRUE(attr_is(UUID_A, "state", "running"));
	EXPECT_EQ(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, self->a.fd, BAR0), MAP_FAILED);
	ASSERT_EQ(dev_read(&self->a, region_base(VFIO_PCI_CONFIG_REGION_INDEX), &ids, 4), 4);
	EXPECT_EQ(ids, 0x7e1f1234);
	ASSERT_EQ(ioctl(self->a.fd, VFIO_DEVICE_GET_IRQ_INFO, &irqs), 0);
	EXPECT_EQ(irqs.count, 1);
}

TEST_F(null, S1_migrates_by_region)
{
	ASSERT_EQ(set_value(&self->a, VALUE), 0);
	ASSERT_EQ(set_state(&self->a, RUNNING | SAVING), 0);
	ASSERT_EQ(save_all(&self->a, &self->s), 0);
	ASSERT_EQ(set_state(&self->a, SAVING), 0);
	ASSERT_EQ(save_all(&self->a, &self->s), 0);
	ASSERT_EQ(set_state(&self->b, RESUMING), 0);
	ASSERT_EQ(load_all(&self->b, &self->s, 10), 0);
	ASSERT_EQ(set_state(&self->b, RUNNING), 0);
	EXPECT_EQ(value_of(&self->b), VALUE);
}

TEST_F(null, S1_migrates_by_file)
{
	int fd;

	ASSERT_EQ(set_value(&self->a, VALUE), 0);
	ASSERT_EQ(go_open(&self->a, S_PRE_COPY, &fd), 0);
	ASSERT_EQ(read_all(fd, &self->s, 10), -ENOMSG);
	ASSERT_EQ(go(&self->a, S_STOP_COPY), 0);
	ASSERT_EQ(read_all(fd, &self->s, 10), 0);
	close(fd);
	ASSERT_EQ(load_and_go(&self->b, &self->s, 10, S_RUNNING), 0);
	EXPECT_EQ(value_of(&self->b), VALUE);
}

/* P-14: and it is reset. */
TEST_F(null, P14_reset)
{
	ASSERT_EQ(set_value(&self->a, VALUE), 0);
	ASSERT_EQ(ioctl(self->a.fd, VFIO_DEVICE_RESET), 0);
	EXPECT_EQ(value_of(&self->a), 0);
}

/* P-13: neither model takes the other's stream. */
TEST_F(null, P13_streams_of_another_model)
{
	int fd;

	fd = save_to_end(&self->a, &self->s);
	ASSERT_GE(fd, 0);
	close(fd);
	dev_close(&self->b);
	ASSERT_EQ(mdev_remove(UUID_B), 0);
	ASSERT_EQ(mdev_create(UUID_B), 0);
	ASSERT_EQ(dev_open(&self->b, UUID_B), 0);
	ASSERT_EQ(set_state(&self->b, RESUMING), 0);
	EXPECT_EQ(load_all(&self->b, &self->s, MIB), -EMEDIUMTYPE);
}

TEST_HARNESS_MAIN
