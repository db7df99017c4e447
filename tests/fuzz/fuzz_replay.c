/* SPDX-License-Identifier: BSD-2-Clause */
/* capture/replay: the input is a capture file, which is read to its end, and its packets parsed. */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "capture/replay.h"
#include "fuzz.h"

static void check_packet(const struct captured *c, size_t size)
{
	struct packet p;
	uint8_t sum = 0;

	FUZZ_CHECK(c->source.have <= c->source.wire);
	/* a capture file cannot hold more of a packet than it has */
	FUZZ_CHECK(c->source.have <= size);
	for (uint32_t i = 0; i < c->source.have; i++)
		sum ^= c->bytes[i];
	FUZZ_CHECK(packet_parse(c->bytes, &c->source, &p) <= PACKET_OTHER || !sum);
}

static void read_all(const char *path, size_t size)
{
	char error[REPLAY_ERROR_MAX] = "";
	struct captured packet;
	struct replay *replay;
	int rc = replay_open(path, &replay, error);

	FUZZ_CHECK(!rc);
	rc = replay_begin(replay, error);
	FUZZ_CHECK(rc == 0 || rc == -EIO || rc == -ENOTSUP);
	if (rc) {
		fuzz_check_error(error, sizeof(error));
		replay_close(replay);
		return;
	}
	replay_copies_possible(replay);
	while ((rc = replay_next(replay, &packet, error)) > 0)
		check_packet(&packet, size);
	FUZZ_CHECK(rc == 0 || rc == -EIO);
	if (rc)
		fuzz_check_error(error, sizeof(error));
	replay_close(replay);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char path[32];
	int fd = memfd_create("capture", 0);

	FUZZ_CHECK(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	snprintf(path, sizeof(path), "/dev/fd/%d", fd);
	read_all(path, size);
	close(fd);
	return 0;
}
