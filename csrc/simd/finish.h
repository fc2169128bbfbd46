// finish.h: the functions that kernels of sums apply in registers before they write.

// What is done to a finished sum x, once the bias is in:
//   FINISH_NONE    x
//   FINISH_FLOOR   max(x, low)
//   FINISH_CLAMP   min(max(x, low), high)
//   FINISH_LEAKY   x < 0 ? slope * x : x
enum { LN_NAME(FINISH_NONE), LN_NAME(FINISH_FLOOR), LN_NAME(FINISH_CLAMP), LN_NAME(FINISH_LEAKY) };
#define finish LN_NAME(finish)
typedef struct finish {
  int kind;
  real low, high, slope;
} finish;

// All n sums; the kind is looked at once.
#define v_finish LN_NAME(v_finish)
LN_INLINE void v_finish(vec *sum, const int n, const finish *f) {
  const vec low = v_set(f->low), high = v_set(f->high), slope = v_set(f->slope);
  switch (f->kind) {
  case LN_NAME(FINISH_FLOOR):
    LN_UNROLL for (int s = 0; s < n; s++) sum[s] = v_max(low, sum[s]);
    break;
  case LN_NAME(FINISH_CLAMP):
    LN_UNROLL for (int s = 0; s < n; s++) sum[s] = v_min(high, v_max(low, sum[s]));
    break;
  case LN_NAME(FINISH_LEAKY):
    LN_UNROLL for (int s = 0; s < n; s++) sum[s] = v_select(sum[s] < 0, slope * sum[s], sum[s]);
    break;
  default: break;
  }
}

// The function as a write-out of the kernel; others than these four are applied by themselves.
LN_INLINE finish LN_NAME(finish_of)(const ln_function *f, int *applied) {
  *applied = 0;
  switch (f->id) {
  case LN_FUNCTION_relu: return (finish){.kind = LN_NAME(FINISH_FLOOR), .low = 0};
  case LN_FUNCTION_clip:
    return (finish){.kind = LN_NAME(FINISH_CLAMP), .low = (real)f->a, .high = (real)f->b};
  case LN_FUNCTION_leaky_relu: return (finish){.kind = LN_NAME(FINISH_LEAKY), .slope = (real)f->a};
  case LN_FUNCTION_identity: break;
  default: *applied = 1;
  }
  return (finish){.kind = LN_NAME(FINISH_NONE)};
}
