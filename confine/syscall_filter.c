// SPDX-License-Identifier: BSD-3-Clause
// Copyright (c) 2026 The mcxrelay authors

#include "confine/syscall_filter.h"

#include <errno.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"

enum { CALLS_MAX = 512 }; // numbers of system calls that have names here

// What every relay may call, whatever its ports. Found by strace over the end-to-end tests; those
// that no test makes are alternatives that the C library, libevent, OpenSSL or the EAL may choose.
static const int calls[] = {
	// control, TLS and metrics connections on sockets that listen already
	SCMP_SYS(accept), SCMP_SYS(accept4), SCMP_SYS(read), SCMP_SYS(readv), SCMP_SYS(recvfrom),
	SCMP_SYS(recvmsg), SCMP_SYS(recvmmsg), SCMP_SYS(write), SCMP_SYS(writev), SCMP_SYS(sendto),
	SCMP_SYS(sendmsg), SCMP_SYS(sendmmsg), SCMP_SYS(shutdown), SCMP_SYS(close),
	SCMP_SYS(getsockopt), SCMP_SYS(setsockopt), SCMP_SYS(getsockname), SCMP_SYS(getpeername),
	SCMP_SYS(fcntl), SCMP_SYS(dup), SCMP_SYS(pipe2), SCMP_SYS(eventfd2),
	// waiting; the EAL makes its epoll anew when a driver's interrupt comes or goes: a peer of
	// net_memif connects
	SCMP_SYS(epoll_create), SCMP_SYS(epoll_create1), SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_wait),
	SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_pwait2), SCMP_SYS(poll), SCMP_SYS(ppoll),
	SCMP_SYS(select), SCMP_SYS(pselect6), SCMP_SYS(futex), SCMP_SYS(nanosleep),
	SCMP_SYS(clock_nanosleep), SCMP_SYS(timerfd_create), SCMP_SYS(timerfd_settime),
	SCMP_SYS(sched_yield), SCMP_SYS(restart_syscall),
	// state files, certificates, the C library's own files
	SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(stat), SCMP_SYS(fstat), SCMP_SYS(lstat),
	SCMP_SYS(newfstatat), SCMP_SYS(statx), SCMP_SYS(statfs), SCMP_SYS(fstatfs),
	SCMP_SYS(access), SCMP_SYS(faccessat), SCMP_SYS(faccessat2), SCMP_SYS(lseek),
	SCMP_SYS(pread64), SCMP_SYS(pwrite64), SCMP_SYS(fsync), SCMP_SYS(fdatasync),
	SCMP_SYS(ftruncate), SCMP_SYS(fallocate), SCMP_SYS(flock), SCMP_SYS(rename),
	SCMP_SYS(renameat), SCMP_SYS(renameat2), SCMP_SYS(unlink), SCMP_SYS(unlinkat),
	SCMP_SYS(rmdir), SCMP_SYS(getdents64), SCMP_SYS(readlink), SCMP_SYS(readlinkat),
	SCMP_SYS(getcwd),
	// memory; pages of the EAL's heap, on their NUMA node
	SCMP_SYS(brk), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(mlock),
	SCMP_SYS(mlock2), SCMP_SYS(munlock), SCMP_SYS(memfd_create), SCMP_SYS(mbind),
	SCMP_SYS(get_mempolicy), SCMP_SYS(set_mempolicy), SCMP_SYS(membarrier),
	// time, random numbers, who we are
	SCMP_SYS(clock_gettime), SCMP_SYS(clock_getres), SCMP_SYS(gettimeofday), SCMP_SYS(time),
	SCMP_SYS(adjtimex), SCMP_SYS(clock_adjtime), // without CAP_SYS_TIME they only read
	SCMP_SYS(getrandom), SCMP_SYS(getpid), SCMP_SYS(getppid), SCMP_SYS(gettid),
	SCMP_SYS(getuid), SCMP_SYS(geteuid), SCMP_SYS(getgid), SCMP_SYS(getegid), SCMP_SYS(uname),
	SCMP_SYS(sysinfo), SCMP_SYS(getcpu), SCMP_SYS(getrusage), SCMP_SYS(times),
	// signals, threads (one for each connection to DPDK's telemetry), the end
	SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn),
	SCMP_SYS(sigaltstack), SCMP_SYS(set_robust_list), SCMP_SYS(set_tid_address), SCMP_SYS(rseq),
	SCMP_SYS(sched_getaffinity), SCMP_SYS(sched_setaffinity), SCMP_SYS(sched_getparam),
	SCMP_SYS(sched_getscheduler), SCMP_SYS(exit), SCMP_SYS(exit_group)};

// Questions to terminals and sockets that change nothing. libevent asks FIONREAD before each read.
static const unsigned long requests[] = {FIONREAD, FIONBIO, TCGETS, SIOCGIFNAME, SIOCGIFINDEX,
	SIOCGIFFLAGS, SIOCGIFMTU, SIOCGIFHWADDR, SIOCETHTOOL};

// Port drivers, by the begin of their devices' names, and what they do beyond that while packets
// flow or when the port is closed.
static const struct driver {
	const char *prefix;
	bool any_ioctl; // on /dev/vfio, /dev/net/tun, uverbs
	bool peers; // connects to the other end of the interface by a Unix socket, again and again
	bool netlink;  // asks and sets links
	bool moves;    // takes an interface that was made again: binds packet sockets to it
	bool gives_up; // tries to take its XDP program off the interface, and can do without
} drivers[] = {
	{.prefix = "net_af_packet", .moves = true}, {.prefix = "net_null"}, {.prefix = "net_pcap"},
	{.prefix = "net_ring"}, {.prefix = "net_af_xdp", .gives_up = true},
	{.prefix = "net_memif", .peers = true},
	{.prefix = "net_tap", .any_ioctl = true, .netlink = true},
	{.prefix = "net_vhost", .peers = true},
	{.prefix = "net_virtio_user", .any_ioctl = true, .peers = true},
	{.prefix = "", .any_ioctl = true, .netlink = true}, // PCI devices and the rest
};

static const char *names[CALLS_MAX];

// The call was not made. Formats and writes only what needs no lock and no memory: the thread may
// have been in the middle of anything.
static void on_forbidden(int number, siginfo_t *info, void *context)
{
	unsigned call = (unsigned)info->si_syscall;
	(void)context;
	log_error("call_forbidden call=%s number=%u thread=%d",
		call < CALLS_MAX && names[call] ? names[call] : "unknown", call, (int)gettid());
	signal(number, SIG_DFL);
	raise(number); // comes when this handler returns
}

static int handler_install(void)
{
	struct sigaction action = {.sa_sigaction = on_forbidden, .sa_flags = SA_SIGINFO};
	for (int i = 0; i < CALLS_MAX; i++)
		names[i] = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, i);
	return sigaction(SIGSYS, &action, NULL) == 0 ? 0 : -errno;
}

static const struct driver *driver_of(const char *device)
{
	const struct driver *driver = drivers;
	while (strncmp(device, driver->prefix, strlen(driver->prefix)) != 0)
		driver++;
	return driver;
}

// What all ports need together.
static struct driver driver_union(const char *const devices[], unsigned n)
{
	struct driver all = {};
	for (unsigned i = 0; i < n; i++) {
		const struct driver *one = driver_of(devices[i]);
		all.any_ioctl |= one->any_ioctl;
		all.peers |= one->peers;
		all.netlink |= one->netlink;
		all.moves |= one->moves;
		all.gives_up |= one->gives_up;
	}
	return all;
}

static int calls_allow(scmp_filter_ctx filter)
{
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < sizeof(calls) / sizeof(calls[0]); i++)
		rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
	return rc;
}

// Calls of which one argument decides. The kernel looks at numbers only, not at what pointers lead
// to.
static int arguments_allow(scmp_filter_ctx filter)
{
	const struct scmp_arg_cmp not_executable = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
	const uint64_t namespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
				    CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;
	int rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, not_executable);
	if (rc == 0)
		rc = seccomp_rule_add(
			filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, not_executable);
	// A thread, not a process. Of clone3() the flags are in memory: the C library takes clone()
	// if there is none.
	if (rc == 0)
		rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
			SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD | namespaces, CLONE_THREAD));
	if (rc == 0)
		rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
	if (rc == 0)
		rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
			SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()));
	if (rc == 0)
		rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 1,
			SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME));
	if (rc == 0) // to read a limit, not to set one
		rc = seccomp_rule_add(
			filter, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 1, SCMP_A2(SCMP_CMP_EQ, 0));
	if (rc == 0) // to systemd
		rc = seccomp_rule_add(
			filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_EQ, AF_UNIX));
	return rc;
}

static int requests_allow(scmp_filter_ctx filter)
{
	int rc = 0;
	for (size_t i = 0; rc == 0 && i < sizeof(requests) / sizeof(requests[0]); i++)
		rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
			SCMP_A1(SCMP_CMP_EQ, requests[i]));
	return rc;
}

static int driver_allow(scmp_filter_ctx filter, const struct driver *driver)
{
	static const int peer_calls[] = {SCMP_SYS(connect), SCMP_SYS(listen)};
	const struct scmp_arg_cmp is_netlink = SCMP_A0(SCMP_CMP_EQ, AF_NETLINK);
	int rc = driver->any_ioctl ? seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 0)
				   : requests_allow(filter);
	// The EAL logs to stderr and to syslog, for which the C library connects anew when it must.
	if (rc == 0 && !driver->peers)
		rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(connect), 0);
	for (size_t i = 0; driver->peers && rc == 0 && i < 2; i++)
		rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, peer_calls[i], 0);
	if (rc == 0 && driver->netlink)
		rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1, is_netlink);
	if (rc == 0 && (driver->netlink || driver->peers || driver->moves))
		rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(bind), 0);
	if (rc == 0 && driver->gives_up && !driver->netlink)
		rc = seccomp_rule_add(
			filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socket), 1, is_netlink);
	if (rc == 0 && driver->gives_up)
		rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(bpf), 0);
	if (rc == 0 && driver->gives_up) // its lock in /run
		rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(mkdir), 0);
	return rc;
}

static int attributes_set(scmp_filter_ctx filter)
{
	int rc = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (rc == 0)
		rc = seccomp_attr_set(filter, SCMP_FLTATR_CTL_NNP, 1);
	if (rc == 0)
		rc = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	// A tree: sendto() of the workers is not last in a list of a hundred.
	if (rc == 0)
		rc = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	// Kernels before 5.16 switch speculative store bypass off for whoever has a filter, which
	// costs the workers dear. The relay runs nobody's code but its own.
	if (rc == 0)
		rc = seccomp_attr_set(filter, SCMP_FLTATR_CTL_SSB, 1);
	return rc;
}

// Loads a filter that could be made, and frees it. libseccomp returns -ECANCELED when the kernel refused.
static int filter_end(scmp_filter_ctx filter, int rc, char *why, size_t why_size)
{
	if (rc == 0)
		rc = seccomp_load(filter);
	if (rc == -ECANCELED)
		rc = -errno;
	if (filter)
		seccomp_release(filter);
	if (rc != 0)
		snprintf(why, why_size, "no system call filter: %s", strerror(-rc));
	return rc;
}

int syscall_filter_no_fanout(char *why, size_t why_size)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int rc = filter ? seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ALLOW)
			: -ENOMEM;
	if (rc == 0)
		rc = seccomp_attr_set(filter, SCMP_FLTATR_CTL_SSB, 1);
	if (rc == 0) // the call is not made, and returns 0
		rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(0), SCMP_SYS(setsockopt), 2,
			SCMP_A1(SCMP_CMP_EQ, SOL_PACKET), SCMP_A2(SCMP_CMP_EQ, PACKET_FANOUT));
	return filter_end(filter, rc, why, why_size);
}

int syscall_filter_install(const char *const devices[], unsigned n, char *why, size_t why_size)
{
	// Not SCMP_ACT_KILL_PROCESS: only the kernel's audit log would tell which call it was.
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_TRAP);
	struct driver driver = driver_union(devices, n);
	int rc = filter ? handler_install() : -ENOMEM;
	if (rc == 0)
		rc = attributes_set(filter);
	if (rc == 0)
		rc = calls_allow(filter);
	if (rc == 0)
		rc = arguments_allow(filter);
	if (rc == 0)
		rc = driver_allow(filter, &driver);
	return filter_end(filter, rc, why, why_size);
}
