/* One instruction set's copy of every kernel: VL and SUFFIX are set, the compiler's target too. */
#define GLUE_(a, b) a##_##b
#define GLUE(a, b) GLUE_(a, b)
#define NAME(name) GLUE(name, SUFFIX)
/* clang-format off: order matters */
#include "vector.h"
#include "linear.h"
#include "pointwise.h"
#include "attention.h"
#include "lora.h"
#include "decoder.h"

static const kernels NAME(table) = {NAME(linear), NAME(norm), NAME(silu), NAME(argmax), NAME(rope), NAME(attention), NAME(lora), NAME(forward), NAME(logits)};

#undef vf
#undef vi
#undef INLINE
#undef load
#undef store
#undef splat
#undef pick
#undef vmax
#undef vsum
#undef vtop
#undef vexp
#undef widen
#undef half_
#undef MR
#undef GROUP
#undef KB
#undef ROWS
#undef Q4_BYTES
#undef Q8_BYTES
#undef TILES
#undef MORE_TILES
#undef KEYS
#undef TILE
#undef BY_COUNT
#undef LORA_UNITS
#undef LORA_ROWS
#undef LORA_RANKS
#undef LORA_COLS
#undef LORA_WIDE
#undef NAME
#undef GLUE
#undef GLUE_
#undef VL
#undef SUFFIX
