/* SPDX-License-Identifier: BSD-2-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "scene.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TESTS_MAX = 32 };

static char folder[] = "/tmp/test-failures-XXXXXX";
static scene_step *set_up, *clean_up;

static void test(void **state)
{
	const struct scene_test *t = *state;
	unsigned int step = t->step && !getenv("DNSTAP_BPF_FULL") ? t->step : 1;

	for (unsigned int how = 1; how <= FAILURES_SHORT; how <<= 1)
		if (t->hows & how)
			assert_true(failures_each(t->name, t->scenario, how, step) > 0);
}

static int make_folder(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	return !set_up || set_up() ? 0 : -1;
}

static int remove_folder(void **state)
{
	char command[100];
	bool clean = !clean_up || clean_up();

	(void)state;
	snprintf(command, sizeof(command), "rm -r %s", folder);
	return system(command) || !clean ? -1 : 0;
}

int scene_main(const struct scene_test *tests, size_t count, scene_step *the_set_up,
	scene_step *the_clean_up)
{
	struct CMUnitTest all[TESTS_MAX] = {0};

	set_up = the_set_up;
	clean_up = the_clean_up;
	failures_check(count <= TESTS_MAX);
	for (size_t i = 0; i < count; i++)
		all[i] = (struct CMUnitTest){.name = tests[i].name,
			.test_func = test,
			.initial_state = (void *)&tests[i]};
	return _cmocka_run_group_tests("failures", all, count, make_folder, remove_folder);
}

void scene_path(const char *name, char ret[static SCENE_PATH_MAX])
{
	snprintf(ret, SCENE_PATH_MAX, "%s/%s", folder, name);
}

bool scene_read(const char *path, char *text, size_t size)
{
	FILE *from;
	size_t len = 0;

	failures_spare(true);
	from = fopen(path, "re");
	if (from) {
		len = fread(text, 1, size - 1, from);
		fclose(from);
	}
	failures_spare(false);
	text[len] = 0;
	return from;
}

void scene_write(const char *path, const char *text)
{
	FILE *to;

	failures_spare(true);
	to = fopen(path, "we");
	failures_check(to && fputs(text, to) >= 0);
	fclose(to);
	failures_spare(false);
}

unsigned int scene_count_files(void)
{
	unsigned int count = 0;
	DIR *dir;

	failures_spare(true);
	dir = opendir(folder);
	while (readdir(dir))
		count++;
	closedir(dir);
	failures_spare(false);
	return count;
}

int scene_run(int (*run)(struct options *options, const struct options_source *source),
	char (*words)[SCENE_WORD_MAX], size_t count)
{
	static struct options options;
	char *argv[SCENE_WORDS_MAX + 1] = {0}, error[OPTIONS_ERROR_MAX];
	const struct options_source source = {.argc = (int)count, .argv = argv};
	int status;

	failures_check(count <= SCENE_WORDS_MAX);
	for (size_t i = 0; i < count; i++)
		argv[i] = words[i];
	failures_spare(true);
	failures_check(!options_parse_from(&source, &options, error));
	signal(SIGCHLD, SIG_DFL);
	failures_spare(false);
	status = run(&options, &source);
	failures_spare(true);
	options_free(&options);
	failures_spare(false);
	return status;
}
