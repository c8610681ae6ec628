// SPDX-License-Identifier: GPL-2.0-only
/*
 * tern(8): devices of Tern, and their streams, from the command line.
 *
 * Each command is a row of the table below: its words, its options, and the function that
 * does it. All options of all commands are parsed by one function, but a command accepts
 * only those of its row.
 */
#include <argp.h>
#include <locale.h>

#include "output.h"
#include "tern.h"
#include <uapi/tern/stream.h>

#define OPTION_SYSFS	0x100
#define OPTION_PARENT	0x101
#define OPTION_UUID	0x102
#define OPTION_TYPES	0x103
#define OPTION_CLEAR	0x104
#define OPTION_VERIFY	0x105
#define OPTION_SECTION	0x106
#define OPTION_INTERVAL	0x107
#define OPTION_COUNT	0x108
#define OPTION_VERSION	0x109

/* What argp exits with if it does not understand. */
#define EXIT_USAGE	2

#define JSON	{ "json", 'j', NULL, 0, "Print JSON", 0 }
#define SYSFS	{ "sysfs", OPTION_SYSFS, "DIR", 0, "Use another sysfs than /sys", 0 }

static const struct argp_option create_options[] = {
	{ "parent", OPTION_PARENT, "NAME", 0, "Parent of the type (tern)", 0 },
	{ "uuid", OPTION_UUID, "UUID", 0, "Name of the device (a random UUID)", 0 },
	JSON, SYSFS, { 0 }
};

static const struct argp_option list_options[] = {
	{ "types", OPTION_TYPES, NULL, 0, "List the types that can be created", 0 },
	JSON, SYSFS, { 0 }
};

static const struct argp_option inject_options[] = {
	{ "clear", OPTION_CLEAR, NULL, 0, "End all rules first", 0 },
	JSON, SYSFS, { 0 }
};

static const struct argp_option plain_options[] = { JSON, SYSFS, { 0 } };
static const struct argp_option silent_options[] = { SYSFS, { 0 } };

static const struct argp_option watch_options[] = {
	{ "interval", OPTION_INTERVAL, "SECONDS", 0, "Time between two looks (1)", 0 },
	{ "count", OPTION_COUNT, "N", 0, "End after N looks", 0 },
	JSON, SYSFS, { 0 }
};

static const struct argp_option decode_options[] = {
	{ "verify", OPTION_VERIFY, NULL, 0, "Report the first fault and nothing else", 0 },
	{ "section", OPTION_SECTION, "NAME", 0, "Device in a file of QEMU", 0 },
	JSON, { 0 }
};

static const struct argp_option convert_options[] = {
	{ "to-version", OPTION_VERSION, "N", 0, "Version of the format to write (mandatory)", 0 },
	{ "section", OPTION_SECTION, "NAME", 0, "Device in a file of QEMU", 0 },
	JSON, { 0 }
};

/**
 * struct command - a row of the table
 * @name: its word
 * @words: what follows
 * @what: what it does
 * @least: words that it needs
 * @most: words that it takes
 * @sets: those behind the first one are NAME=VALUE
 * @options: and no others
 * @run: does it
 */
struct command {
	const char *name;
	const char *words;
	const char *what;
	int least, most;
	bool sets;
	const struct argp_option *options;
	int (*run)(const struct request *r);
};

static const struct command commands[] = {
	{ "create", "[ATTRIBUTE=VALUE...] TYPE", "Create a device and print its UUID",
	  1, INT_MAX, false, create_options, tern_create },
	{ "remove", "DEV", "Remove a device", 1, 1, false, silent_options, tern_remove },
	{ "list", "", "List the devices", 0, 0, false, list_options, tern_list },
	{ "show", "DEV", "Show all attributes of a device", 1, 1, false, plain_options, tern_show },
	{ "set", "DEV ATTRIBUTE=VALUE...", "Set attributes of a device",
	  2, INT_MAX, true, silent_options, tern_set },
	{ "inject", "DEV [RULE=VALUE...]", "Show or set the rules of injection",
	  1, INT_MAX, true, inject_options, tern_inject },
	{ "workload", "DEV [ATTRIBUTE=VALUE...]", "Show or set the workload",
	  1, INT_MAX, true, plain_options, tern_workload },
	{ "verify", "DEV", "Verify what the workload has written", 1, 1, false, plain_options,
	  tern_verify },
	{ "watch", "DEV", "Watch a device until it is removed", 1, 1, false, watch_options, tern_watch },
	{ "decode", "FILE", "Show the stream in a file", 1, 1, false, decode_options, tern_decode },
	{ "convert", "FILE OUT", "Write a stream for an older reader", 2, 2, false, convert_options,
	  tern_convert },
};

struct parsing {
	const struct command *command;
	struct request request;
};

static unsigned long parse_number(const char *text, struct argp_state *state)
{
	unsigned long number;
	char *end;

	errno = 0;
	number = strtoul(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno || !number)
		argp_error(state, "%s is no number above 0", text);
	return number;
}

static double parse_seconds(const char *text, struct argp_state *state)
{
	double seconds;
	char *end;

	seconds = strtod(text, &end);
	if (end == text || *end || !(seconds >= 0.01) || seconds > 86400)
		argp_error(state, "%s is no number of seconds from 0.01 to 86400", text);
	return seconds;
}

/* What can be judged without a device and without a file. */
static void check_words(const struct command *c, const struct request *r, struct argp_state *state)
{
	int i, plain = 0;

	if (r->n < c->least || r->n > c->most)
		argp_error(state, r->n < c->least ? "something is missing" : "too many words");
	for (i = 0; i < r->n; i++) {
		const char *equals = strchr(r->words[i], '=');

		plain += !equals;
		if (equals == r->words[i])
			argp_error(state, "%s has no name", r->words[i]);
		if (!equals && i >= 1 && c->sets)
			argp_error(state, "%s is not of the form NAME=VALUE", r->words[i]);
	}
	if (c->run == tern_create && plain != 1)
		argp_error(state, plain ? "more than one type" : "the type is missing");
	if (c->run == tern_convert && (!r->version || r->version > TERN_STREAM_VERSION))
		argp_error(state, "--to-version is a number from 1 to %u", TERN_STREAM_VERSION);
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct parsing *p = state->input;
	struct request *r = &p->request;

	switch (key) {
	case 'j':
		r->json = true;
		break;
	case OPTION_SYSFS:
		r->sysfs = arg;
		break;
	case OPTION_PARENT:
		r->parent = arg;
		break;
	case OPTION_UUID:
		r->uuid = arg;
		break;
	case OPTION_TYPES:
		r->types = true;
		break;
	case OPTION_CLEAR:
		r->clear = true;
		break;
	case OPTION_VERIFY:
		r->verify = true;
		break;
	case OPTION_SECTION:
		r->section = arg;
		break;
	case OPTION_INTERVAL:
		r->interval = parse_seconds(arg, state);
		break;
	case OPTION_COUNT:
		r->count = parse_number(arg, state);
		break;
	case OPTION_VERSION:
		r->version = parse_number(arg, state);
		break;
	case ARGP_KEY_ARGS:
		r->words = state->argv + state->next;
		r->n = state->argc - state->next;
		break;
	case ARGP_KEY_SUCCESS:
		check_words(p->command, r, state);
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

/* argp prints the name of the program before all that it says: "tern COMMAND". */
static int run(const struct command *c, int argc, char **argv)
{
	struct parsing p = {
		.command = c,
		.request = { .sysfs = "/sys", .parent = "tern", .interval = 1 },
	};
	const struct argp parser = { c->options, parse_option, c->words, c->what };
	char name[32];
	int ret;

	snprintf(name, sizeof(name), "tern %s", c->name);
	argv[0] = name;
	argp_parse(&parser, argc, argv, 0, NULL, &p);
	ret = c->run(&p.request);
	/* A command that has failed has reported why. */
	if (!ret && output_failed())
		ret = EXIT_FAILURE;
	return ret;
}

static const struct command *find(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	return NULL;
}

/* The list of commands, behind the options. */
static char *add_commands(int key, const char *text, void *input)
{
	size_t size, i;
	char *list;
	FILE *to;

	if (key != ARGP_KEY_HELP_POST_DOC)
		return (char *)text;
	to = open_memstream(&list, &size);
	if (!to)
		return NULL;
	fputs("Commands:\n", to);
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(to, "  %-9s %s\n", commands[i].name, commands[i].what);
	fputs("\nDEV is a UUID, or the beginning of one. 'tern COMMAND --help' shows the options.",
	      to);
	fclose(to);
	return list;
}

/* Up to the command, whose own options are parsed by run(). */
static error_t parse_command(int key, char *arg, struct argp_state *state)
{
	int *at = state->input;

	switch (key) {
	case ARGP_KEY_ARG:
		*at = state->next - 1;
		state->next = state->argc;
		if (!find(arg))
			argp_error(state, "no command %s", arg);
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "a command is missing");
		return EINVAL;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int main(int argc, char **argv)
{
	const struct argp parser = {
		.parser = parse_command,
		.args_doc = "COMMAND [OPTION...] [WORD...]",
		.doc = "Create, watch and test the devices of Tern, and decode their streams.\v",
		.help_filter = add_commands,
	};
	int at = 0;

	/* What is a character is decided alike everywhere: see output_printable(). */
	setlocale(LC_CTYPE, "C.UTF-8");
	argp_program_version = "tern " VERSION;
	argp_err_exit_status = EXIT_USAGE;
	argp_parse(&parser, argc, argv, ARGP_IN_ORDER, NULL, &at);
	return run(find(argv[at]), argc - at, argv + at);
}
