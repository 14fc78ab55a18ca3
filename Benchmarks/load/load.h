// What the loads share: the clock, the connections, and the record of how long each message took.
#include <netinet/in.h>
#include <stddef.h>

/// Seconds on the clock that nobody sets.
double now(void);

/// Ends the load with `what` and the system's reason. A load that lost a client must not give a figure.
void die(const char *what);

struct sockaddr_in loopback(int port);

/// A blocking socket, connected to `address`.
int connected(struct sockaddr_in address, int type);

/// Lets `fd` be reset at its close: no port waits for its time-out afterwards, of which there are only 28 000.
void reset_at_close(int fd);

/// Notes a message that was sent at `since` and had come back at `at`.
void record(double since, double at);

/// Prints messages, seconds, and the latencies in microseconds, a name and a value on each line.
void report(double seconds);

/// Keeps one message of `size` bytes under way on each of `count` sockets.
void pingpong(int port, int count, size_t size, double seconds, int type);

/// Connects `count` at a time, has 64 bytes echoed on each, closes, and again.
void churn(int port, int count, double seconds);

/// Echoes once on each of `count` connections, holds them all, and prints what the server, process `pid`, has resident.
void idle(int port, int count, int pid);
