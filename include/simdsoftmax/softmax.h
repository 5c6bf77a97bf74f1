/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIMDSOFTMAX_SOFTMAX_H
#define SIMDSOFTMAX_SOFTMAX_H

/* softmax, log_softmax, logsumexp. */

#include <simdsoftmax/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Softmax of rows ------------------------------------------------------------------------------------------- */

/* output[r][c] = exp(theta * logits[r][c]) / sum over k of exp(theta * logits[r][k]).
 *
 * logits: rows x cols elements of logits_dtype, row r at logits + r * logits_stride elements; stride >= 0.
 * output: rows x cols elements of output_dtype, row r at output + r * output_stride elements; stride >= cols when
 *   rows > 1. It may be the logits themselves (same pointer, stride and dtype); otherwise no memory of the
 *   one may lie between the first and the last element of the other.
 * dtypes: equal, or f16/bf16 -> f32, or f32 -> f16/bf16. Any alignment. options: null means all defaults.
 *
 * A row with a NaN or +inf in it becomes all NaN; a row of only -inf follows options->empty_row; -inf beside finite
 * logits gives exactly 0; results below FLT_MIN (f64: DBL_MIN) are exactly 0. The product theta * logit must not
 * overflow the compute type (f32, or f64 for f64); nor must what pre-operations make. Zero rows or zero columns succeed
 * and write nothing.
 *
 * theta * logit is the IEEE product where it is infinite or NaN: theta = 0 makes NaN of an infinite logit, a negative
 * theta makes +inf of -inf.
 *
 * Maximum error in ULP of the output: 4 for f32 and 0.51 for f16 and bf16, for any finite logits and any length; on
 * sse2 5.7 for f32, if a row were made to bring all roundings together. For f64: 4. kernels/ACCURACY.md derives them.
 * f32 products with a theta that is no float are known to 48 bits: from 2^28 on they add |theta * logit| 2^-48,
 * relative. Other errors by options->accuracy, for this and all functions below. The result does not depend on the
 * number of threads, the variant, alignment, the position in a batch, or on which of the ISAs with fma computed it. */
SIMDSOFTMAX_NODISCARD SIMDSOFTMAX_API simdsoftmax_status
simdsoftmax_softmax_rows(const void* logits, simdsoftmax_dtype logits_dtype, ptrdiff_t logits_stride, void* output,
                         simdsoftmax_dtype output_dtype, ptrdiff_t output_stride, size_t rows, size_t cols,
                         const simdsoftmax_options* options);

/* ---- Tensors --------------------------------------------------------------------------------------------------- */

/* All functions on tensors: `axis` is the dimension that is summed over, negative ones count from the end. What lies
 * along it is called a row here, wherever it lies in memory, and its elements columns. Strides are the caller's, not
 * negative; elements of an output must not share memory (of its dimensions longer than 1, taken by increasing stride,
 * each stride must be larger than the reach of those before it). An output may be an input of the same dtype, shape and
 * strides at the same address; otherwise no memory of it may lie between the first and the last element of another
 * tensor. Shapes are equal unless said otherwise. A size of 0 in any dimension: success, and nothing is written.
 *
 * dtypes: output equal to the logits, or f16/bf16 -> f32, or f32 -> f16/bf16.
 * Rows with NaN or +inf, empty rows, single columns, theta: as for simdsoftmax_softmax_rows.
 * Errors: NULL_POINTER, BAD_DTYPE, BAD_DTYPE_PAIR, BAD_RANK, BAD_AXIS, BAD_SHAPE, BAD_STRIDE, SIZE_OVERFLOW,
 * PARTIAL_OVERLAP, BAD_PRE_OPS, and those of the options. */

/* output = exp(z) / sum of exp(z) along the axis, z being theta * logits, or what options->pre_ops makes of them.
 * Maximum error and reproducibility: as for simdsoftmax_softmax_rows; a soft cap c adds 2^-50 c to the relative error.
 * Masked columns are exactly 0. */
SIMDSOFTMAX_NODISCARD SIMDSOFTMAX_API simdsoftmax_status simdsoftmax_softmax(const simdsoftmax_tensor* logits,
                                                                             const simdsoftmax_tensor* output,
                                                                             int32_t axis,
                                                                             const simdsoftmax_options* options);

/* output = z - logsumexp(z), computed as (z - M) - log(sum of exp(z - M)), M being the row's maximum. Where one column
 * has more than half of the probability, the sum of the others is taken apart, so that the result near 0 keeps its
 * relative accuracy.
 * Maximum error: 4 ULP for f32 and f64, of the result, or of |M| where theta or a pre-operation makes logits that
 * the compute type does not hold; one rounding more for f16 and bf16; a soft cap c adds 2^-50 c here too. Masked
 * columns and logits of -inf give -inf. options->variant has no influence. */
SIMDSOFTMAX_NODISCARD SIMDSOFTMAX_API simdsoftmax_status simdsoftmax_log_softmax(const simdsoftmax_tensor* logits,
                                                                                 const simdsoftmax_tensor* output,
                                                                                 int32_t axis,
                                                                                 const simdsoftmax_options* options);

/* output = log(sum of exp(z)) along the axis. The shape of the output is that of the logits without the axis, or with 1
 * in its place. A row without mass gives -inf, one with NaN or +inf NaN.
 * Maximum error: 1 ULP for f32; for f64 4 ULP of the larger of result and row maximum. options->variant and
 * options->empty_row have no influence. */
SIMDSOFTMAX_NODISCARD SIMDSOFTMAX_API simdsoftmax_status simdsoftmax_logsumexp(const simdsoftmax_tensor* logits,
                                                                               const simdsoftmax_tensor* output,
                                                                               int32_t axis,
                                                                               const simdsoftmax_options* options);

/* ---- Gradients ------------------------------------------------------------------------------------------------- */

/* dtypes of the three tensors: all f64, or each of f32, f16, bf16. Of the options, theta and num_threads count. The
 * gradient may take the place of either input. Shapes are equal. */

/* grad_input = theta * output * (grad_output - sum over the axis of grad_output * output); output: what softmax gave.
 * The sum is kept in f64. Maximum error for f32: 4 ULP of theta * output * max(|grad_output|, |sum|). */
SIMDSOFTMAX_NODISCARD SIMDSOFTMAX_API simdsoftmax_status
simdsoftmax_softmax_backward(const simdsoftmax_tensor* grad_output, const simdsoftmax_tensor* output,
                             const simdsoftmax_tensor* grad_input, int32_t axis, const simdsoftmax_options* options);

/* grad_input = theta * (grad_output - exp(output) * sum over the axis of grad_output); output: what log_softmax gave.
 * Maximum error for f32: 4 ULP of theta * max(|grad_output|, |exp(output) * sum|). */
SIMDSOFTMAX_NODISCARD SIMDSOFTMAX_API simdsoftmax_status simdsoftmax_log_softmax_backward(
    const simdsoftmax_tensor* grad_output, const simdsoftmax_tensor* output, const simdsoftmax_tensor* grad_input,
    int32_t axis, const simdsoftmax_options* options);

#ifdef __cplusplus
}
#endif

#endif
