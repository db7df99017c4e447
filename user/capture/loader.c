/* SPDX-License-Identifier: BSD-2-Clause */
#include "capture/loader.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/capability.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/membarrier.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "capture/cpus.h"
#include "capture/entrances.h"
#include "capture/settings.h"
#include "record.h"

#include "capture.skel.h"

/* Remembered fragmented datagrams: an LRU map keeps free entries by CPU and needs this many. */
enum { FRAGMENTS_PER_CPU = 256, FRAGMENTS_MIN = 4096 };
enum { NO_READER = -1 };

/* Of a CPU, with the perf ring: its ring, and when that was last looked at. */
struct hearing {
	int reader; /* NO_READER: it has none */
	bool told, empty;
	uint64_t position, ring_full;
};

struct loader {
	struct capture *skel;
	struct bpf_program *program;
	struct rings *rings;
	struct ring_buffer *doorbell;
	struct entrances *entrances;  /* NULL: our own namespace only */
	struct kernel_counts *counts; /* one a possible CPU */
	struct hearing *hearing;      /* the same */
	int cpus;                     /* the highest possible id and 1 */
	enum rings_kind kind;
	size_t ring_size; /* bytes */
};

/* libbpf calls back without a context: one process, one place for its messages. */
static loader_log_fn *log_to;

/* The verifier's log is one message of many lines. */
static int on_libbpf_message(enum libbpf_print_level level, const char *format, va_list args)
{
	char *text, *rest, *line;

	if (!log_to || vasprintf(&text, format, args) < 0)
		return 0;
	rest = text;
	while ((line = strsep(&rest, "\n")))
		if (*line)
			log_to((int)level, line);
	free(text);
	return 0;
}

void loader_set_log(loader_log_fn *fn)
{
	log_to = fn;
}

static int explain(char *error, int err, const char *what)
{
	const char *why = "";

	if (err == -EPERM || err == -EACCES)
		why = "; run it as root, or with the capabilities CAP_NET_RAW, CAP_BPF and "
		      "CAP_PERFMON";
	else if (err == -ENOMEM)
		why = "; memory or its locked limit is short: try a smaller --ring-size";
	else if (err == -EINVAL || err == -ENOTSUP || err == -E2BIG || err == -ENOSYS)
		why = "; the kernel may lack the feature (Linux 5.10 or later is needed): "
		      "--verbose shows the verifier's log";
	snprintf(error, LOADER_ERROR_MAX, "%s: %s%s", what, strerror(-err), why);
	return err;
}

/*
 * Before Linux 5.11 maps count as locked memory, and too much of it is refused with the same error
 * as a missing capability. That this kernel looks at a program of ours tells the two apart.
 */
static bool is_memory_locked(void)
{
	return libbpf_probe_bpf_helper(
		       BPF_PROG_TYPE_SOCKET_FILTER, BPF_FUNC_ktime_get_coarse_ns, NULL) == 0;
}

static int explain_load(char *error, int err)
{
	static const char what[] = "cannot load the BPF program";
	struct rlimit limit;

	if (err != -EPERM || getrlimit(RLIMIT_MEMLOCK, &limit) || limit.rlim_cur == RLIM_INFINITY ||
		!is_memory_locked())
		return explain(error, err, what);
	snprintf(error, LOADER_ERROR_MAX,
		"%s: the locked-memory limit of %llu KiB is too low for its maps, which count as "
		"such before Linux 5.11: raise it (`ulimit -l unlimited`, LimitMEMLOCK=infinity "
		"in the unit), add CAP_SYS_RESOURCE, or take a smaller --ring-size",
		what, (unsigned long long)limit.rlim_cur / 1024);
	return err;
}

/* Two refusals that look alike: of the event itself, and of so much locked memory. */
static int explain_perf(char *error, int err)
{
	const char *why = NULL;

	if (err == -EACCES)
		why = "CAP_PERFMON is missing, or kernel.perf_event_paranoid wants CAP_SYS_ADMIN";
	else if (err == -EPERM)
		why = "the locked-memory limit is too low: CAP_IPC_LOCK, `ulimit -l` or a smaller "
		      "--ring-size helps";
	if (!why)
		return explain(error, err, "cannot open the perf ring");
	snprintf(error, LOADER_ERROR_MAX, "cannot open the perf ring: %s", why);
	return err;
}

/* Sizes that depend on the machine, and of the programs and rings only the wanted one. */
static void configure(struct loader *l, const struct loader_options *o)
{
	struct capture *skel = l->skel;
	uint32_t cpus = (uint32_t)l->cpus, tracked = FRAGMENTS_PER_CPU * cpus;
	uint32_t chunks = (uint32_t)(l->ring_size / LANE_CHUNK);

	bpf_map__set_max_entries(skel->maps.counts, cpus);
	bpf_map__set_max_entries(skel->maps.scratches, cpus);
	bpf_map__set_max_entries(skel->maps.events, cpus);
	bpf_map__set_max_entries(
		skel->maps.fragments, tracked > FRAGMENTS_MIN ? tracked : FRAGMENTS_MIN);
	bpf_map__set_max_entries(skel->maps.ring, (uint32_t)l->ring_size);
	skel->rodata->lane_chunks = chunks;
	bpf_map__set_max_entries(skel->maps.lanes, chunks * cpus);
	bpf_map__set_autocreate(skel->maps.lanes, l->kind == RINGS_ARRAY);
	bpf_map__set_autocreate(skel->maps.ring, l->kind == RINGS_BPF);
	bpf_map__set_autocreate(skel->maps.events, l->kind == RINGS_PERF);
	bpf_map__set_autocreate(skel->maps.scratches, l->kind != RINGS_ARRAY);
	skel->rodata->entered = o->slots > 0;
	l->program = settings_prepare(skel, o, l->kind);
}

static int map_counts(struct loader *l)
{
	size_t size = sizeof(*l->counts) * (size_t)l->cpus;
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED,
		bpf_map__fd(l->skel->maps.counts), 0);

	if (at == MAP_FAILED)
		return -errno;
	l->counts = at;
	return 0;
}

static int ignore_record(void *ctx, void *data, size_t size)
{
	(void)ctx, (void)data, (void)size;
	return 0;
}

static void close_program(struct loader *l)
{
	rings_free(l->rings);
	l->rings = NULL;
	if (l->counts)
		munmap(l->counts, sizeof(*l->counts) * (size_t)l->cpus);
	l->counts = NULL;
	ring_buffer__free(l->doorbell);
	l->doorbell = NULL;
	entrances_free(l->entrances);
	l->entrances = NULL;
	capture__destroy(l->skel);
	l->skel = NULL;
}

/* libbpf opens a perf ring for each CPU that runs, in their order. */
static int remember_cpus(struct loader *l)
{
	size_t count = (size_t)l->cpus;
	bool *online = calloc(count, sizeof(*online));
	int err, readers = 0;

	free(l->hearing);
	l->hearing = calloc(count, sizeof(*l->hearing));
	err = l->hearing && online ? cpus_read(CPUS_ONLINE, online, count) : -ENOMEM;
	for (size_t i = 0; !err && i < count; i++)
		l->hearing[i] = (struct hearing){
			.reader = online[i] ? readers++ : NO_READER, .empty = true};
	free(online);
	return err;
}

static int open_rings(struct loader *l, char *error)
{
	int err;

	if (l->kind == RINGS_ARRAY) {
		err = rings_new_array(bpf_map__fd(l->skel->maps.lanes), l->ring_size, l->counts,
			l->cpus, &l->rings);
		if (err)
			return explain(error, err, "cannot map the array ring");
	} else if (l->kind == RINGS_PERF) {
		err = remember_cpus(l);
		if (err)
			return explain(error, err, "cannot read which CPUs run");
		err = rings_new_perf(bpf_map__fd(l->skel->maps.events), l->ring_size, &l->rings);
		if (err)
			return explain_perf(error, err);
	} else {
		err = rings_new_bpf(bpf_map__fd(l->skel->maps.ring), &l->rings);
		if (err)
			return explain(error, err, "cannot open the BPF ring");
	}
	l->doorbell =
		ring_buffer__new(bpf_map__fd(l->skel->maps.doorbell), ignore_record, NULL, NULL);
	if (!l->doorbell)
		return explain(error, -errno, "cannot open the doorbell ring");
	return 0;
}

static int open_program(struct loader *l, const struct loader_options *o, char *error)
{
	int err;

	l->ring_size = o->ring_size ? o->ring_size : rings_default_size(l->kind, l->cpus);
	l->skel = capture__open();
	if (!l->skel)
		return explain(error, -errno, "cannot open the BPF program");
	configure(l, o);
	err = capture__load(l->skel);
	if (err)
		return explain_load(error, err);
	err = settings_fill(l->skel, o);
	if (err)
		return explain(error, err, "cannot tell the program the networks");
	if (o->slots)
		err = entrances_new(bpf_program__fd(l->program), o->slots, &l->entrances);
	if (err)
		return explain(error, err, "cannot load the programs of other namespaces");
	err = map_counts(l);
	if (err)
		return explain(error, err, "cannot map the program's counters");
	return open_rings(l, error);
}

/*
 * Asked first, because without it newer verifiers work for seconds on what they then refuse with
 * E2BIG.
 */
static bool has_perfmon(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &header, sets))
		return true; /* the kernel will tell */
	return sets[CAP_TO_INDEX(CAP_PERFMON)].effective & CAP_TO_MASK(CAP_PERFMON) ||
	       sets[CAP_TO_INDEX(CAP_SYS_ADMIN)].effective & CAP_TO_MASK(CAP_SYS_ADMIN);
}

int loader_new(
	const struct loader_options *o, struct loader **ret, char error[static LOADER_ERROR_MAX])
{
	struct loader *l = calloc(1, sizeof(*l));
	int err;

	if (!l)
		return explain(error, -ENOMEM, "cannot start");
	libbpf_set_print(on_libbpf_message);
	if (!has_perfmon()) {
		err = explain(error, -EPERM, "cannot load the BPF program without CAP_PERFMON");
		goto out;
	}
	l->cpus = cpus_bound(CPUS_POSSIBLE);
	if (l->cpus < 0) {
		err = explain(error, l->cpus, "cannot read the number of possible CPUs");
		goto out;
	}
	l->kind = o->ring == RINGS_AUTO ? RINGS_ARRAY : o->ring;
	err = open_program(l, o, error);
out:
	if (err) {
		loader_free(l);
		return err;
	}
	*ret = l;
	return 0;
}

void loader_free(struct loader *l)
{
	if (!l)
		return;
	close_program(l);
	free(l->hearing);
	free(l);
}

/* The filter goes on before the socket is bound, so that no packet ever passes unfiltered. */
static int prepare_socket(
	struct loader *l, int fd, const struct interface *interface, uint16_t slot)
{
	int program = slot ? entrances_program(l->entrances, slot) : bpf_program__fd(l->program);
	int ignore = 1;
	struct sockaddr_ll address = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ALL),
		.sll_ifindex = (int)interface->index,
	};

	if (program < 0)
		return program;
	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_BPF, &program, sizeof(program)))
		return -errno;
	/* Loopback shows each packet when it is sent and again when it is received. */
	if (interface->loopback &&
		setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &ignore, sizeof(ignore)))
		return -errno;
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)))
		return -errno;
	return 0;
}

static int set_promiscuous(int fd, const struct interface *interface)
{
	struct packet_mreq request = {
		.mr_ifindex = (int)interface->index,
		.mr_type = PACKET_MR_PROMISC,
	};

	if (setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &request, sizeof(request)))
		return -errno;
	return 0;
}

int loader_attach(struct loader *l, int fd, const struct interface *interface, uint16_t slot,
	bool promiscuous)
{
	int err;

	if (!interface->index) /* 0 would mean every interface */
		return -ENODEV;
	err = prepare_socket(l, fd, interface, slot);
	if (!err && promiscuous)
		err = set_promiscuous(fd, interface);
	return err;
}

struct rings *loader_rings(struct loader *l)
{
	return l->rings;
}

enum rings_kind loader_ring_kind(const struct loader *l)
{
	return l->kind;
}

/*
 * The program outputs, then looks at the flag; the reader sets the flag, then looks at the ring.
 * The full fence keeps the reader's two in order; the bounded wait of its caller covers the
 * program's, which has none.
 */
void loader_arm(struct loader *l)
{
	__atomic_store_n(&l->skel->data_control->control.armed, 1, __ATOMIC_SEQ_CST);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

void loader_disarm(struct loader *l)
{
	__atomic_store_n(&l->skel->data_control->control.armed, 0, __ATOMIC_RELAXED);
}

/* Programs run in RCU read sections, whose end the membarrier waits for. */
void loader_stop(struct loader *l)
{
	static const struct timespec pause = {.tv_nsec = 10 * 1000000L};

	__atomic_store_n(&l->skel->data_control->control.stopped, 1, __ATOMIC_SEQ_CST);
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0))
		nanosleep(&pause, NULL);
}

int loader_doorbell_fd(const struct loader *l)
{
	return ring_buffer__epoll_fd(l->doorbell);
}

void loader_doorbell_clear(struct loader *l)
{
	ring_buffer__consume(l->doorbell);
}

void loader_set_ports(struct loader *l, const uint16_t *ports, size_t count)
{
	settings_set_ports(l->skel, ports, count);
}

void loader_set_sample(struct loader *l, uint32_t sample)
{
	settings_set_sample(l->skel, sample);
}

void loader_disable_networks(struct loader *l)
{
	settings_disable_networks(l->skel);
}

void loader_disable_clamp(struct loader *l)
{
	settings_disable_clamp(l->skel);
}

/* A packet was turned away by a ring that has been empty all the while. */
static bool is_unheard(struct loader *l, int cpu)
{
	struct hearing *h = &l->hearing[cpu], before = *h;

	h->ring_full = __atomic_load_n(&l->counts[cpu].ring_full, __ATOMIC_RELAXED);
	if (h->reader != NO_READER)
		h->empty = rings_is_empty(l->rings, (size_t)h->reader, &h->position);
	return h->ring_full != before.ring_full && h->empty && before.empty &&
	       h->position == before.position;
}

int loader_unheard_cpu(struct loader *l)
{
	for (int i = 0; l->kind == RINGS_PERF && i < l->cpus; i++) {
		struct hearing *h = &l->hearing[i];

		if (h->told || !is_unheard(l, i))
			continue;
		h->told = true;
		return i;
	}
	return -1;
}

void loader_read_counts(const struct loader *l, struct loader_counts *ret)
{
	*ret = (struct loader_counts){0};
	for (int i = 0; i < l->cpus; i++) {
		const struct kernel_counts *c = &l->counts[i];

		ret->matched += __atomic_load_n(&c->matched, __ATOMIC_RELAXED);
		ret->ring_full += __atomic_load_n(&c->ring_full, __ATOMIC_RELAXED);
		ret->fragments_refused += __atomic_load_n(&c->fragments_refused, __ATOMIC_RELAXED);
		ret->empty_segments += __atomic_load_n(&c->empty_segments, __ATOMIC_RELAXED);
		ret->filtered += __atomic_load_n(&c->filtered, __ATOMIC_RELAXED);
	}
}
