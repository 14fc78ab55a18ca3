#ifndef CCOUNTING_H
#define CCOUNTING_H

#include <stdbool.h>
#include <stdint.h>

/// Whether allocations are counted in this build: with glibc, and without a sanitizer, which has an allocator of its own.
bool counting_is_on(void);

/// How often this thread has asked for memory: malloc, calloc, realloc and their aligned kin.
uint64_t counting_allocations_of_thread(void);

/// How often the process has.
uint64_t counting_allocations(void);

/// How many bytes of the process's heap are in use now, the allocator's own word before each block among them.
int64_t counting_live_bytes(void);

/// Does nothing: callgrind writes down what it has counted when this is called.
void counting_mark(void);

#endif
