/* A team of threads that run one job together. A job is a sequence of stages, a stage a number of units; members draw units until
 * none is left and go on when all are done. Nobody waits for a member that holds no unit, so where other processes have the second
 * core the first does the work alone, and where a helper wakes late it joins in the middle. */
#ifndef AGON_TEAM_H
#define AGON_TEAM_H
#include <stddef.h>
#include <stdint.h>

typedef struct {
  int id, size;
  int64_t stage; /* the stage this member is in */
  void *scratch; /* this member's own */
  size_t scratch_bytes;
} agon_member;

typedef void (*agon_job)(agon_member *me, const void *args);

void agon_run(agon_job job, const void *args, int64_t stages); /* `stages`: at most so many; returns when all units are done */
int64_t agon_draw(agon_member *me, int64_t count);             /* the first of the next `count` units of this stage */
void agon_done(agon_member *me, int64_t count);                /* so many units that this member drew are done */
void agon_end_stage(agon_member *me, int64_t units);           /* returns when all `units` of the stage are done */
void *agon_scratch(agon_member *me, size_t bytes);             /* 64-byte aligned, lost at the next call */

/* A loop over this member's share of the units [0, total) of a stage, drawn `chunk` at a time. */
#define AGON_UNITS(me, i, total, chunk)                                                 \
  for (int64_t i##_first = agon_draw(me, chunk); i##_first < (total);                   \
       agon_done(me, chunk), i##_first = agon_draw(me, chunk))                          \
    for (int64_t i = i##_first; i < i##_first + (chunk) && i < (total); i++)
#endif
