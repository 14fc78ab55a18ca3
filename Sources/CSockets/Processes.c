#define _GNU_SOURCE
#include "Processes.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int is_ours(const char *entry) {
    static const char *const names[] = {
        "PIER_PEER_ADDRESS=", "PIER_LOCAL_ADDRESS=", "LISTEN_PID=", "LISTEN_PIDFDID=", "LISTEN_FDS=", "LISTEN_FDNAMES=",
    };
    for (size_t at = 0; at < sizeof names / sizeof *names; at++)
        if (strncmp(entry, names[at], strlen(names[at])) == 0) return 1;
    return 0;
}

// What this process inherited, and the settings; without what it was itself told by a Pier that runs it, or by the service
// manager (sd_listen_fds(3)), whose sockets the program does not get.
static char **make_environment(char *const settings[]) {
    size_t inherited = 0, added = 0, count = 0;
    while (environ && environ[inherited]) inherited++;
    while (settings[added]) added++;
    char **all = malloc((inherited + added + 1) * sizeof *all);
    if (!all) return 0;
    for (size_t at = 0; at < inherited; at++)
        if (!is_ours(environ[at])) all[count++] = environ[at];
    for (size_t at = 0; at < added; at++) all[count++] = settings[at];
    all[count] = 0;
    return all;
}

static int prepare(posix_spawnattr_t *attributes, posix_spawn_file_actions_t *actions, int socket) {
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    int code = posix_spawnattr_setsigmask(attributes, &none);
    if (!code) code = posix_spawnattr_setsigdefault(attributes, &all);
    if (!code) code = posix_spawnattr_setpgroup(attributes, 0);
    short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP;
    // A loop's thread has a policy of its own, which is not the program's.
    struct sched_param priority = {0};
    if (sched_getscheduler(0) == SCHED_BATCH && sched_getscheduler(getpid()) == SCHED_OTHER
        && posix_spawnattr_setschedpolicy(attributes, SCHED_OTHER) == 0
        && posix_spawnattr_setschedparam(attributes, &priority) == 0)
        flags |= POSIX_SPAWN_SETSCHEDULER;
    if (!code) code = posix_spawnattr_setflags(attributes, flags);
    // dup2(2) of a number onto itself takes close-on-exec away too: posix_spawn(3) sees to it.
    if (!code) code = posix_spawn_file_actions_adddup2(actions, socket, 0);
    if (!code) code = posix_spawn_file_actions_adddup2(actions, socket, 1);
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 34)
    // Ours are close-on-exec; others of the process's may have made some that are not.
    if (!code) code = posix_spawn_file_actions_addclosefrom_np(actions, 3);
#endif
    return code;
}

int csockets_is_ignored(int signal) {
    struct sigaction now;
    return sigaction(signal, 0, &now) == 0 && now.sa_handler == SIG_IGN;
}

void csockets_restore_default(int signal) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = SIG_DFL;
    sigaction(signal, &action, 0);
}

int csockets_await_signal(const sigset_t *set, pid_t *sender) {
    siginfo_t info;
    int number = sigwaitinfo(set, &info);
    *sender = number > 0 && info.si_code == SI_USER ? info.si_pid : -1;
    return number;
}

pid_t csockets_spawn(char *const arguments[], char *const settings[], int socket) {
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_t actions;
    pid_t process = -1;
    int code = posix_spawnattr_init(&attributes);
    if (code) goto failed;
    code = posix_spawn_file_actions_init(&actions);
    if (code) goto without_actions;
    code = prepare(&attributes, &actions, socket);
    if (!code) {
        char **environment = make_environment(settings);
        code = environment ? posix_spawnp(&process, arguments[0], &actions, &attributes, arguments, environment) : ENOMEM;
        free(environment);
    }
    posix_spawn_file_actions_destroy(&actions);
without_actions:
    posix_spawnattr_destroy(&attributes);
failed:
    if (!code) return process;
    errno = code;
    return -1;
}

int csockets_reap(pid_t process, struct csockets_end *end) {
    siginfo_t info;
    memset(&info, 0, sizeof info);
    if (waitid(P_PID, (id_t)process, &info, WEXITED | WNOHANG) < 0) return -1;
    if (info.si_pid == 0) return 0;
    end->is_signalled = info.si_code != CLD_EXITED;
    end->code = info.si_status;
    return 1;
}

int csockets_await_end(pid_t process) {
    siginfo_t info;
    return waitid(P_PID, (id_t)process, &info, WEXITED | WNOWAIT);
}

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif
#define SIGNAL_PROCESS_GROUP (1u << 2)

int csockets_pidfd_open(pid_t process) { return (int)syscall(SYS_pidfd_open, process, 0); }

int csockets_signal_group_of(int pidfd, int signal) {
    return (int)syscall(SYS_pidfd_send_signal, pidfd, signal, 0, SIGNAL_PROCESS_GROUP);
}

int csockets_set_blocking(int fd) {
    int flags = fcntl(fd, F_GETFL);
    return flags < 0 ? -1 : fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
}
