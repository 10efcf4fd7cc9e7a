/* What each job is given: the same for all instruction sets. */
#ifndef AGON_ARGS_H
#define AGON_ARGS_H
#include "agon.h"

typedef struct {
  const float *x;
  int64_t rows;
  const agon_matrix *w;
  float *y;
  int64_t ldy;
  int add;
} linear_args;

typedef struct {
  const float *x;
  int64_t rows, width;
  const float *gain;
  double eps;
  float *y;
  int32_t *best;
} row_args;

typedef struct {
  const agon_model *m;
  const agon_batch *b;
  int64_t layer;
} layer_args;

typedef struct {
  const agon_batch *b;
  int64_t at; /* 4 * layer + target */
  const float *x;
  int64_t in;
  float *y;
  int64_t ldy;
} lora_args;

typedef struct {
  const agon_model *m;
  const float *states;
  int64_t rows;
  float *normed, *logits;
  int32_t *best;
  float *value;
} logits_args;
#endif
