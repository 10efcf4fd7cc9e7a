/* Agon's CPU kernels: plain C on raw pointers and sizes, called through ctypes (kernels/library.py mirrors the structs).
 *
 * All arithmetic is float32. A row's result depends on that row alone: every sum over a row runs in one fixed order, whatever
 * else is in the batch, however many threads there are and however they share the work. Matrices are (out, in), row-major, until
 * agon_pack turns them into panels of NR output columns. */
#ifndef AGON_H
#define AGON_H
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { AGON_NR = 48, AGON_BLOCK = 32 }; /* columns of a panel; inputs that share a scale in the packed kinds */

/* How the weights of a matrix lie in its panels. Packed kinds hold exactly the float32 values they were made from. */
enum { AGON_F32 = 0, AGON_BF16 = 1, AGON_Q8 = 2, AGON_Q4 = 3, AGON_F16 = 4 /* adapters only */ };

typedef struct {
  const void *data; /* panels, 64-byte aligned */
  int64_t out, in;
  int64_t kind;
} agon_matrix;

typedef struct {
  const float *attn_norm, *mlp_norm;
  agon_matrix qkv, proj, gate_up, down;
} agon_layer;

/* Where keys and values of a token lie: base + page * page_stride + layer * slab_stride + (position % tokens) * token_stride,
 * in floats; the keys of all KV heads, then the values. */
typedef struct {
  float *base;
  int64_t page_stride, slab_stride, token_stride, tokens;
} agon_pages;

typedef struct {
  int64_t hidden, inner, heads, kv_heads, head_dim, layers, vocab;
  double eps;
  const float *cos, *sin; /* (context, head_dim); the first half of sin carries the minus sign */
  const float *embed;     /* (vocab, hidden) */
  const float *norm;      /* (hidden) */
  agon_matrix head;
  const agon_layer *layer;
  agon_pages pages;
} agon_model;

/* One low-rank addition y[out_begin .. + out_width] += (x a^T) b * scale. Row r of `a` (in values) and of `b` (out_width values) are
 * found through pointers, so they may lie in any page; `kind` says what the values are, AGON_F32, AGON_BF16 or AGON_F16. */
typedef struct {
  const void *const *a, *const *b;
  int64_t kind, rank, out_begin, out_width;
  double scale;
} agon_lora_module;

/* An adapter: modules first[4 * layer + target] .. first[4 * layer + target + 1]; targets qkv, proj, gate_up, down. */
typedef struct {
  const agon_lora_module *modules;
  const int32_t *first;
} agon_lora_adapter;

/* Rows [begin, end) of the batch go through `adapter`. */
typedef struct {
  int64_t begin, end;
  const agon_lora_adapter *adapter;
} agon_lora_segment;

/* The rows of one step. Row t is token ids[t] at position pos[t] of the sequence seq[t], whose pages are
 * table[first[seq[t]]], ...; rows of one sequence are neighbours in rising position. */
typedef struct {
  int64_t rows;
  const int32_t *ids, *pos, *seq, *first, *table;
  int64_t segments;
  const agon_lora_segment *segment;
  float *x;                        /* (rows, hidden): the residual stream, result of agon_forward */
  float *normed, *qkv, *mixed;     /* scratch: (rows, hidden), (rows, q + k + v), (rows, q) */
  float *gate_up, *inner, *lora;   /* scratch: (rows, 2 inner), (rows, inner), (rows, lora_width) */
  int64_t lora_width;              /* at least the ranks of one target's modules together, of any adapter here */
} agon_batch;

/* Threads and instruction sets. Levels: 0 baseline, 1 AVX2 + FMA, 2 AVX-512. */
int64_t agon_sizeof(int index);
int agon_best_level(void);
int agon_set_level(int level); /* the level now in use: at most the machine's best */
int agon_set_threads(int threads);

int64_t agon_packed_bytes(int64_t kind, int64_t out, int64_t in);
int agon_pack(const float *w, int64_t out, int64_t in, int64_t kind, void *data); /* 0: this kind cannot hold w exactly */

void agon_linear(const float *x, int64_t rows, const agon_matrix *w, float *y, int64_t ldy, int add);
void agon_rms_norm(const float *x, int64_t rows, int64_t width, const float *gain, double eps, float *y);
void agon_silu_mul(const float *gate_up, int64_t rows, int64_t inner, float *y); /* y (rows, inner), no overlap */
void agon_rope_scatter(const agon_model *m, const agon_batch *b, int64_t layer);
void agon_attention(const agon_model *m, const agon_batch *b, int64_t layer);
void agon_lora(const agon_batch *b, int64_t layer, int64_t target, const float *x, int64_t in, float *y, int64_t ldy);
void agon_argmax(const float *x, int64_t rows, int64_t width, int32_t *best, float *value);
void agon_forward(const agon_model *m, const agon_batch *b);
void agon_logits(const agon_model *m, const float *states, int64_t rows, float *normed, float *logits, int32_t *best, float *value);

#ifdef __cplusplus
}
#endif
#endif
