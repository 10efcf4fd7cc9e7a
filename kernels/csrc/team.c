/* Persistent POSIX threads. Who waits spins for some microseconds, then sleeps: on a machine that does anything else, spinning
 * takes the core that the awaited thread needs. */
#include "team.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "agon.h"

enum { MAX_MEMBERS = 64, SPIN = 1000 };

typedef struct {
  _Atomic int64_t drawn, done;
} stage;

static struct {
  pthread_mutex_t use, lock;
  pthread_cond_t woken;
  pthread_t thread[MAX_MEMBERS];
  agon_member member[MAX_MEMBERS];
  int size, started;
  agon_job job;
  const void *args;
  stage *stages;
  int64_t room;          /* stages allocated */
  atomic_int state;      /* odd while a job is open to helpers; each job its own number */
  atomic_int inside;     /* helpers in the job */
  atomic_int sleepers;   /* threads asleep, whatever they wait for */
  atomic_int stopping;
} team = {.use = PTHREAD_MUTEX_INITIALIZER, .lock = PTHREAD_MUTEX_INITIALIZER, .woken = PTHREAD_COND_INITIALIZER, .size = 1};

static inline void pause_cpu(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

/* Spin, then sleep, until `condition`. A sleeper counts itself before it looks, a waker looks after it has changed what the sleeper
 * waits for: one of the two sees the other. */
#define WAIT_UNTIL(condition)                                                        \
  for (int spins = 0; !(condition); spins++) {                                       \
    if (spins < SPIN) {                                                              \
      pause_cpu();                                                                   \
      continue;                                                                      \
    }                                                                                \
    pthread_mutex_lock(&team.lock);                                                  \
    atomic_fetch_add(&team.sleepers, 1);                                             \
    while (!(condition)) pthread_cond_wait(&team.woken, &team.lock);                 \
    atomic_fetch_sub(&team.sleepers, 1);                                             \
    pthread_mutex_unlock(&team.lock);                                                \
  }

static void wake(void) {
  if (!atomic_load(&team.sleepers)) return;
  pthread_mutex_lock(&team.lock);
  pthread_cond_broadcast(&team.woken);
  pthread_mutex_unlock(&team.lock);
}

int64_t agon_draw(agon_member *me, int64_t count) {
  return atomic_fetch_add_explicit(&team.stages[me->stage].drawn, count, memory_order_relaxed);
}

void agon_done(agon_member *me, int64_t count) { atomic_fetch_add(&team.stages[me->stage].done, count); }

void agon_end_stage(agon_member *me, int64_t units) {
  stage *s = &team.stages[me->stage++];
  if (me->size == 1) return;
  if (atomic_load_explicit(&s->done, memory_order_acquire) >= units) {
    wake(); /* who completed the stage may find others asleep for it */
    return;
  }
  WAIT_UNTIL(atomic_load(&s->done) >= units)
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
    WAIT_UNTIL(atomic_load(&team.stopping) || (atomic_load(&team.state) & 1 && atomic_load(&team.state) != seen))
    if (atomic_load(&team.stopping)) return NULL;
    int state = atomic_load(&team.state);
    atomic_fetch_add(&team.inside, 1);
    if (state & 1 && atomic_load(&team.state) == state) { /* still open, and cannot end before this helper has left */
      me->stage = 0;
      team.job(me, team.args);
      seen = state;
    }
    atomic_fetch_sub(&team.inside, 1);
    wake();
  }
}

static void start_helpers(void) {
  while (team.started < team.size - 1) {
    agon_member *me = &team.member[team.started + 1];
    me->id = team.started + 1;
    me->size = team.size;
    if (pthread_create(&team.thread[me->id], NULL, work, me)) break; /* fewer hands do the same work */
    team.started++;
  }
  team.size = team.started + 1;
}

static void stop_helpers(void) {
  if (!team.started) return;
  atomic_store(&team.stopping, 1);
  wake();
  for (int i = 1; i <= team.started; i++) pthread_join(team.thread[i], NULL);
  atomic_store(&team.stopping, 0);
  team.started = 0;
}

/* A forked child has none of the threads. */
static void in_child(void) {
  team.started = 0;
  team.size = 1;
  pthread_mutex_init(&team.use, NULL);
  pthread_mutex_init(&team.lock, NULL);
  pthread_cond_init(&team.woken, NULL);
  atomic_store(&team.inside, 0);
  atomic_store(&team.sleepers, 0);
  atomic_store(&team.state, 0);
}

int agon_set_threads(int threads) {
  static int registered;
  pthread_mutex_lock(&team.use);
  if (!registered) registered = !pthread_atfork(NULL, NULL, in_child);
  threads = threads < 1 ? 1 : threads > MAX_MEMBERS ? MAX_MEMBERS : threads;
  if (threads != team.size) {
    stop_helpers();
    team.size = threads;
    start_helpers();
  }
  int size = team.size;
  pthread_mutex_unlock(&team.use);
  return size;
}

/* Room for `stages`, all at zero. No helper is inside. */
static void clear_stages(int64_t stages) {
  if (stages > team.room) {
    free(team.stages);
    team.stages = malloc(stages * sizeof(stage));
    if (!team.stages) abort();
    team.room = stages;
  }
  memset(team.stages, 0, stages * sizeof(stage));
}

void agon_run(agon_job job, const void *args, int64_t stages) {
  pthread_mutex_lock(&team.use);
  agon_member *me = &team.member[0];
  me->size = team.size;
  me->stage = 0;
  clear_stages(stages);
  if (team.size == 1) {
    job(me, args);
  } else {
    team.job = job;
    team.args = args;
    atomic_fetch_add(&team.state, 1); /* odd: open */
    wake();
    job(me, args);
    atomic_fetch_add(&team.state, 1); /* even: closed */
    WAIT_UNTIL(!atomic_load(&team.inside))
  }
  pthread_mutex_unlock(&team.use);
}
