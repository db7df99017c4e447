/* SPDX-License-Identifier: BSD-2-Clause */
/* libbpf, whose headers and libpcap's do not go together. */
#include <bpf/libbpf.h>

#include "wraps.h"

WRAP(int, bpf_object__open_skeleton, CALL, -ENOMEM, ENOMEM,
	(struct bpf_object_skeleton * skeleton, const struct bpf_object_open_opts *options),
	skeleton, options)
WRAP(int, bpf_object__load_skeleton, CALL, -EPERM, EPERM, (struct bpf_object_skeleton * skeleton),
	skeleton)
WRAP(int, libbpf_num_possible_cpus, CALL, -EIO, EIO, (void))
WRAP(struct ring_buffer *, ring_buffer__new, CALL, NULL, ENOMEM,
	(int fd, ring_buffer_sample_fn fn, void *arg, const struct ring_buffer_opts *options), fd,
	fn, arg, options)
WRAP(struct perf_buffer *, perf_buffer__new_raw, CALL, NULL, EMFILE,
	(int fd, size_t pages, struct perf_event_attr *attr, perf_buffer_event_fn fn, void *arg,
		const struct perf_buffer_raw_opts *options),
	fd, pages, attr, fn, arg, options)
WRAP(int, perf_buffer__buffer, CALL, -EINVAL, EINVAL,
	(struct perf_buffer * perf, int index, void **memory, size_t *size), perf, index, memory,
	size)

void __real_bpf_object__destroy_skeleton(struct bpf_object_skeleton *skeleton);
void __wrap_bpf_object__destroy_skeleton(struct bpf_object_skeleton *skeleton);

/* libbpf 1.5 to 1.7 looks into the programs also where bpftool's code had no memory for them. */
void __wrap_bpf_object__destroy_skeleton(struct bpf_object_skeleton *skeleton)
{
	if (skeleton && !skeleton->progs)
		skeleton->prog_cnt = 0;
	__real_bpf_object__destroy_skeleton(skeleton);
}
