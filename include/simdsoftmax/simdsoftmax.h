/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIMDSOFTMAX_SIMDSOFTMAX_H
#define SIMDSOFTMAX_SIMDSOFTMAX_H

/* simdsoftmax: softmax on CPUs. This is the C ABI; simdsoftmax.hpp is the C++17 face of the same library.
 *
 * Every function may be called from any thread at any time. None throws, aborts, allocates, or changes the caller's
 * floating-point environment (rounding mode, FTZ/DAZ, exception flags). A call that returns anything but
 * SIMDSOFTMAX_OK has written nothing. */

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
  SIMDSOFTMAX_NULL_POINTER = 1,      /* a pointer is null although the shape has elements */
  SIMDSOFTMAX_BAD_DTYPE = 2,         /* a dtype is not one of simdsoftmax_dtype */
  SIMDSOFTMAX_BAD_DTYPE_PAIR = 3,    /* this input dtype cannot be combined with this output dtype */
  SIMDSOFTMAX_BAD_VARIANT = 4,       /* the variant is not one of simdsoftmax_variant */
  SIMDSOFTMAX_BAD_EMPTY_ROW = 5,     /* empty_row is not one of simdsoftmax_empty_row */
  SIMDSOFTMAX_BAD_NUM_THREADS = 6,   /* num_threads is negative */
  SIMDSOFTMAX_BAD_THETA = 7,         /* theta is NaN or infinite, or beyond the finite range of the compute type */
  SIMDSOFTMAX_BAD_STRIDE = 8,        /* a stride is negative, or output rows of that stride would overlap */
  SIMDSOFTMAX_SIZE_OVERFLOW = 9,     /* the bytes of a buffer do not fit ptrdiff_t */
  SIMDSOFTMAX_PARTIAL_OVERLAP = 10,  /* input and output share memory without being the same rows */
  SIMDSOFTMAX_BAD_OPTIONS = 11,      /* options.struct_size is too small, or a field this library lacks is set */
  SIMDSOFTMAX_UNKNOWN_ISA = 12,      /* not the name of an ISA (argument, or environment variable SIMDSOFTMAX_ISA) */
  SIMDSOFTMAX_ISA_NOT_COMPILED = 13, /* an ISA that exists but is not part of this build */
  SIMDSOFTMAX_OUT_OF_RANGE = 14      /* an index is not below the matching count */
};

/* A sentence for a status, in English; never null, also for values that are no status. */
SIMDSOFTMAX_API const char* simdsoftmax_status_text(simdsoftmax_status status);

/* The version of the library that was linked, such as "0.1.0". */
SIMDSOFTMAX_API const char* simdsoftmax_version(void);

/* ---- Vocabulary ------------------------------------------------------------------------------------------------ */

/* Element types. f16 is IEEE binary16, bf16 the upper half of a binary32; both are passed as raw 16-bit words.
 * Sums of f32, f16 and bf16 rows are kept in f64. */
typedef int32_t simdsoftmax_dtype;
enum { SIMDSOFTMAX_F32 = 0, SIMDSOFTMAX_F64 = 1, SIMDSOFTMAX_F16 = 2, SIMDSOFTMAX_BF16 = 3 };

/* How a row is walked. All variants meet the same contract and give the same bits; they differ in memory traffic. */
typedef int32_t simdsoftmax_variant;
enum {
  SIMDSOFTMAX_AUTO = 0,       /* chosen from shape, dtypes, threads and cache sizes; see simdsoftmax_plan_rows */
  SIMDSOFTMAX_THREE_PASS = 1, /* max; exp, sum and store; scale what was stored */
  SIMDSOFTMAX_THREE_PASS_RECOMPUTE = 2, /* max; exp and sum; exp again, scale and store */
  SIMDSOFTMAX_ONLINE = 3,               /* running max and rescaled sum in one pass; exp, scale and store */
  SIMDSOFTMAX_ANCHORED = 4              /* exponent anchor of the first elements; exp, sum and store; scale */
};

/* What becomes of a row that has no probability mass: every logit -inf. */
typedef int32_t simdsoftmax_empty_row;
enum { SIMDSOFTMAX_EMPTY_ROW_NAN = 0, SIMDSOFTMAX_EMPTY_ROW_ZEROS = 1 };

/* Set struct_size to sizeof(simdsoftmax_options), or start from SIMDSOFTMAX_OPTIONS_INIT. Fields are only ever added
 * at the end and their default is zero bytes, so callers built against other versions keep working. */
typedef struct simdsoftmax_options {
  size_t struct_size;
  double theta;                    /* multiplies the logits before the exponential; finite; default 1 */
  simdsoftmax_variant variant;     /* default SIMDSOFTMAX_AUTO */
  simdsoftmax_empty_row empty_row; /* default SIMDSOFTMAX_EMPTY_ROW_NAN */
  int32_t num_threads;             /* 0: what OpenMP would use; 1: OpenMP is never entered; n: at most n */
  int32_t reserved;                /* zero */
} simdsoftmax_options;

#define SIMDSOFTMAX_OPTIONS_INIT \
  { sizeof(simdsoftmax_options), 1.0, SIMDSOFTMAX_AUTO, SIMDSOFTMAX_EMPTY_ROW_NAN, 0, 0 }

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
 * overflow the compute type (f32, or f64 for f64). Zero rows or zero columns succeed and write nothing.
 *
 * theta * logit is the IEEE product where it is infinite or NaN: theta = 0 makes NaN of an infinite logit, a negative
 * theta makes +inf of -inf.
 *
 * Maximum error: 4 ULP of the output for f32 and f64, 0.51 ULP for f16 and bf16 (largest found: README.md, "Accuracy").
 * The result does not depend on the number of threads, the variant, alignment, the position in a batch, or on which of
 * the ISAs with fma computed it. */
SIMDSOFTMAX_NODISCARD SIMDSOFTMAX_API simdsoftmax_status
simdsoftmax_softmax_rows(const void* logits, simdsoftmax_dtype logits_dtype, ptrdiff_t logits_stride, void* output,
                         simdsoftmax_dtype output_dtype, ptrdiff_t output_stride, size_t rows, size_t cols,
                         const simdsoftmax_options* options);

/* ---- What would run, and why ----------------------------------------------------------------------------------- */

typedef struct simdsoftmax_plan {
  const char* isa;             /* name of the ISA, such as "avx512" */
  simdsoftmax_variant variant; /* never SIMDSOFTMAX_AUTO */
  int32_t num_threads;         /* 1: the caller's thread alone */
  int32_t split_rows;          /* 1: every row is shared by all threads; 0: a thread takes whole rows */
  const char* reason;          /* a sentence that says why this variant */
} simdsoftmax_plan;

/* Fills *plan with what simdsoftmax_softmax_rows would do for this shape; in_place is 0 or 1. */
SIMDSOFTMAX_NODISCARD SIMDSOFTMAX_API simdsoftmax_status simdsoftmax_plan_rows(simdsoftmax_dtype logits_dtype,
                                                                               simdsoftmax_dtype output_dtype,
                                                                               size_t rows, size_t cols, int in_place,
                                                                               const simdsoftmax_options* options,
                                                                               simdsoftmax_plan* plan);

/* ---- Variants and ISAs ----------------------------------------------------------------------------------------- */

/* Variants are numbered 0 (auto) to simdsoftmax_variant_count() - 1. The name is null for any other number. */
SIMDSOFTMAX_API size_t simdsoftmax_variant_count(void);
SIMDSOFTMAX_API const char* simdsoftmax_variant_name(simdsoftmax_variant variant);
SIMDSOFTMAX_NODISCARD SIMDSOFTMAX_API simdsoftmax_status simdsoftmax_variant_from_name(const char* name,
                                                                                       simdsoftmax_variant* variant);

typedef struct simdsoftmax_isa_info {
  const char* name;  /* "sse2", "avx2", "avx512", "neon" */
  int32_t compiled;  /* 1: its kernels are part of this build */
  int32_t supported; /* 1: this CPU and operating system can run it */
  int32_t active;    /* 1: calls use it now */
} simdsoftmax_isa_info;

/* Every ISA the library knows, in the order of preference, the last compiled and supported one being the best. */
SIMDSOFTMAX_API size_t simdsoftmax_isa_count(void);
SIMDSOFTMAX_NODISCARD SIMDSOFTMAX_API simdsoftmax_status simdsoftmax_isa_query(size_t index,
                                                                               simdsoftmax_isa_info* info);

/* The ISA in use is the best that the build and the CPU have and that is not above the cap. The cap is the one set
 * here, else the environment variable SIMDSOFTMAX_ISA as it was at the first call, else none. Null removes the cap set
 * here. An unknown name in the environment makes every softmax call return SIMDSOFTMAX_UNKNOWN_ISA until a cap is set
 * here. Calls under way in other threads finish with the ISA they began with. */
SIMDSOFTMAX_NODISCARD SIMDSOFTMAX_API simdsoftmax_status simdsoftmax_cap_isa(const char* name);

/* 1 if the library was built with OpenMP; without it every call runs on the caller's thread. */
SIMDSOFTMAX_API int simdsoftmax_has_openmp(void);

/* 1: print one line to stderr for each distinct call shape of the process (what ran: ISA, variant, threads); 0: print
 * nothing. The default is 0, or 1 when the environment variable SIMDSOFTMAX_VERBOSE is set to anything but 0. */
SIMDSOFTMAX_API void simdsoftmax_set_verbose(int verbose);

#ifdef __cplusplus
}
#endif

#endif
