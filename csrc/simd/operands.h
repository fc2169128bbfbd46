// operands.h: from a step's operands to pointers, for the element type being compiled.

// The values of an operand of the arena, to write.
#define arena_values LN_NAME(arena_values)
LN_INLINE real *arena_values(const ln__frame *frame, ln_ref ref) {
  return (real *)frame->arena + ref.offset;
}

// The values of an operand of the arena or of a constant, to read.
#define operand_values LN_NAME(operand_values)
LN_INLINE const real *operand_values(const ln__frame *frame, ln_ref ref) {
  const void *base =
      ref.block == LN_ARENA ? (const void *)frame->arena : frame->constants[ref.block];
  return (const real *)base + ref.offset;
}
