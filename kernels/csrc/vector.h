/* Vectors of VL floats by the compiler's own vector types; included once per instruction set, which VL and NAME distinguish. */
typedef float NAME(vf) __attribute__((vector_size(4 * VL)));
typedef int32_t NAME(vi) __attribute__((vector_size(4 * VL)));
typedef uint16_t NAME(vh) __attribute__((vector_size(2 * VL), aligned(2), may_alias));
typedef float NAME(vfu) __attribute__((vector_size(4 * VL), aligned(4), may_alias));
typedef int32_t NAME(viu) __attribute__((vector_size(4 * VL), aligned(4), may_alias));
#define vf NAME(vf)
#define vi NAME(vi)
#define INLINE static inline __attribute__((always_inline))

INLINE vf NAME(load)(const float *p) { return (vf) * (const NAME(vfu) *)p; }
INLINE void NAME(store)(float *p, vf v) { *(NAME(vfu) *)p = (NAME(vfu))v; }
INLINE vf NAME(splat)(float s) { return s - (vf){0}; }
#define load NAME(load)
#define store NAME(store)
#define splat NAME(splat)

INLINE vf NAME(pick)(vi mask, vf yes, vf no) { return (vf)(((vi)yes & mask) | ((vi)no & ~mask)); }
INLINE vf NAME(vmax)(vf a, vf b) { return NAME(pick)(a > b, a, b); }
#define pick NAME(pick)
#define vmax NAME(vmax)

/* Sum of the lanes, halves onto halves; the same order by either way. */
#if VL >= 8
INLINE float NAME(vsum)(vf v) {
#if VL == 16
  __m256 eight = _mm256_add_ps(_mm512_castps512_ps256((__m512)v), _mm512_extractf32x8_ps((__m512)v, 1));
#else
  __m256 eight = (__m256)v;
#endif
  __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps(two, two, 1)));
}
#else
INLINE float NAME(vsum)(vf v) {
  union { vf v; float f[VL]; } u = {v};
  for (int half = VL / 2; half; half /= 2)
    for (int i = 0; i < half; i++) u.f[i] += u.f[i + half];
  return u.f[0];
}
#endif
#define vsum NAME(vsum)

INLINE float NAME(vtop)(vf v) {
  union { vf v; float f[VL]; } u = {v};
  float top = u.f[0];
  for (int i = 1; i < VL; i++) top = u.f[i] > top ? u.f[i] : top;
  return top;
}
#define vtop NAME(vtop)

/* e^x within 2 ulp for x in [-87, 88]; clamped outside. x = n ln 2 + r, |r| <= ln 2 / 2, e^r by a polynomial (Cephes). */
INLINE vf NAME(vexp)(vf x) {
  x = vmax(x, splat(-87.0f));
  x = -vmax(-x, splat(-88.0f));
  vf n = x * 1.44269504f + 12582912.0f; /* 1.5 * 2^23: the sum is rounded to an integer */
  vi bits = (vi)n;
  n = n - 12582912.0f;
  vf r = x - n * 0.693359375f;
  r = r + n * 2.12194440e-4f;
  vf p = splat(1.9875691500e-4f);
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.0f;
  return (vf)((vi)p + ((bits - 0x4B400000) << 23)); /* times 2^n, into the exponent */
}
#define vexp NAME(vexp)

INLINE vi NAME(widen)(const uint16_t *p) { return __builtin_convertvector(*(const NAME(vh) *)p, vi); }
#define widen NAME(widen)

/* float16 to float32, exact for all finite values, subnormals included: by the processor, or by rebasing exponents with a
 * multiplication. */
#if VL == 16
INLINE vf NAME(half)(const uint16_t *p) { return (vf)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p)); }
#elif VL == 8
INLINE vf NAME(half)(const uint16_t *p) { return (vf)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)); }
#else
INLINE vf NAME(half)(const uint16_t *p) {
  vi h = widen(p);
  vf magnitude = (vf)((h & 0x7fff) << 13) * 0x1p112f;
  return (vf)((vi)magnitude | ((h & 0x8000) << 16));
}
#endif
#define half_ NAME(half)
