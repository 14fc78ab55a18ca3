// Programs run by this one: posix_spawn(3), waitid(2), and pidfd_open(2) with its kin, which the C library lacks or Swift
// cannot import.
#ifndef CSOCKETS_PROCESSES_H
#define CSOCKETS_PROCESSES_H

#include <signal.h>
#include <sys/types.h>

/// posix_spawnp(3): runs a program with a socket for its standard input and output, and this process's standard error. It
/// leads a process group of its own, its signals are unblocked and as they were at the start, and it has no other
/// descriptor. `settings` (NAME=VALUE, null at the end) are added to the environment, from which what Pier sets is taken
/// first. Its process, or -1.
pid_t csockets_spawn(char *const arguments[], char *const settings[], int socket);

/// sigaction(2): whether this process ignores a signal, as those that nohup(1) has started do.
int csockets_is_ignored(int signal);

/// sigaction(2): gives a signal its default action.
void csockets_restore_default(int signal);

/// sigwaitinfo(2): takes a pending signal of a set, blocking until there is one; its number, or -1. `sender` becomes the
/// process that sent it by kill(2) (SI_USER), or -1 for any other origin, such as the terminal's driver.
int csockets_await_signal(const sigset_t *set, pid_t *sender);

/// How a process ended.
struct csockets_end {
    int is_signalled;  // by a signal, or by itself
    int code;          // the signal's number, or the status that it gave
};

/// waitid(2) without waiting: 1 when it has ended and is now forgotten, 0 while it runs, -1.
int csockets_reap(pid_t process, struct csockets_end *end);

/// waitid(2): blocks until it has ended, and leaves it to be reaped.
int csockets_await_end(pid_t process);

/// pidfd_open(2); close-on-exec.
int csockets_pidfd_open(pid_t process);

/// pidfd_send_signal(2) to the whole group that the process led (Linux 6.9); it may have been reaped.
int csockets_signal_group_of(int pidfd, int signal);

/// fcntl(2): F_SETFL with O_NONBLOCK taken away.
int csockets_set_blocking(int fd);

#endif
