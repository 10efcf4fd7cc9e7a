/* y = x W^T for 1 to a few hundred rows, W in panels of NR output columns.
 *
 * Panel layout, for each input k in order: NR floats (F32) or NR bfloat16 (BF16); for each block of 32 inputs: NR float16
 * scales, then (Q4) NR float16 minima, then dwords that hold 4 signed bytes (Q8) or 8 nibbles (Q4) of neighbouring inputs, NR
 * dwords per group of inputs. Weight = q * scale (+ minimum), the very float32 the matrix had.
 *
 * Each output is one chain of fused multiply-adds over k in order, whatever the tile it is computed in. Up to MR rows are
 * computed straight from the packed panel; more rows share a panel part that was unpacked into the cache once. */
#define MR (VL == 16 ? 8 : 4)   /* rows of a tile: with 3 vectors of columns each, their sums fill the registers */
#define GROUP (3 * VL)          /* columns of a tile */
#define KB 96                   /* inputs unpacked at once: 18 KB of floats */
#define ROWS 128                /* rows per pass over a panel: their sums stay in the cache */
#define Q4_BYTES (AGON_NR * (4 + AGON_BLOCK / 2))
#define Q8_BYTES (AGON_NR * (2 + AGON_BLOCK))

/* Three vectors of one panel row: weights of input k for the columns of group g. */
INLINE void NAME(fma_row)(const int mr, const float *x, int64_t ldx, vf w0, vf w1, vf w2, vf c[][3]) {
#pragma GCC unroll 8
  for (int r = 0; r < mr; r++) {
    vf b = splat(x[r * ldx]);
    c[r][0] += b * w0;
    c[r][1] += b * w1;
    c[r][2] += b * w2;
  }
}

INLINE void NAME(run_f32)(const int mr, const float *x, int64_t ldx, const float *w, int64_t count, vf c[][3]) {
  for (int64_t k = 0; k < count; k++, w += AGON_NR) NAME(fma_row)(mr, x + k, ldx, load(w), load(w + VL), load(w + 2 * VL), c);
}

INLINE vf NAME(bf16)(const uint16_t *p) { return (vf)(widen(p) << 16); }

INLINE void NAME(run_bf16)(const int mr, const float *x, int64_t ldx, const uint16_t *w, int64_t count, vf c[][3]) {
  for (int64_t k = 0; k < count; k++, w += AGON_NR)
    NAME(fma_row)(mr, x + k, ldx, NAME(bf16)(w), NAME(bf16)(w + VL), NAME(bf16)(w + 2 * VL), c);
}

INLINE vi NAME(ints)(const int32_t *p) { return (vi) * (const NAME(viu) *)p; }
INLINE vf NAME(nibble)(vi packed, const int at) { return __builtin_convertvector((packed >> (4 * at)) & 15, vf); }
INLINE vf NAME(byte)(vi packed, const int at) { return __builtin_convertvector((packed << (24 - 8 * at)) >> 24, vf); }

INLINE void NAME(run_q4)(const int mr, const float *x, int64_t ldx, const uint8_t *panel, int64_t g, int64_t count, vf c[][3]) {
  for (int64_t k = 0; k < count; k += AGON_BLOCK, panel += Q4_BYTES) {
    const uint16_t *s = (const uint16_t *)panel + g, *m = s + AGON_NR;
    vf s0 = half_(s), s1 = half_(s + VL), s2 = half_(s + 2 * VL);
    vf m0 = half_(m), m1 = half_(m + VL), m2 = half_(m + 2 * VL);
    const int32_t *q = (const int32_t *)(panel + 4 * AGON_NR) + g;
    for (int i = 0; i < AGON_BLOCK; i += 8, q += AGON_NR) {
      vi q0 = NAME(ints)(q), q1 = NAME(ints)(q + VL), q2 = NAME(ints)(q + 2 * VL);
#pragma GCC unroll 8
      for (int j = 0; j < 8; j++)
        NAME(fma_row)(mr, x + k + i + j, ldx, NAME(nibble)(q0, j) * s0 + m0, NAME(nibble)(q1, j) * s1 + m1,
                      NAME(nibble)(q2, j) * s2 + m2, c);
    }
  }
}

INLINE void NAME(run_q8)(const int mr, const float *x, int64_t ldx, const uint8_t *panel, int64_t g, int64_t count, vf c[][3]) {
  for (int64_t k = 0; k < count; k += AGON_BLOCK, panel += Q8_BYTES) {
    const uint16_t *s = (const uint16_t *)panel + g;
    vf s0 = half_(s), s1 = half_(s + VL), s2 = half_(s + 2 * VL);
    const int32_t *q = (const int32_t *)(panel + 2 * AGON_NR) + g;
    for (int i = 0; i < AGON_BLOCK; i += 4, q += AGON_NR) {
      vi q0 = NAME(ints)(q), q1 = NAME(ints)(q + VL), q2 = NAME(ints)(q + 2 * VL);
#pragma GCC unroll 4
      for (int j = 0; j < 4; j++)
        NAME(fma_row)(mr, x + k + i + j, ldx, NAME(byte)(q0, j) * s0, NAME(byte)(q1, j) * s1, NAME(byte)(q2, j) * s2, c);
    }
  }
}

/* Bytes of one panel's inputs [0, count). */
INLINE int64_t NAME(offset)(int64_t kind, int64_t count) {
  switch (kind) {
    case AGON_BF16: return count * AGON_NR * 2;
    case AGON_Q8: return count / AGON_BLOCK * Q8_BYTES;
    case AGON_Q4: return count / AGON_BLOCK * Q4_BYTES;
    default: return count * AGON_NR * 4;
  }
}

/* `mr` rows times inputs [0, count) of a panel, added to acc (mr, NR) or, when fresh, put there. */
INLINE void NAME(tile)(const int mr, const int kind, const float *x, int64_t ldx, const void *panel, int64_t count, float *acc, int fresh) {
  for (int64_t g = 0; g < AGON_NR; g += GROUP) {
    vf c[MR][3];
#pragma GCC unroll 8
    for (int r = 0; r < mr; r++)
#pragma GCC unroll 3
      for (int i = 0; i < 3; i++) c[r][i] = fresh ? splat(0) : load(acc + r * AGON_NR + g + i * VL);
    if (kind == AGON_F32) NAME(run_f32)(mr, x, ldx, (const float *)panel + g, count, c);
    if (kind == AGON_BF16) NAME(run_bf16)(mr, x, ldx, (const uint16_t *)panel + g, count, c);
    if (kind == AGON_Q4) NAME(run_q4)(mr, x, ldx, panel, g, count, c);
    if (kind == AGON_Q8) NAME(run_q8)(mr, x, ldx, panel, g, count, c);
#pragma GCC unroll 8
    for (int r = 0; r < mr; r++)
#pragma GCC unroll 3
      for (int i = 0; i < 3; i++) store(acc + r * AGON_NR + g + i * VL, c[r][i]);
  }
}

#define TILES(KIND, LABEL)                                                                                                      \
  static void NAME(tile_##LABEL)(int mr, const float *x, int64_t ldx, const void *panel, int64_t count, float *acc, int fresh) { \
    switch (mr) {                                                                                                               \
      case 1: NAME(tile)(1, KIND, x, ldx, panel, count, acc, fresh); break;                                                     \
      case 2: NAME(tile)(2, KIND, x, ldx, panel, count, acc, fresh); break;                                                     \
      case 3: NAME(tile)(3, KIND, x, ldx, panel, count, acc, fresh); break;                                                     \
      case 4: NAME(tile)(4, KIND, x, ldx, panel, count, acc, fresh); break;                                                     \
      MORE_TILES(KIND)                                                                                                          \
    }                                                                                                                           \
  }
#if VL == 16
#define MORE_TILES(KIND)                                                    \
  case 5: NAME(tile)(5, KIND, x, ldx, panel, count, acc, fresh); break;     \
  case 6: NAME(tile)(6, KIND, x, ldx, panel, count, acc, fresh); break;     \
  case 7: NAME(tile)(7, KIND, x, ldx, panel, count, acc, fresh); break;     \
  case 8: NAME(tile)(8, KIND, x, ldx, panel, count, acc, fresh); break;
#else
#define MORE_TILES(KIND)
#endif
TILES(AGON_F32, f32)
TILES(AGON_BF16, bf16)
TILES(AGON_Q8, q8)
TILES(AGON_Q4, q4)

static void NAME(tile_any)(int64_t kind, int mr, const float *x, int64_t ldx, const void *panel, int64_t count, float *acc) {
  switch (kind) {
    case AGON_BF16: NAME(tile_bf16)(mr, x, ldx, panel, count, acc, 1); break;
    case AGON_Q8: NAME(tile_q8)(mr, x, ldx, panel, count, acc, 1); break;
    case AGON_Q4: NAME(tile_q4)(mr, x, ldx, panel, count, acc, 1); break;
    default: NAME(tile_f32)(mr, x, ldx, panel, count, acc, 1);
  }
}

/* Inputs [k, k + count) of a panel as floats (count, NR): the panel itself where it holds floats, else unpacked into `room`. */
static const float *NAME(floats)(int64_t kind, const void *panel, int64_t k, int64_t count, float *room) {
  const uint8_t *from = (const uint8_t *)panel + NAME(offset)(kind, k);
  if (kind == AGON_F32) return (const float *)from;
  if (kind == AGON_BF16) {
    for (int64_t i = 0; i < count * AGON_NR; i += VL) store(room + i, NAME(bf16)((const uint16_t *)from + i));
    return room;
  }
  int64_t head = kind == AGON_Q4 ? 4 * AGON_NR : 2 * AGON_NR, size = kind == AGON_Q4 ? Q4_BYTES : Q8_BYTES;
  for (int64_t at = 0; at < count; at += AGON_BLOCK, from += size)
    for (int64_t g = 0; g < AGON_NR; g += VL) {
      const uint16_t *s = (const uint16_t *)from + g;
      const int32_t *q = (const int32_t *)(from + head) + g;
      float *to = room + at * AGON_NR + g;
      vf scale = half_(s), low = kind == AGON_Q4 ? half_(s + AGON_NR) : splat(0);
      if (kind == AGON_Q4)
        for (int i = 0; i < AGON_BLOCK; i += 8, q += AGON_NR) {
          vi packed = NAME(ints)(q);
#pragma GCC unroll 8
          for (int j = 0; j < 8; j++, to += AGON_NR) store(to, NAME(nibble)(packed, j) * scale + low);
        }
      else
        for (int i = 0; i < AGON_BLOCK; i += 4, q += AGON_NR) {
          vi packed = NAME(ints)(q);
#pragma GCC unroll 4
          for (int j = 0; j < 4; j++, to += AGON_NR) store(to, NAME(byte)(packed, j) * scale);
        }
    }
  return room;
}

/* acc (rows, NR) to the `cols` columns of y. */
INLINE void NAME(emit)(const float *acc, int64_t rows, int64_t cols, float *y, int64_t ldy, int add) {
  for (int64_t r = 0; r < rows; r++, acc += AGON_NR, y += ldy) {
    if (cols == AGON_NR) {
#pragma GCC unroll 12
      for (int i = 0; i < AGON_NR; i += VL) store(y + i, add ? load(y + i) + load(acc + i) : load(acc + i));
    } else {
      for (int64_t i = 0; i < cols; i++) y[i] = add ? y[i] + acc[i] : acc[i];
    }
  }
}

static void NAME(panel)(const float *x, int64_t rows, const agon_matrix *w, int64_t p, float *y, int64_t ldy, int add, float *room) {
  const uint8_t *panel = (const uint8_t *)w->data + p * NAME(offset)(w->kind, w->in);
  int64_t cols = w->out - p * AGON_NR < AGON_NR ? w->out - p * AGON_NR : AGON_NR;
  float *acc = room + KB * AGON_NR;
  y += p * AGON_NR;
  if (rows <= MR) {
    NAME(tile_any)(w->kind, (int)rows, x, w->in, panel, w->in, acc);
    NAME(emit)(acc, rows, cols, y, ldy, add);
    return;
  }
  for (int64_t k = 0; k < w->in; k += KB) {
    int64_t count = w->in - k < KB ? w->in - k : KB;
    const float *part = NAME(floats)(w->kind, panel, k, count, room);
    for (int64_t r = 0; r < rows; r += MR)
      NAME(tile_f32)(rows - r < MR ? (int)(rows - r) : MR, x + r * w->in + k, w->in, part, count, acc + r * AGON_NR, !k);
  }
  NAME(emit)(acc, rows, cols, y, ldy, add);
}

/* One stage: x (rows, in) times the whole matrix into y (rows, ldy), replacing or added. */
static void NAME(linear_stage)(agon_member *me, const float *x, int64_t rows, const agon_matrix *w, float *y, int64_t ldy, int add) {
  float *room = agon_scratch(me, (KB + ROWS) * AGON_NR * sizeof(float));
  int64_t panels = (w->out + AGON_NR - 1) / AGON_NR, chunk = panels / (me->size * 8);
  if (chunk < 1) chunk = 1;
  AGON_UNITS(me, p, panels, chunk)
    for (int64_t r = 0; r < rows; r += ROWS)
      NAME(panel)(x + r * w->in, rows - r < ROWS ? rows - r : ROWS, w, p, y + r * ldy, ldy, add, room);
  agon_end_stage(me, panels);
}

static void NAME(linear)(agon_member *me, const void *args) {
  const linear_args *a = args;
  NAME(linear_stage)(me, a->x, a->rows, a->w, a->y, a->ldy, a->add);
}
