/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the counts of base/ledger.h, wire/fragments.h, wire/streams.h and sink/sink.h stand for in
 * their equations: the second word of each line of their lists.
 */
#ifndef AGENT_KINDS_H
#define AGENT_KINDS_H

enum kind {
	TOTAL,
	KERNEL_REASON,
	PACKET_OUT,
	PACKET_REASON,
	FRAGMENT_OUT,
	FRAGMENT_REASON,
	BYTES_IN,
	BYTES_OUT,
	BYTES_REASON,
	MESSAGE_IN,
	MESSAGE_REASON,
	FRAME_REASON,
	NOTE,
};

#endif
