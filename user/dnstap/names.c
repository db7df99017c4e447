/* SPDX-License-Identifier: BSD-2-Clause */
#include "dnstap/names.h"

#include <stddef.h>

/* clang-format off: one mnemonic a line would be four pages */
static const char *const type_names[] = {
	[0] = "None", [1] = "A", [2] = "NS", [3] = "MD", [4] = "MF", [5] = "CNAME",
	[6] = "SOA", [7] = "MB", [8] = "MG", [9] = "MR", [10] = "NULL", [12] = "PTR",
	[13] = "HINFO", [14] = "MINFO", [15] = "MX", [16] = "TXT", [17] = "RP",
	[18] = "AFSDB", [19] = "X25", [20] = "ISDN", [21] = "RT", [23] = "NSAP-PTR",
	[24] = "SIG", [25] = "KEY", [26] = "PX", [27] = "GPOS", [28] = "AAAA",
	[29] = "LOC", [30] = "NXT", [31] = "EID", [32] = "NIMLOC", [33] = "SRV",
	[34] = "ATMA", [35] = "NAPTR", [36] = "KX", [37] = "CERT", [39] = "DNAME",
	[41] = "OPT", [42] = "APL", [43] = "DS", [44] = "SSHFP", [46] = "RRSIG",
	[47] = "NSEC", [48] = "DNSKEY", [49] = "DHCID", [50] = "NSEC3",
	[51] = "NSEC3PARAM", [52] = "TLSA", [53] = "SMIMEA", [55] = "HIP", [56] = "NINFO",
	[57] = "RKEY", [58] = "TALINK", [59] = "CDS", [60] = "CDNSKEY",
	[61] = "OPENPGPKEY", [62] = "CSYNC", [63] = "ZONEMD", [64] = "SVCB",
	[65] = "HTTPS", [99] = "SPF", [100] = "UINFO", [101] = "UID", [102] = "GID",
	[103] = "UNSPEC", [104] = "NID", [105] = "L32", [106] = "L64", [107] = "LP",
	[108] = "EUI48", [109] = "EUI64", [249] = "TKEY", [250] = "TSIG", [251] = "IXFR",
	[252] = "AXFR", [253] = "MAILB", [254] = "MAILA", [255] = "ANY", [256] = "URI",
	[257] = "CAA", [258] = "AVC",
};
/* clang-format on */

const char *names_type(uint16_t type)
{
	if (type < sizeof(type_names) / sizeof(type_names[0]))
		return type_names[type];
	switch (type) {
	case 32768:
		return "TA";
	case 32769:
		return "DLV";
	case 65535:
		return "Reserved";
	default:
		return NULL;
	}
}

const char *names_class(uint16_t qclass)
{
	switch (qclass) {
	case 1:
		return "IN";
	case 2:
		return "CS";
	case 3:
		return "CH";
	case 4:
		return "HS";
	case 254:
		return "NONE";
	default:
		return NULL;
	}
}

const char *names_rcode(uint8_t rcode)
{
	static const char *const names[] = {
		"NOERROR",
		"FORMERR",
		"SERVFAIL",
		"NXDOMAIN",
		"NOTIMP",
		"REFUSED",
		"YXDOMAIN",
		"YXRRSET",
		"NXRRSET",
		"NOTAUTH",
		"NOTZONE",
	};

	return rcode < sizeof(names) / sizeof(names[0]) ? names[rcode] : NULL;
}
