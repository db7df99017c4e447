/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the programs here share: their main, a folder that is made before the tests and removed
 * behind them, and the whole program run inside this process. Nothing here fails on purpose.
 */
#ifndef TEST_SCENE_H
#define TEST_SCENE_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/options.h"
#include "failures.h"

enum { SCENE_PATH_MAX = 64, SCENE_WORD_MAX = 80, SCENE_WORDS_MAX = 24, SCENE_SKIPPED = 77 };

struct scene_test {
	const char *name;
	failures_scenario *scenario;
	unsigned int hows; /* each FAILURES_ in turn; at least one call must fail in each */
	unsigned int step; /* each step-th call fails; 0, and where DNSTAP_BPF_FULL is set: each */
};

#define SCENE_TEST(of, ...)                                                                        \
	{                                                                                          \
		.name = #of, .scenario = of, .hows = __VA_ARGS__                                   \
	}

typedef bool scene_step(void);

/* What main returns. set_up and clean_up, in the folder, may be NULL. */
int scene_main(
	const struct scene_test *tests, size_t count, scene_step *set_up, scene_step *clean_up);

/* Where a file of that name is in the folder. */
void scene_path(const char *name, char ret[static SCENE_PATH_MAX]);
/* The file's beginning, as far as there is room; false and "": there is no such file. */
bool scene_read(const char *path, char *text, size_t size);
void scene_write(const char *path, const char *text);
/* How many entries the folder has. */
unsigned int scene_count_files(void);

/* run_live or run_replay with these words; the opener of the run before has told of its end. */
int scene_run(int (*run)(struct options *options, const struct options_source *source),
	char (*words)[SCENE_WORD_MAX], size_t count);

#endif
