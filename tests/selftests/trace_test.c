// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tracepoints, as tracefs has them: what they say of a migration, a load, a transfer, an
 * interrupt and an injection is what the test itself has seen.
 */
#include <sys/eventfd.h>
#include <sys/mount.h>

#include "dma.h"
#include "fixture.h"
#include "kselftest_harness.h"

#define TRACEFS		"/sys/kernel/tracing"
#define EVENTS		TRACEFS "/events/tern"
#define TOUCHED		40

static char trace[4 << 20];

static bool have_tracing(void)
{
	if (access(TRACEFS "/trace", F_OK))
		mount("tracefs", TRACEFS, "tracefs", 0, NULL);
	return !access(TRACEFS "/trace", F_OK);
}

/* Trace from now on, and nothing of before. 0 or -errno. */
static int trace_on(void)
{
	int fd = open(TRACEFS "/trace", O_WRONLY | O_TRUNC | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	close(fd);
	return write_file(TRACEFS "/buffer_size_kb", "4096") ?: write_file(EVENTS "/enable", "1");
}

/* Stop, and read what was traced. 0 or -errno. */
static int trace_off(void)
{
	int ret = write_file(EVENTS "/enable", "0"), fd;
	size_t len = 0;
	ssize_t n;

	fd = open(TRACEFS "/trace", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	while ((n = read(fd, trace + len, sizeof(trace) - 1 - len)) > 0)
		len += n;
	close(fd);
	trace[len] = 0;
	return ret ?: n;
}

/*
 * The next line of an event, behind the device's name, from @at on, which moves behind it.
 * NULL: there is none of this device.
 */
static const char *next_event(const char **at, const char *event, const char *uuid)
{
	char head[128];
	const char *line;

	snprintf(head, sizeof(head), " %s: %s: ", event, uuid);
	line = strstr(*at, head);
	if (!line)
		return NULL;
	line += strlen(head);
	*at = line;
	return line;
}

static unsigned int count_events(const char *event, const char *uuid)
{
	const char *at = trace;
	unsigned int n = 0;

	while (next_event(&at, event, uuid))
		n++;
	return n;
}

/* A field of a line. One that is missing fails the test that asks for it. */
static uint64_t field(const char *line, const char *name)
{
	char head[32];
	const char *at;

	snprintf(head, sizeof(head), "%s=", name);
	at = strstr(line, head);
	if (!at || at > line + strcspn(line, "\n"))
		ksft_exit_fail_msg("no %s in %.*s\n", name, (int)strcspn(line, "\n"), line);
	return strtoull(at + strlen(head), NULL, 0);
}

/* A field of all lines of an event, added up. */
static uint64_t sum_of(const char *event, const char *uuid, const char *name)
{
	const char *at = trace, *line;
	uint64_t sum = 0;

	while ((line = next_event(&at, event, uuid)))
		sum += field(line, name);
	return sum;
}

/* Is that the line, whole or up to here? */
static bool traced(const char *event, const char *uuid, const char *text)
{
	const char *at = trace, *line;

	while ((line = next_event(&at, event, uuid)))
		if (!strncmp(line, text, strlen(text)))
			return true;
	return false;
}

FIXTURE(trace) {
	struct dev a, b;
	struct stream s;
};

FIXTURE_VARIANT(trace) {
	const struct front_end *by;
};

FIXTURE_VARIANT_ADD(trace, v1) { .by = &v1_trapped };
FIXTURE_VARIANT_ADD(trace, v2) { .by = &v2_file };

static int set_up(struct dev *a, struct dev *b, const struct front_end *by)
{
	return pair_filled(a, b, (struct setting){ .memory_mib = 4, .window_kib = 256, .by = by },
			   TOUCHED, 1);
}

FIXTURE_SETUP(trace)
{
	NEEDS_TERN();
	if (!have_tracing())
		SKIP(return, "the kernel has no tracing");
	ASSERT_EQ(set_up(&self->a, &self->b, variant->by), 0);
	ASSERT_EQ(trace_on(), 0);
}

FIXTURE_TEARDOWN(trace)
{
	write_file(EVENTS "/enable", "0");
	EXPECT_EQ(pair_off(&self->a, &self->b, &self->s), 0);
}

TEST_F(trace, LAB_14_a_session_and_its_load)
{
	const char *at = trace, *line;
	unsigned int records;

	ASSERT_EQ(variant->by->begin(&self->a), 0);
	ASSERT_EQ(variant->by->drain(&self->a, &self->s, PIECE), 0);
	touch(self->a.mem, 1, 0);
	ASSERT_EQ(save_by(&self->a, &self->s, PIECE), 0);
	ASSERT_EQ(load_by(&self->b, &self->s, PIECE), 0);
	ASSERT_EQ(trace_off(), 0);

	EXPECT_TRUE(traced("tern_session_begin", UUID_A, "pages=40"));
	EXPECT_EQ(sum_of("tern_take", UUID_A, "pages"), TOUCHED + 1);
	EXPECT_EQ(sum_of("tern_take", UUID_A, "bytes"), (TOUCHED + 1) * MEMORY_RECORD);
	EXPECT_GT(sum_of("tern_take", UUID_A, "ns"), 0);
	EXPECT_EQ(sum_of("tern_chunk", UUID_A, "bytes"), self->s.len);
	EXPECT_EQ(sum_of("tern_read", UUID_A, "bytes"), self->s.len);
	EXPECT_TRUE(traced("tern_pass_end", UUID_A, "pass=1 stopped=0"));
	EXPECT_TRUE(traced("tern_pass_end", UUID_A, "pass=1 stopped=1"));
	records = TOUCHED + 1 + 1 + 5;
	line = next_event(&at, "tern_session_end", UUID_A);
	ASSERT_NE(line, NULL);
	EXPECT_EQ(field(line, "passes"), 1);
	EXPECT_EQ(field(line, "records"), records);
	EXPECT_EQ(field(line, "bytes"), self->s.len);
	EXPECT_EQ(field(line, "whole"), 1);

	EXPECT_EQ(sum_of("tern_write", UUID_B, "bytes"), self->s.len);
	at = trace;
	line = next_event(&at, "tern_loaded", UUID_B);
	ASSERT_NE(line, NULL);
	/* Without END, which says so. */
	EXPECT_EQ(field(line, "records"), records - 1);
	EXPECT_EQ(count_events("tern_refused", UUID_B), 0);
}

/* Passes whose last page fills a chunk, and final sections that do not fit behind it. */
TEST_F(trace, LAB_14_each_pass_ends_once)
{
	/* So many pages fill v1's smallest window, and a data file's buffer. */
	unsigned long pages = variant->by == &v2_file ? 253 : 31, page, round;

	ASSERT_EQ(device_again(&self->a, (struct setting){ .window_kib = 128, .map_memory = true }), 0);
	ASSERT_EQ(trace_on(), 0);
	for (round = 0; round < 3; round++) {
		for (page = 0; page < pages; page++)
			touch(self->a.mem, page, round + 1);
		if (!round)
			ASSERT_EQ(variant->by->begin(&self->a), 0);
		if (round < 2)
			ASSERT_EQ(variant->by->drain(&self->a, &self->s, PIECE), 0);
	}
	ASSERT_EQ(save_by(&self->a, &self->s, PIECE), 0);
	ASSERT_EQ(trace_off(), 0);
	EXPECT_TRUE(traced("tern_pass_end", UUID_A, "pass=1 stopped=0"));
	EXPECT_TRUE(traced("tern_pass_end", UUID_A, "pass=2 stopped=0"));
	EXPECT_TRUE(traced("tern_pass_end", UUID_A, "pass=2 stopped=1"));
	EXPECT_EQ(count_events("tern_pass_end", UUID_A), 3);
}

/* END was staged with the rest, and the session ends before it is read. */
TEST_F(trace, LAB_14_a_session_that_was_not_read_is_not_whole)
{
	const char *at = trace, *line;

	ASSERT_EQ(variant->by->stop(&self->a), 0);
	ASSERT_GT(variant->by->read(&self->a, &self->s, 100), 0);
	ASSERT_EQ(variant->by->end(&self->a, false), 0);
	ASSERT_EQ(trace_off(), 0);
	line = next_event(&at, "tern_session_end", UUID_A);
	ASSERT_NE(line, NULL);
	EXPECT_EQ(field(line, "whole"), variant->by != &v2_file);
}

TEST_F(trace, LAB_14_states_and_how_long_they_took)
{
	const char *at = trace, *line;

	ASSERT_EQ(rule_set(UUID_A, "state_delay", "stopped-saving 30"), 0);
	ASSERT_EQ(variant->by->begin(&self->a), 0);
	ASSERT_EQ(rule_set(UUID_A, "state", "stopped-saving 28 1"), 0);
	EXPECT_EQ(variant->by->stop(&self->a), -ENOSPC);
	ASSERT_EQ(variant->by->stop(&self->a), 0);
	ASSERT_EQ(variant->by->end(&self->a, true), 0);
	ASSERT_EQ(rule_set(UUID_A, "state", "error 5 1"), 0);
	EXPECT_EQ(variant->by->stop(&self->a), -EIO);
	ASSERT_EQ(reset_by(&self->a, false), 0);
	ASSERT_EQ(trace_off(), 0);
	EXPECT_TRUE(traced("tern_state", UUID_A, "running -> running-saving ret=0 "));
	EXPECT_TRUE(traced("tern_state", UUID_A, "running -> error ret=-5 "));
	EXPECT_TRUE(traced("tern_state", UUID_A, "stopped -> running ret=0 "));
	EXPECT_TRUE(traced("tern_inject", UUID_A, "state\n"));
	EXPECT_TRUE(traced("tern_inject", UUID_A, "state_delay\n"));
	while ((line = next_event(&at, "tern_state", UUID_A))) {
		if (!strstr(strndupa(line, strcspn(line, "\n")), "-> stopped-saving ret=-28"))
			continue;
		EXPECT_GE(field(line, "ns"), 30000000);
		break;
	}
	EXPECT_NE(line, NULL);
	EXPECT_TRUE(traced("tern_session_end", UUID_A, "passes=0 records=0 bytes=0 whole=0"));
}

TEST_F(trace, LAB_14_a_refused_record)
{
	struct tern_record *record;

	ASSERT_EQ(save_by(&self->a, &self->s, PIECE), 0);
	record = find_record(&self->s, TERN_RECORD_REGISTERS);
	record->crc32c++;
	ASSERT_EQ(variant->by->resume(&self->b), 0);
	EXPECT_EQ(variant->by->feed(&self->b, &self->s, PIECE), -EBADMSG);
	ASSERT_EQ(variant->by->abort(&self->b), 0);
	ASSERT_EQ(trace_off(), 0);
	EXPECT_TRUE(traced("tern_refused", UUID_B, "type=3 seq=41 error=-74\n"));
	EXPECT_EQ(count_events("tern_refused", UUID_B), 1);
	EXPECT_EQ(count_events("tern_loaded", UUID_B), 0);
}

/* A transfer that fails on its way: what was done is not what was asked for. */
TEST_F(trace, LAB_14_a_transfer_that_fails)
{
	static uint8_t ram[PIECE] __attribute__((aligned(PAGE)));
	const char *at = trace, *line;
	uint32_t status;

	ASSERT_EQ(set_command(&self->a, MASTER), 0);
	ASSERT_EQ(map_guest(&self->a, ram, PIECE, PIECE), 0);
	status = dma_do(&self->a, TERN_DMA_OP_FROM_DEVICE, PIECE, 0, 2 * PIECE);
	ASSERT_EQ(status, TERN_DMA_FAILED | TERN_DMA_ERROR_ADDRESS << 8);
	ASSERT_EQ(trace_off(), 0);
	line = next_event(&at, "tern_dma_end", UUID_A);
	ASSERT_NE(line, NULL);
	EXPECT_EQ(field(line, "done"), PIECE);
	EXPECT_EQ(field(line, "length"), 2 * PIECE);
	EXPECT_EQ(field(line, "status"), status);
}

TEST_F(trace, LAB_14_a_transfer_and_its_interrupt)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	const char *at = trace, *line;

	ASSERT_EQ(set_command(&self->a, MASTER), 0);
	ASSERT_EQ(bar0_write(&self->a, TERN_REG_IRQ_MASK, 0), 0);
	ASSERT_EQ(dma_do(&self->a, TERN_DMA_OP_FILL | TERN_DMA_INTERRUPT | 3 << 8, 0, 0, 3 * PIECE),
		  TERN_DMA_DONE);
	/* It was raised, and is delivered when there is somewhere to. */
	ASSERT_EQ(set_trigger(&self->a, VFIO_PCI_MSIX_IRQ_INDEX, 3, fd), 0);
	EXPECT_EQ(signals(fd), 1);
	close(fd);
	ASSERT_EQ(trace_off(), 0);
	EXPECT_EQ(count_events("tern_dma_piece", UUID_A), 3);
	line = next_event(&at, "tern_dma_end", UUID_A);
	ASSERT_NE(line, NULL);
	EXPECT_EQ(field(line, "done"), 3 * PIECE);
	EXPECT_EQ(field(line, "length"), 3 * PIECE);
	EXPECT_EQ(field(line, "status"), TERN_DMA_DONE);
	EXPECT_TRUE(traced("tern_irq_raise", UUID_A, "vector=3\n"));
	EXPECT_TRUE(traced("tern_irq_deliver", UUID_A, "vector=3\n"));
	EXPECT_EQ(count_events("tern_irq_deliver", UUID_A), 1);
}

TEST_F(trace, LAB_14_a_signal_of_the_line)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	ASSERT_EQ(bar0_write(&self->a, TERN_REG_IRQ_MASK, 0), 0);
	ASSERT_EQ(set_trigger(&self->a, VFIO_PCI_INTX_IRQ_INDEX, 0, fd), 0);
	ASSERT_EQ(bar0_write(&self->a, TERN_REG_DOORBELL, 2), 0);
	ASSERT_EQ(signals(fd), 1);
	close(fd);
	ASSERT_EQ(trace_off(), 0);
	EXPECT_TRUE(traced("tern_irq_raise", UUID_A, "vector=-1\n"));
	EXPECT_TRUE(traced("tern_irq_deliver", UUID_A, "vector=-1\n"));
	EXPECT_EQ(count_events("tern_irq_deliver", UUID_A), 1);
}

FIXTURE(stats) {
	struct dev a, b;
	struct stream s;
};

FIXTURE_VARIANT(stats) {
	const struct front_end *by;
};

FIXTURE_VARIANT_ADD(stats, v1) { .by = &v1_trapped };
FIXTURE_VARIANT_ADD(stats, v2) { .by = &v2_file };

FIXTURE_SETUP(stats)
{
	NEEDS_TERN();
	ASSERT_EQ(set_up(&self->a, &self->b, variant->by), 0);
}

FIXTURE_TEARDOWN(stats)
{
	EXPECT_EQ(pair_off(&self->a, &self->b, &self->s), 0);
}

/* A number of an attribute; of a table, that of this row. ~0: there is none. */
static uint64_t stat_of(const char *uuid, const char *name, const char *row)
{
	char path[128], buf[4096], *line, *at = buf;
	size_t n = strlen(row);

	snprintf(path, sizeof(path), MDEV_DEVICES "/%s/stats/%s", uuid, name);
	if (read_file(path, buf, sizeof(buf)) < 0)
		return ~0ULL;
	while ((line = strsep(&at, "\n")))
		if (!strncmp(line, row, n) && line[n] == (n ? ' ' : line[n]))
			return strtoull(line + n, NULL, 10);
	return ~0ULL;
}

TEST_F(stats, LAB_15_totals_since_the_open)
{
	uint64_t running;

	ASSERT_EQ(variant->by->begin(&self->a), 0);
	ASSERT_EQ(variant->by->drain(&self->a, &self->s, PIECE), 0);
	EXPECT_EQ(stat_of(UUID_A, "total_passes", ""), 1);
	EXPECT_EQ(stat_of(UUID_A, "total_bytes", ""), self->s.len);
	ASSERT_EQ(variant->by->end(&self->a, true), 0);
	free(self->s.buf);
	self->s = (struct stream){};
	EXPECT_EQ(stat_of(UUID_A, "time_in_state", "stopped-saving"), 0);

	ASSERT_EQ(variant->by->stop(&self->a), 0);
	usleep(20000);
	ASSERT_EQ(save_by(&self->a, &self->s, PIECE), 0);
	EXPECT_EQ(stat_of(UUID_A, "total_passes", ""), 1);
	EXPECT_EQ(stat_of(UUID_A, "total_pages", ""), 2 * TOUCHED);
	EXPECT_EQ(stat_of(UUID_A, "total_bytes", ""),
		  BEGIN_RECORD + TOUCHED * MEMORY_RECORD + self->s.len);
	EXPECT_GT(stat_of(UUID_A, "harvest_ns", ""), 0);
	EXPECT_GE(stat_of(UUID_A, "time_in_state", "stopped-saving"), 20000000);
	EXPECT_GT(stat_of(UUID_A, "time_in_state", "running-saving"), 0);
	EXPECT_EQ(stat_of(UUID_A, "time_in_state", "resuming"), 0);
	/* They stay when it is closed, and begin with the next open. */
	dev_close(&self->a);
	EXPECT_EQ(stat_of(UUID_A, "total_pages", ""), 2 * TOUCHED);
	running = stat_of(UUID_A, "time_in_state", "running");
	usleep(20000);
	EXPECT_EQ(stat_of(UUID_A, "time_in_state", "running"), running);
	ASSERT_EQ(device_open(&self->a, UUID_A, &(struct setting){ .by = variant->by }), 0);
	EXPECT_EQ(stat_of(UUID_A, "total_pages", ""), 0);
	EXPECT_EQ(stat_of(UUID_A, "time_in_state", "stopped-saving"), 0);
}

TEST_F(stats, LAB_15_refused_loads_are_counted_by_errno)
{
	int i;

	ASSERT_EQ(save_by(&self->a, &self->s, PIECE), 0);
	EXPECT_EQ(stat_of(UUID_B, "refused", ""), 0);
	for (i = 1; i <= 2; i++) {
		self->s.buf[100]++;
		ASSERT_EQ(variant->by->resume(&self->b), 0);
		EXPECT_EQ(variant->by->feed(&self->b, &self->s, PIECE), -EBADMSG);
		ASSERT_EQ(variant->by->abort(&self->b), 0);
		ASSERT_EQ(reset_by(&self->b, false), 0);
		EXPECT_EQ(stat_of(UUID_B, "refused", "74"), i);
	}
	EXPECT_EQ(stat_of(UUID_B, "refused", "22"), ~0ULL);
}

TEST_HARNESS_MAIN
