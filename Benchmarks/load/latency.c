// The record: how many messages took how many microseconds. What took four seconds or more counts as four.
#include "load.h"

#include <stdio.h>

#define MOST 4000000

static unsigned histogram[MOST];
static unsigned long messages;

void record(double since, double at) {
    unsigned long microseconds = (at - since) * 1e6;
    histogram[microseconds < MOST ? microseconds : MOST - 1]++;
    messages++;
}

static unsigned percentile(double share) {
    unsigned long seen = 0;
    for (unsigned microseconds = 0; microseconds < MOST; microseconds++)
        if ((seen += histogram[microseconds]) >= messages * share) return microseconds;
    return MOST;
}

void report(double seconds) {
    printf("messages %lu\nseconds %.6f\n", messages, seconds);
    printf("p50_us %u\np99_us %u\np99.9_us %u\n", percentile(.5), percentile(.99), percentile(.999));
}
