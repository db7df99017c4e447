/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From the bytes of one direction, in order, to messages: the state of sync, the beginning of a
 * message held until it is whole, the search for one, and what a hole costs. Part of the streams
 * room, under wire/stream_half.
 */
#ifndef WIRE_STREAM_FEED_H
#define WIRE_STREAM_FEED_H

#include "wire/stream_half.h"

/* Gives on the bytes at half->next. */
void stream_feed(struct stream_work *work, struct stream_half *half, struct stream_piece piece);
/* Gives on the runs at half->next; late: their messages have their own segments' time. */
void stream_feed_runs(struct stream_work *work, struct stream_half *half, bool late);
/* Steps over what is missing before `to`, which is at most the first run. */
void stream_feed_lose(struct stream_work *work, struct stream_half *half, uint32_t to);

/* The stream ends here: so what is held and is not in sync ends with a message. */
void stream_feed_end(struct stream_work *work, struct stream_half *half);

/* How much of the message at hand is still to come, as far as that is certain. */
uint32_t stream_feed_rest(const struct stream_work *work, const struct stream_half *half);
/* Drops the beginning of a message that is held; its length. Counts what was searched in. */
uint32_t stream_feed_drop(struct stream_work *work, struct stream_half *half);

#endif
