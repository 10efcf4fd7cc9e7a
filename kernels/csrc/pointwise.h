/* Row-wise parts of a layer: RMSNorm, rotary embedding with the write of keys and values to their pages, SiLU, argmax. */

/* y = x / sqrt(mean(x^2) + eps) * gain. */
INLINE void NAME(norm_row)(const float *x, int64_t width, const float *gain, double eps, float *y) {
  vf sum = splat(0);
  float rest = 0;
  int64_t i = 0;
  for (; i + VL <= width; i += VL) sum += load(x + i) * load(x + i);
  for (int64_t j = i; j < width; j++) rest += x[j] * x[j];
  float scale = (float)(1.0 / sqrt((double)(vsum(sum) + rest) / (double)width + eps));
  for (i = 0; i + VL <= width; i += VL) store(y + i, load(x + i) * scale * load(gain + i));
  for (; i < width; i++) y[i] = x[i] * scale * gain[i];
}

static void NAME(norm_stage)(agon_member *me, const float *x, int64_t rows, int64_t width, const float *gain, double eps, float *y) {
  AGON_UNITS(me, r, rows, 4)
  NAME(norm_row)(x + r * width, width, gain, eps, y + r * width);
  agon_end_stage(me, rows);
}

/* One head in place: x cos + swapped(x) sin, where sin carries the sign. */
INLINE void NAME(rotate)(float *x, const float *cosine, const float *sine, int64_t dim) {
  int64_t half = dim / 2, i = 0;
  for (; i + VL <= half; i += VL) {
    vf a = load(x + i), b = load(x + half + i);
    store(x + i, a * load(cosine + i) + b * load(sine + i));
    store(x + half + i, b * load(cosine + half + i) + a * load(sine + half + i));
  }
  for (; i < half; i++) {
    float a = x[i], b = x[half + i];
    x[i] = a * cosine[i] + b * sine[i];
    x[half + i] = b * cosine[half + i] + a * sine[half + i];
  }
}

INLINE const float *NAME(token)(const agon_model *m, const agon_batch *b, int64_t seq, int64_t layer, int64_t pos) {
  int64_t page = b->table[b->first[seq] + pos / m->pages.tokens];
  return m->pages.base + page * m->pages.page_stride + layer * m->pages.slab_stride + pos % m->pages.tokens * m->pages.token_stride;
}

/* Rotate q and k of b->qkv in place, then copy keys and values to the pages. */
static void NAME(rope_stage)(agon_member *me, const agon_model *m, const agon_batch *b, int64_t layer) {
  int64_t dim = m->head_dim, q = m->heads * dim, kv = m->kv_heads * dim;
  AGON_UNITS(me, r, b->rows, 4) {
    float *row = b->qkv + r * (q + 2 * kv);
    for (int64_t at = 0; at < q + kv; at += dim) NAME(rotate)(row + at, m->cos + b->pos[r] * dim, m->sin + b->pos[r] * dim, dim);
    memcpy((float *)NAME(token)(m, b, b->seq[r], layer, b->pos[r]), row + q, 2 * kv * sizeof(float));
  }
  agon_end_stage(me, b->rows);
}

/* y[r] = silu(gate) * up of rows (gate, up); y overlaps nothing. */
static void NAME(silu_stage)(agon_member *me, const float *gate_up, int64_t rows, int64_t inner, float *y, int64_t ldy) {
  AGON_UNITS(me, r, rows, 2) {
    const float *gate = gate_up + r * 2 * inner, *up = gate + inner;
    int64_t i = 0;
    for (; i + VL <= inner; i += VL) {
      vf g = load(gate + i), small = vexp(-vmax(g, -g)); /* e^-|g| cannot overflow */
      store(y + r * ldy + i, g * (pick(g >= splat(0), splat(1), small) / (1.0f + small)) * load(up + i));
    }
    for (; i < inner; i++) {
      float g = gate[i], small = expf(-fabsf(g));
      y[r * ldy + i] = g * ((g >= 0 ? 1.0f : small) / (1.0f + small)) * up[i];
    }
  }
  agon_end_stage(me, rows);
}

/* Index of the first largest value, and that value; NaN as value when the row holds one. */
static void NAME(argmax_stage)(agon_member *me, const float *x, int64_t rows, int64_t width, int32_t *best, float *value) {
  AGON_UNITS(me, r, rows, 1) {
    const float *row = x + r * width;
    int64_t i = 0, at = 0;
    vf top = splat(-INFINITY);
    vi odd = {0};
    for (; i + VL <= width; i += VL) {
      vf v = load(row + i);
      odd |= v != v;
      top = vmax(v, top);
    }
    float most = vtop(top);
    int bad = 0;
    for (int j = 0; j < VL; j++) bad |= odd[j];
    for (; i < width; i++) {
      bad |= row[i] != row[i];
      most = row[i] > most ? row[i] : most;
    }
    while (at < width - 1 && row[at] != most) at++;
    best[r] = (int32_t)at;
    value[r] = bad ? NAN : most;
  }
  agon_end_stage(me, rows);
}

static void NAME(norm)(agon_member *me, const void *args) {
  const row_args *a = args;
  NAME(norm_stage)(me, a->x, a->rows, a->width, a->gain, a->eps, a->y);
}

static void NAME(silu)(agon_member *me, const void *args) {
  const row_args *a = args;
  NAME(silu_stage)(me, a->x, a->rows, a->width, a->y, a->width);
}

static void NAME(argmax)(agon_member *me, const void *args) {
  const row_args *a = args;
  NAME(argmax_stage)(me, a->x, a->rows, a->width, a->best, a->y);
}
