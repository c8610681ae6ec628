// SPDX-License-Identifier: GPL-2.0-only
/*
 * A device on iommufd as a VMM uses it: by its character device, bound to an iommufd, and
 * attached to an IOAS. The other programs use iommufd's compatibility container, which
 * can neither detach a device nor give it another address space.
 */
#include "tern.h"

/*
 * Enough to catch two transfers in progress. On one processor a transfer must last longer
 * than the tick that lets the other device's worker run, 10 ms.
 */
#define MEMORY		(16 * MIB)
#define RAM		MIB
#define SPAN		(RAM / 2)

#include "dma.h"
#include "iommufd.h"
#include "kselftest_harness.h"
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

/* Where the device finds what a test maps besides the RAM. */
#define OTHER		0x80000000ULL

#define TO_DEVICE	TERN_DMA_OP_TO_DEVICE
#define FROM_DEVICE	TERN_DMA_OP_FROM_DEVICE

FIXTURE(iommufd) {
	struct dev a, b;
	int iommufd;
	uint32_t ioas;		/* has the RAM at ADDRESS */
	uint32_t empty;		/* another one */
	uint8_t *ram, *ram_b;
	struct stream s;
	int irq_a, irq_b;
};

/* Bound and not attached, with bus mastering and an interrupt. 0 or -errno. */
static int power_on(struct dev *d, const char *uuid, int iommufd, int irq)
{
	return dev_bind(d, uuid, iommufd) ?: set_command(d, MASTER) ?:
	       set_trigger(d, VFIO_PCI_MSIX_IRQ_INDEX, VECTOR, irq);
}

/* An iommufd with the address spaces of a test. 0 or -errno. */
static int make_spaces(FIXTURE_DATA(iommufd) *self)
{
	int ret;

	self->iommufd = iommufd_open();
	ret = ioas_alloc(self->iommufd, &self->ioas) ?: ioas_alloc(self->iommufd, &self->empty);
	return ret ?: ioas_map(self->iommufd, self->ioas, self->ram, ADDRESS, RAM);
}

FIXTURE_SETUP(iommufd)
{
	const struct setting given = { .memory_mib = MEMORY / MIB };

	NEEDS_TERN();
	if (!have_iommufd())
		SKIP(return, "the kernel has no iommufd, or no character devices of VFIO");
	self->ram = anonymous(RAM);
	self->ram_b = anonymous(RAM);
	self->irq_a = eventfd(0, EFD_NONBLOCK);
	self->irq_b = eventfd(0, EFD_NONBLOCK);
	ASSERT_EQ(mdev_create(UUID_A) ?: device_configure(UUID_A, &given), 0);
	ASSERT_EQ(mdev_create(UUID_B) ?: device_configure(UUID_B, &given), 0);
	ASSERT_EQ(make_spaces(self), 0);
	ASSERT_EQ(power_on(&self->a, UUID_A, self->iommufd, self->irq_a), 0);
	ASSERT_EQ(power_on(&self->b, UUID_B, self->iommufd, self->irq_b), 0);
}

FIXTURE_TEARDOWN(iommufd)
{
	EXPECT_EQ(pair_off(&self->a, &self->b, &self->s), 0);
	close(self->iommufd);
	close(self->irq_a);
	close(self->irq_b);
	munmap(self->ram, RAM);
	munmap(self->ram_b, RAM);
}

/* V1-27 DMA-4: without an IOAS there is no guest memory. Device memory does not need it. */
TEST_F(iommufd, V1_27_DMA_4_unattached_device_reaches_no_memory)
{
	static const uint32_t commands[] = {
		TO_DEVICE | LONG, FROM_DEVICE | LONG, TO_DEVICE | TERN_DMA_LIST | LONG,
	};
	struct dev *a = &self->a;
	unsigned int i, k;

	memset(self->ram, 0x11, RAM);
	for (i = 0; i < 4; i++) {
		/* Only bound; attached to an empty IOAS; detached; detached again. */
		ASSERT_EQ(i == 1 ? cdev_attach(a->fd, self->empty) : cdev_detach(a->fd), 0);
		bar0_write(a, TERN_DMA_ENTRIES, 1);
		for (k = 0; k < ARRAY_SIZE(commands); k++) {
			EXPECT_EQ(dma_do(a, commands[k], ADDRESS, 0, 2 * PIECE), ERROR(ADDRESS));
			EXPECT_EQ(bar0_read64(a, TERN_DMA_DONE_LOW), 0);
			EXPECT_EQ(signals(self->irq_a), 1);
		}
		EXPECT_EQ(dma_do(a, TERN_DMA_OP_FILL, 0, 0, PIECE), DONE);
		EXPECT_EQ(dma_do(a, TERN_DMA_OP_CRC, 0, 0, PIECE), DONE);
		EXPECT_TRUE(all_are(self->ram, RAM, 0x11));

		ASSERT_EQ(cdev_attach(a->fd, self->ioas), 0);
		EXPECT_EQ(dma_do(a, TO_DEVICE, ADDRESS, 0, 2 * PIECE), DONE);
		EXPECT_EQ(dma_do(a, FROM_DEVICE, ADDRESS, 0, 2 * PIECE), DONE);
	}
}

/* DMA-4: an address that wraps is an error, though there is memory at both ends. */
TEST_F(iommufd, DMA_4_transfer_does_not_wrap)
{
	const struct tern_dma_entry entry = { .address = ADDRESS, .length = 8 };
	/* An entry ends there at the last address, and one byte after it, at none. */
	const uint64_t near_end = ~0ULL - sizeof(entry), at_end = near_end + 1;
	uint8_t *last = self->ram + PAGE - sizeof(entry), *first = self->ram + PAGE;
	struct dev *a = &self->a;

	ASSERT_EQ(ioas_map(self->iommufd, self->ioas, self->ram, 0 - (uint64_t)PAGE, PAGE), 0);
	ASSERT_EQ(ioas_map(self->iommufd, self->ioas, self->ram + PAGE, 0, PAGE), 0);
	ASSERT_EQ(cdev_attach(a->fd, self->ioas), 0);
	EXPECT_EQ(dma_do(a, TO_DEVICE, near_end, 0, sizeof(entry)), DONE);
	EXPECT_EQ(dma_do(a, TO_DEVICE, at_end, 0, sizeof(entry)), ERROR(ADDRESS));
	memcpy(last - 1, &entry, sizeof(entry));
	bar0_write(a, TERN_DMA_ENTRIES, 1);
	EXPECT_EQ(dma_do(a, TO_DEVICE | TERN_DMA_LIST, near_end, 0, 8), DONE);
	memcpy(last, &entry, sizeof(entry));
	memcpy(first, &entry, sizeof(entry));
	bar0_write(a, TERN_DMA_ENTRIES, 2);
	EXPECT_EQ(dma_do(a, TO_DEVICE | TERN_DMA_LIST, at_end, 0, 16), ERROR(ADDRESS));
	memcpy(first, &(struct tern_dma_entry){ .address = at_end, .length = 16 }, sizeof(entry));
	bar0_write(a, TERN_DMA_ENTRIES, 1);
	EXPECT_EQ(dma_do(a, TO_DEVICE | TERN_DMA_LIST, 0, 0, 16), ERROR(ADDRESS));
	EXPECT_EQ(bar0_read64(a, TERN_DMA_DONE_LOW), 0);
	/* What has no use for an address takes any. */
	EXPECT_EQ(dma_do(a, TERN_DMA_OP_FILL, ~0ULL, 0, PAGE), DONE);
	EXPECT_EQ(dma_do(a, TERN_DMA_OP_CRC, ~0ULL, 0, PAGE), DONE);
}

/* How guest memory is withdrawn from a device. */
static const struct {
	const char *name;
	bool unmap, everything;	/* else the device is detached, or attached elsewhere */
	bool replace;
} ways[] = {
	{ .name = "detach" },
	{ .name = "attach to an empty IOAS", .replace = true },
	{ .name = "unmap the RAM", .unmap = true },
	{ .name = "unmap everything", .unmap = true, .everything = true },
};

static int withdraw(FIXTURE_DATA(iommufd) *self, unsigned int way)
{
	if (ways[way].unmap)
		return ioas_unmap(self->iommufd, self->ioas, ways[way].everything ? 0 : ADDRESS,
				  ways[way].everything ? ~0ULL : RAM);
	return ways[way].replace ? cdev_attach(self->a.fd, self->empty) : cdev_detach(self->a.fd);
}

static int restore(FIXTURE_DATA(iommufd) *self, unsigned int way)
{
	if (ways[way].unmap)
		return ioas_map(self->iommufd, self->ioas, self->ram, ADDRESS, RAM);
	return cdev_attach(self->a.fd, self->ioas);
}

/*
 * V1-29 P-26 DMA-4: memory that is withdrawn during a transfer is released at once. The
 * transfer fails, the bytes before stay, and the next transfer works.
 */
TEST_F(iommufd, V1_29_P26_DMA_4_withdrawn_memory_is_released_at_once)
{
	unsigned int way = 0, i, caught = 0;
	uint8_t *copy = anonymous(RAM);
	struct dev *a = &self->a;
	uint32_t status;
	uint64_t done;

	ASSERT_EQ(dev_map_memory(a), 0);
	paint(a->mem, MEMORY, 1);
	ASSERT_EQ(cdev_attach(a->fd, self->ioas), 0);
	for (i = 0; again(i, 2 * ARRAY_SIZE(ways), caught, 6); i++) {
		way = i % ARRAY_SIZE(ways);
		memset(self->ram + LIST, 0x11, RAM - LIST);
		start_long(a, self->ram, FROM_DEVICE | TERN_DMA_LIST | LONG);
		ASSERT_EQ(withdraw(self, way), 0)
			TH_LOG("%s", ways[way].name);
		memcpy(copy, self->ram, RAM);
		status = dma_wait(a);
		done = bar0_read64(a, TERN_DMA_DONE_LOW);
		EXPECT_EQ(status, done == MEMORY ? DONE : ERROR(ADDRESS));
		caught += done < MEMORY;
		EXPECT_EQ(memcmp(copy, self->ram, RAM), 0)
			TH_LOG("written after: %s", ways[way].name);
		if (done < SPAN) {
			EXPECT_EQ(memcmp(copy + LIST, a->mem, done), 0);
			EXPECT_TRUE(all_are(copy + LIST + done, RAM - LIST - done, 0x11));
		}
		EXPECT_EQ(signals(self->irq_a), 1);
		EXPECT_EQ(dma_do(a, FROM_DEVICE, ADDRESS, 0, 1), ERROR(ADDRESS));
		ASSERT_EQ(restore(self, way), 0);
		EXPECT_EQ(dma_do(a, FROM_DEVICE, ADDRESS, 0, PIECE), DONE);
	}
	TH_LOG("%u of %u were caught on their way", caught, i);
	EXPECT_GE(caught, 6);
	munmap(copy, RAM);
}

/*
 * V1-29 DMA-4: memory is withdrawn and restored during a transfer. Either the transfer fails,
 * or it completes with every byte.
 */
TEST_F(iommufd, V1_29_DMA_4_restored_memory_is_used_again)
{
	unsigned int way = 0, i, caught = 0, failed = 0;
	struct dev *a = &self->a;
	uint32_t status;
	uint64_t done;

	ASSERT_EQ(dev_map_memory(a), 0);
	paint(a->mem, MEMORY, 1);
	ASSERT_EQ(cdev_attach(a->fd, self->ioas), 0);
	for (i = 0; again(i, ARRAY_SIZE(ways), caught, 3); i++) {
		way = i % ARRAY_SIZE(ways);
		memset(self->ram + LIST, 0x11, RAM - LIST);
		start_long(a, self->ram, FROM_DEVICE | TERN_DMA_LIST | LONG);
		ASSERT_EQ(withdraw(self, way), 0);
		ASSERT_EQ(restore(self, way), 0);
		caught += bar0_read64(a, TERN_DMA_DONE_LOW) < MEMORY;
		status = dma_wait(a);
		done = bar0_read64(a, TERN_DMA_DONE_LOW);
		EXPECT_EQ(status, done == MEMORY ? DONE : ERROR(ADDRESS));
		failed += status != DONE;
		if (status == DONE)
			EXPECT_EQ(memcmp(self->ram + LIST, a->mem + MEMORY - SPAN, SPAN), 0)
				TH_LOG("%s", ways[way].name);
		EXPECT_EQ(signals(self->irq_a), 1);
		EXPECT_EQ(dma_do(a, FROM_DEVICE, ADDRESS, 0, PIECE), DONE);
	}
	TH_LOG("%u of %u were caught on their way, %u ended with an error", caught, i, failed);
	EXPECT_GE(caught, 3);
}

/*
 * V1-27 V1-29: attached to another IOAS during a transfer, the device writes to the memory of
 * that one only. While the kernel replaces the first by the second, the device is attached to
 * neither: a piece that begins then fails.
 */
TEST_F(iommufd, V1_27_V1_29_replaced_ioas_moves_the_transfer)
{
	unsigned int i, caught = 0, failed = 0;
	uint8_t *copy = anonymous(RAM);
	struct dev *a = &self->a;
	uint64_t before, after;
	uint32_t status;

	ASSERT_EQ(dev_map_memory(a), 0);
	paint(a->mem, MEMORY, 1);
	ASSERT_EQ(ioas_map(self->iommufd, self->empty, self->ram_b, ADDRESS, RAM), 0);
	for (i = 0; again(i, 4, caught, 3); i++) {
		ASSERT_EQ(cdev_attach(a->fd, self->ioas), 0);
		memset(self->ram_b + LIST, 0x11, RAM - LIST);
		start_long(a, self->ram, FROM_DEVICE | TERN_DMA_LIST | LONG);
		memcpy(self->ram_b, self->ram, LIST);
		before = bar0_read64(a, TERN_DMA_DONE_LOW);
		ASSERT_EQ(cdev_attach(a->fd, self->empty), 0);
		memcpy(copy, self->ram, RAM);
		after = bar0_read64(a, TERN_DMA_DONE_LOW);
		status = dma_wait(a);
		EXPECT_EQ(memcmp(copy, self->ram, RAM), 0);
		EXPECT_TRUE(status == DONE || status == ERROR(ADDRESS));
		failed += status != DONE;
		if (status == DONE && after < MEMORY - SPAN) {
			EXPECT_EQ(memcmp(self->ram_b + LIST, a->mem + MEMORY - SPAN, SPAN), 0);
			caught++;
		}
		/* The second memory lacks what was written before the change. */
		if (status != DONE && before < SPAN)
			EXPECT_TRUE(all_are(self->ram_b + LIST, before, 0x11));
		EXPECT_EQ(signals(self->irq_a), 1);
		EXPECT_EQ(dma_do(a, FROM_DEVICE, ADDRESS, 0, PIECE), DONE);
		EXPECT_EQ(memcmp(self->ram_b, a->mem, PIECE), 0);
		/* The first one has no user and can be destroyed. The second one is in use. */
		EXPECT_EQ(iommufd_destroy(self->iommufd, self->empty), -EBUSY);
		EXPECT_EQ(iommufd_destroy(self->iommufd, self->ioas), 0);
		ASSERT_EQ(ioas_alloc(self->iommufd, &self->ioas), 0);
		ASSERT_EQ(ioas_map(self->iommufd, self->ioas, self->ram, ADDRESS, RAM), 0);
	}
	TH_LOG("%u of %u continued in the second IOAS, %u ended with an error", caught, i, failed);
	EXPECT_GE(caught, 3);
	munmap(copy, RAM);
}

/* V1-27 V1-29: two devices transfer in one IOAS. Detaching one does not disturb the other. */
TEST_F(iommufd, V1_27_V1_29_two_devices_share_an_ioas)
{
	struct dev *a = &self->a, *b = &self->b;
	unsigned int i, caught = 0;
	uint32_t status;

	ASSERT_EQ(dev_map_memory(a), 0);
	ASSERT_EQ(dev_map_memory(b), 0);
	paint(a->mem, MEMORY, 1);
	ASSERT_EQ(cdev_attach(a->fd, self->ioas), 0);
	ASSERT_EQ(cdev_attach(b->fd, self->ioas), 0);
	for (i = 0; again(i, 4, caught, 2); i++) {
		paint(self->ram, RAM, i);
		memset(b->mem, 0, MEMORY);
		/* One list for both; the second device reads, and writes nothing. */
		start_long(a, self->ram, FROM_DEVICE | TERN_DMA_LIST | LONG);
		start_long(b, self->ram, TO_DEVICE | TERN_DMA_LIST | LONG);
		if (i % 2)
			ASSERT_EQ(cdev_detach(a->fd), 0);
		caught += bar0_read64(a, TERN_DMA_DONE_LOW) < MEMORY &&
			  bar0_read64(b, TERN_DMA_DONE_LOW) < MEMORY;
		status = dma_wait(a);
		EXPECT_TRUE(status == DONE || (i % 2 && status == ERROR(ADDRESS)));
		ASSERT_EQ(cdev_attach(a->fd, self->ioas), 0);
		EXPECT_EQ(dma_wait(b), DONE);
		EXPECT_EQ(bar0_read64(b, TERN_DMA_DONE_LOW), MEMORY);
		EXPECT_EQ(signals(self->irq_a), 1);
		EXPECT_EQ(signals(self->irq_b), 1);
		if (status == DONE)
			EXPECT_EQ(memcmp(self->ram + LIST, a->mem + MEMORY - SPAN, SPAN), 0);
		/* What one device has written the other one reads. */
		ASSERT_EQ(dma_do(b, TO_DEVICE, ADDRESS + LIST, 0, SPAN), DONE);
		EXPECT_EQ(memcmp(self->ram + LIST, b->mem, SPAN), 0);
	}
	TH_LOG("both were caught on their way in %u of %u", caught, i);
	EXPECT_GE(caught, 2);

	/* Unmapped for both at once. */
	start_long(a, self->ram, FROM_DEVICE | TERN_DMA_LIST | LONG);
	start_long(b, self->ram, TO_DEVICE | TERN_DMA_LIST | LONG);
	ASSERT_EQ(ioas_unmap(self->iommufd, self->ioas, ADDRESS, RAM), 0);
	memcpy(self->ram_b, self->ram, RAM);
	status = dma_wait(a);
	EXPECT_TRUE(status == DONE || status == ERROR(ADDRESS));
	status = dma_wait(b);
	EXPECT_TRUE(status == DONE || status == ERROR(ADDRESS));
	EXPECT_EQ(memcmp(self->ram_b, self->ram, RAM), 0);
	EXPECT_EQ(dma_do(a, FROM_DEVICE, ADDRESS, 0, 1), ERROR(ADDRESS));
	EXPECT_EQ(dma_do(b, FROM_DEVICE, ADDRESS, 0, 1), ERROR(ADDRESS));
}

/* A descriptor for another process. */
static int send_fd(int socket, int fd)
{
	char byte = 0, control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec data = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &data, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *head = CMSG_FIRSTHDR(&msg);

	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(head), &fd, sizeof(fd));
	return sendmsg(socket, &msg, 0) == 1 ? 0 : -errno;
}

static int receive_fd(int socket)
{
	char byte, control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec data = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &data, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	int fd = -1;

	if (recvmsg(socket, &msg, MSG_CMSG_CLOEXEC) == 1 && CMSG_FIRSTHDR(&msg))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	return fd;
}

/* Wait for the other process, and wake it. */
static bool wait_for(int socket)
{
	char byte;

	return read(socket, &byte, 1) == 1;
}

static bool go_on(int socket)
{
	return write(socket, "", 1) == 1;
}

/*
 * P-27: a process receives the descriptor of a bound device, and nothing else. Its transfers
 * use the memory of the process that bound the device, until that exits. It may have closed
 * its own descriptors.
 */
TEST_F(iommufd, P27_passed_device_uses_the_openers_memory)
{
	int sockets[2], status;
	uint8_t page[PAGE];
	struct dev d;
	pid_t child;

	dev_close(&self->a);
	memset(self->ram, 0x11, RAM);
	ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
	child = fork();
	if (!child) {
		close(sockets[0]);
		close(self->iommufd);
		/* Copied at this write: its own memory, at the same address. */
		memset(self->ram, 0x77, RAM);
		if (make_spaces(self) || power_on(&d, UUID_A, self->iommufd, self->irq_a) ||
		    cdev_attach(d.fd, self->ioas) || send_fd(sockets[1], d.fd))
			_exit(1);
		dev_close(&d);
		close(self->iommufd);
		_exit(!go_on(sockets[1]) || !wait_for(sockets[1]) ||
		      !all_are(self->ram, 3 * PAGE, 0x5a));
	}
	close(sockets[1]);
	ASSERT_EQ(dev_from_cdev(&d, UUID_A, receive_fd(sockets[0])), 0);
	ASSERT_TRUE(wait_for(sockets[0]));
	EXPECT_EQ(dma_do(&d, TO_DEVICE | LONG, ADDRESS, 0, PAGE), DONE);
	EXPECT_EQ(signals(self->irq_a), 1);
	EXPECT_EQ(dev_read(&d, d.bar2.offset, page, PAGE), PAGE);
	EXPECT_TRUE(all_are(page, PAGE, 0x77));
	bar0_write(&d, TERN_DMA_PATTERN, 0x5a5a5a5a);
	EXPECT_EQ(dma_do(&d, TERN_DMA_OP_FILL, 0, 0, 3 * PAGE), DONE);
	EXPECT_EQ(dma_do(&d, FROM_DEVICE, ADDRESS, 0, 3 * PAGE), DONE);
	EXPECT_TRUE(all_are(self->ram, RAM, 0x11));
	ASSERT_TRUE(go_on(sockets[0]));
	ASSERT_EQ(waitpid(child, &status, 0), child);
	EXPECT_EQ(status, 0);

	/* Without the opener there is no memory, and no other process becomes the opener. */
	EXPECT_EQ(dma_do(&d, TO_DEVICE, ADDRESS, 0, PAGE), ERROR(ADDRESS));
	EXPECT_EQ(dma_do(&d, TERN_DMA_OP_FILL, 0, 0, PAGE), ERROR(ADDRESS));
	EXPECT_EQ(cdev_bind(d.fd, self->iommufd), -EINVAL);
	dev_close(&d);
	close(sockets[0]);
	ASSERT_EQ(power_on(&self->a, UUID_A, self->iommufd, self->irq_a), 0);
	ASSERT_EQ(cdev_attach(self->a.fd, self->ioas), 0);
	EXPECT_EQ(dma_do(&self->a, TO_DEVICE, ADDRESS, 0, PAGE), DONE);
}

/*
 * P-27: a manager opens the device and iommufd for its VMM, and keeps them open. The opener is
 * the VMM, which binds the device. Transfers use its memory, and fail once it has exited.
 */
TEST_F(iommufd, P27_opener_is_the_process_that_binds)
{
	int fd, status, sockets[2];
	pid_t child;

	dev_close(&self->a);
	fd = cdev_open(UUID_A);
	ASSERT_GE(fd, 0);
	memset(self->ram, 0x11, RAM);
	ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
	child = fork();
	if (!child) {
		struct dev d;

		close(fd);
		close(self->iommufd);
		memset(self->ram, 0x77, RAM);
		fd = receive_fd(sockets[1]);
		self->iommufd = receive_fd(sockets[1]);
		if (ioas_alloc(self->iommufd, &self->ioas) ||
		    ioas_map(self->iommufd, self->ioas, self->ram, ADDRESS, RAM) ||
		    cdev_bind(fd, self->iommufd) || cdev_attach(fd, self->ioas) ||
		    dev_from_cdev(&d, UUID_A, fd) || set_command(&d, MASTER))
			_exit(1);
		if (dma_do(&d, TO_DEVICE, ADDRESS, 0, PIECE) != DONE ||
		    dma_do(&d, FROM_DEVICE, ADDRESS + RAM / 2, 0, PIECE) != DONE)
			_exit(2);
		_exit(!all_are(self->ram, RAM, 0x77));
	}
	ASSERT_EQ(send_fd(sockets[0], fd), 0);
	ASSERT_EQ(send_fd(sockets[0], self->iommufd), 0);
	ASSERT_EQ(waitpid(child, &status, 0), child);
	EXPECT_EQ(status, 0);
	EXPECT_TRUE(all_are(self->ram, RAM, 0x11));
	ASSERT_EQ(dev_from_cdev(&self->a, UUID_A, fd), 0);
	EXPECT_EQ(cdev_bind(fd, self->iommufd), -EINVAL);
	EXPECT_EQ(dma_do(&self->a, TO_DEVICE, ADDRESS, 0, PAGE), ERROR(ADDRESS));
	/* Nor is there any if the manager attaches the IOAS with its own memory. */
	EXPECT_EQ(cdev_attach(fd, self->ioas), 0);
	EXPECT_EQ(dma_do(&self->a, TO_DEVICE, ADDRESS, 0, PAGE), ERROR(ADDRESS));
	close(sockets[0]);
	close(sockets[1]);
}

/*
 * V1-27 P-27: memory that another process has mapped is accessed in that process's address
 * space. When it has exited, transfers there fail.
 */
TEST_F(iommufd, V1_27_P27_memory_of_another_process)
{
	const size_t sizes[] = { 1, PAGE, 3 * PAGE + 5, PIECE + 1 };
	struct dev *a = &self->a;
	int sockets[2], status;
	unsigned int i;
	pid_t child;

	ASSERT_EQ(dev_map_memory(a), 0);
	memset(self->ram, 0x11, RAM);
	ASSERT_EQ(cdev_attach(a->fd, self->ioas), 0);
	ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
	child = fork();
	if (!child) {
		close(sockets[0]);
		paint(self->ram, RAM, 7);
		if (ioas_map(self->iommufd, self->ioas, self->ram, OTHER, RAM) ||
		    !go_on(sockets[1]) || !wait_for(sockets[1]))
			_exit(1);
		_exit(memcmp(self->ram + RAM / 2, self->ram + 1, PIECE + 1) ||
		      !all_are(self->ram_b, RAM, 0));
	}
	close(sockets[1]);
	ASSERT_TRUE(wait_for(sockets[0]));
	paint(self->ram_b, RAM, 7);
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		memset(a->mem, 0, MIB);
		EXPECT_EQ(dma_do(a, TO_DEVICE, OTHER + 1, 3, sizes[i]), DONE);
		EXPECT_EQ(memcmp((uint8_t *)a->mem + 3, self->ram_b + 1, sizes[i]), 0);
		EXPECT_EQ(dma_do(a, FROM_DEVICE, OTHER + RAM / 2, 3, sizes[i]), DONE);
	}
	/* The opener's own memory is unchanged. */
	EXPECT_TRUE(all_are(self->ram, RAM, 0x11));
	EXPECT_EQ(dma_do(a, TO_DEVICE, ADDRESS, 0, PAGE), DONE);
	EXPECT_TRUE(all_are(a->mem, PAGE, 0x11));
	ASSERT_TRUE(go_on(sockets[0]));
	ASSERT_EQ(waitpid(child, &status, 0), child);
	EXPECT_EQ(status, 0);
	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		EXPECT_EQ(dma_do(a, TO_DEVICE, OTHER, 0, sizes[i]), ERROR(ADDRESS));
		EXPECT_EQ(dma_do(a, FROM_DEVICE, OTHER, 0, sizes[i]), ERROR(ADDRESS));
	}
	EXPECT_EQ(dma_do(a, TO_DEVICE, ADDRESS, 0, PAGE), DONE);
	close(sockets[0]);
}

/* A transfer whose first piece is blocked in a fault of memory at CAUGHT. 0 or -errno. */
static int start_caught(FIXTURE_DATA(iommufd) *self, struct caught *c, uint32_t command)
{
	int ret = catch_faults(c, MIB);

	ret = ret ?: ioas_map(self->iommufd, self->ioas, c->p, CAUGHT, MIB);
	if (!ret)
		dma_start(&self->a, command, CAUGHT, 0, MIB);
	return ret ?: wait_for_fault(c);
}

/* The states in which a device is closed. */
enum {
	BOUND,
	ATTACHED,
	DETACHED,
	RUNS,
	RUNS_DETACHED,
	RUNS_UNMAPPED,
	RUNS_ELSEWHERE,
	BLOCKED,
	STOPPED,
	SAVES,
	CLOSINGS
};

static int come_to(FIXTURE_DATA(iommufd) *self, unsigned int closing, struct caught *c)
{
	struct dev *a = &self->a;
	int ret;

	if (closing == BOUND)
		return 0;
	ret = cdev_attach(a->fd, self->ioas);
	if (!ret && closing >= RUNS && closing != BLOCKED)
		start_long(a, self->ram, FROM_DEVICE | TERN_DMA_LIST | LONG);
	switch (ret ? CLOSINGS : closing) {
	case DETACHED:
	case RUNS_DETACHED:
		return cdev_detach(a->fd);
	case RUNS_UNMAPPED:
		return ioas_unmap(self->iommufd, self->ioas, ADDRESS, RAM);
	case RUNS_ELSEWHERE:
		return cdev_attach(a->fd, self->empty);
	case BLOCKED:
		return start_caught(self, c, FROM_DEVICE | LONG);
	case STOPPED:
		return go(a, S_STOP);
	case SAVES:
		return has_log(a) ? log_ram(a) ?: go_open(a, S_PRE_COPY, &a->data_fd) : 0;
	default:
		return ret;
	}
}

/*
 * P-14 P-15 P-26 P-27: a device is closed in each state, before its iommufd and after it. It
 * writes nothing thereafter. The next owner, which opens it by its group, finds it reset.
 */
TEST_F(iommufd, P14_P15_P26_P27_close_in_each_state)
{
	uint8_t *copy = anonymous(RAM), *mem;
	struct dev *a = &self->a;
	struct caught c;
	unsigned int i;

	for (i = 0; i < 2 * CLOSINGS; i++) {
		memset(&c, 0, sizeof(c));
		memset(self->ram, 0x11, RAM);
		ASSERT_EQ(come_to(self, i / 2, &c), 0)
			TH_LOG("state %u", i / 2);
		if (i % 2) {
			/* b, too, or it would keep the iommufd alive. */
			dev_close(&self->b);
			close(self->iommufd);
		}
		dev_close(a);
		memcpy(copy, self->ram, RAM);
		if (c.p)
			end_caught(&c);
		ASSERT_EQ(dev_open(a, UUID_A), 0)
			TH_LOG("state %u", i / 2);
		EXPECT_EQ(bar0_read(a, TERN_DMA_STATUS), TERN_DMA_IDLE);
		EXPECT_EQ(where(a), S_RUNNING);
		ASSERT_EQ(dev_map_memory(a), 0);
		mem = a->mem;
		EXPECT_TRUE(all_are(mem, PIECE, 0));
		dev_close(a);
		EXPECT_EQ(memcmp(copy, self->ram, RAM), 0)
			TH_LOG("state %u", i / 2);
		signals(self->irq_a);

		if (i % 2) {
			ASSERT_EQ(power_on(&self->b, UUID_B, self->iommufd, self->irq_b), -EBADF);
			ASSERT_EQ(make_spaces(self), 0);
			ASSERT_EQ(power_on(&self->b, UUID_B, self->iommufd, self->irq_b), 0);
		} else if (i / 2 == BLOCKED) {
			ASSERT_EQ(ioas_unmap(self->iommufd, self->ioas, CAUGHT, MIB), 0);
		} else if (i / 2 == RUNS_UNMAPPED) {
			ASSERT_EQ(ioas_map(self->iommufd, self->ioas, self->ram, ADDRESS, RAM), 0);
		}
		ASSERT_EQ(power_on(a, UUID_A, self->iommufd, self->irq_a), 0);
	}
	/* No attachment of an earlier owner is left, and the device works. */
	EXPECT_EQ(dma_do(a, FROM_DEVICE, ADDRESS, 0, PAGE), ERROR(ADDRESS));
	ASSERT_EQ(cdev_attach(a->fd, self->ioas), 0);
	EXPECT_EQ(dma_do(a, FROM_DEVICE, ADDRESS, 0, PAGE), DONE);
	munmap(copy, RAM);
}

static volatile pid_t detacher;
static volatile bool detached;

static void *detach_there(void *arg)
{
	struct dev *d = arg;
	int ret;

	detacher = syscall(SYS_gettid);
	ret = cdev_detach(d->fd);
	detached = true;
	return (void *)(intptr_t)ret;
}

/* A thread that detaches, and waits for the piece in progress. 0 or an errno. */
static int start_detaching(struct dev *d, pthread_t *thread)
{
	int ret;

	ret = pthread_create(thread, NULL, detach_there, d);
	while (!ret && (!detacher || !in_the_kernel(detacher)))
		if (detached)
			ret = EALREADY;
		else
			sched_yield();
	return ret;
}

/* V1-29 P-26: a detach returns only after the piece that writes to the memory. */
TEST_F(iommufd, V1_29_P26_detach_waits_for_the_piece)
{
	uint8_t *copy = anonymous(MIB);
	struct dev *a = &self->a;
	struct caught c;
	pthread_t thread;
	uint32_t status;
	uint64_t done;
	void *ret;

	bar0_write(a, TERN_DMA_PATTERN, 0x5a5a5a5a);
	ASSERT_EQ(dma_do(a, TERN_DMA_OP_FILL, 0, 0, MIB), DONE);
	ASSERT_EQ(cdev_attach(a->fd, self->ioas), 0);
	ASSERT_EQ(start_caught(self, &c, FROM_DEVICE | LONG), 0);
	EXPECT_EQ(start_detaching(a, &thread), 0);
	/* Calls that need no guest memory do not wait. */
	EXPECT_EQ(bar0_read64(a, TERN_DMA_DONE_LOW), 0);
	EXPECT_EQ(where(a), S_RUNNING);
	ASSERT_EQ(let_go(&c), 0);
	ASSERT_EQ(pthread_join(thread, &ret), 0);
	memcpy(copy, c.p, MIB);
	EXPECT_EQ((intptr_t)ret, 0);
	/* The next pieces may have got iommufd's lock before the detach did. */
	status = dma_wait(a);
	done = bar0_read64(a, TERN_DMA_DONE_LOW);
	EXPECT_EQ(status, done == MIB ? DONE : ERROR(ADDRESS));
	EXPECT_GE(done, PIECE);
	EXPECT_EQ(memcmp(copy, c.p, MIB), 0);
	EXPECT_TRUE(all_are(copy, done, 0x5a));
	EXPECT_EQ(signals(self->irq_a), 1);
	end_caught(&c);
	munmap(copy, MIB);
}

/* P-27: a killed VMM exits, although one of its threads waits in a detach for a piece. */
TEST_F(iommufd, P27_killed_opener_ends_a_detach)
{
	int sockets[2], status;
	pid_t child;

	dev_close(&self->a);
	ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
	child = fork();
	if (!child) {
		struct caught c;
		pthread_t thread;

		if (make_spaces(self) || power_on(&self->a, UUID_A, self->iommufd, self->irq_a) ||
		    cdev_attach(self->a.fd, self->ioas))
			_exit(1);
		if (start_caught(self, &c, TO_DEVICE | LONG))
			_exit(2);
		if (start_detaching(&self->a, &thread) || !go_on(sockets[1]))
			_exit(3);
		pthread_join(thread, NULL);
		_exit(4);
	}
	close(sockets[1]);
	ASSERT_TRUE(wait_for(sockets[0]));
	kill(child, SIGKILL);
	ASSERT_EQ(waitpid(child, &status, 0), child);
	EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	close(sockets[0]);
	ASSERT_EQ(power_on(&self->a, UUID_A, self->iommufd, self->irq_a), 0);
}

/* Copy what the log has. How many pages that were, or -errno. */
static int copy_dirty(struct dev *d, uint8_t *to, const uint8_t *from)
{
	uint64_t bitmap[RAM_PAGES / 64];
	unsigned long page;
	int n = 0, ret = get_log(d, bitmap);

	for (page = 0; !ret && page < RAM_PAGES; page++)
		if (is_dirty(bitmap, page)) {
			memcpy(to + page * PAGE, from + page * PAGE, PAGE);
			n++;
		}
	return ret ?: n;
}

/*
 * V2-13 V2-14 DMA-9 V1-28: a device on iommufd migrates by its own log. Guest memory is copied
 * while a transfer writes to it. The destination is attached to its IOAS while it resumes, and
 * finishes the transfer there. The log does not depend on the IOAS.
 */
TEST_F(iommufd, V2_13_V2_14_DMA_9_V1_28_device_migrates)
{
	struct dev *a = &self->a, *b = &self->b;
	unsigned int i, caught = 0;
	uint64_t done;

	if (!has_log(a))
		SKIP(return, "this kernel has no use for a device's log");
	a->by = &v2_file;
	b->by = &v2_file;
	ASSERT_EQ(dev_map_memory(a), 0);
	ASSERT_EQ(ioas_map(self->iommufd, self->empty, self->ram_b, ADDRESS, RAM), 0);
	for (i = 0; again(i, 2, caught, 2); i++) {
		self->s.len = 0;
		paint(a->mem, MEMORY, i);
		paint(self->ram, RAM, i + 99);
		ASSERT_EQ(log_ram(a), 0);
		ASSERT_EQ(cdev_attach(a->fd, self->ioas), 0);
		ASSERT_EQ(a->by->begin(a), 0);
		start_long(a, self->ram, FROM_DEVICE | TERN_DMA_LIST | LONG);
		memcpy(self->ram_b, self->ram, RAM);
		/* The log still has what was written before a detach. */
		if (!i) {
			ASSERT_EQ(dma_wait(a), DONE);
			EXPECT_EQ(signals(self->irq_a), 1);
			ASSERT_EQ(cdev_detach(a->fd), 0);
			EXPECT_GE(copy_dirty(a, self->ram_b, self->ram), SPAN / PAGE);
			EXPECT_EQ(memcmp(self->ram, self->ram_b, RAM), 0);
			ASSERT_EQ(cdev_attach(a->fd, self->ioas), 0);
			start_long(a, self->ram, FROM_DEVICE | TERN_DMA_LIST | LONG);
		}
		ASSERT_EQ(a->by->drain(a, &self->s, MIB), 0);
		ASSERT_GE(copy_dirty(a, self->ram_b, self->ram), 0);
		ASSERT_EQ(save_by(a, &self->s, MIB), 0);
		ASSERT_GE(copy_dirty(a, self->ram_b, self->ram), 0);
		EXPECT_EQ(memcmp(self->ram, self->ram_b, RAM), 0);
		done = bar0_read64(a, TERN_DMA_DONE_LOW);
		caught += done < MEMORY;

		ASSERT_EQ(b->by->resume(b), 0);
		ASSERT_EQ(b->by->feed(b, &self->s, MIB), 0);
		ASSERT_EQ(cdev_attach(b->fd, self->empty), 0);
		ASSERT_EQ(b->by->commit(b), 0);
		EXPECT_EQ(dma_wait(b), DONE);
		EXPECT_EQ(memcmp(self->ram_b + LIST, a->mem + MEMORY - SPAN, SPAN), 0);
		EXPECT_EQ(signals(self->irq_a), done == MEMORY);
		EXPECT_EQ(signals(self->irq_b), done < MEMORY);
		ASSERT_EQ(log_stop(a), 0);
		ASSERT_EQ(reset_by(a, false) ?: set_command(a, MASTER), 0);
		/* A reset leaves the device where it is attached. */
		EXPECT_EQ(dma_do(a, FROM_DEVICE, ADDRESS, 0, PAGE), DONE);
		ASSERT_EQ(reset_by(b, false) ?: cdev_detach(b->fd), 0);
	}
	TH_LOG("%u of %u were caught on their way", caught, i);
	EXPECT_GE(caught, 2);
}

TEST_HARNESS_MAIN
