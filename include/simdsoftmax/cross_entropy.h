/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIMDSOFTMAX_CROSS_ENTROPY_H
#define SIMDSOFTMAX_CROSS_ENTROPY_H

/* Softmax cross entropy: the loss and its gradient from logits, in one call. */

#include <simdsoftmax/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef int32_t simdsoftmax_reduction;
enum {
  SIMDSOFTMAX_REDUCE_NONE = 0, /* a loss for each row */
  SIMDSOFTMAX_REDUCE_SUM = 1,  /* their sum */
  SIMDSOFTMAX_REDUCE_MEAN = 2  /* the sum over what PyTorch and ONNX divide by; see the functions */
};

/* Start from SIMDSOFTMAX_CROSS_ENTROPY_OPTIONS_INIT. K is the number of classes, the size of the axis. */
typedef struct simdsoftmax_cross_entropy_options {
  size_t struct_size;
  simdsoftmax_reduction reduction;         /* default SIMDSOFTMAX_REDUCE_NONE */
  int32_t use_ignore_index;                /* 1: rows whose label is ignore_index add nothing; integer labels only */
  int64_t ignore_index;                    /* any value, also one that is no class */
  double label_smoothing;                  /* e in [0, 1]: labels q become (1 - e) q + e / K; default 0 */
  const simdsoftmax_tensor* class_weights; /* null: all 1; else rank 1 with K elements; not negative */
  const simdsoftmax_tensor* grad_logits;   /* null, or an output of the shape of the logits: the gradient of the
                                              reduced loss (of the row's own loss without reduction) */
  const simdsoftmax_tensor* log_probabilities; /* null, or an output of the shape of the logits: log_softmax */
  size_t* bad_row;                             /* null, or where the index of the first row whose label is BAD_LABEL is
                                                  written: rows counted in the order of the labels, last dimension fastest */
} simdsoftmax_cross_entropy_options;

#define SIMDSOFTMAX_CROSS_ENTROPY_OPTIONS_INIT \
  { sizeof(simdsoftmax_cross_entropy_options), SIMDSOFTMAX_REDUCE_NONE, 0, 0, 0.0, NULL, NULL, NULL, NULL }

/* In both functions, with w the class weights, p = softmax(theta * logits) along the axis and q' the smoothed labels:
 *   loss of a row = - sum over classes c of w[c] q'[c] log p[c]
 *   gradient = theta (p[c] * sum over k of w[k] q'[k]  -  w[c] q'[c])
 * loss: with REDUCE_NONE the shape of the logits without the axis, or with 1 in its place; else one element of any
 * rank; without rows SUM is 0 and MEAN NaN. Its dtype is that of the logits, or f32, or f64; those of class_weights,
 * dense labels, grad_logits and log_probabilities are each one of f32, f16, bf16, or all of them f64 like the logits.
 * grad_logits or log_probabilities may be the logits in place, not both. Null options: the defaults.
 *
 * Losses of rows are computed as sums of terms that are not negative and added up in f64 in a fixed order. Maximum
 * error for f32: 4 ULP. Rows with NaN or +inf among their logits have the loss NaN. options->variant and empty_row have
 * no influence; pre_ops must be null. */

/* labels: a distribution along the axis, of the shape of the logits. MEAN divides by the number of rows (PyTorch's
 * CrossEntropyLoss with probabilities; TensorFlow's softmax_cross_entropy_with_logits gives REDUCE_NONE). A class with
 * label 0 adds nothing, even where its log-probability is -inf. use_ignore_index must be 0. */
SIMDSOFTMAX_NODISCARD SIMDSOFTMAX_API simdsoftmax_status simdsoftmax_softmax_cross_entropy(
    const simdsoftmax_tensor* logits, const simdsoftmax_tensor* labels, const simdsoftmax_tensor* loss, int32_t axis,
    const simdsoftmax_cross_entropy_options* loss_options, const simdsoftmax_options* options);

/* labels: I32 or I64, of the shape of the logits without the axis (or with 1 in its place); q is 1 at the label. Every
 * label is a class, 0 <= label < K, or ignore_index; otherwise BAD_LABEL, and nothing but *bad_row is written. Rows
 * that are ignored have loss 0 and gradient 0. MEAN divides by the sum of w[label] over the rows that are not ignored
 * (PyTorch, ONNX); with none left that is 0 / 0 = NaN, as it is there. */
SIMDSOFTMAX_NODISCARD SIMDSOFTMAX_API simdsoftmax_status simdsoftmax_sparse_softmax_cross_entropy(
    const simdsoftmax_tensor* logits, const simdsoftmax_tensor* labels, const simdsoftmax_tensor* loss, int32_t axis,
    const simdsoftmax_cross_entropy_options* loss_options, const simdsoftmax_options* options);

#ifdef __cplusplus
}
#endif

#endif
