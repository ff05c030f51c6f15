/* Whether threads can be started, asked before an OpenMP runtime starts them: where one cannot, it ends the process.

   As many threads as a team lacks are started here, with the stack that the runtime gives its own, held until all
   stand, and joined. What they took is free again when `startable` returns. */

#ifndef CNNREF_START_H
#define CNNREF_START_H

#if defined(_OPENMP) && !defined(_WIN32)

#include <omp.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#ifdef __linux__
#include <sys/syscall.h>
#include <unistd.h>
#endif

#define MOST_STARTED 1024
/* What the C library certainly keeps of the stacks of threads that have ended (glibc: 40 MB), for the next threads. */
#define KEPT_BYTES ((size_t)32 << 20)
/* What the runtime itself allocates for a team, generously: it ends the process as well where it gets none. */
#define RUNTIME_BYTES ((size_t)1 << 20)

/* Not in memory that the dynamic loader would have to allocate first: where it cannot, it ends the process. */
#ifdef __GLIBC__
#define OF_THREAD static __thread __attribute__((tls_model("initial-exec")))
#else
#define OF_THREAD static __thread
#endif

/* Threads of the runtime's team for the calling thread, itself among them: the last team that was opened. */
OF_THREAD int team_held = 1;

static pthread_mutex_t start_lock = PTHREAD_MUTEX_INITIALIZER;

static void lock_start(void) { pthread_mutex_lock(&start_lock); }
static void unlock_start(void) { pthread_mutex_unlock(&start_lock); }

static void *stand_by(void *gate) {
    pthread_mutex_lock((pthread_mutex_t *)gate);
    pthread_mutex_unlock((pthread_mutex_t *)gate);
#ifdef __linux__
    return (void *)(intptr_t)syscall(SYS_gettid);
#else
    return NULL;
#endif
}

/* Join a thread and wait until the system counts it no longer, which is a little later. */
static void end_thread(pthread_t thread) {
    void *number = NULL;
    pthread_join(thread, &number);
#ifdef __linux__
    for (int i = 0; i < 10000 && syscall(SYS_tgkill, getpid(), (pid_t)(intptr_t)number, 0) == 0; i++) {
        sched_yield();
    }
#endif
}

/* How many threads with `stack` bytes of stack may be started at once, so that the runtime's own threads are given the
   stacks of those that `startable` has joined, and ask for no new memory that another thread may have taken since. */
static int started_at_once(size_t stack) {
    size_t size = stack;
    pthread_attr_t attributes;
    if (size == 0 && pthread_attr_init(&attributes) == 0) {
        pthread_attr_getstacksize(&attributes, &size);
        pthread_attr_destroy(&attributes);
    }
    size_t count = size > 0 ? KEPT_BYTES / size : 1;
    return count < 1 ? 1 : count > MOST_STARTED ? MOST_STARTED : (int)count;
}

/* How many of `wanted` threads with `stack` bytes of stack (0: the system's default) can stand at once.
   The caller holds `start_lock`. */
static int startable(int wanted, size_t stack) {
    static pthread_t started[MOST_STARTED];
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    pthread_attr_t attributes;
    int count = 0;
    void *reserve = malloc(RUNTIME_BYTES);
    if (reserve == NULL || pthread_attr_init(&attributes) != 0) {
        free(reserve);
        return 0;
    }
    if (stack > 0) {
        pthread_attr_setstacksize(&attributes, stack); /* refused as the runtime refuses it: the default stays */
    }
    pthread_mutex_lock(&gate);
    while (count < wanted && count < MOST_STARTED &&
           pthread_create(&started[count], &attributes, stand_by, &gate) == 0) {
        count++;
    }
    pthread_mutex_unlock(&gate);
    for (int i = 0; i < count; i++) {
        end_thread(started[i]);
    }
    pthread_attr_destroy(&attributes);
    free(reserve);
    return count;
}

/* Have the runtime start a team of `threads`; how many it has. */
static int open_team(int threads) {
    int found = 1;
#pragma omp parallel num_threads(threads)
    {
#pragma omp master
        found = omp_get_num_threads();
    }
    return found;
}

#else

static int team_held = 1;
static void lock_start(void) {}
static void unlock_start(void) {}
static int started_at_once(size_t stack) { return (void)stack, 1024; }
static int startable(int wanted, size_t stack) { return (void)stack, wanted; }
static int open_team(int threads) { return threads; }

#endif
#endif
