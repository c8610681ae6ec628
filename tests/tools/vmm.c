// SPDX-License-Identifier: GPL-2.0-only
/*
 * vmm UUID - a VMM that has a device open, and does what it reads, one line at a time:
 *
 *   save FILE	write the device's stream to a file, as a migration does, and run again
 *   pass	read what there is in pre-copy, and stay there
 *   stop	give up what pass began
 *
 * Prints "ready" when the device is open, and "done" after each line. Ends with its input.
 */
#include "migfd.h"

static char buf[65536];

/* All that the file has now; what is read is appended to @to, unless that is -1. */
static int drain(int data_fd, int to)
{
	ssize_t n;

	while ((n = read(data_fd, buf, sizeof(buf))) > 0)
		if (to >= 0 && write(to, buf, n) != n)
			return -errno;
	return n < 0 && errno != ENOMSG ? -errno : 0;
}

static int save(struct dev *d, const char *path)
{
	int to = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600), data_fd, none, ret;

	if (to < 0)
		return -errno;
	ret = go_open(d, S_PRE_COPY, &data_fd) ?: drain(data_fd, to) ?:
	      go_open(d, S_STOP_COPY, &none) ?: drain(data_fd, to);
	close(data_fd);
	close(to);
	return ret ?: go(d, S_STOP) ?: go(d, S_RUNNING);
}

static int obey(struct dev *d, const char *line)
{
	if (!strncmp(line, "save ", 5))
		return save(d, line + 5);
	if (!strcmp(line, "pass"))
		return (d->data_fd < 0 ? go_open(d, S_PRE_COPY, &d->data_fd) : 0) ?:
		       drain(d->data_fd, -1);
	if (!strcmp(line, "stop")) {
		close(d->data_fd);
		d->data_fd = -1;
		return go(d, S_RUNNING);
	}
	return -EINVAL;
}

int main(int argc, char **argv)
{
	char line[256];
	struct dev d;
	int ret;

	if (argc != 2 || dev_open(&d, argv[1]))
		return 1;
	setvbuf(stdout, NULL, _IOLBF, 0);
	puts("ready");
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = 0;
		ret = obey(&d, line);
		if (ret) {
			printf("%s: %s\n", line, strerror(-ret));
			return 1;
		}
		puts("done");
	}
	dev_close(&d);
	return 0;
}
