// SPDX-License-Identifier: GPL-2.0-only
/*
 * The process that opened a device: its threads, its children, execve(), its control
 * groups, and memory that a FUSE daemon of its own serves, or does not.
 */
#include "fixture.h"
#include "kselftest_harness.h"

#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <linux/fuse.h>

#define RAM		MIB
#define ADDRESS		0x40000000ULL	/* where the device finds the RAM */
#define NO_MEMORY	(TERN_DMA_FAILED | TERN_DMA_ERROR_ADDRESS << 8)

/* What the program is when it was started again, with a device's descriptor. */
#define EXECED		"TERN_OPENER_TEST_FD"

/* A transfer from guest memory to page 1. Its status. */
static uint32_t transfer(struct dev *d)
{
	return dma_do(d, TERN_DMA_OP_TO_DEVICE, ADDRESS, PAGE, PAGE);
}

__attribute__((constructor)) static void after_execve(void)
{
	const char *fd = getenv(EXECED);
	struct dev d = { .fd = fd ? atoi(fd) : -1 };

	if (fd)
		_exit(transfer(&d) != NO_MEMORY ||
		      dma_do(&d, TERN_DMA_OP_FILL, 0, 0, PAGE) != NO_MEMORY);
}

static void *shared_ram(void)
{
	return mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

FIXTURE(opener) {
	uint8_t *ram;
	int pipe[2];
};

FIXTURE_SETUP(opener)
{
	NEEDS_TERN();
	ASSERT_EQ(mdev_create(UUID_A), 0);
	self->ram = shared_ram();
	ASSERT_NE(self->ram, MAP_FAILED);
	ASSERT_EQ(pipe(self->pipe), 0);
}

FIXTURE_TEARDOWN(opener)
{
	close(self->pipe[0]);
	close(self->pipe[1]);
	munmap(self->ram, RAM);
	/* Waits until the last process that has it has ended. */
	EXPECT_EQ(mdev_remove(UUID_A), 0);
}

static int power_on(struct dev *d, void *ram)
{
	int ret = dev_open(d, UUID_A);

	ret = ret ?: map_guest(d, ram, ADDRESS, RAM);
	return ret ?: set_command(d, MASTER);
}

static struct dev outlived;

static void *after_the_main_thread(void *ram)
{
	memset(ram, 0x77, PAGE);
	while (!is_in_state(getpid(), ") Z "))
		sched_yield();
	_exit(transfer(&outlived) != TERN_DMA_DONE);
}

/* The thread that opened the device, the main thread, ends; the process lives. */
TEST_F(opener, P27_dma_outlives_the_main_thread)
{
	int status;
	pid_t child = fork();

	if (!child) {
		pthread_t thread;

		if (power_on(&outlived, self->ram) ||
		    pthread_create(&thread, NULL, after_the_main_thread, self->ram))
			_exit(2);
		pthread_exit(NULL);
	}
	ASSERT_EQ(waitpid(child, &status, 0), child);
	EXPECT_EQ(status, 0);
}

/*
 * A forked child uses the device: with the memory of the opener while that lives, and
 * with none thereafter.
 */
TEST_F(opener, P27_forked_child_uses_the_openers_memory)
{
	int go[2], results[2];
	uint32_t status;
	pid_t child;

	ASSERT_EQ(pipe(go), 0);
	ASSERT_EQ(pipe(results), 0);
	child = fork();
	if (!child) {
		struct dev d;

		if (power_on(&d, self->ram))
			_exit(1);
		if (!fork()) {
			char c;

			/* Not the opener's: to the device the address is the same. */
			munmap(self->ram, RAM);
			close(go[1]);
			while (read(go[0], &c, 1) == 1) {
				status = transfer(&d);
				if (write(results[1], &status, sizeof(status)) < 0)
					break;
			}
			_exit(0);
		}
		/* The opener lives until the pipe has a byte. */
		while (read(self->pipe[0], &status, 1) < 0)
			;
		_exit(0);
	}
	close(go[0]);
	ASSERT_EQ(write(go[1], "", 1), 1);
	ASSERT_EQ(read(results[0], &status, sizeof(status)), sizeof(status));
	EXPECT_EQ(status, TERN_DMA_DONE);
	ASSERT_EQ(write(self->pipe[1], "", 1), 1);
	ASSERT_EQ(waitpid(child, NULL, 0), child);
	ASSERT_EQ(write(go[1], "", 1), 1);
	ASSERT_EQ(read(results[0], &status, sizeof(status)), sizeof(status));
	EXPECT_EQ(status, NO_MEMORY);
	close(go[1]);
	close(results[0]);
	close(results[1]);
}

/* execve() gives up the memory that the device works in, its own transfers included. */
TEST_F(opener, P27_execve_ends_dma)
{
	int status;
	pid_t child = fork();

	if (!child) {
		char fd[16];
		struct dev d;

		if (power_on(&d, self->ram) || transfer(&d) != TERN_DMA_DONE)
			_exit(2);
		fcntl(d.fd, F_SETFD, 0);
		fcntl(d.group, F_SETFD, 0);
		fcntl(d.container, F_SETFD, 0);
		snprintf(fd, sizeof(fd), "%d", d.fd);
		setenv(EXECED, fd, 1);
		execl("/proc/self/exe", "opener_test", NULL);
		_exit(3);
	}
	ASSERT_EQ(waitpid(child, &status, 0), child);
	EXPECT_EQ(status, 0);
}

/* How many processes of a control group have that name. */
static int count_in_group(const char *group, const char *name)
{
	char path[64], pids[4096], text[64], *pid, *rest;
	int found = 0;

	snprintf(path, sizeof(path), "%s/cgroup.procs", group);
	if (read_file(path, pids, sizeof(pids)) < 0)
		return -1;
	for (pid = strtok_r(pids, "\n", &rest); pid; pid = strtok_r(NULL, "\n", &rest)) {
		snprintf(path, sizeof(path), "/proc/%s/comm", pid);
		if (read_file(path, text, sizeof(text)) > 0 && !strcmp(strtok(text, "\n"), name))
			found++;
	}
	return found;
}

/* What the device's thread uses is the opener's: it is in its control group. */
TEST_F(opener, worker_is_in_the_openers_cgroup)
{
	const char *top = "/tmp/tern-cgroup", *group = "/tmp/tern-cgroup/tern-opener";
	int status;
	pid_t child;

	mkdir(top, 0700);
	ASSERT_EQ(mount("none", top, "cgroup2", 0, NULL), 0);
	ASSERT_EQ(mkdir(group, 0700), 0);
	child = fork();
	if (!child) {
		struct dev d;

		if (write_file("/tmp/tern-cgroup/tern-opener/cgroup.procs", "0") ||
		    power_on(&d, self->ram) || transfer(&d) != TERN_DMA_DONE)
			_exit(1);
		_exit(count_in_group(group, "tern-dma") != 1);
	}
	ASSERT_EQ(waitpid(child, &status, 0), child);
	EXPECT_EQ(status, 0);
	EXPECT_EQ(count_in_group(group, "tern-dma"), 0);
	/* And it leaves the group empty. */
	EXPECT_EQ(rmdir(group), 0);
	EXPECT_EQ(umount(top), 0);
	rmdir(top);
}

/* A file system that is one file: it opens, and its first page is never read. */
struct fuse {
	int fd, asked;
};

static void answer(int fd, uint64_t unique, const void *body, size_t n)
{
	struct {
		struct fuse_out_header head;
		uint8_t body[256];
	} out = { .head = { .len = sizeof(out.head) + n, .unique = unique } };

	memcpy(out.body, body, n);
	if (write(fd, &out, out.head.len) < 0)
		perror("fuse");
}

static void *serve(void *arg)
{
	static uint8_t request[1 << 17] __attribute__((aligned(8)));
	const struct fuse_in_header *in = (void *)request;
	const struct fuse_init_out init = {
		.major = FUSE_KERNEL_VERSION, .minor = 31, .max_write = 4096,
	};
	const struct fuse_attr_out attr = {
		.attr = { .ino = 1, .mode = S_IFREG | 0600, .size = RAM, .nlink = 1 },
	};
	const struct fuse_open_out file = { .fh = 1 };
	struct fuse *f = arg;

	while (read(f->fd, request, sizeof(request)) > 0)
		switch (in->opcode) {
		case FUSE_INIT:
			answer(f->fd, in->unique, &init, sizeof(init));
			break;
		case FUSE_GETATTR:
			answer(f->fd, in->unique, &attr, sizeof(attr));
			break;
		case FUSE_OPEN:
			answer(f->fd, in->unique, &file, sizeof(file));
			break;
		case FUSE_READ:
			/* Taken, and never answered. */
			if (write(f->asked, "", 1) < 0)
				return NULL;
			break;
		case FUSE_FORGET:
		case FUSE_BATCH_FORGET:
		case FUSE_INTERRUPT:
			break;
		default:
			answer(f->fd, in->unique, NULL, 0);
			break;
		}
	return NULL;
}

/* How often a thread was put to sleep: one that waits and is let alone sleeps once. */
static unsigned long sleeps(pid_t pid)
{
	char path[64], text[4096], *at;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	if (read_file(path, text, sizeof(text)) < 0)
		return 0;
	at = strstr(text, "\nvoluntary_ctxt_switches:");
	return at ? strtoul(at + 25, NULL, 10) : 0;
}

/*
 * P-27: guest memory that a FUSE daemon serves which has the request and never answers
 * is a fault that no signal ends. The close waits for it, asleep; once the connection
 * is aborted all is well.
 */
TEST_F(opener, P27_close_sleeps_until_fuse_answers)
{
	const char *path = "/tmp/tern-fuse";
	const struct timespec while_asleep = { .tv_nsec = 500 * 1000 * 1000 };
	char options[128], abort_path[128];
	unsigned long before;
	struct fuse f;
	struct stat st;
	pthread_t server;
	pid_t child;
	int status, fd;
	char c;

	f.fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	ASSERT_GE(f.fd, 0);
	f.asked = self->pipe[1];
	fd = open(path, O_CREAT | O_RDWR, 0600);
	close(fd);
	snprintf(options, sizeof(options), "fd=%d,rootmode=100000,user_id=0,group_id=0", f.fd);
	ASSERT_EQ(mount("tern", path, "fuse", 0, options), 0);
	ASSERT_EQ(pthread_create(&server, NULL, serve, &f), 0);
	ASSERT_EQ(stat(path, &st), 0);

	child = fork();
	if (!child) {
		struct dev d;
		void *p;

		fd = open(path, O_RDWR);
		p = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
		if (fd < 0 || p == MAP_FAILED || power_on(&d, p))
			_exit(1);
		dma_start(&d, TERN_DMA_OP_TO_DEVICE, ADDRESS, 0, PAGE);
		if (read(self->pipe[0], &c, 1) != 1)
			_exit(2);
		dev_close(&d);
		_exit(0);
	}
	/* Asleep, and not as a task is that hangs: the kernel would report that. */
	while (!is_in_state(child, ") I "))
		ASSERT_EQ(waitpid(child, &status, WNOHANG), 0);
	before = sleeps(child);
	nanosleep(&while_asleep, NULL);
	EXPECT_EQ(sleeps(child), before);
	EXPECT_TRUE(is_in_state(child, ") I "));

	snprintf(abort_path, sizeof(abort_path), "/sys/fs/fuse/connections/%u/abort",
		 (unsigned int)st.st_dev);
	mount("none", "/sys/fs/fuse/connections", "fusectl", 0, NULL);
	ASSERT_EQ(write_file(abort_path, "1"), 0);
	ASSERT_EQ(waitpid(child, &status, 0), child);
	EXPECT_EQ(status, 0);
	umount2(path, MNT_DETACH);
	close(f.fd);
	pthread_join(server, NULL);
	unlink(path);
}

TEST_HARNESS_MAIN
