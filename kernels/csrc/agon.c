/* The library's functions: which instruction set, packing, and one wrapper per kernel. */
#include "agon.h"

#include <math.h>
#include <string.h>

#include "args.h"
#include "team.h"

typedef struct {
  agon_job linear, norm, silu, argmax, rope, attention, lora, forward, logits;
} kernels;

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#endif

/* Each instruction set compiles the same sources; GCC and clang name the target by different pragmas. */
#define VL 4
#define SUFFIX base
#include "isa.h"

#if defined(__x86_64__) && defined(__GNUC__)
#define HAVE_X86 1
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c")
#endif
#define VL 8
#define SUFFIX avx2
#include "isa.h"
#ifdef __clang__
#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c"))), apply_to = function)
#else
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c,prefer-vector-width=512")
#endif
#define VL 16
#define SUFFIX avx512
#include "isa.h"
#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif

enum { LAYER_STAGES = 20 }; /* more than a layer has, with adapters */

static const kernels *now = &table_base;

int agon_best_level(void) {
#ifdef HAVE_X86
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return 0; /* f16c is older than avx2 */
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                 __builtin_cpu_supports("avx512vl")
             ? 2
             : 1;
#else
  return 0;
#endif
}

int agon_set_level(int level) {
  int best = agon_best_level();
  level = level < 0 ? 0 : level > best ? best : level;
  now = &table_base;
#ifdef HAVE_X86
  if (level == 1) now = &table_avx2;
  if (level == 2) now = &table_avx512;
#endif
  return level;
}

void agon_linear(const float *x, int64_t rows, const agon_matrix *w, float *y, int64_t ldy, int add) {
  linear_args a = {x, rows, w, y, ldy, add};
  agon_run(now->linear, &a, 1);
}

void agon_rms_norm(const float *x, int64_t rows, int64_t width, const float *gain, double eps, float *y) {
  row_args a = {x, rows, width, gain, eps, y, NULL};
  agon_run(now->norm, &a, 1);
}

void agon_silu_mul(const float *gate_up, int64_t rows, int64_t inner, float *y) {
  row_args a = {gate_up, rows, inner, NULL, 0, y, NULL};
  agon_run(now->silu, &a, 1);
}

void agon_argmax(const float *x, int64_t rows, int64_t width, int32_t *best, float *value) {
  row_args a = {x, rows, width, NULL, 0, value, best};
  agon_run(now->argmax, &a, 1);
}

void agon_rope_scatter(const agon_model *m, const agon_batch *b, int64_t layer) {
  layer_args a = {m, b, layer};
  agon_run(now->rope, &a, 1);
}

void agon_attention(const agon_model *m, const agon_batch *b, int64_t layer) {
  layer_args a = {m, b, layer};
  agon_run(now->attention, &a, 1);
}

void agon_lora(const agon_batch *b, int64_t layer, int64_t target, const float *x, int64_t in, float *y, int64_t ldy) {
  lora_args a = {b, 4 * layer + target, x, in, y, ldy};
  agon_run(now->lora, &a, 2);
}

void agon_forward(const agon_model *m, const agon_batch *b) {
  layer_args a = {m, b, 0};
  agon_run(now->forward, &a, 1 + m->layers * LAYER_STAGES);
}

void agon_logits(const agon_model *m, const float *states, int64_t rows, float *normed, float *logits, int32_t *best, float *value) {
  logits_args a = {m, states, rows, normed, logits, best, value};
  agon_run(now->logits, &a, 3);
}

/* Sizes of the structs in the order of kernels/library.py, which mirrors them. */
int64_t agon_sizeof(int index) {
  static const int64_t sizes[] = {sizeof(agon_matrix),      sizeof(agon_layer),        sizeof(agon_pages),        sizeof(agon_model),
                                  sizeof(agon_lora_module), sizeof(agon_lora_adapter), sizeof(agon_lora_segment), sizeof(agon_batch)};
  return index >= 0 && index < (int)(sizeof sizes / sizeof *sizes) ? sizes[index] : -1;
}
