/* A matrix as panels (the layout is in linear.h), and the smallest kind that loses nothing.
 *
 * A model that was converted from 4- or 8-bit blocks still shows its lattice: 32 neighbouring inputs are q * scale (+ minimum) with
 * float16 scale and minimum. What the blocks were is guessed from their extremes and then checked bit by bit. */
#include <math.h>
#include <string.h>

#include "agon.h"
#include "team.h"

static float bits_float(uint32_t u) {
  float f;
  memcpy(&f, &u, 4);
  return f;
}

static uint32_t float_bits(float f) {
  uint32_t u;
  memcpy(&u, &f, 4);
  return u;
}

static float half_float(uint16_t h) {
  float magnitude = bits_float((uint32_t)(h & 0x7fff) << 13) * 0x1p112f;
  return bits_float(float_bits(magnitude) | (uint32_t)(h & 0x8000) << 16);
}

/* The nearest finite float16, 0x7c00 when there is none near. */
static uint16_t float_half(float f) {
  uint32_t sign = float_bits(f) >> 16 & 0x8000, u = float_bits(f) & 0x7fffffff;
  float a = bits_float(u);
  if (!(a < 65520.0f)) return 0x7c00;
  if (a < 0x1p-14f) return (uint16_t)(sign | (uint32_t)lrintf(a * 0x1p24f));
  u += 0xfff + (u >> 13 & 1);
  return (uint16_t)(sign | ((u >> 13) - (112 << 10)));
}

typedef struct {
  uint16_t scale, low;
  int8_t q[AGON_BLOCK];
} block;

/* q of w[0, 32) for a scale and minimum; whether every value comes out bit for bit. */
static int quants(const float *w, block *b, int from, int to) {
  float scale = half_float(b->scale), low = half_float(b->low), inverse = scale != 0 ? 1.0f / scale : 0;
  int bad = 0;
  for (int i = 0; i < AGON_BLOCK; i++) {
    float q = (w[i] - low) * inverse + 12582912.0f; /* 1.5 * 2^23: rounded to an integer */
    q = q - 12582912.0f;
    float back = q * scale + low; /* q * scale is exact in 24 bits: fused or not, the sum is the same */
    bad |= !(q >= (float)from) | !(q <= (float)to) | (back != w[i]);
    b->q[i] = (int8_t)(int)q;
  }
  return !bad;
}

/* Try scales near `guess`: the extreme that made the block may not have used its whole range. */
static int near(const float *w, block *b, float guess, int from, int to) {
  uint16_t middle = float_half(guess);
  for (int step = 0; step <= 4; step++) {
    b->scale = (uint16_t)(middle + (step & 1 ? (step + 1) / 2 : -step / 2));
    if ((b->scale & 0x7c00) != 0x7c00 && quants(w, b, from, to)) return 1;
  }
  return 0;
}

static int as_q4(const float *w, block *b) {
  float low = w[0], top = w[0];
  for (int i = 1; i < AGON_BLOCK; i++) {
    low = w[i] < low ? w[i] : low;
    top = w[i] > top ? w[i] : top;
  }
  b->low = float_half(low);
  for (int steps = 15; steps >= 1; steps--)
    if (near(w, b, (top - low) / (float)steps, 0, 15)) return 1;
  return 0;
}

static int as_q8(const float *w, block *b) {
  float most = 0;
  for (int i = 0; i < AGON_BLOCK; i++) most = fabsf(w[i]) > most ? fabsf(w[i]) : most;
  b->low = 0;
  for (int steps = 127; steps >= 1; steps--)
    if (near(w, b, most / (float)steps, -127, 127)) return 1;
  return 0;
}

static int64_t panel_bytes(int64_t kind, int64_t in) {
  switch (kind) {
    case AGON_BF16: return in * AGON_NR * 2;
    case AGON_Q8: return in / AGON_BLOCK * AGON_NR * (2 + AGON_BLOCK);
    case AGON_Q4: return in / AGON_BLOCK * AGON_NR * (4 + AGON_BLOCK / 2);
    default: return in * AGON_NR * 4;
  }
}

int64_t agon_packed_bytes(int64_t kind, int64_t out, int64_t in) { return (out + AGON_NR - 1) / AGON_NR * panel_bytes(kind, in); }

/* Write block b of inputs [32 * at, ...) as column c of a panel. */
static void put(uint8_t *panel, int64_t kind, int64_t at, int64_t c, const block *b) {
  int64_t head = kind == AGON_Q4 ? 4 : 2, per = kind == AGON_Q4 ? 8 : 4, width = 32 / per;
  panel += at * AGON_NR * (head + AGON_BLOCK / (kind == AGON_Q4 ? 2 : 1));
  ((uint16_t *)panel)[c] = b->scale;
  if (kind == AGON_Q4) ((uint16_t *)panel)[AGON_NR + c] = b->low;
  uint32_t *words = (uint32_t *)(panel + head * AGON_NR);
  for (int64_t i = 0; i < AGON_BLOCK; i += per) {
    uint32_t word = 0;
    for (int64_t j = 0; j < per; j++) word |= ((uint32_t)b->q[i + j] & ((1u << width) - 1)) << (width * j);
    words[i / per * AGON_NR + c] = word;
  }
}

/* One panel; 0 when the kind cannot hold it (nothing is written where data is NULL). */
static int pack_panel(const float *w, int64_t out, int64_t in, int64_t kind, int64_t p, uint8_t *data) {
  uint8_t *panel = data ? data + p * panel_bytes(kind, in) : NULL;
  if (panel) memset(panel, 0, panel_bytes(kind, in));
  for (int64_t c = 0; c < AGON_NR && p * AGON_NR + c < out; c++) {
    const float *row = w + (p * AGON_NR + c) * in;
    if (kind == AGON_F32 || kind == AGON_BF16) {
      for (int64_t k = 0; k < in; k++) {
        if (kind == AGON_BF16 && float_bits(row[k]) & 0xffff) return 0;
        if (!panel) continue;
        if (kind == AGON_BF16) ((uint16_t *)panel)[k * AGON_NR + c] = (uint16_t)(float_bits(row[k]) >> 16);
        else ((float *)panel)[k * AGON_NR + c] = row[k];
      }
      continue;
    }
    if (in % AGON_BLOCK) return 0;
    for (int64_t at = 0; at < in / AGON_BLOCK; at++) {
      block b;
      if (!(kind == AGON_Q4 ? as_q4 : as_q8)(row + at * AGON_BLOCK, &b)) return 0;
      if (panel) put(panel, kind, at, c, &b);
    }
  }
  return 1;
}

typedef struct {
  const float *w;
  int64_t out, in, kind;
  uint8_t *data;
  int *failed;
} pack_args;

static void pack_job(agon_member *me, const void *args) {
  const pack_args *a = args;
  int64_t panels = (a->out + AGON_NR - 1) / AGON_NR;
  AGON_UNITS(me, p, panels, 1)
  if (!__atomic_load_n(a->failed, __ATOMIC_RELAXED) && !pack_panel(a->w, a->out, a->in, a->kind, p, a->data))
    __atomic_store_n(a->failed, 1, __ATOMIC_RELAXED);
  agon_end_stage(me, panels);
}

int agon_pack(const float *w, int64_t out, int64_t in, int64_t kind, void *data) {
  int failed = 0;
  pack_args a = {w, out, in, kind, data, &failed};
  agon_run(pack_job, &a, 1);
  return !failed;
}
