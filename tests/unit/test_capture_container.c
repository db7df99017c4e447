/* SPDX-License-Identifier: BSD-2-Clause */
/* A container's id in the names of control groups, as the runtimes write them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "capture/container.h"

#define ID    "4f5a9ee0b1d2c3f4a5b6c7d8e9f0a1b24f5a9ee0b1d2c3f4a5b6c7d8e9f0a1b2"
#define OTHER "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static void test_runtimes(void **state)
{
	static const char *const known[] = {
		"0::/system.slice/docker-" ID ".scope\n", "0::/docker/" ID "\n",
		"12:pids:/docker/" ID "\n11:cpu:/docker/" ID "\n0::/\n",
		"0::/kubepods.slice/kubepods-besteffort.slice/"
		"kubepods-besteffort-pod1d2f_3c.slice/cri-containerd-" ID ".scope\n",
		"0::/kubepods/burstable/pod8f4b2c9e-9a53-4a6e-b4f1-0a2c7a3a1f0d/" ID "\n",
		"0::/system.slice/containerd.service/kubepods-pod1.slice:cri-containerd:" ID "\n",
		"0::/kubepods.slice/crio-" ID ".scope\n",
		"0::/machine.slice/libpod-" ID ".scope/container\n",
		"0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" ID ".scope\n",
		"0::/../../docker-" ID ".scope/init",
		"0::/docker/" OTHER "/docker/" ID "\n", /* a container in a container */
	};
	char id[CONTAINER_DIGITS + 1];

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		assert_true(container_of_cgroup(known[i], id));
		assert_string_equal(id, ID);
	}
	(void)state;
}

static void test_none(void **state)
{
	static const char *const none[] = {
		"",
		"\n",
		"0::/\n",
		"0::/init.scope\n",
		"0::/user.slice/user-0.slice/session-1.scope\n",
		"0::/docker/" ID "0\n", /* one digit too many */
		"0::/docker/x" ID "\n", /* in the middle of a word */
		"0::/docker/" ID "x\n",
		"0::/docker/4f5a9ee0b1d2\n",
	};
	char id[CONTAINER_DIGITS + 1];

	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		assert_false(container_of_cgroup(none[i], id));
		assert_string_equal(id, "");
	}
	(void)state;
}

static void test_asked_for(void **state)
{
	assert_true(container_is(ID, ID));
	assert_true(container_is("4f5a9ee0b1d2", ID));
	assert_false(container_is("4f5a9ee0b1d", ID)); /* too short to be meant */
	assert_false(container_is("4f5a9ee0b1d3", ID));
	assert_false(container_is("4f5a9ee0b1d2", ""));
	assert_false(container_is("", ID));
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_runtimes),
		cmocka_unit_test(test_none),
		cmocka_unit_test(test_asked_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
