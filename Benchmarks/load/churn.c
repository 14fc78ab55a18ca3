#include "load.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

void churn(int port, int count, double seconds) {
    char message[64] = {0};
    int *fds = malloc(sizeof(int) * count);
    double start = now();
    while (now() < start + seconds) {
        double at = now();
        for (int i = 0; i < count; i++) {
            fds[i] = connected(loopback(port), SOCK_STREAM);
            if (send(fds[i], message, sizeof message, MSG_NOSIGNAL) != sizeof message) die("send");
        }
        for (int i = 0; i < count; i++) {
            if (recv(fds[i], message, sizeof message, MSG_WAITALL) != sizeof message) die("recv");
            reset_at_close(fds[i]);
            close(fds[i]);
            record(at, now());
        }
    }
    report(now() - start);
}
