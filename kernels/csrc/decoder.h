/* All layers of a step in one job: about ten stages per layer, no thread started or woken inside. */

/* y (+)= x W^T + the adapters' part. */
INLINE void NAME(project)(agon_member *me, const agon_batch *b, int64_t at, const float *x, const agon_matrix *w, float *y, int add) {
  lora_args lora = {b, at, x, w->in, y, w->out};
  NAME(linear_stage)(me, x, b->rows, w, y, w->out, add);
  if (b->segments) {
    NAME(shrink_stage)(me, &lora);
    NAME(expand_stage)(me, &lora);
  }
}

static void NAME(forward)(agon_member *me, const void *args) {
  const agon_model *m = ((const layer_args *)args)->m;
  const agon_batch *b = ((const layer_args *)args)->b;
  AGON_UNITS(me, r, b->rows, 1)
  memcpy(b->x + r * m->hidden, m->embed + (int64_t)b->ids[r] * m->hidden, m->hidden * sizeof(float));
  agon_end_stage(me, b->rows);
  for (int64_t l = 0; l < m->layers; l++) {
    const agon_layer *w = &m->layer[l];
    NAME(norm_stage)(me, b->x, b->rows, m->hidden, w->attn_norm, m->eps, b->normed);
    NAME(project)(me, b, 4 * l, b->normed, &w->qkv, b->qkv, 0);
    NAME(rope_stage)(me, m, b, l);
    NAME(attention_stage)(me, m, b, l);
    NAME(project)(me, b, 4 * l + 1, b->mixed, &w->proj, b->x, 1);
    NAME(norm_stage)(me, b->x, b->rows, m->hidden, w->mlp_norm, m->eps, b->normed);
    NAME(project)(me, b, 4 * l + 2, b->normed, &w->gate_up, b->gate_up, 0);
    NAME(silu_stage)(me, b->gate_up, b->rows, m->inner, b->inner, m->inner);
    NAME(project)(me, b, 4 * l + 3, b->inner, &w->down, b->x, 1);
  }
}

static void NAME(logits)(agon_member *me, const void *args) {
  const logits_args *a = args;
  NAME(norm_stage)(me, a->states, a->rows, a->m->hidden, a->m->norm, a->m->eps, a->normed);
  NAME(linear_stage)(me, a->normed, a->rows, &a->m->head, a->logits, a->m->vocab, 0);
  if (!a->best) return;
  NAME(argmax_stage)(me, a->logits, a->rows, a->m->vocab, a->best, a->value);
}
