/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIMDSOFTMAX_SYSTEM_H
#define SIMDSOFTMAX_SYSTEM_H

/* What the library is, what it would run, and on what. */

#include <simdsoftmax/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version of the library that was linked, such as "0.1.0". */
SIMDSOFTMAX_API const char* simdsoftmax_version(void);

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

/* ---- Variants, accuracies and ISAs ----------------------------------------------------------------------------- */

/* Variants are numbered 0 (auto) to simdsoftmax_variant_count() - 1. The name is null for any other number. */
SIMDSOFTMAX_API size_t simdsoftmax_variant_count(void);
SIMDSOFTMAX_API const char* simdsoftmax_variant_name(simdsoftmax_variant variant);
SIMDSOFTMAX_NODISCARD SIMDSOFTMAX_API simdsoftmax_status simdsoftmax_variant_from_name(const char* name,
                                                                                       simdsoftmax_variant* variant);

/* The same for accuracies, 0 being "balanced". */
SIMDSOFTMAX_API size_t simdsoftmax_accuracy_count(void);
SIMDSOFTMAX_API const char* simdsoftmax_accuracy_name(simdsoftmax_accuracy accuracy);
SIMDSOFTMAX_NODISCARD SIMDSOFTMAX_API simdsoftmax_status simdsoftmax_accuracy_from_name(const char* name,
                                                                                        simdsoftmax_accuracy* accuracy);

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
