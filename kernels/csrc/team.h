/* A team of threads that run one job together: every member calls the job, members meet at barriers, and share the units of a
 * stage by drawing from a counter, so that a core which others use holds nobody up for long. */
#ifndef AGON_TEAM_H
#define AGON_TEAM_H
#include <stddef.h>
#include <stdint.h>

typedef struct {
  int id, size;
  int stage;     /* stages so far, the same for all members at a barrier */
  void *scratch; /* this member's own */
  size_t scratch_bytes;
} agon_member;

typedef void (*agon_job)(agon_member *me, const void *args);

void agon_run(agon_job job, const void *args);       /* returns when all members have */
void agon_barrier(agon_member *me);                  /* ends a stage */
int64_t agon_draw(agon_member *me, int64_t count);   /* first of the next `count` units of this stage */
void *agon_scratch(agon_member *me, size_t bytes);   /* 64-byte aligned, lost at the next call */

/* A loop over this member's share of the units [0, total) of a stage, drawn `chunk` at a time. */
#define AGON_UNITS(me, i, total, chunk)                                                                     \
  for (int64_t i##_first = agon_draw(me, chunk); i##_first < (total); i##_first = agon_draw(me, chunk))     \
    for (int64_t i = i##_first; i < i##_first + (chunk) && i < (total); i++)
#endif
