/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SIMDSOFTMAX_SIMDSOFTMAX_H
#define SIMDSOFTMAX_SIMDSOFTMAX_H

/* simdsoftmax: softmax on CPUs. This is the C ABI; simdsoftmax.hpp is the C++17 face of the same library.
 *
 * Every function may be called from any thread at any time. None throws, aborts, allocates, or changes the caller's
 * floating-point environment (rounding mode, FTZ/DAZ, exception flags). A call that returns anything but
 * SIMDSOFTMAX_OK has written nothing. */

#include <simdsoftmax/cross_entropy.h>
#include <simdsoftmax/row_state.h>
#include <simdsoftmax/softmax.h>
#include <simdsoftmax/system.h>
#include <simdsoftmax/top_k.h>
#include <simdsoftmax/types.h>

#endif
