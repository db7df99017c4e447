/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A capture file as a source of packets: pcap and pcapng through libpcap, link types Ethernet,
 * raw IP, Linux cooked v1 and v2, and BSD loopback. The link layer is taken off here, so that what
 * comes out is what the rings give: bytes from behind it, and the ethertype. Reads as fast as it
 * is asked; needs no privilege. One thread.
 */
#ifndef CAPTURE_REPLAY_H
#define CAPTURE_REPLAY_H

#include <stdbool.h>
#include <stddef.h>

#include "capture/captured.h"

enum { REPLAY_ERROR_MAX = 512 };

struct replay;

/*
 * Opens the file and reads nothing of it, so that the rights which that takes can be given up
 * before its bytes are looked at. "-" is standard input. 0 or -errno, then error holds one line.
 */
int replay_open(const char *path, struct replay **ret, char error[static REPLAY_ERROR_MAX]);
/* Reads how the file begins; before all that follows. Errors as above. */
int replay_begin(struct replay *replay, char error[static REPLAY_ERROR_MAX]);
void replay_close(struct replay *replay);

/*
 * For a pipe, before each read of it: waits until this descriptor is readable. False: it need not
 * be read on, and replay_next says that this was the end.
 */
typedef bool replay_wait_fn(void *arg, int fd);
void replay_set_wait(struct replay *replay, replay_wait_fn *wait, void *arg);

/* True for the link types of captures on "any" interface, where a packet may stand several times:
 * each packet then comes with its direction, and its interface where the file tells. */
bool replay_copies_possible(const struct replay *replay);

/*
 * The next packet: 1, 0 at the end of the file, or -EIO where it is torn or broken, with a line in
 * error. ret is valid until the next call; its time is wall time. A frame that is too short for
 * its link layer comes with have and wire 0.
 */
int replay_next(struct replay *replay, struct captured *ret, char error[static REPLAY_ERROR_MAX]);

#endif
