#define _GNU_SOURCE
#include "CSockets.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/sockios.h>
#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int csockets_accept(int fd, struct sockaddr *address, socklen_t *length) {
    return accept4(fd, address, length, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

int csockets_eventfd(void) { return eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC); }

int csockets_ioctl_int(int fd, unsigned long request, int *value) { return ioctl(fd, request, value); }

int csockets_set_nonblocking(int fd) {
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0) return -1;
    return flags & O_NONBLOCK ? 0 : fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

int csockets_set_close_on_exec(int fd) { return fcntl(fd, F_SETFD, FD_CLOEXEC); }

int csockets_is_close_on_exec(int fd) {
    int flags = fcntl(fd, F_GETFD);
    return flags < 0 ? -1 : (flags & FD_CLOEXEC) != 0;
}

int csockets_tcp_info(int fd, struct csockets_tcp_info *out) {
    struct tcp_info info;
    socklen_t length = sizeof info;
    memset(&info, 0, sizeof info);
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) < 0) return -1;
    out->milliseconds_since_sent = info.tcpi_last_data_sent;
    out->is_sending = info.tcpi_state == TCP_ESTABLISHED || info.tcpi_state == TCP_CLOSE_WAIT;
    out->is_closed = info.tcpi_state == TCP_CLOSE;
    return 0;
}

int csockets_peer_credentials(int fd, int32_t *process, uint32_t *user, uint32_t *group) {
    struct ucred credentials;
    socklen_t length = sizeof credentials;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) < 0) return -1;
    *process = credentials.pid;
    *user = credentials.uid;
    *group = credentials.gid;
    return 0;
}

int csockets_processors(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
    long online = sysconf(_SC_NPROCESSORS_ONLN);  // more processors than a cpu_set_t has bits
    return online > 0 ? (int)online : 1;
}

void csockets_name_thread(const char *name) {
    char kept[16];
    strncpy(kept, name, sizeof kept - 1);
    kept[sizeof kept - 1] = 0;
    pthread_setname_np(pthread_self(), kept);
}

void csockets_let_wakers_finish(void) {
    struct sched_param priority;
    int policy;
    if (pthread_getschedparam(pthread_self(), &policy, &priority) == 0 && policy == SCHED_OTHER)
        pthread_setschedparam(pthread_self(), SCHED_BATCH, &priority);
}

// Part of the runtime's stable interface, which has no C header.
extern __attribute__((swiftcall)) void *swift_task_getCurrent(void);
extern __attribute__((swiftcall)) _Bool swift_task_isCancelled(void *task);
void *csockets_current_task(void) { return swift_task_getCurrent(); }
int csockets_is_cancelled(void *task) { return swift_task_isCancelled(task); }

int csockets_copy_memory(const void *from, void *to, size_t size) {
    int ends[2];
    if (pipe2(ends, O_NONBLOCK | O_CLOEXEC) < 0) return -1;
    int done = write(ends[1], from, size) == (ssize_t)size && read(ends[0], to, size) == (ssize_t)size;
    close(ends[0]);
    close(ends[1]);
    return done ? 0 : -1;
}

int csockets_pipe(int ends[2], int size) {
    if (pipe2(ends, O_NONBLOCK | O_CLOEXEC) < 0) return -1;
    fcntl(ends[0], F_SETPIPE_SZ, size);
    return 0;
}

ssize_t csockets_splice(int from, int to, size_t most) {
    return splice(from, NULL, to, NULL, most, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
}

void csockets_give_back_memory(void) {
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

void csockets_block_pipe_signal(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static _Thread_local void *current_loop;
void *csockets_current_loop(void) { return current_loop; }
void csockets_set_current_loop(void *loop) { current_loop = loop; }

static _Thread_local void *parker;
static pthread_key_t parker_key;
static pthread_once_t parker_once = PTHREAD_ONCE_INIT;
static void (*parker_free)(void *);
static void parker_exit(void *value) {
    parker = 0;
    __atomic_load_n(&parker_free, __ATOMIC_ACQUIRE)(value);
}
static void parker_make_key(void) { pthread_key_create(&parker_key, parker_exit); }
void *csockets_parker(void) { return parker; }
void csockets_set_parker(void *value, void (*free_parker)(void *)) {
    __atomic_store_n(&parker_free, free_parker, __ATOMIC_RELEASE);  // the same function from every thread
    pthread_once(&parker_once, parker_make_key);
    parker = value;
    pthread_setspecific(parker_key, value);
}

// The word is 0 while free, 1 while held, and 2 while held with somebody who may be asleep (Drepper, "Futexes Are Tricky").
void csockets_lock(uint32_t *word) {
    uint32_t free = 0;
    if (__atomic_compare_exchange_n(word, &free, 1, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) return;
    while (__atomic_exchange_n(word, 2, __ATOMIC_ACQUIRE) != 0) syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, 2, 0, 0, 0);
}
void csockets_unlock(uint32_t *word) {
    if (__atomic_exchange_n(word, 0, __ATOMIC_RELEASE) == 2) syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, 0, 0, 0);
}

const unsigned long csockets_SIOCOUTQ = SIOCOUTQ;
const unsigned long csockets_FIONREAD = FIONREAD;
const uint32_t csockets_EPOLLET = EPOLLET;
const int csockets_EPOLL_CLOEXEC = EPOLL_CLOEXEC;
