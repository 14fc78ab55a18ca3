// The load: drives an echo server on 127.0.0.1, from one thread, blocking and with an epoll of its own.
//
//   load echo  PORT CLIENTS SIZE SECONDS   one message under way on each connection
//   load udp   PORT CLIENTS SIZE SECONDS   the same in datagrams
//   load churn PORT CLIENTS SECONDS        connect, echo 64 bytes, close, CLIENTS at a time
//   load idle  PORT CLIENTS PID            echo once on each, hold all; what the server PID has resident then
//
// It prints a name and a value on each line.
#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

int main(int count, char **words) {
    const char *kind = count > 1 ? words[1] : "";
    int port = count > 2 ? atoi(words[2]) : 0, clients = count > 3 ? atoi(words[3]) : 0;
    if (clients < 1) {
        fprintf(stderr, "usage: see the head of load.c\n");
        return 2;
    }
    if (count == 6 && !strcmp(kind, "echo")) pingpong(port, clients, atol(words[4]), atof(words[5]), SOCK_STREAM);
    else if (count == 6 && !strcmp(kind, "udp")) pingpong(port, clients, atol(words[4]), atof(words[5]), SOCK_DGRAM);
    else if (count == 5 && !strcmp(kind, "churn")) churn(port, clients, atof(words[4]));
    else if (count == 5 && !strcmp(kind, "idle")) idle(port, clients, atoi(words[4]));
    else {
        fprintf(stderr, "usage: see the head of load.c\n");
        return 2;
    }
    return 0;
}
