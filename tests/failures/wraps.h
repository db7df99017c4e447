/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * For the files that stand between the project's objects and the functions they call: each
 * __wrap_NAME asks whether it is its turn to fail. The linker is told of all that are defined.
 */
#ifndef TEST_WRAPS_H
#define TEST_WRAPS_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

enum kind { CALL = 1, WAITS = 2, MOVES_BYTES = 4 };

bool wraps_fails(enum kind kind, const char *name);
/* EINTR where that is what all fail with. */
int wraps_reason(int error);
/* Half of it goes, at least a byte, where that is what is tried. */
size_t wraps_some(size_t len);

#define WRAP(type, name, kind, failure, error, parameters, ...)                                    \
	type __real_##name parameters;                                                             \
	type __wrap_##name parameters;                                                             \
	type __wrap_##name parameters                                                              \
	{                                                                                          \
		if (wraps_fails(kind, #name)) {                                                    \
			errno = wraps_reason(error);                                               \
			return failure;                                                            \
		}                                                                                  \
		return __real_##name(__VA_ARGS__);                                                 \
	}

#endif
