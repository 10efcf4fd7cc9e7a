/* Persistent POSIX threads. Waiting members spin for a few microseconds, then sleep: on a machine that does anything else,
 * spinning would take the core that the member waited for needs. */
#include "team.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "agon.h"

enum { MAX_MEMBERS = 64, SPIN = 4000 };

static struct {
  pthread_mutex_t use, lock;
  pthread_cond_t woken;
  pthread_t thread[MAX_MEMBERS];
  agon_member member[MAX_MEMBERS];
  int size, started;
  agon_job job;
  const void *args;
  atomic_int generation, arrived, sleepers; /* of barriers */
  atomic_int jobs, job_sleepers;            /* jobs begun; members asleep until the next */
  _Atomic int64_t drawn[2];                 /* units drawn in this stage and in the next */
  atomic_int stopping;
} team = {.use = PTHREAD_MUTEX_INITIALIZER, .lock = PTHREAD_MUTEX_INITIALIZER, .woken = PTHREAD_COND_INITIALIZER, .size = 1};

static inline void pause_cpu(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

/* Wait until *what differs from `old`. */
static void wait_change(atomic_int *what, int old, atomic_int *sleepers) {
  for (int i = 0; i < SPIN; i++) {
    if (atomic_load_explicit(what, memory_order_acquire) != old) return;
    pause_cpu();
  }
  pthread_mutex_lock(&team.lock);
  atomic_fetch_add(sleepers, 1);
  while (atomic_load(what) == old) pthread_cond_wait(&team.woken, &team.lock);
  atomic_fetch_sub(sleepers, 1);
  pthread_mutex_unlock(&team.lock);
}

/* Change *what; whoever sleeps for it wakes. A sleeper counts itself before it looks, so none is missed. */
static void change(atomic_int *what, atomic_int *sleepers) {
  atomic_fetch_add(what, 1);
  if (atomic_load(sleepers)) {
    pthread_mutex_lock(&team.lock);
    pthread_cond_broadcast(&team.woken);
    pthread_mutex_unlock(&team.lock);
  }
}

void agon_barrier(agon_member *me) {
  int stage = me->stage++;
  if (me->size == 1) {
    atomic_store_explicit(&team.drawn[stage & 1], 0, memory_order_relaxed);
    return;
  }
  int generation = atomic_load(&team.generation);
  if (atomic_fetch_add(&team.arrived, 1) + 1 == me->size) {
    atomic_store(&team.arrived, 0);
    atomic_store(&team.drawn[stage & 1], 0); /* all members have left this stage's counter behind */
    change(&team.generation, &team.sleepers);
  } else {
    wait_change(&team.generation, generation, &team.sleepers);
  }
}

int64_t agon_draw(agon_member *me, int64_t count) {
  return atomic_fetch_add_explicit(&team.drawn[me->stage & 1], count, memory_order_relaxed);
}

void *agon_scratch(agon_member *me, size_t bytes) {
  if (bytes > me->scratch_bytes) {
    free(me->scratch);
    size_t size = (bytes + 4095) & ~(size_t)4095;
    me->scratch = NULL;
    me->scratch_bytes = 0;
    if (posix_memalign(&me->scratch, 64, size)) abort(); /* out of memory: as a failed page fault would be */
    me->scratch_bytes = size;
  }
  return me->scratch;
}

static void *work(void *arg) {
  agon_member *me = arg;
  int seen = 0;
  for (;;) {
    wait_change(&team.jobs, seen, &team.job_sleepers);
    seen++;
    if (atomic_load(&team.stopping)) return NULL;
    me->stage = 0;
    team.job(me, team.args);
    agon_barrier(me);
  }
}

static void start_members(void) {
  while (team.started < team.size - 1) {
    agon_member *me = &team.member[team.started + 1];
    me->id = team.started + 1;
    if (pthread_create(&team.thread[team.started + 1], NULL, work, me)) break; /* fewer hands do the same work */
    team.started++;
  }
  team.size = team.started + 1;
  for (int i = 0; i < team.size; i++) team.member[i].size = team.size;
}

static void stop_members(void) {
  if (!team.started) return;
  atomic_store(&team.stopping, 1);
  change(&team.jobs, &team.job_sleepers);
  for (int i = 1; i <= team.started; i++) pthread_join(team.thread[i], NULL);
  atomic_store(&team.stopping, 0);
  atomic_store(&team.jobs, 0);
  team.started = 0;
}

/* A forked child has none of the threads. */
static void in_child(void) {
  team.started = 0;
  team.size = 1;
  pthread_mutex_init(&team.use, NULL);
  pthread_mutex_init(&team.lock, NULL);
  pthread_cond_init(&team.woken, NULL);
  atomic_store(&team.jobs, 0);
  atomic_store(&team.arrived, 0);
  atomic_store(&team.drawn[0], 0);
  atomic_store(&team.drawn[1], 0);
}

int agon_set_threads(int threads) {
  static int registered;
  pthread_mutex_lock(&team.use);
  if (!registered) registered = !pthread_atfork(NULL, NULL, in_child);
  stop_members();
  team.size = threads < 1 ? 1 : threads > MAX_MEMBERS ? MAX_MEMBERS : threads;
  start_members();
  int size = team.size;
  pthread_mutex_unlock(&team.use);
  return size;
}

void agon_run(agon_job job, const void *args) {
  pthread_mutex_lock(&team.use);
  agon_member *me = &team.member[0];
  me->size = team.size;
  me->stage = 0;
  atomic_store(&team.drawn[0], 0);
  atomic_store(&team.drawn[1], 0);
  if (team.size == 1) {
    job(me, args);
  } else {
    team.job = job;
    team.args = args;
    change(&team.jobs, &team.job_sleepers);
    job(me, args);
    agon_barrier(me);
  }
  pthread_mutex_unlock(&team.use);
}
