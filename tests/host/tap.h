/* SPDX-License-Identifier: GPL-2.0-only */
/* TAP for the host tests: a table of named functions, and a check. */
#ifndef TERN_HOST_TAP_H
#define TERN_HOST_TAP_H

#include <stdio.h>

struct tap_test {
	const char *name;	/* begins with the numbers of what it shows */
	void (*run)(void);
};

static int tap_bad;

/* Say what is wrong and go on: one run shows all. */
#define CHECK(cond, ...)						\
	do {								\
		if (!(cond)) {						\
			if (tap_bad++ < 10) {				\
				printf("# %s:%d: %s:", __FILE__, __LINE__, #cond); \
				printf(" " __VA_ARGS__);		\
				printf("\n");				\
			}						\
		}							\
	} while (0)

#define CHECK_EQ(a, b)							\
	do {								\
		long long a_ = (a), b_ = (b);				\
		CHECK(a_ == b_, "%s is %lld, not %s, %lld", #a, a_, #b, b_); \
	} while (0)

static inline int tap_main(const struct tap_test *tests, int n)
{
	int i, failed = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("TAP version 13\n1..%d\n", n);
	for (i = 0; i < n; i++) {
		tap_bad = 0;
		tests[i].run();
		printf("%sok %d %s\n", tap_bad ? "not " : "", i + 1, tests[i].name);
		failed += !!tap_bad;
	}
	return !!failed;
}

#define TAP_MAIN(tests)	int main(void) { return tap_main(tests, sizeof(tests) / sizeof((tests)[0])); }

#endif /* TERN_HOST_TAP_H */
