// SPDX-License-Identifier: GPL-2.0-only
/*
 * A caller that is killed while it waits for the device returns, and has done nothing.
 *
 * What makes it wait: a piece of DMA whose guest memory is never served. A stop waits for
 * that piece and holds the device's mutex meanwhile; every other caller waits for the
 * mutex. When the memory is served, the stop completes.
 */
#include "fixture.h"
#include "kselftest_harness.h"

#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <linux/userfaultfd.h>

#define ADDRESS		0x40000000ULL
#define RAM		(64UL << 10)

FIXTURE(killed) {
	struct dev a;
	void *ram;
	int uffd;		/* serves the RAM */
};

/* Faults of this memory wait until it is served: by serve(). */
static int never_served(void *p, size_t n)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = {
		.range = { .start = (uintptr_t)p, .len = n },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	int fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK); /* or poll() says POLLERR */

	if (fd < 0 || ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &reg))
		return -1;
	return fd;
}

static int serve(int fd, void *p, size_t n)
{
	struct uffdio_range all = { .start = (uintptr_t)p, .len = n };

	return ioctl(fd, UFFDIO_UNREGISTER, &all) ? -errno : 0;
}

static void *anonymous(size_t n)
{
	return mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

FIXTURE_SETUP(killed)
{
	const struct setting given = { .by = &v2_file, .memory_mib = 1, .map_memory = true };

	NEEDS_TERN();
	ASSERT_EQ(device_on(&self->a, UUID_A, given), 0);
	ASSERT_EQ(set_command(&self->a, MASTER), 0);
	self->ram = anonymous(RAM);
	self->uffd = never_served(self->ram, RAM);
	ASSERT_GE(self->uffd, 0) TH_LOG("no userfaultfd: %s", strerror(errno));
	ASSERT_EQ(map_guest(&self->a, self->ram, ADDRESS, RAM), 0);
}

FIXTURE_TEARDOWN(killed)
{
	EXPECT_EQ(device_off(&self->a), 0);
	close(self->uffd);
	munmap(self->ram, RAM);
}

/* Wait until a process waits for what only a kill can end. False if it has exited. */
static bool waits(pid_t pid)
{
	int status;

	while (!is_in_state(pid, ") D ")) {
		if (waitpid(pid, &status, WNOHANG))
			return false;
		sched_yield();
	}
	return true;
}

static bool is_killed(pid_t pid)
{
	int status;

	kill(pid, SIGKILL);
	return waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) &&
	       WTERMSIG(status) == SIGKILL;
}

static int exit_code(pid_t pid)
{
	int status;

	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* A piece is in progress, and waits for guest memory. */
static bool start_piece(FIXTURE_DATA(killed) *self)
{
	struct pollfd wait = { .fd = self->uffd, .events = POLLIN };

	dma_start(&self->a, TERN_DMA_OP_TO_DEVICE, ADDRESS, 0, PAGE);
	return poll(&wait, 1, 10000) == 1;
}

/* A process that stops the device, and holds its mutex until the piece ends. */
static pid_t hold_mutex(FIXTURE_DATA(killed) *self)
{
	const bool session = self->a.data_fd >= 0;
	pid_t holder;

	if (!start_piece(self))
		return -1;
	holder = fork();
	if (!holder)
		_exit(session ? go(&self->a, S_STOP_COPY) : set_state(&self->a, STOP));
	return waits(holder) ? holder : -1;
}

#define CALL(name)	static int name(FIXTURE_DATA(killed) *self)

CALL(read_state)
{
	return get_state(&self->a);
}
CALL(write_state)
{
	return set_state(&self->a, RUNNING);
}
CALL(get_v2_state)
{
	return where(&self->a);
}
CALL(set_v2_state)
{
	return go(&self->a, S_RUNNING);
}
CALL(get_size)
{
	return stop_copy_length(&self->a);
}
CALL(reset)
{
	return ioctl(self->a.fd, VFIO_DEVICE_RESET);
}
CALL(guest_resets)
{
	return function_level_reset(&self->a);
}
CALL(attribute_of_state)
{
	return attr_is(UUID_A, "state", "stopped");
}
CALL(attribute_precopy)
{
	return attr_set(UUID_A, "precopy", "0");
}
CALL(attribute_window)
{
	return attr_set(UUID_A, "window_kib", "128");
}
CALL(attribute_memory)
{
	return attr_set(UUID_A, "memory_mib", "2");
}

#define WORKLOAD	MDEV_DEVICES "/" UUID_A "/workload/"

CALL(attribute_pattern)
{
	return write_file(WORKLOAD "pattern", "hot");
}
CALL(attribute_verify)
{
	char text[128];

	return read_file(WORKLOAD "verify", text, sizeof(text));
}

CALL(read_file_of_session)
{
	char byte;

	return read(self->a.data_fd, &byte, 1);
}

CALL(ask_precopy)
{
	uint64_t initial, dirty;

	return precopy_info(self->a.data_fd, &initial, &dirty);
}

CALL(poll_file)
{
	return poll_now(self->a.data_fd);
}

static const struct {
	const char *name;
	int (*call)(FIXTURE_DATA(killed) *self);
	bool session;
} calls[] = {
	{ "read of device_state", read_state }, { "write of device_state", write_state },
	{ "get the state", get_v2_state }, { "set the state", set_v2_state },
	{ "data size", get_size },
	{ "reset", reset }, { "function-level reset", guest_resets },
	{ "attribute state", attribute_of_state }, { "attribute precopy", attribute_precopy },
	{ "attribute window_kib", attribute_window },
	{ "attribute memory_mib", attribute_memory },
	{ "attribute pattern", attribute_pattern }, { "attribute verify", attribute_verify },
	{ "read of the data file", read_file_of_session, true },
	{ "precopy info", ask_precopy, true }, { "poll", poll_file, true },
	{ "set the state in a session", set_v2_state, true },
	{ "reset in a session", reset, true },
};

/* P-27: whatever it waits in, a caller that is killed returns, and has done nothing. */
TEST_F_TIMEOUT(killed, P27_waits_for_the_mutex, 60)
{
	struct stream s = { 0 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(calls); i++) {
		pid_t holder, victim;

		ASSERT_EQ(ioctl(self->a.fd, VFIO_DEVICE_RESET), 0);
		ASSERT_EQ(set_command(&self->a, MASTER), 0);
		if (calls[i].session)
			ASSERT_EQ(self->a.by->begin(&self->a), 0);
		holder = hold_mutex(self);
		ASSERT_GT(holder, 0) TH_LOG("%s", calls[i].name);
		victim = fork();
		if (!victim)
			_exit(calls[i].call(self));
		ASSERT_TRUE(waits(victim)) TH_LOG("%s does not wait", calls[i].name);
		EXPECT_TRUE(is_killed(victim)) TH_LOG("%s", calls[i].name);

		/* The stop is as if there had been no such caller. */
		ASSERT_EQ(serve(self->uffd, self->ram, RAM), 0);
		EXPECT_EQ(exit_code(holder), 0) TH_LOG("%s", calls[i].name);
		EXPECT_EQ(bar0_read(&self->a, TERN_DMA_STATUS), TERN_DMA_DONE);
		EXPECT_EQ(where(&self->a), calls[i].session ? S_STOP_COPY : S_STOP)
			TH_LOG("%s", calls[i].name);
		if (calls[i].session) {
			s.len = 0;
			EXPECT_EQ(save_by(&self->a, &s, MIB), 0);
			EXPECT_EQ(records_of(&s, 0, TERN_RECORD_END), 1);
		}
		/* The page is there now: it must fault again. */
		madvise(self->ram, RAM, MADV_DONTNEED);
		close(self->uffd);
		self->uffd = never_served(self->ram, RAM);
		ASSERT_GE(self->uffd, 0);
	}
	free(s.buf);
}

struct reader {
	int file;
	void *buf;
};

static int read_once(void *arg)
{
	struct reader *r = arg;

	return read(r->file, r->buf, MIB) >= 0;
}

/*
 * P-19 P-27: a reader that is killed between the copy to its buffer and the end of read():
 * the bytes are offered again.
 */
TEST_F(killed, P19_P27_reader_after_its_copy)
{
	struct stream s = { 0 };
	uint8_t *buf = anonymous(MIB), *stack = anonymous(RAM);
	int fd = never_served(buf, MIB);
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	struct reader r = { .buf = buf };
	pid_t holder, reader, second;
	char byte;

	ASSERT_GE(fd, 0);
	/* The last byte of the chunk. */
	((char *)self->a.mem)[2 * PAGE - 1] = 1;
	ASSERT_EQ(self->a.by->begin(&self->a), 0);
	/* A process that can be killed by itself, in the address space whose faults wait. */
	r.file = self->a.data_fd;
	reader = clone(read_once, stack + RAM, CLONE_VM | SIGCHLD, &r);
	ASSERT_GT(reader, 0);
	ASSERT_EQ(poll(&wait, 1, 10000), 1);
	/* A second reader waits for the first one, and can be killed. */
	second = fork();
	if (!second)
		_exit(read(self->a.data_fd, &byte, 1));
	while (!is_in_state(second, ") S "))
		sched_yield();
	EXPECT_TRUE(is_killed(second));
	holder = hold_mutex(self);
	ASSERT_GT(holder, 0);
	ASSERT_EQ(serve(fd, buf, MIB), 0);
	/* Once all is copied, there is nothing to wait for but the mutex. */
	while (!*(volatile char *)(buf + BEGIN_RECORD + MEMORY_RECORD - 1))
		sched_yield();
	ASSERT_TRUE(waits(reader));
	EXPECT_TRUE(is_killed(reader));
	ASSERT_EQ(serve(self->uffd, self->ram, RAM), 0);
	EXPECT_EQ(exit_code(holder), 0);
	EXPECT_EQ(save_by(&self->a, &s, MIB), 0);
	EXPECT_EQ(records_of(&s, 0, TERN_RECORD_END), 1);
	EXPECT_EQ(records_of(&s, 0, TERN_RECORD_SESSION_BEGIN), 1);
	free(s.buf);
	close(fd);
	munmap(buf, MIB);
	munmap(stack, RAM);
}

/*
 * P-27: only a death ends a piece. It waits here for longer than two looks of the worker at
 * its opener, which are half a second apart and which nothing shows.
 */
TEST_F(killed, P27_piece_may_take_its_time)
{
	ASSERT_TRUE(start_piece(self));
	poll(NULL, 0, 1200);
	ASSERT_EQ(bar0_read(&self->a, TERN_DMA_STATUS), TERN_DMA_BUSY);
	ASSERT_EQ(serve(self->uffd, self->ram, RAM), 0);
	EXPECT_EQ(dma_wait(&self->a), TERN_DMA_DONE);
}

/*
 * P-27 P-32: the write that clears bus mastering or enters D3hot waits for the piece. If its
 * caller is killed, so is the piece.
 */
TEST_F(killed, P27_P32_waits_for_the_piece)
{
	const uint32_t failed = TERN_DMA_FAILED | TERN_DMA_ERROR_ADDRESS << 8;
	unsigned int i;

	for (i = 0; i < 2; i++) {
		pid_t victim;

		ASSERT_EQ(ioctl(self->a.fd, VFIO_DEVICE_RESET), 0);
		ASSERT_EQ(set_command(&self->a, MASTER), 0);
		ASSERT_TRUE(start_piece(self));
		victim = fork();
		if (!victim)
			_exit(i ? set_power(&self->a, D3HOT) : set_command(&self->a, 0));
		ASSERT_TRUE(waits(victim));
		EXPECT_TRUE(is_killed(victim));
		set_power(&self->a, D0);
		EXPECT_EQ(bar0_read(&self->a, TERN_DMA_STATUS), failed);
	}
}

TEST_HARNESS_MAIN
