/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIMDSOFTMAX_TOP_K_H
#define SIMDSOFTMAX_TOP_K_H

/* The winners of a softmax without the softmax: nothing of the size of a row is written. */

#include <simdsoftmax/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SIMDSOFTMAX_MAX_TOP_K 1024

typedef int32_t simdsoftmax_normalization;
enum {
  SIMDSOFTMAX_OVER_ROW = 0,  /* probabilities as softmax gives them, bit for bit */
  SIMDSOFTMAX_OVER_TOP_K = 1 /* divided by the sum over the k alone, so that they add up to 1 */
};

/* The k largest probabilities of each row along the axis and their columns, the largest first; equal logits: the lower
 * column first. The logits are read once (twice in rows that climb far above their beginning).
 * probabilities: the shape of the logits with k in the place of the axis, dtype as for simdsoftmax_softmax; null: not
 * wanted. indices: the same shape, I64, or I32 (BAD_DTYPE with more than 2^31 columns).
 * 1 <= k <= min(columns, SIMDSOFTMAX_MAX_TOP_K).
 * In a row with NaN or +inf all probabilities are NaN, in an empty row NaN or 0; their indices are 0 to k - 1.
 * options->variant has no influence; pre_ops apply. */
SIMDSOFTMAX_NODISCARD SIMDSOFTMAX_API simdsoftmax_status simdsoftmax_softmax_top_k(
    const simdsoftmax_tensor* logits, const simdsoftmax_tensor* probabilities, const simdsoftmax_tensor* indices,
    int32_t axis, simdsoftmax_normalization normalization, const simdsoftmax_options* options);

/* The column of the largest logit of each row, the lowest of equal ones, and its probability. Shapes: that of the
 * logits without the axis, or with 1 in its place; otherwise as simdsoftmax_softmax_top_k with k = 1. */
SIMDSOFTMAX_NODISCARD SIMDSOFTMAX_API simdsoftmax_status simdsoftmax_argmax(const simdsoftmax_tensor* logits,
                                                                            const simdsoftmax_tensor* probabilities,
                                                                            const simdsoftmax_tensor* indices,
                                                                            int32_t axis,
                                                                            const simdsoftmax_options* options);

#ifdef __cplusplus
}
#endif

#endif
