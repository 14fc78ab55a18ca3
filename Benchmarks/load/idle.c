#include "load.h"

#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static long resident(int pid) {
    char path[64], line[256];
    long kibibytes = 0;
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *status = fopen(path, "r");
    if (!status) die(path);
    while (fgets(line, sizeof line, status))
        if (sscanf(line, "VmRSS: %ld", &kibibytes) == 1) break;
    fclose(status);
    return kibibytes * 1024;
}

static void echo_once(int port) {
    char message[64] = {0};
    int fd = connected(loopback(port), SOCK_STREAM);
    reset_at_close(fd);
    if (send(fd, message, sizeof message, MSG_NOSIGNAL) != sizeof message) die("send");
    if (recv(fd, message, sizeof message, MSG_WAITALL) != sizeof message) die("recv");
}

void idle(int port, int count, int pid) {
    echo_once(port);  // what is made once has been made before the first look
    long before = resident(pid);
    for (int i = 0; i < count; i++) echo_once(port);
    sleep(1);  // what is given back late has been given back at the second
    printf("clients %d\nbefore_bytes %ld\nafter_bytes %ld\n", count, before, resident(pid));
}
