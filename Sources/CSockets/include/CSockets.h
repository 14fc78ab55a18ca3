// What Swift cannot import from the C headers: variadic calls, calls behind _GNU_SOURCE, macros with casts, and the
// thread-local that says which event loop the thread runs. Declared here, implemented in CSockets.c, because a
// _GNU_SOURCE in a header would clash with other C modules.
#ifndef CSOCKETS_H
#define CSOCKETS_H

#include <stdint.h>
#include <sys/types.h>
#include <sys/socket.h>
#include <sys/epoll.h>

#include "Datagrams.h"
#include "Processes.h"

/// accept4(2) with SOCK_NONBLOCK and SOCK_CLOEXEC.
int csockets_accept(int fd, struct sockaddr *address, socklen_t *length);

/// eventfd(2), non-blocking and close-on-exec.
int csockets_eventfd(void);

/// ioctl(2) whose argument is a pointer to one int.
int csockets_ioctl_int(int fd, unsigned long request, int *value);

/// fcntl(2): F_SETFL with O_NONBLOCK added.
int csockets_set_nonblocking(int fd);

/// fcntl(2): F_SETFD with FD_CLOEXEC.
int csockets_set_close_on_exec(int fd);

/// fcntl(2): whether F_GETFD has FD_CLOEXEC; -1 where it is not open.
int csockets_is_close_on_exec(int fd);

/// What TCP_INFO of tcp(7) knows, in the units of the kernel.
struct csockets_tcp_info {
    uint32_t milliseconds_since_sent;  // tcpi_last_data_sent; counts from the handshake while nothing has been sent
    int is_sending;                    // tcpi_state is ESTABLISHED or CLOSE_WAIT: no FIN of ours has been sent
    int is_closed;                     // tcpi_state is TCP_CLOSE: reset, or both ends have finished
};
int csockets_tcp_info(int fd, struct csockets_tcp_info *info);

/// SO_PEERCRED of unix(7).
int csockets_peer_credentials(int fd, int32_t *process, uint32_t *user, uint32_t *group);

/// How many processors this process may use (sched_getaffinity(2)).
int csockets_processors(void);

/// pthread_setname_np(3) for the calling thread; at most 15 bytes are kept.
void csockets_name_thread(const char *name);

/// SCHED_BATCH of sched(7) for the calling thread, where it has the policy that all have: when it wakes, it takes the
/// processor from nobody.
void csockets_let_wakers_finish(void);

/// pipe2(2), non-blocking and close-on-exec, made as large as `size` if the system allows it (F_SETPIPE_SZ).
int csockets_pipe(int ends[2], int size);

/// splice(2) without offsets, non-blocking on the pipe's side.
ssize_t csockets_splice(int from, int to, size_t most);

/// Gives what the allocator keeps back to the system (malloc_trim(3)), where it can.
void csockets_give_back_memory(void);

/// Blocks SIGPIPE for the calling thread (pthread_sigmask(3)): splice(2) has no flag to leave it out.
void csockets_block_pipe_signal(void);

/// The event loop that the calling thread runs, or null.
void *csockets_current_loop(void);
void csockets_set_current_loop(void *loop);

/// Has the processor fetch some bytes that are soon needed, a cache line (64 bytes) at a time. The address may be any.
static inline void csockets_prefetch(const void *address, int bytes) {
    for (int at = 0; at < bytes; at += 64) __builtin_prefetch((const char *)address + at);
}

/// The running task, or null; and whether a task was cancelled. The Swift runtime's own entry points: the standard library
/// asks the same through unspecialised generic code, which costs several times as much, and Pier asks with every message.
void *csockets_current_task(void);
int csockets_is_cancelled(void *task);

/// Copies memory of this process by way of a pipe: an address that cannot be read is an error (EFAULT) and no fault. 0 or -1.
int csockets_copy_memory(const void *from, void *to, size_t size);

/// A per-thread parking place for blocking waits, or null; given to `free_parker` when the thread ends.
void *csockets_parker(void);
void csockets_set_parker(void *parker, void (*free_parker)(void *));

/// A lock in one word, which is 0 while it is free: two atomic exchanges, and futex(2) only under contention.
void csockets_lock(uint32_t *word);
void csockets_unlock(uint32_t *word);

/// Request and option numbers that are macros with casts, or defined only behind feature macros.
extern const unsigned long csockets_SIOCOUTQ;
extern const unsigned long csockets_FIONREAD;
extern const uint32_t csockets_EPOLLET;
extern const int csockets_EPOLL_CLOEXEC;

#endif
