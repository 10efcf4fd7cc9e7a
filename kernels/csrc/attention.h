/* Attention of rows over the pages of their sequences, prompts and single tokens alike.
 *
 * A unit is up to TILE neighbouring rows of one sequence times one KV head: TILE * G query vectors that share each key. KEYS keys
 * are transposed at a time, so that a score is one lane. Softmax in two passes: all scores of a query, their maximum, then the
 * exponentials and the weighted sum of values in the order of positions. Blocks of KEYS begin at position 0 whatever the chunk,
 * hence a row's result does not depend on how its prompt was cut. Slots behind a row's position are never used. */
#define KEYS 16
#define TILE 4

/* Keys of positions [at, at + KEYS) (those before `end`; zeros behind it) as kt (dim, KEYS). */
INLINE void NAME(keys)(const agon_model *m, const agon_batch *b, int64_t seq, int64_t layer, int64_t head, int64_t at, int64_t end, float *kt) {
  int64_t dim = m->head_dim;
  const float *row[KEYS];
  for (int j = 0; j < KEYS; j++) row[j] = at + j < end ? NAME(token)(m, b, seq, layer, at + j) + head * dim : NULL;
#if VL == 16
  for (int64_t d = 0; d < dim; d += 16) {
    vf a[16], t[16];
#pragma GCC unroll 16
    for (int j = 0; j < 16; j++) a[j] = row[j] ? load(row[j] + d) : splat(0);
    /* Four rounds of interleaving row j with row j + 8 transpose 16 x 16. */
#pragma GCC unroll 4
    for (int round = 0; round < 4; round++) {
#pragma GCC unroll 8
      for (int j = 0; j < 8; j++) {
        t[2 * j] = __builtin_shuffle(a[j], a[j + 8], (vi){0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23});
        t[2 * j + 1] = __builtin_shuffle(a[j], a[j + 8], (vi){8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31});
      }
#pragma GCC unroll 16
      for (int j = 0; j < 16; j++) a[j] = t[j];
    }
#pragma GCC unroll 16
    for (int j = 0; j < 16; j++) store(kt + (d + j) * KEYS, a[j]);
  }
#else
  for (int64_t d = 0; d < dim; d++)
    for (int j = 0; j < KEYS; j++) kt[d * KEYS + j] = row[j] ? row[j][d] : 0;
#endif
}

/* Scores of `count` query vectors (a constant) against KEYS keys: four partial sums per lane, then (0 + 1) + (2 + 3). */
INLINE void NAME(scores)(const int count, const float *const *q, const float *kt, int64_t dim, float scale, float *const *s) {
  for (int lane = 0; lane < KEYS; lane += VL) {
    vf c[4][4];
#pragma GCC unroll 4
    for (int i = 0; i < count; i++)
#pragma GCC unroll 4
      for (int j = 0; j < 4; j++) c[i][j] = splat(0);
    for (int64_t d = 0; d < dim; d += 4)
#pragma GCC unroll 4
      for (int j = 0; j < 4; j++) {
        vf k = load(kt + (d + j) * KEYS + lane);
#pragma GCC unroll 4
        for (int i = 0; i < count; i++) c[i][j] += q[i][d + j] * k;
      }
#pragma GCC unroll 4
    for (int i = 0; i < count; i++) store(s[i] + lane, ((c[i][0] + c[i][1]) + (c[i][2] + c[i][3])) * scale);
  }
}

/* s[0, end) becomes exp(s - max); returns the sum. Scores from `end` to the next multiple of KEYS are ignored. */
INLINE float NAME(softmax)(float *s, int64_t end) {
  for (int64_t i = end; i % KEYS; i++) s[i] = -INFINITY;
  vf top = splat(-INFINITY), sum = splat(0);
  int64_t padded = (end + KEYS - 1) / KEYS * KEYS;
  for (int64_t i = 0; i < padded; i += VL) top = vmax(load(s + i), top);
  vf most = splat(vtop(top));
  for (int64_t i = 0; i < padded; i += VL) {
    vf v = load(s + i);
    v = pick(v == splat(-INFINITY), splat(0), vexp(v - most));
    store(s + i, v);
    sum += v;
  }
  return vsum(sum);
}

/* out[i][0 .. wide * VL) = sum over j in [0, end[i]) of p[i][j] V[j], for `count` (a constant) vectors with end[0] <= end[1] ... */
INLINE void NAME(values)(const int count, const int wide, const agon_model *m, const agon_batch *b, int64_t seq, int64_t layer, int64_t column,
                         const int64_t *end, float *const *p, float *const *out) {
  vf c[4][4];
#pragma GCC unroll 4
  for (int i = 0; i < count; i++)
#pragma GCC unroll 4
    for (int v = 0; v < wide; v++) c[i][v] = splat(0);
  int64_t most = end[count - 1], tokens = m->pages.tokens;
  for (int64_t at = 0; at < most; at += tokens) {
    const float *row = NAME(token)(m, b, seq, layer, at) + column;
    int64_t stop = most - at < tokens ? most - at : tokens;
    for (int64_t j = 0; j < stop; j++, row += m->pages.token_stride) {
      vf x[4];
#pragma GCC unroll 4
      for (int v = 0; v < wide; v++) x[v] = load(row + v * VL);
#pragma GCC unroll 4
      for (int i = 0; i < count; i++)
        if (at + j < end[i]) {
#pragma GCC unroll 4
          for (int v = 0; v < wide; v++) c[i][v] += p[i][at + j] * x[v];
        }
    }
  }
#pragma GCC unroll 4
  for (int i = 0; i < count; i++)
#pragma GCC unroll 4
    for (int v = 0; v < wide; v++) store(out[i] + v * VL, c[i][v]);
}

#define BY_COUNT(call)          \
  switch (count) {              \
    case 1: call(1); break;     \
    case 2: call(2); break;     \
    case 3: call(3); break;     \
    default: call(4);           \
  }

static void NAME(score_group)(int count, const float *const *q, const float *kt, int64_t dim, float scale, float *const *s) {
#define CALL(n) NAME(scores)(n, q, kt, dim, scale, s)
  BY_COUNT(CALL)
#undef CALL
}

static void NAME(value_group)(int count, const agon_model *m, const agon_batch *b, int64_t seq, int64_t layer, int64_t head, const int64_t *end,
                              float *const *p, float *const *out) {
  int64_t dim = m->head_dim, from = (m->kv_heads + head) * dim, d = 0;
  float *at[4];
#define CALL(n) NAME(values)(n, 4, m, b, seq, layer, from + d, end, p, at)
  for (; d + 4 * VL <= dim; d += 4 * VL) {
    for (int i = 0; i < count; i++) at[i] = out[i] + d;
    BY_COUNT(CALL)
  }
#undef CALL
#define CALL(n) NAME(values)(n, 1, m, b, seq, layer, from + d, end, p, at)
  for (; d < dim; d += VL) {
    for (int i = 0; i < count; i++) at[i] = out[i] + d;
    BY_COUNT(CALL)
  }
#undef CALL
}

/* Rows [row, row + count) of one sequence, the query heads of KV head `head`. */
static void NAME(attend)(agon_member *me, const agon_model *m, const agon_batch *b, int64_t layer, int64_t row, int64_t count, int64_t head) {
  int64_t dim = m->head_dim, group = m->heads / m->kv_heads, width = (m->heads + 2 * m->kv_heads) * dim, seq = b->seq[row];
  int64_t total = count * group, last = b->pos[row + count - 1] + 1, padded = (last + KEYS - 1) / KEYS * KEYS;
  float *kt = agon_scratch(me, (dim * KEYS + total * padded) * sizeof(float) + total * (3 * sizeof(float *) + sizeof(int64_t)));
  float *scores = kt + dim * KEYS;
  const float **q = (const float **)(scores + total * padded);
  float **s = (float **)(q + total), **out = s + total;
  int64_t *end = (int64_t *)(out + total);
  for (int64_t i = 0; i < total; i++) { /* rows outside, heads inside: positions rise with i */
    int64_t r = row + i / group, h = head * group + i % group;
    q[i] = b->qkv + r * width + h * dim;
    out[i] = b->mixed + r * m->heads * dim + h * dim;
    s[i] = scores + i * padded;
    end[i] = b->pos[r] + 1;
  }
  float scale = (float)(1.0 / sqrt((double)dim));
  for (int64_t at = 0; at < last; at += KEYS) {
    NAME(keys)(m, b, seq, layer, head, at, last, kt);
    for (int64_t i = 0; i < total; i += 4) {
      int n = total - i < 4 ? (int)(total - i) : 4;
      float *to[4];
      for (int j = 0; j < n; j++) to[j] = s[i + j] + at;
      NAME(score_group)(n, q + i, kt, dim, scale, to);
    }
  }
  for (int64_t i = 0; i < total; i += 4) {
    int n = total - i < 4 ? (int)(total - i) : 4;
    float sum[4];
    for (int j = 0; j < n; j++) sum[j] = NAME(softmax)(s[i + j], end[i + j]);
    NAME(value_group)(n, m, b, seq, layer, head, end + i, s + i, out + i);
    for (int j = 0; j < n; j++)
      for (int64_t d = 0; d < dim; d += VL) store(out[i + j] + d, load(out[i + j] + d) / sum[j]);
  }
}

/* b->mixed = attention of b->qkv over the pages, which hold the keys and values of these rows already. */
static void NAME(attention_stage)(agon_member *me, const agon_model *m, const agon_batch *b, int64_t layer) {
  int64_t unit = 0, mine = agon_draw(me, 1);
  for (int64_t row = 0, count; row < b->rows; row += count) {
    for (count = 1; count < TILE && row + count < b->rows && b->seq[row + count] == b->seq[row]; count++) {}
    for (int64_t head = 0; head < m->kv_heads; head++, unit++)
      if (unit == mine) {
        NAME(attend)(me, m, b, layer, row, count, head);
        agon_done(me, 1);
        mine = agon_draw(me, 1);
      }
  }
  agon_end_stage(me, unit);
}

static void NAME(rope)(agon_member *me, const void *args) {
  const layer_args *a = args;
  NAME(rope_stage)(me, a->m, a->b, a->layer);
}

static void NAME(attention)(agon_member *me, const void *args) {
  const layer_args *a = args;
  NAME(attention_stage)(me, a->m, a->b, a->layer);
}
