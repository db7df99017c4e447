/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Gives a harness the files named on the command line, or all files of the folders named there, in
 * place of libFuzzer: so make check replays the corpora with any compiler.
 */
#include <dirent.h>
#include <limits.h>
#include <sys/stat.h>

#include "fuzz.h"

static unsigned int count;

static void take_file(const char *path, size_t size)
{
	uint8_t *bytes = malloc(size ? size : 1);
	FILE *from = fopen(path, "rb");

	FUZZ_CHECK(bytes && from);
	FUZZ_CHECK(fread(bytes, 1, size, from) == size);
	fclose(from);
	LLVMFuzzerTestOneInput(bytes, size);
	free(bytes);
	count++;
}

static void take(const char *path)
{
	struct dirent **names;
	struct stat status;
	int entries;

	FUZZ_CHECK(!stat(path, &status));
	if (!S_ISDIR(status.st_mode)) {
		take_file(path, (size_t)status.st_size);
		return;
	}
	entries = scandir(path, &names, NULL, alphasort);
	FUZZ_CHECK(entries >= 0);
	for (int i = 0; i < entries; i++) {
		char inside[PATH_MAX];

		snprintf(inside, sizeof(inside), "%s/%s", path, names[i]->d_name);
		if (names[i]->d_name[0] != '.')
			take(inside);
		free(names[i]);
	}
	free(names);
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		take(argv[i]);
	printf("%s: %u inputs\n", argv[0], count);
	return 0;
}
