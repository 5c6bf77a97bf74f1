/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIMDSOFTMAX_TYPES_H
#define SIMDSOFTMAX_TYPES_H

/* Status codes, element types, tensors and options: what all functions share. */

#include <stddef.h>
#include <stdint.h>

#include <simdsoftmax/version.h>

#if defined(__GNUC__)
#define SIMDSOFTMAX_API __attribute__((visibility("default")))
#else
#define SIMDSOFTMAX_API
#endif

#if defined(__cplusplus) && __cplusplus >= 201703L
#define SIMDSOFTMAX_NODISCARD [[nodiscard]]
#elif defined(__GNUC__)
#define SIMDSOFTMAX_NODISCARD __attribute__((warn_unused_result))
#else
#define SIMDSOFTMAX_NODISCARD
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Status ---------------------------------------------------------------------------------------------------- */

typedef int32_t simdsoftmax_status;
enum {
  SIMDSOFTMAX_OK = 0,
  SIMDSOFTMAX_NULL_POINTER = 1,       /* a pointer is null although the shape has elements */
  SIMDSOFTMAX_BAD_DTYPE = 2,          /* a dtype is not one of simdsoftmax_dtype, or not one that belongs here */
  SIMDSOFTMAX_BAD_DTYPE_PAIR = 3,     /* this input dtype cannot be combined with this output dtype */
  SIMDSOFTMAX_BAD_VARIANT = 4,        /* the variant is not one of simdsoftmax_variant */
  SIMDSOFTMAX_BAD_EMPTY_ROW = 5,      /* empty_row is not one of simdsoftmax_empty_row */
  SIMDSOFTMAX_BAD_NUM_THREADS = 6,    /* num_threads is negative */
  SIMDSOFTMAX_BAD_THETA = 7,          /* theta is NaN or infinite, or beyond the finite range of the compute type */
  SIMDSOFTMAX_BAD_STRIDE = 8,         /* a stride is negative, or elements of an output would share memory */
  SIMDSOFTMAX_SIZE_OVERFLOW = 9,      /* the bytes of a buffer do not fit ptrdiff_t */
  SIMDSOFTMAX_PARTIAL_OVERLAP = 10,   /* an output shares memory with another tensor without being the same elements */
  SIMDSOFTMAX_BAD_OPTIONS = 11,       /* a struct_size is too small, or a field this library lacks is set */
  SIMDSOFTMAX_UNKNOWN_ISA = 12,       /* not the name of an ISA (argument, or environment variable SIMDSOFTMAX_ISA) */
  SIMDSOFTMAX_ISA_NOT_COMPILED = 13,  /* an ISA that exists but is not part of this build */
  SIMDSOFTMAX_OUT_OF_RANGE = 14,      /* an index is not below the matching count */
  SIMDSOFTMAX_BAD_RANK = 15,          /* a rank is negative, above SIMDSOFTMAX_MAX_RANK, or 0 where there is an axis */
  SIMDSOFTMAX_BAD_AXIS = 16,          /* the axis is not in [-rank, rank) */
  SIMDSOFTMAX_BAD_SHAPE = 17,         /* the shape of a tensor does not fit the shape of the logits */
  SIMDSOFTMAX_BAD_PRE_OPS = 18,       /* a pre-operation has an impossible value, or is not possible here */
  SIMDSOFTMAX_BAD_LABEL = 19,         /* a label is not a class and not ignore_index */
  SIMDSOFTMAX_BAD_REDUCTION = 20,     /* the reduction is not one of simdsoftmax_reduction */
  SIMDSOFTMAX_BAD_SMOOTHING = 21,     /* label_smoothing is not in [0, 1] */
  SIMDSOFTMAX_BAD_K = 22,             /* k is above SIMDSOFTMAX_MAX_TOP_K or above the number of columns */
  SIMDSOFTMAX_BAD_NORMALIZATION = 23, /* not one of simdsoftmax_normalization */
  SIMDSOFTMAX_BAD_SLICE = 24,         /* a slice of a row does not begin or end where a row may be cut */
  SIMDSOFTMAX_BAD_STATE = 25,   /* a row state is not initialised, incomplete, or not of the same row and arithmetic */
  SIMDSOFTMAX_BAD_ACCURACY = 26 /* the accuracy is not one of simdsoftmax_accuracy */
};

/* A sentence for a status, in English; never null, also for values that are no status. */
SIMDSOFTMAX_API const char* simdsoftmax_status_text(simdsoftmax_status status);

/* ---- Element types and tensors --------------------------------------------------------------------------------- */

/* f16 is IEEE binary16, bf16 the upper half of a binary32; both are passed as raw 16-bit words. Sums of f32, f16 and
 * bf16 rows are kept in f64. The last three are for labels, indices, lengths and masks only. */
typedef int32_t simdsoftmax_dtype;
enum {
  SIMDSOFTMAX_F32 = 0,
  SIMDSOFTMAX_F64 = 1,
  SIMDSOFTMAX_F16 = 2,
  SIMDSOFTMAX_BF16 = 3,
  SIMDSOFTMAX_I32 = 4,
  SIMDSOFTMAX_I64 = 5,
  SIMDSOFTMAX_BOOL = 6 /* one byte; anything but 0 is true */
};

#define SIMDSOFTMAX_MAX_RANK 8

/* A view of the caller's memory. Nothing of it is kept after a call. `data` of an input is not written. */
typedef struct simdsoftmax_tensor {
  void* data;
  simdsoftmax_dtype dtype;
  int32_t rank;             /* 0 to SIMDSOFTMAX_MAX_RANK */
  const size_t* shape;      /* `rank` sizes */
  const ptrdiff_t* strides; /* `rank` strides, in elements, none negative; null: dense, the last dimension fastest */
} simdsoftmax_tensor;

/* ---- Options --------------------------------------------------------------------------------------------------- */

/* How a row is walked. All variants meet the same contract and give the same bits; they differ in memory traffic. */
typedef int32_t simdsoftmax_variant;
enum {
  SIMDSOFTMAX_AUTO = 0,       /* chosen from shape, dtypes, threads and cache sizes; see simdsoftmax_plan_rows */
  SIMDSOFTMAX_THREE_PASS = 1, /* max; exp, sum and store; scale what was stored */
  SIMDSOFTMAX_THREE_PASS_RECOMPUTE = 2, /* max; exp and sum; exp again, scale and store */
  SIMDSOFTMAX_ONLINE = 3,               /* running max and rescaled sum in one pass; exp, scale and store */
  SIMDSOFTMAX_ANCHORED = 4,             /* exponent anchor of the first elements; exp, sum and store; scale */
  SIMDSOFTMAX_NARROW = 5,               /* short rows, several at a time; others alone, by one of the above */
  SIMDSOFTMAX_STREAMING = 6 /* as NARROW, results past the caches; longer rows: exp and sum; exp, scale and store */
};

/* How exact results are, and what that costs. Each has the same bits by every variant and number of threads, and on all
 * ISAs with fma; EXACT and BALANCED by every layout too. f64 rows have one accuracy, the default.
 *
 * EXACT: computed in f64 and rounded once, to f32, f16 or bf16: at most 0.501 ULP, and all but a few in a million are
 *   the nearest number there is. For softmax, log_softmax, logsumexp, top_k, argmax, the losses and row states, with
 *   all that the options ask for. Softmax of f32: 1.5 to 2.5 times the time of BALANCED in cache, 3 times for rows of
 *   more than 32,768 columns a thread, 1.4 to 1.8 times from memory.
 *
 * FAST: relative error at most 2^-12, beside the rounding to f16 or bf16. For softmax of dense rows, theta 1, without
 *   pre-operations, to a type as wide as that of the logits, on ISAs with fma; whatever else is as BALANCED has it, and
 *   so are rows whose largest logit is 2^15 or more in magnitude.
 *
 * Gradients of softmax and log_softmax are always computed in f64. */
typedef int32_t simdsoftmax_accuracy;
enum {
  SIMDSOFTMAX_BALANCED = 0, /* at most 4 ULP of f32, 0.51 ULP of f16 and bf16; of each function: where it is declared */
  SIMDSOFTMAX_EXACT = 1,
  SIMDSOFTMAX_FAST = 2
};

/* What becomes of a row that has no probability mass: every logit -inf, or masked. */
typedef int32_t simdsoftmax_empty_row;
enum {
  SIMDSOFTMAX_EMPTY_ROW_NAN = 0,  /* probabilities and log-probabilities are NaN */
  SIMDSOFTMAX_EMPTY_ROW_ZEROS = 1 /* probabilities are 0, log-probabilities -inf */
};

/* What a boolean mask says about an element. */
typedef int32_t simdsoftmax_mask_meaning;
enum {
  SIMDSOFTMAX_MASK_KEEPS = 0, /* true: takes part (ONNX, PyTorch's attention) */
  SIMDSOFTMAX_MASK_DROPS = 1  /* true: as if the logit were -inf (PyTorch's _masked_softmax) */
};

/* What is done to the logits x of a row before the exponential, in this order, in the same sweep:
 *   z = scale * theta * x;  z = softcap * tanh(z / softcap);  z = z + slope * bias;  z = -inf where masked.
 * Nothing of a product or a sum is rounded away before the exponential; the soft cap is computed in f64 and makes
 * -softcap of -inf, as its formula has it.
 *
 * Every tensor here has at most the rank of the logits; dimensions are matched from the last one, and each is that of
 * the logits or 1, which repeats it. None may share memory with an output.
 *
 * "Query" is the position along the dimension before the axis, and "head" along the one before that; with causal or
 * window the axis must be the last dimension and have one before it, with max_bias two. */
typedef struct simdsoftmax_pre_ops {
  size_t struct_size;
  double scale;                          /* finite; default 1 */
  double softcap;                        /* finite, not negative; 0: none */
  double max_bias;                       /* finite, not negative; not 0: ALiBi, see below; needs bias; 0: slope 1 */
  const simdsoftmax_tensor* bias;        /* null: none; f32, f16 or bf16, or f64 with f64 logits */
  const simdsoftmax_tensor* mask;        /* null: none; BOOL. What is masked is not looked at, be it NaN */
  simdsoftmax_mask_meaning mask_meaning; /* default SIMDSOFTMAX_MASK_KEEPS */
  int32_t causal;                        /* 1: column c takes part if c <= query + query_offset */
  int64_t query_offset;                  /* for causal and window; may be negative */
  int64_t window;                        /* not 0: column c takes part if c > query + query_offset - window */
  const simdsoftmax_tensor* lengths;     /* null: none; I32 or I64, size 1 along the axis; column c takes part if
                                            c < length. Lengths below 0 count as 0, above the columns as all */
  const simdsoftmax_tensor* sinks;       /* null: none; f32 or f64, size 1 along the axis: the logit of a column that
                                            takes part in the sum and is not written; no pre-operation applies to it */
  const simdsoftmax_tensor* logsumexp;   /* null: none; an output, size 1 along the axis and else of the shape of the
                                            logits: logsumexp of each row, sink included; f32, or f64 */
} simdsoftmax_pre_ops;
/* Columns outside of causal, window and lengths are not read, neither logits nor bias nor mask.
 *
 * ALiBi (Press et al., arXiv:2108.12409, as ggml applies it): with H heads, n = the largest power of two <= H, the
 * slope of head h is 2^(-max_bias (h + 1) / n) for h < n, and 2^(-max_bias (2 (h - n) + 1) / (2 n)) for the others;
 * powers of two are exact, other slopes are rounded to f64. */

#define SIMDSOFTMAX_PRE_OPS_INIT \
  { sizeof(simdsoftmax_pre_ops), 1.0, 0.0, 0.0, NULL, NULL, SIMDSOFTMAX_MASK_KEEPS, 0, 0, 0, NULL, NULL, NULL }

/* Set struct_size to sizeof(simdsoftmax_options), or start from SIMDSOFTMAX_OPTIONS_INIT. Fields are only ever added
 * at the end and their default is zero bytes, so callers built against other versions keep working. */
typedef struct simdsoftmax_options {
  size_t struct_size;
  double theta;                       /* multiplies the logits before the exponential; finite; default 1 */
  simdsoftmax_variant variant;        /* default SIMDSOFTMAX_AUTO */
  simdsoftmax_empty_row empty_row;    /* default SIMDSOFTMAX_EMPTY_ROW_NAN */
  int32_t num_threads;                /* 0: what OpenMP would use; 1: OpenMP is never entered; n: at most n */
  simdsoftmax_accuracy accuracy;      /* default SIMDSOFTMAX_BALANCED */
  const simdsoftmax_pre_ops* pre_ops; /* null: none. For softmax, log_softmax, logsumexp, argmax and top_k */
} simdsoftmax_options;

#define SIMDSOFTMAX_OPTIONS_INIT \
  { sizeof(simdsoftmax_options), 1.0, SIMDSOFTMAX_AUTO, SIMDSOFTMAX_EMPTY_ROW_NAN, 0, SIMDSOFTMAX_BALANCED, NULL }

#ifdef __cplusplus
}
#endif

#endif
