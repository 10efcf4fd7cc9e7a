/* Low-rank additions of many adapters in one batch (S-LoRA section 5; SGMV and BGMV of Punica), ranks as they are.
 *
 * Segments of rows name their adapter, an adapter its modules, a module its rows of A and B by pointer. Shrink: v = x a^T, one
 * fixed order of additions per (row, rank) whatever the segment's length; expand: y += (v b) * scale, over the ranks in order.
 * A segment of one row is BGMV's case, a longer one SGMV's: the same code, which then reads each row of A and B once for four. */
#define LORA_ROWS 8 /* of a unit of work */
#define LORA_RANKS 16
#define LORA_COLS 192

/* Values [i, i + VL) of a row, and value i, as floats. `kind` is a constant where these are used. */
INLINE vf NAME(lora_load)(const int kind, const void *row, int64_t i) {
  if (kind == AGON_BF16) return NAME(bf16)((const uint16_t *)row + i);
  if (kind == AGON_F16) return half_((const uint16_t *)row + i);
  return load((const float *)row + i);
}

INLINE float NAME(lora_value)(const int kind, const void *row, int64_t i) {
  uint16_t short_[VL] = {0};
  if (kind == AGON_F32) return ((const float *)row)[i];
  short_[0] = ((const uint16_t *)row)[i];
  return NAME(lora_load)(kind, short_, 0)[0];
}

/* v[r][k] for `rows` (1 or 4, a constant) rows and ranks [k, k + 4, 2 or 1). */
INLINE void NAME(dots)(const int kind, const int rows, const int ranks, const float *x, int64_t in, const void *const *a, float *v, int64_t ldv) {
  vf c[4][4];
#pragma GCC unroll 4
  for (int r = 0; r < rows; r++)
#pragma GCC unroll 4
    for (int k = 0; k < ranks; k++) c[r][k] = splat(0);
  int64_t i = 0;
  for (; i + VL <= in; i += VL)
#pragma GCC unroll 4
    for (int k = 0; k < ranks; k++) {
      vf w = NAME(lora_load)(kind, a[k], i);
#pragma GCC unroll 4
      for (int r = 0; r < rows; r++) c[r][k] += load(x + r * in + i) * w;
    }
  for (int r = 0; r < rows; r++)
    for (int k = 0; k < ranks; k++) {
      float sum = vsum(c[r][k]);
      for (int64_t j = i; j < in; j++) sum += x[r * in + j] * NAME(lora_value)(kind, a[k], j);
      v[r * ldv + k] = sum;
    }
}

INLINE void NAME(shrink_rows)(const int kind, const float *x, int64_t rows, int64_t in, const void *const *a, int64_t ranks, float *v, int64_t ldv) {
  for (int64_t r = 0; r < rows;) {
    int64_t n = rows - r >= 4 ? 4 : 1;
    int64_t k = 0;
    if (n == 1) /* four sums at once: one alone would wait for itself */
      for (; k + 4 <= ranks; k += 4) NAME(dots)(kind, 1, 4, x + r * in, in, a + k, v + r * ldv + k, ldv);
    for (; k + 2 <= ranks; k += 2)
      if (n == 4) NAME(dots)(kind, 4, 2, x + r * in, in, a + k, v + r * ldv + k, ldv);
      else NAME(dots)(kind, 1, 2, x + r * in, in, a + k, v + r * ldv + k, ldv);
    for (; k < ranks; k++)
      if (n == 4) NAME(dots)(kind, 4, 1, x + r * in, in, a + k, v + r * ldv + k, ldv);
      else NAME(dots)(kind, 1, 1, x + r * in, in, a + k, v + r * ldv + k, ldv);
    r += n;
  }
}

/* y[r][0 .. wide * VL) += scale * sum_k v[r][k] b[k][...] for `rows` (a constant) rows. A single row takes as many columns at once
 * as there are registers: the narrower the stretch of each row of B, the less of it the memory brings ahead of time. */
#define LORA_WIDE (VL == 16 ? 12 : 8)
INLINE void NAME(mix)(const int kind, const int rows, const int wide, const float *v, int64_t ldv, const void *const *b, int64_t from, int64_t rank, float scale, float *y, int64_t ldy) {
  vf c[4][12];
#pragma GCC unroll 4
  for (int r = 0; r < rows; r++)
#pragma GCC unroll 12
    for (int i = 0; i < wide; i++) c[r][i] = splat(0);
  for (int64_t k = 0; k < rank; k++)
#pragma GCC unroll 12
    for (int i = 0; i < wide; i++) {
      vf w = NAME(lora_load)(kind, b[k], from + i * VL);
#pragma GCC unroll 4
      for (int r = 0; r < rows; r++) c[r][i] += v[r * ldv + k] * w;
    }
#pragma GCC unroll 4
  for (int r = 0; r < rows; r++)
#pragma GCC unroll 12
    for (int i = 0; i < wide; i++) store(y + r * ldy + from + i * VL, load(y + r * ldy + from + i * VL) + scale * c[r][i]);
}

INLINE void NAME(expand_rows)(const int kind, const float *v, int64_t rows, int64_t ldv, const void *const *b, int64_t rank, int64_t from, int64_t to, float scale, float *y, int64_t ldy) {
  for (int64_t r = 0; r < rows;) {
    int64_t n = rows - r >= 4 ? 4 : 1, c = from;
    const float *vr = v + r * ldv;
    float *yr = y + r * ldy;
    if (n == 1)
      for (; c + LORA_WIDE * VL <= to; c += LORA_WIDE * VL) NAME(mix)(kind, 1, LORA_WIDE, vr, ldv, b, c, rank, scale, yr, ldy);
    for (; c + 4 * VL <= to; c += 4 * VL)
      if (n == 4) NAME(mix)(kind, 4, 4, vr, ldv, b, c, rank, scale, yr, ldy);
      else NAME(mix)(kind, 1, 4, vr, ldv, b, c, rank, scale, yr, ldy);
    for (; c + VL <= to; c += VL)
      if (n == 4) NAME(mix)(kind, 4, 1, vr, ldv, b, c, rank, scale, yr, ldy);
      else NAME(mix)(kind, 1, 1, vr, ldv, b, c, rank, scale, yr, ldy);
    for (int64_t i = 0; i < n; i++)
      for (int64_t j = c; j < to; j++) {
        float sum = 0;
        for (int64_t k = 0; k < rank; k++) sum += vr[i * ldv + k] * NAME(lora_value)(kind, b[k], j);
        yr[i * ldy + j] += scale * sum;
      }
    r += n;
  }
}

static void NAME(shrink)(int64_t kind, const float *x, int64_t rows, int64_t in, const void *const *a, int64_t ranks, float *v, int64_t ldv) {
  if (kind == AGON_BF16) NAME(shrink_rows)(AGON_BF16, x, rows, in, a, ranks, v, ldv);
  else if (kind == AGON_F16) NAME(shrink_rows)(AGON_F16, x, rows, in, a, ranks, v, ldv);
  else NAME(shrink_rows)(AGON_F32, x, rows, in, a, ranks, v, ldv);
}

static void NAME(expand)(int64_t kind, const float *v, int64_t rows, int64_t ldv, const void *const *b, int64_t rank, int64_t from, int64_t to,
                         float scale, float *y, int64_t ldy) {
  if (kind == AGON_BF16) NAME(expand_rows)(AGON_BF16, v, rows, ldv, b, rank, from, to, scale, y, ldy);
  else if (kind == AGON_F16) NAME(expand_rows)(AGON_F16, v, rows, ldv, b, rank, from, to, scale, y, ldy);
  else NAME(expand_rows)(AGON_F32, v, rows, ldv, b, rank, from, to, scale, y, ldy);
}

/* Both stages walk the same units: (segment, module, rows, ranks or columns); `draw` picks who does which. */
#define LORA_UNITS(me, a, rows_per, parts, part_size, body)                                                         \
  int64_t unit = 0, mine = agon_draw(me, 1);                                                                        \
  for (int64_t n = 0; n < (a)->b->segments; n++) {                                                                  \
    const agon_lora_segment *seg = &(a)->b->segment[n];                                                             \
    int64_t column = 0; /* of this module's ranks in the scratch rows */                                            \
    for (int32_t i = seg->adapter->first[(a)->at]; i < seg->adapter->first[(a)->at + 1]; i++) {                     \
      const agon_lora_module *mod = &seg->adapter->modules[i];                                                      \
      for (int64_t row = seg->begin; row < seg->end; row += rows_per) {                                             \
        int64_t rows = seg->end - row < rows_per ? seg->end - row : rows_per;                                       \
        for (int64_t part = 0; part < (parts); part += part_size, unit++)                                           \
          if (unit == mine) {                                                                                       \
            int64_t stop = part + part_size < (parts) ? part + part_size : (parts);                                 \
            float *v = (a)->b->lora + row * (a)->b->lora_width + column;                                            \
            body;                                                                                                   \
            agon_done(me, 1);                                                                                       \
            mine = agon_draw(me, 1);                                                                                \
          }                                                                                                         \
      }                                                                                                             \
      column += mod->rank;                                                                                          \
    }                                                                                                               \
  }                                                                                                                 \
  agon_end_stage(me, unit);

static void NAME(shrink_stage)(agon_member *me, const lora_args *a) {
  int64_t width = a->b->lora_width;
  LORA_UNITS(me, a, LORA_ROWS, mod->rank, LORA_RANKS,
             NAME(shrink)(mod->kind, a->x + row * a->in, rows, a->in, mod->a + part, stop - part, v + part, width))
}

static void NAME(expand_stage)(agon_member *me, const lora_args *a) {
  int64_t width = a->b->lora_width;
  LORA_UNITS(me, a, LORA_ROWS, mod->out_width, LORA_COLS,
             NAME(expand)(mod->kind, v, rows, width, mod->b, mod->rank, part, stop, (float)mod->scale, a->y + row * a->ldy + mod->out_begin, a->ldy))
}

static void NAME(lora)(agon_member *me, const void *args) {
  NAME(shrink_stage)(me, args);
  NAME(expand_stage)(me, args);
}
