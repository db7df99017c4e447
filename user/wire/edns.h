/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The response code of a message with EDNS: its OPT record, in the additional section, holds the
 * upper 8 of 12 bits (RFC 6891, 6.1.3). Pure; bounded as wire/sections.h says.
 */
#ifndef WIRE_EDNS_H
#define WIRE_EDNS_H

#include <stdint.h>

#include "wire/dns.h"

enum { EDNS_RCODE_MAX = 4095 };

/* Where the message has no OPT record, or the capture cut it off: the header's 4 bits. */
uint16_t edns_rcode(const struct dns *dns);

#endif
