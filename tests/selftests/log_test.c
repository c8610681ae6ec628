// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel's log, as /dev/kmsg has it: the module is silent by itself, also on what users
 * do wrong, and says what it does where dynamic debug asks for that.
 */
#include <sys/mount.h>

#include "fixture.h"
#include "kselftest_harness.h"

#define DEBUG_CONTROL	"/proc/dynamic_debug/control"
#define TOUCHED		4
#define PIECE		65536

FIXTURE(log) {
	struct dev a, b;
	struct stream s;
	int kmsg;
	char text[1 << 16];
};

FIXTURE_VARIANT(log) {
	const struct front_end *by;
};

FIXTURE_VARIANT_ADD(log, v1) { .by = &v1_trapped };
FIXTURE_VARIANT_ADD(log, v2) { .by = &v2_file };

FIXTURE_SETUP(log)
{
	NEEDS_TERN();
	/* From here on: each read gives one record of what comes. */
	self->kmsg = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	ASSERT_GE(self->kmsg, 0);
	ASSERT_GE(lseek(self->kmsg, 0, SEEK_END), 0);
}

FIXTURE_TEARDOWN(log)
{
	write_file(DEBUG_CONTROL, "module tern -p");
	EXPECT_EQ(pair_off(&self->a, &self->b, &self->s), 0);
	close(self->kmsg);
}

/* What was logged of the two devices or by the module; its length, or -errno. */
static int logged(int kmsg, char *text, size_t size)
{
	char record[8192];
	size_t len = 0;
	ssize_t n;

	/* -EPIPE: records were overwritten before they were read. */
	while ((n = read(kmsg, record, sizeof(record) - 1)) > 0) {
		record[n] = 0;
		if (!strstr(record, "tern") && !strstr(record, UUID_A) && !strstr(record, UUID_B))
			continue;
		/* The kernel's own, of each device that is created and removed. */
		if (strstr(record, " iommu group "))
			continue;
		if (len + n >= size)
			return -ENOSPC;
		memcpy(text + len, record, n);
		len += n;
	}
	text[len] = 0;
	return errno == EAGAIN ? (int)len : -errno;
}

/* Open, save, have a spoiled stream refused, reset, load. 0 or -errno. */
static int use(struct dev *a, struct dev *b, struct stream *s, const struct front_end *by)
{
	struct setting setting = { .memory_mib = 4, .window_kib = 256, .by = by };
	int ret = pair_filled(a, b, setting, TOUCHED, 1);

	ret = ret ?: save_by(a, s, PIECE);
	if (ret)
		return ret;
	s->buf[100]++;
	ret = by->resume(b);
	if (!ret && by->feed(b, s, PIECE) != -EBADMSG)
		ret = -EPROTO;
	s->buf[100]--;
	ret = ret ?: by->abort(b);
	return ret ?: reset_by(b, false);
}

TEST_F(log, LAB_17_nothing_is_logged_by_default)
{
	ASSERT_EQ(use(&self->a, &self->b, &self->s, variant->by), 0);
	EXPECT_EQ(attr_set(UUID_A, "memory_mib", "8"), -EBUSY);
	EXPECT_EQ(rule_set(UUID_A, "state", "nowhere 5"), -EINVAL);
	EXPECT_EQ(logged(self->kmsg, self->text, sizeof(self->text)), 0)
		TH_LOG("%s", self->text);
}

TEST_F(log, LAB_17_dynamic_debug_logs_what_a_device_does)
{
	const char *line;

	/* Debian's kernels have it. */
	ASSERT_EQ(write_file(DEBUG_CONTROL, "module tern +p"), 0);
	ASSERT_EQ(use(&self->a, &self->b, &self->s, variant->by), 0);
	dev_close(&self->a);
	ASSERT_GT(logged(self->kmsg, self->text, sizeof(self->text)), 0);
	line = strstr(self->text, UUID_A ": opened by log_test[");
	ASSERT_NE(line, NULL)
		TH_LOG("%s", self->text);
	line = strstr(line, "-> stopped-saving: 0\n");
	ASSERT_NE(line, NULL);
	EXPECT_NE(strstr(line, UUID_A ": closed\n"), NULL);
	line = strstr(self->text, UUID_B ": reset\n");
	EXPECT_NE(line, NULL);
}

TEST_HARNESS_MAIN
