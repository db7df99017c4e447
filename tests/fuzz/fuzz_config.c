/* SPDX-License-Identifier: BSD-2-Clause */
/* agent/options_file: the input is the configuration file, of at most 4 KiB. */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/options.h"
#include "fuzz.h"

enum { FILE_MAX = 4096 };

struct file {
	const uint8_t *bytes;
	size_t len;
};

struct faults {
	size_t count;
};

/* In place of open(2), whatever the name. */
static int open_input(void *arg, const char *path)
{
	const struct file *file = arg;
	int fd = memfd_create("configuration", MFD_CLOEXEC);

	(void)path;
	FUZZ_CHECK(fd >= 0 && write(fd, file->bytes, file->len) == (ssize_t)file->len);
	FUZZ_CHECK(!lseek(fd, 0, SEEK_SET));
	return fd;
}

static void on_fault(void *arg, const char *line)
{
	struct faults *faults = arg;

	faults->count++;
	fuzz_check_error(line, OPTIONS_ERROR_MAX);
}

static void read_text(const char *text)
{
	FUZZ_CHECK(!text || memchr(text, 0, FILE_MAX * 4));
}

/* A reload takes what it may and lets go of the rest. */
static void check_options(struct options *o)
{
	FUZZ_CHECK(o->sink_count && o->sink_count <= OPTIONS_SINKS_MAX);
	FUZZ_CHECK(o->port_count && o->port_count <= OPTIONS_PORTS_MAX);
	FUZZ_CHECK(o->interface_count <= OPTIONS_INTERFACES_MAX);
	for (size_t i = 0; i < o->interface_count; i++)
		read_text(o->interfaces[i]);
	FUZZ_CHECK(o->netns_count <= OPTIONS_NETNS_MAX);
	for (size_t i = 0; i < o->netns_count; i++)
		read_text(o->netns[i]);
	FUZZ_CHECK(o->name_count <= OPTIONS_NAMES_MAX);
	for (size_t i = 0; i < o->name_count; i++)
		read_text(o->names[i]);
	FUZZ_CHECK(o->client_count <= OPTIONS_CLIENTS_MAX && o->server_count <= OPTIONS_SERVERS_MAX);
	FUZZ_CHECK(o->local_count <= OPTIONS_LOCAL_MAX);
	FUZZ_CHECK(o->anonymise_v4 <= 32 && o->anonymise_v6 <= 128);
	read_text(o->read);
	read_text(o->extra);
	read_text(o->identity);
	read_text(o->ledger);
	read_text(o->spool);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct options options;
	char *argv[] = {strdup("dnstap-bpf"), strdup("--config"), strdup("input.yaml"), NULL};
	struct file file = {data, size < FILE_MAX ? size : FILE_MAX};
	const struct options_source source = {
		.argc = 3, .argv = argv, .open = open_input, .arg = &file};
	struct faults faults = {0};
	int rc = options_parse_all(&source, &options, on_fault, &faults);

	FUZZ_CHECK(rc == 0 || rc == -EINVAL);
	FUZZ_CHECK(!rc == !faults.count);
	if (!rc)
		check_options(&options);
	options_free(&options);
	for (int i = 0; i < 3; i++)
		free(argv[i]);
	return 0;
}
