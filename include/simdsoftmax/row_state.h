/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIMDSOFTMAX_ROW_STATE_H
#define SIMDSOFTMAX_ROW_STATE_H

/* One row in slices: on the threads of a caller's own pool, or on several machines. Each takes the state of its slices,
 * the states are merged in any order and grouping, and each finishes its slices from the merged state. The result has
 * the bits of simdsoftmax_softmax over the whole row, SIMDSOFTMAX_BALANCED or SIMDSOFTMAX_EXACT. */

#include <simdsoftmax/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SIMDSOFTMAX_ROW_PARTS 256

/* What a part of a row knows: high + low times 2^(anchor - a constant) times e^(shift + shift_low) is the sum of its
 * exponentials. */
typedef struct simdsoftmax_row_part {
  int64_t anchor;
  double shift;
  double shift_low;
  double high;
  double low;
} simdsoftmax_row_part;

/* Plain data: it may be copied, and sent to a machine of the same byte order. Parts whose bit in `present` is not set
 * need not be sent. */
typedef struct simdsoftmax_row_state {
  size_t cols;
  double theta;
  simdsoftmax_dtype dtype;                      /* of the logits */
  int32_t arithmetic;                           /* 1: ISAs with fma, which agree in every bit; 2: sse2 */
  simdsoftmax_accuracy accuracy;                /* BALANCED or EXACT; f64: BALANCED */
  int32_t reserved;                             /* 0 */
  uint64_t present[SIMDSOFTMAX_ROW_PARTS / 64]; /* bit p % 64 of word p / 64: part p has been taken */
  simdsoftmax_row_part parts[SIMDSOFTMAX_ROW_PARTS];
} simdsoftmax_row_state;

/* A row of `cols` columns may be cut at the multiples of this number of columns. */
SIMDSOFTMAX_API size_t simdsoftmax_row_part_length(size_t cols);

/* An empty state for a row of so many logits. Of the options, theta and accuracy count; FAST is taken as BALANCED. */
SIMDSOFTMAX_NODISCARD SIMDSOFTMAX_API simdsoftmax_status simdsoftmax_row_state_init(simdsoftmax_row_state* state,
                                                                                    simdsoftmax_dtype dtype,
                                                                                    size_t cols,
                                                                                    const simdsoftmax_options* options);

/* Adds columns [first, first + count) of the row; `logits` points at column `first`. Both ends must be multiples of
 * simdsoftmax_row_part_length(cols), or the end of the row (BAD_SLICE). Runs on the caller's thread. */
SIMDSOFTMAX_NODISCARD SIMDSOFTMAX_API simdsoftmax_status simdsoftmax_row_state_add(simdsoftmax_row_state* state,
                                                                                   const void* logits, size_t first,
                                                                                   size_t count);

/* Adds the parts of another state of the same row. BAD_STATE if they differ in cols, theta, dtype, arithmetic or
 * accuracy. */
SIMDSOFTMAX_NODISCARD SIMDSOFTMAX_API simdsoftmax_status simdsoftmax_row_state_merge(simdsoftmax_row_state* state,
                                                                                     const simdsoftmax_row_state* from);

/* The probabilities of columns [first, first + count), from their logits and the complete state of the row; any slice.
 * `output` may be `logits` if the dtypes are equal. BAD_STATE if a part is missing. Of the options, empty_row counts.
 */
SIMDSOFTMAX_NODISCARD SIMDSOFTMAX_API simdsoftmax_status
simdsoftmax_row_state_softmax(const simdsoftmax_row_state* state, const void* logits, size_t first, size_t count,
                              void* output, simdsoftmax_dtype output_dtype, const simdsoftmax_options* options);

/* logsumexp of a row whose state is complete, rounded from f64. Maximum error 2^-21 + 1 ULP of f64 for f32, f16 and
 * bf16 rows, 2^-50 times the larger of 1 and its magnitude for f64 rows. */
SIMDSOFTMAX_NODISCARD SIMDSOFTMAX_API simdsoftmax_status
simdsoftmax_row_state_logsumexp(const simdsoftmax_row_state* state, double* logsumexp);

#ifdef __cplusplus
}
#endif

#endif
